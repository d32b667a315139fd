import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(2)))
struct InputStagingTests {
  private static let wav =
    Array("RIFF\u{1}\u{1}\u{1}\u{1}WAVEfmt ".utf8) + (0..<500_000).map { UInt8(truncatingIfNeeded: $0) }

  @Test("a user's file is the job's own from the acknowledgement on, and each attempt has a copy")
  func fileIsCopied() async throws {
    try await InputBench.with { bench in
      let path = try bench.folder.write("my secret name é%.txt", Self.wav)
      let url = FileURL.text(path: path)
      let id = try await bench.submit(["inputUrl": .string(url), "language": "en"])
      try FileManager.default.removeItem(atPath: path)
      #expect(bench.inputs(id) == ["inputUrl"])
      for round in 1...2 {
        let attempt = try await bench.attempt(id)
        let copy = attempt.work + "/input-inputUrl.wav"
        #expect(attempt.task.task == ["inputUrl": .string("file://" + copy), "language": "en"])
        #expect(bytes(at: copy) == Self.wav)
        #expect(try mode(of: copy) == 0o600)
        let input = try #require(attempt.task.inputs["inputUrl"]?.first)
        #expect(input.name == "input-inputUrl.wav" && input.contentType == "audio/wav")
        #expect(input.bytes == UInt64(Self.wav.count) && input.urlSHA256 == FileHash.hex(ofText: url))
        // An engine that spoils its copy spoils only that.
        try Data("x".utf8).write(to: URL(fileURLWithPath: copy))
        guard round == 1 else { break }
        _ = try await bench.store.loseAttempt(
          id, attempt: 1, outcome: .lost, failure: JobFailure(.engineFault, "died"), countsAgainstJob: false)
      }
      let end = AttemptEnd.success(result: [:], artifacts: [])
      #expect(try await bench.store.finish(id, attempt: 2, end) == .recorded(.succeeded))
      #expect(bench.jobDirectories.isEmpty)
    }
  }

  @Test("inputs go with the job, however it ends", arguments: ["cancelled", "failed", "lost", "expired", "pruned"])
  func release(_ way: String) async throws {
    let options = JobStoreOptions(maxAttempts: 1)
    try await InputBench.with(options: options) { bench in
      var request = bench.request(["inputUrl": "data:,x"])
      if way == "expired" { request.deadlineSeconds = 0.001 }
      let id = try await bench.stage.submit(request).id
      #expect(bench.inputs(id) == ["inputUrl"])
      switch way {
      case "cancelled": #expect(try await bench.store.requestCancel(id) == .cancelled)
      case "expired":
        while try await bench.store.expireDeadlines().failed.isEmpty { await Task.yield() }
      default:
        let number = try await bench.store.claim(id, engine: "e", pid: nil)
        let failure = JobFailure(.engineFault, "died")
        if way == "lost" {
          _ = try await bench.store.loseAttempt(id, attempt: number, outcome: .lost, failure: failure)
        } else {
          _ = try await bench.store.finish(id, attempt: number, .failure(failure))
        }
      }
      #expect(bench.jobDirectories.isEmpty)
    }
  }

  @Test("a host that is killed after the acknowledgement has lost nothing; what was not acknowledged goes")
  func kill() async throws {
    try await InputBench.with { bench in
      let path = try bench.folder.write("in.bin", Self.wav)
      let id = try await bench.submit(["inputUrl": .string(FileURL.text(path: path))])
      let large = try await bench.submit(["text": .string(String(repeating: "y", count: 2 << 20))])
      // What a killed host leaves behind is what the disk's files hold at that moment.
      _ = try bench.store.artifacts.makeInputDirectory(bench.store.newID())
      let copy = bench.folder.path + "/killed"
      try FileManager.default.copyItem(atPath: bench.folder.path + "/data", toPath: copy)
      try FileManager.default.removeItem(atPath: path)
      try await withJobStore(copy) { store async throws in
        #expect(store.openReport.corruptedKept == nil && store.openReport.orphanedDirectories == 1)
        let stage = try InputStage(store: store)
        let work = try store.artifacts.makeWorkDirectory(id, attempt: 1)
        let prepared = try await stage.prepare(id, workDirectory: work, contentFiles: true, attempt: 1)
        #expect(prepared.inputs["inputUrl"]?.first?.bytes == UInt64(Self.wav.count))
        #expect(bytes(at: work + "/input-inputUrl.wav") == Self.wav)
        let largeWork = try store.artifacts.makeWorkDirectory(large, attempt: 1)
        let whole = try await stage.prepare(large, workDirectory: largeWork, contentFiles: true, attempt: 1)
        #expect(whole.taskFile == "task.json")
      }
    }
  }

