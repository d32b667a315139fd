import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

/// Inputs and outputs through a whole worker, with an engine in plain Python that owes nothing to the Swift kit.
@Suite(.timeLimit(.minutes(2)))
struct WorkerInputTests {
  /// Answers with the hash of each input, the length of `text`, and `repeat` letters.
  private static let engine = """
    import hashlib, json, os, sys, urllib.parse
    def send(**m): print(json.dumps({"jsonrpc": "2.0", **m}), flush=True)
    for line in sys.stdin.buffer:
        m = json.loads(line); method, p = m.get("method"), m.get("params") or {}
        if method == "initialize":
            send(id=m["id"], result={"protocolVersion": 1, "engine": {"name": "hasher", "version": "1"},
                 "features": ["content-files"], "concurrency": 1})
        elif method == "job/run":
            task = p.get("task")
            if task is None: task = json.load(open(os.path.join(p["workDirectory"], p["taskFile"]), "rb"))
            hashes = {}
            for key, value in task.items():
                for url in ([value] if key.endswith("Url") else value if key.endswith("Urls") else []):
                    path = urllib.parse.unquote(url.removeprefix("file://"))
                    assert path.startswith(p["workDirectory"] + "/"), path
                    hashes[os.path.basename(path)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
            output = {"hashes": hashes, "length": len(task.get("text", "")), "file": p.get("taskFile") is not None,
                      "line": len(line), "inputs": p.get("inputs"), "made": "x" * task.get("repeat", 0)}
            text = json.dumps(output).encode()
            if len(text) > 262144:
                open(os.path.join(p["workDirectory"], "out"), "wb").write(text)
                send(id=m["id"], result={"outputFile": {"name": "out", "bytes": len(text)}})
            else:
                send(id=m["id"], result={"output": output})
        elif "id" in m:
            send(id=m["id"], result={})
            if method == "shutdown": break
    """

  private func home() throws -> DeskHome {
    let home = try DeskHome()
    let plugin = home.path + "/plugins/hasher"
    try FileManager.default.createDirectory(atPath: plugin, withIntermediateDirectories: true)
    let manifest = """
      manifest: 1
      name: hasher
      version: 1.0.0
      command: [python3, engine.py]
      serves:
        - {kind: audio_stt, models: [hasher]}
      features: [content-files]
      """
    try Data(manifest.utf8).write(to: URL(filePath: plugin + "/plugin.yaml"))
    try Data(Self.engine.utf8).write(to: URL(filePath: plugin + "/engine.py"))
    return home
  }

  private func run(_ worker: Worker, _ params: [String: JSONValue]) async throws -> JSONValue {
    var params = params
    params["kind"] = "audio_stt"
    params["model"] = "hasher"
    let connection = InProcessConnection(WorkerControl(worker))
    let id = try #require(try await connection.call("jobs/submit", .object(params))["job"]?["id"])
    return try #require(try await connection.call("jobs/watch", ["id": id])["job"])
  }

