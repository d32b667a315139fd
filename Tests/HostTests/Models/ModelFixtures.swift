import Crypto
import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

/// A directory of one test, removed with it.
final class ModelTestFolder: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("models-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = FileFault.resolved(url.path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let target = "\(path)/\(name)"
    try FileManager.default.createDirectory(
      atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: target))
    return target
  }

  func read(_ name: String) -> [UInt8]? {
    FileManager.default.contents(atPath: "\(path)/\(name)").map { Array($0) }
  }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }
}

/// The fault server on a port of its own, serving 200,000 known bytes.
final class ModelFaultServer: Sendable {
  let content: [UInt8]
  let port: Int
  let scheme: String
  private let process: HelperProcess
  private let logPath: String

  init(in folder: ModelTestFolder, certificate: (String, String)? = nil) throws {
    content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let file = try folder.write("served.bin", content)
    logPath = try folder.write("requests-\(UUID().uuidString).log", [])
    scheme = certificate == nil ? "http" : "https"
    let script = (#filePath as NSString).deletingLastPathComponent + "/fault-server.py"
    process = try HelperProcess(["python3", script, file, logPath] + (certificate.map { [$0.0, $0.1] } ?? []))
    port = try #require(Int(process.firstLine()))
  }

  var sha256: String { FileHash.hex(SHA256.hash(data: content)) }

  func url(_ path: String) -> String { "\(scheme)://127.0.0.1:\(port)/\(path)" }

  /// What was asked for so far.
  func requests() throws -> [JSONValue] {
    try String(contentsOfFile: logPath, encoding: .utf8).split(separator: "\n").map {
      try JSONValue(parsing: String($0))
    }
  }
}

/// What a pull reported, with a way to wait for something in it.
final class ProgressLog: Sendable {
  let events: AsyncStream<PullProgress>
  private let continuation: AsyncStream<PullProgress>.Continuation
  private let seen = Mutex<[PullProgress]>([])

  init() { (events, continuation) = AsyncStream.makeStream() }

  var sink: @Sendable (PullProgress) -> Void {
    { [self] progress in
      seen.withLock { $0.append(progress) }
      continuation.yield(progress)
    }
  }

  var all: [PullProgress] { seen.withLock { $0 } }

  /// Waits for a matching report; the caller's time limit is the deadline.
  func first(where matches: @Sendable (PullProgress) -> Bool) async -> PullProgress? {
    await events.first { matches($0) }
  }
}

/// One model with one file, and a store for it.
struct ModelBench {
  let folder: ModelTestFolder
  let store: ModelStore
  let entry: ModelEntry

  init(
    _ folder: ModelTestFolder, source: ModelFileSource, sha256: String? = nil, bytes: Int64? = nil,
    filename: String = "weights.gguf", change: (inout ModelStoreSettings) -> Void = { _ in }
  ) throws {
    self.folder = folder
    entry = ModelEntry(
      id: "test:model", kind: .llm, engine: "llama-cpp",
      files: [CatalogueFile(role: "model", source: source, filename: filename, sha256: sha256, bytes: bytes)])
    var settings = ModelStoreSettings(environment: ProcessInfo.processInfo.environment)
    settings.stallTimeout = .seconds(20)
    change(&settings)
    store = ModelStore(
      directory: folder.path + "/models", catalogue: try ModelCatalogue(builtIn: [], operatorEntries: [entry]),
      settings: settings)
  }

  var finalName: String { "models/test_model/weights.gguf" }
  var partName: String { finalName + ".part" }

  /// The kind of the `ModelError` a pull ends with, and its message.
  func failure(_ progress: @escaping @Sendable (PullProgress) -> Void = { _ in }) async -> ModelError? {
    do {
      try await store.pull(entry, progress: progress)
      return nil
    } catch {
      return error as? ModelError
    }
  }
}

/// Hands out numbers in turn; the last one for ever.
final class LockedNumbers: Sendable {
  private let values: Mutex<[Int64]>

  init(_ values: [Int64]) { self.values = Mutex(values) }

  func next() -> Int64 {
    values.withLock { values in values.count > 1 ? values.removeFirst() : values.first ?? 0 }
  }
}

extension FileHash {
  static func hex(ofBytes bytes: [UInt8]) -> String { hex(SHA256.hash(data: bytes)) }
}