  @Test("content in the URL becomes a file, and the store keeps neither it nor the path")
  func dataURL() async throws {
    try await InputBench.with { bench in
      let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + [UInt8](repeating: 7, count: 3 << 20)
      let url = "data:image/webp;base64," + Data(png).base64EncodedString()
      let id = try await bench.submit(["imageUrls": [.string(url), "data:,hello"]], coordinator: "studio")
      let stored = try await bench.store.task(id)
      #expect(stored.bytes.count < 300)
      #expect(stored["imageUrls"]?.array?.first == .string("staged:" + FileHash.hex(ofText: url)))
      let attempt = try await bench.attempt(id)
      #expect(attempt.task.inputs["imageUrls"]?.map(\.name) == ["input-imageUrls-1.png", "input-imageUrls-2.bin"])
      #expect(bytes(at: attempt.work + "/input-imageUrls-1.png") == png)
      #expect(bytes(at: attempt.work + "/input-imageUrls-2.bin") == Array("hello".utf8))
    }
  }

  @Test(
    "what is no regular file is refused at once and by name", arguments: ["fifo", "directory", "missing", "/dev/zero"])
  func notAFile(_ kind: String) async throws {
    try await InputBench.with { bench in
      let path = kind.hasPrefix("/") ? kind : bench.folder.path + "/" + kind
      if kind == "fifo" { mkfifo(path, 0o600) }
      if kind == "directory" { mkdir(path, 0o700) }
      let error = await bench.refusal(["inputUrl": .string("file://" + path)])
      #expect(error?.controlFailure == .badInput, "\(String(describing: error))")
      #expect(error?.message.hasPrefix("task.inputUrl: ") == true && error?.message.contains(path) == true)
      #expect(bench.jobDirectories.isEmpty)
    }
  }