  @Test("path, upload, data: and http reach the engine as files, and nothing of them stays")
  func ways() async throws {
    let folder = try ModelTestFolder()
    let server = try ModelFaultServer(in: folder)
    let path = try folder.write("my file.wav", server.content)
    let home = try home()
    try await home.life([]) { worker in
      let upload = try await UploadSender.send(path: path, over: InProcessConnection(WorkerControl(worker)))
      let job = try await run(
        worker,
        [
          "task": [
            "aUrl": .string(FileURL.text(path: path)), "bUrl": .string(upload), "cUrls": [.string(server.url("file"))],
            "dUrl": .string("data:;base64," + Base64.encode(server.content)),
          ]
        ])
      #expect(job["state"] == "succeeded", "\(job.text.prefix(1000))")
      let hash = JSONValue.string(server.sha256)
      #expect(
        job["result"]?["hashes"] == [
          "input-aUrl.bin": hash, "input-bUrl.bin": hash, "input-cUrls-1.bin": hash, "input-dUrl.bin": hash,
        ])
      #expect(job["result"]?["inputs"]?["cUrls"]?.array?.first?["bytes"] == 200_000)
    }
    let works = FileTree.names(in: home.path + "/data/work").map { "work/\($0)" }
    for place in ["jobs", "uploads"] + works {
      #expect(FileTree.names(in: home.path + "/data/" + place) == [], "\(place)")
    }
  }

  @Test("a prompt of ten megabytes reaches the engine in a file, and an output of three comes back in one")
  func large() async throws {
    try await home().life([]) { worker in
      let task: JSONValue = ["text": .string(String(repeating: "a", count: 10_000_000)), "repeat": 3_000_000]
      let upload = try await UploadSender.send(bytes: task.bytes, over: InProcessConnection(WorkerControl(worker)))
      let job = try await run(worker, ["taskUpload": .string(upload)])
      #expect(job["state"] == "succeeded" && job["result"]?["file"] == "result.json", "\(job.text.prefix(1000))")
      let id = try #require(job["id"]?.string.flatMap { JobID($0) })
      let whole = try #require(try InputStage.whole(try await worker.store.job(id)))
      #expect(whole["length"] == 10_000_000 && whole["file"] == true && whole["made"]?.string?.count == 3_000_000)
      #expect((whole["line"]?.int ?? .max) < 1000)
    }
  }

  @Test("an input that cannot be had fails the job before an engine sees it")
  func failures() async throws {
    let server = try ModelFaultServer(in: try ModelTestFolder())
    try await home().life([]) { worker in
      let job = try await run(worker, ["task": ["aUrl": .string(server.url("status?code=404"))]])
      #expect(job["state"] == "failed" && job["error"]?["class"] == "bad_input", "\(job.text.prefix(1000))")
      #expect(job["attempts"]?.array?.count == 1)
      await #expect(throws: RPCError.self) { try await run(worker, ["task": ["aUrl": "file:///nowhere/at/all"]]) }
    }
  }

  @Test("a cancel ends a job that waits for its input")
  func cancel() async throws {
    let server = try ModelFaultServer(in: try ModelTestFolder())
    try await home().life([]) { worker in
      let connection = InProcessConnection(WorkerControl(worker))
      let id = try #require(
        try await connection.call(
          "jobs/submit",
          ["kind": "audio_stt", "model": "hasher", "task": ["aUrl": .string(server.url("stall"))]])["job"]?["id"])
      let cancelled = Nap()
      async let watched = connection.call("jobs/watch", ["id": id]) { event in
        if event["progress"]?["stage"] == "fetching input" { cancelled.wake() }
      }
      await cancelled.rest(.seconds(60))
      _ = try await connection.call("jobs/cancel", ["id": id])
      #expect(try await watched["job"]?["state"] == "cancelled")
    }
  }

  @Test("a worker that stops while an input is fetched keeps the job for its next life")
  func stop() async throws {
    let server = try ModelFaultServer(in: try ModelTestFolder())
    let home = try home()
    let kept = Mutex<JobID?>(nil)
    try await home.life([]) { worker in
      let connection = InProcessConnection(WorkerControl(worker))
      let task: JSONValue = ["aUrl": .string(server.url("stall"))]
      let answer = try await connection.call(
        "jobs/submit", ["kind": "audio_stt", "model": "hasher", "task": task])
      let id = try #require(answer["job"]?["id"]?.string.flatMap { JobID($0) })
      kept.withLock { $0 = id }
      let fetching = Nap()
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          // Ends with the job, or with the worker.
          _ = try? await connection.call("jobs/watch", ["id": .string(id.description)]) { event in
            if event["progress"]?["stage"] == "fetching input" { fetching.wake() }
          }
        }
        await fetching.rest(.seconds(60))
        worker.requestStop()
        group.cancelAll()
      }
    }
    let id = try #require(kept.withLock { $0 })
    try await home.life([]) { worker in
      let job = try await worker.store.job(id)
      #expect(!job.state.isTerminal, "\(job.json.text)")
      #expect(job.error == nil && !job.cancelRequested)
      #expect(job.attempts.first?.outcome == .superseded, "\(job.json.text)")
    }
  }
}
