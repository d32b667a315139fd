import FoundationEssentials
import Host
import PluginProtocol
import Synchronization
import Testing

@testable import stoker

/// A worker's uploads, faked: keeps what is sent, and refuses whatever is out of order or too large.
private final class FakeUploads: Sendable {
  struct Received: Equatable {
    var bytes: [UInt8] = []
    var pieces = 0
    var isEnded = false
  }
  private let state = Mutex<[Received]>([])

  var received: [Received] { state.withLock { $0 } }

  func worker() -> ScriptedWorker {
    ScriptedWorker([
      "input/begin": { [self] _, _ in
        let count = state.withLock { uploads in
          uploads.append(Received())
          return uploads.count
        }
        return ["upload": .string("u\(count)")]
      },
      "input/data": { [self] params, _ in
        let data = Data(base64Encoded: params["data"]?.string ?? "!")
        guard let index = index(params), let seq = params["seq"]?.int, let data, !data.isEmpty, data.count <= 192 << 10
        else { throw RPCError(.badInput, "bad piece") }
        try state.withLock { uploads in
          guard uploads[index].pieces == seq, !uploads[index].isEnded else { throw RPCError(.badInput, "out of order") }
          uploads[index].bytes += data
          uploads[index].pieces += 1
        }
        return [:]
      },
      "input/end": { [self] params, _ in
        guard let index = index(params) else { throw RPCError(.badInput, "no such upload") }
        state.withLock { $0[index].isEnded = true }
        return ["url": .string("upload:u\(index + 1)")]
      },
      "jobs/submit": { params, _ in ["job": ["id": .string(jobID), "state": "queued", "kind": "llm"]] },
    ])
  }

  private func index(_ params: JSONValue) -> Int? {
    guard let id = params["upload"]?.string, id.first == "u", let number = Int(id.dropFirst()) else { return nil }
    return received.indices.contains(number - 1) ? number - 1 : nil
  }
}

@Suite(.timeLimit(.minutes(1)))
struct UploaderTests {
  private let uploads = FakeUploads()

  /// Gives out bytes as stdin would, in pieces of any size.
  private func input(_ bytes: [UInt8]) -> @Sendable (Int) async throws -> [UInt8] {
    let rest = Mutex(bytes[...])
    let box = Box(rest)
    return { limit in
      box.rest.withLock { rest in
        defer { rest = rest.dropFirst(limit) }
        return Array(rest.prefix(limit))
      }
    }
  }

  private final class Box: Sendable {
    let rest: Mutex<ArraySlice<UInt8>>
    init(_ rest: consuming Mutex<ArraySlice<UInt8>>) { self.rest = rest }
  }

  private func uploader(
    _ worker: ScriptedWorker, _ bytes: [UInt8] = [], console: Console = Transcript().console()
  ) -> Uploader {
    Uploader(
      connection: InProcessConnection(worker), console: console, readInput: input(bytes),
      inputBytes: { Int64(bytes.count) })
  }

  private func request(_ flags: TaskFlags, kind: String) throws -> JobSubmission {
    try JobRequestBuilder(kind: kind, flags: flags, locate: { "/data/" + $0 }).request()
  }

  @Test func smallTasksGoAsTheyAre() throws {
    let uploader = uploader(uploads.worker())
    #expect(!uploader.isNeeded(try request(TaskFlags(prompt: "hi"), kind: "llm")))
    #expect(!uploader.isNeeded(try request(TaskFlags(file: "a.wav"), kind: "stt")))
    #expect(uploader.isNeeded(try request(TaskFlags(file: "-"), kind: "stt")))
    // A text that is a dash is no input.
    let text: JSONValue = ["kind": "audio_tts", "task": ["text": "-"]]
    #expect(!uploader.isNeeded(JobSubmission(kind: .audioTTS, params: text)))
  }

  @Test func stdinIsUploadedInPieces() async throws {
    let bytes = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let worker = uploads.worker()
    let params = try await uploader(worker, bytes).prepare(try request(TaskFlags(file: "-"), kind: "stt"))
    #expect(params == ["kind": "audio_stt", "task": ["inputUrl": "upload:u1"]])
    #expect(uploads.received == [.init(bytes: bytes, pieces: 3, isEnded: true)])
  }

  @Test func oneOfSeveralPicturesMayBeStdin() async throws {
    let flags = TaskFlags(images: ["a.png", "-"])
    let params = try await uploader(uploads.worker(), [1, 2, 3]).prepare(try request(flags, kind: "video"))
    #expect(params["task"]?["imageUrls"] == ["file:///data/a.png", "upload:u1"])
  }

  @Test func anEmptyStdinIsRefusedBeforeAnythingIsAsked() async throws {
    let worker = uploads.worker()
    let request = try request(TaskFlags(file: "-"), kind: "stt")
    await #expect {
      try await uploader(worker).prepare(request)
    } throws: { CLIError($0).status == .usage && CLIError($0).message.contains("stdin is empty") }
    #expect(worker.methods.isEmpty)
  }

  @Test func aLargeTaskIsUploaded() async throws {
    let prompt = String(repeating: "grüße ", count: 100_000)
    let large = try request(TaskFlags(prompt: prompt), kind: "llm")
    let worker = uploads.worker()
    let uploader = uploader(worker)
    #expect(uploader.isNeeded(large))
    let params = try await uploader.prepare(large)
    #expect(params == ["kind": "llm", "taskUpload": "u1"])
    let received = try #require(uploads.received.first)
    #expect(received.isEnded)
    #expect(try JSONValue(parsing: received.bytes) == large.params["task"])
  }

  @Test func aWorkerWithoutUploadsIsTold() async throws {
    let request = try request(TaskFlags(file: "-"), kind: "stt")
    await #expect {
      try await uploader(ScriptedWorker([:]), [1]).prepare(request)
    } throws: { CLIError($0).errorClass == "version" }
  }

  @Test func progressIsShownOnATerminalOnly() async throws {
    let request = try request(TaskFlags(file: "-"), kind: "stt")
    for isTerminal in [true, false] {
      let transcript = Transcript()
      let uploader = uploader(
        uploads.worker(), [UInt8](repeating: 7, count: 400_000), console: transcript.console(terminal: isTerminal))
      _ = try await uploader.prepare(request)
      #expect(transcript.err.contains("uploading stdin") == isTerminal)
      #expect(transcript.out.isEmpty)
    }
  }

  @Test func aSubmittedJobNamesItsUploads() async throws {
    let worker = uploads.worker()
    let runner = JobRunner(connection: InProcessConnection(worker), console: Transcript().console())
    let prompt = String(repeating: "x", count: 300_000)
    let request = try request(TaskFlags(prompt: prompt), kind: "llm")
    let job = try await withSignalWatch { watch in try await runner.submit(request, watch) }
    #expect(job.id == jobID)
    #expect(worker.params("jobs/submit") == ["kind": "llm", "taskUpload": "u1"])
  }
}