  @Test("quotas of one input and of a job, and the disk's reserve")
  func quotas() async throws {
    try await InputBench.with { settings in
      settings.maxInputBytes = 1000
      settings.maxJobBytes = 1500
    } _: { bench in
      func url(_ count: Int) throws -> JSONValue {
        .string("file://" + (try bench.folder.write("in-\(count)", [UInt8](repeating: 1, count: count))))
      }
      _ = try await bench.submit(["inputUrl": try url(1000)])
      let large = await bench.refusal(["inputUrl": try url(1001)])
      #expect(large?.controlFailure == .badInput && large?.message.contains("1000 bytes") == true)
      let many = await bench.refusal(["aUrls": [try url(1000), try url(501)]])
      #expect(many?.message.hasPrefix("task.aUrls[1] has more than 500 bytes") == true, "\(String(describing: many))")
      let inline = await bench.refusal(["aUrl": .string("data:," + String(repeating: "x", count: 1001))])
      #expect(inline?.controlFailure == .badInput)
      #expect(bench.jobDirectories.count == 1)
    }
    try await InputBench.with {
      $0.keepFree = .max
    } _: { bench in
      for url in ["data:,x", "file:///etc/passwd"] {
        let error = await bench.refusal(["inputUrl": .string(url)])
        #expect(
          error?.failureClass == .resource && error?.message.contains("make room") == true,
          "\(String(describing: error))")
      }
    }
  }

  @Test("a full disk is said to be one", .enabled(if: geteuid() == 0, "only root mounts file systems"))
  func fullDisk() async throws {
    let folder = try ModelTestFolder()
    let small = folder.path + "/small"
    mkdir(small, 0o700)
    let mount = try HelperProcess(["mount", "-t", "tmpfs", "-o", "size=3m", "none", small])
    guard mount.wait() == 0 else { return }
    defer { _ = (try? HelperProcess(["umount", "-l", small]))?.wait() }
    let path = try folder.write("large", [UInt8](repeating: 1, count: 8 << 20))
    var settings = InputSettings()
    // The check beforehand is switched off: the write itself must fail well.
    settings.keepFree = -(1 << 40)
    try await withJobStore(small + "/data") { store async throws in
      let stage = try InputStage(store: store, settings: settings)
      let request = JobRequest(kind: .audioSTT, model: "m", task: ["inputUrl": .string("file://" + path)])
      let error = await #expect(throws: RPCError.self) { try await stage.submit(request) }
      #expect(
        error?.failureClass == .resource && error?.message.contains("the disk is full") == true,
        "\(String(describing: error))")
      #expect(FileTree.names(in: small + "/data/jobs").isEmpty)
    }
  }

  @Test("a coordinator's job names no files of this machine")
  func coordinators() async throws {
    try await InputBench.with { bench in
      let path = try bench.folder.write("in", [1])
      for url in ["file://" + path, "upload:0", path, "staged:0", "ftp://h/x", "http://example.com/x", "//h/x"] {
        let error = await bench.refusal(["maskUrl": .string(url)], coordinator: "studio")
        #expect(error?.controlFailure == .badInput && error?.message.hasPrefix("task.maskUrl ") == true, "\(url)")
      }
      let error = await bench.refusal(["staged:task": 5], coordinator: "studio")
      #expect(error?.controlFailure == .badInput)
      #expect(bench.jobDirectories.isEmpty)
    }
  }

  @Test("the same request twice is one job, and another one under its key a conflict")
  func idempotency() async throws {
    try await InputBench.with { bench in
      let path = try bench.folder.write("in", [1])
      let task: JSONValue = ["inputUrl": .string("file://" + path)]
      let id = try await bench.submit(task, key: "k")
      #expect(try await bench.stage.submit(bench.request(task, key: "k")) == .existing(id))
      #expect(bench.jobDirectories == [id.description])
      let other = bench.request(["inputUrl": "data:,x"], key: "k")
      let error = await #expect(throws: RPCError.self) { try await bench.stage.submit(other) }
      #expect(error?.controlFailure == .conflict)
      #expect(bench.jobDirectories == [id.description] && bench.inputs(id) == ["inputUrl"])
    }
  }

  // MARK: Large tasks

  @Test("a task of ten megabytes is kept in a file and given as one", arguments: ["local", "studio"])
  func largeTask(_ coordinator: String) async throws {
    try await InputBench.with { bench in
      let task: JSONValue = ["text": .string(String(repeating: "lorem ipsum ", count: 870_000)), "inputUrl": "data:,x"]
      let id = try await bench.submit(task, coordinator: coordinator)
      #expect(try await bench.store.task(id).bytes.count < 100)
      let attempt = try await bench.attempt(id)
      #expect(attempt.task.taskFile == "task.json" && attempt.task.task == [:])
      let file = attempt.work + "/task.json"
      #expect(try mode(of: file) == 0o600)
      let object = try JSONSerialization.jsonObject(with: Data(bytes(at: file) ?? [])) as? [String: String]
      #expect(object?["text"].map { .string($0) } == task["text"])
      #expect(object?["inputUrl"] == "file://" + attempt.work + "/input-inputUrl.bin")
    }
  }

  @Test("for an engine that reads no content files the task goes with the message")
  func withoutContentFiles() async throws {
    try await InputBench.with { bench in
      let task: JSONValue = ["text": .string(String(repeating: "x", count: 300_000))]
      let id = try await bench.submit(task)
      let attempt = try await bench.attempt(id, contentFiles: false)
      #expect(attempt.task == PreparedTask(task: task, inputs: [:]))
    }
  }

  @Test func aTaskHasALimit() async throws {
    try await InputBench.with { bench in
      let error = await bench.refusal(["text": .string(String(repeating: "x", count: 16 << 20))])
      #expect(error?.controlFailure == .badInput && error?.message.contains("16777216") == true)
      #expect(bench.jobDirectories.isEmpty)
    }
  }

  @Test("what lies in data: URLs counts as the task's, before any of it is decoded")
  func dataCounts() async throws {
    try await InputBench.with {
      $0.maxTaskBytes = 100_000
    } _: { bench in
      let half = JSONValue.string("data:," + String(repeating: "x", count: 60_000))
      let error = await bench.refusal([
        "aUrls": [half, .string("data:;base64,!" + String(repeating: "x", count: 60_000))]
      ])
      #expect(
        error?.controlFailure == .badInput && error?.message.contains("100000") == true, "\(String(describing: error))")
      #expect(bench.jobDirectories.isEmpty)
      _ = try await bench.submit(["aUrl": half])
      let both = await bench.refusal(["aUrl": half, "text": .string(String(repeating: "x", count: 60_000))])
      #expect(both?.controlFailure == .badInput && both?.message.contains("100000") == true)
      #expect(bench.jobDirectories.count == 1)
    }
  }

  @Test func aSmallTaskCostsNoDirectory() async throws {
    try await InputBench.with { bench in
      let id = try await bench.submit(["prompt": "x", "maskUrl": nil])
      #expect(bench.jobDirectories.isEmpty)
      #expect(try await bench.attempt(id).task == PreparedTask(task: ["prompt": "x", "maskUrl": nil], inputs: [:]))
    }
  }
}
