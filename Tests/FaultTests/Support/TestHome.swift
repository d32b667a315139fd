import Foundation
import Host

/// Programs that the build put beside the tests.
enum Products {
  static func path(_ name: String) -> String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (tests as NSString).deletingLastPathComponent + "/" + name
  }
}

/// A plugin whose engine is the chaos engine.
struct ChaosPlugin: Sendable {
  var name = "chaos"
  /// Arguments of the engine: faults that need no job.
  var arguments: [String] = []
  /// Clocks, as in the manifest.
  var timeouts = "{shutdown: 500ms}"
  var concurrency = 1
  var version = "1"

  /// The plugin serves models of this prefix.
  var model: String { "\(name)-model" }

  var manifest: String {
    let words = ["./chaos-engine"] + arguments + (concurrency > 1 ? ["--concurrency", "\(concurrency)"] : [])
    return """
      manifest: 1
      name: \(name)
      version: "\(version)"
      command: [\(words.map { "\"\($0)\"" }.joined(separator: ", "))]
      serves:
        - kind: llm
          models: ["\(name)-*"]
      features: [chunks]
      concurrency: \(concurrency)
      timeouts: \(timeouts)

      """
  }
}

/// A worker's home in a temporary directory.
struct TestHome: Sendable {
  let path: String

  init() throws {
    // Short: a socket's path must fit.
    path = "/tmp/stoker-fault-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(
      atPath: path + "/plugins", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try configure("")
  }

  var socket: String { path + "/run/stoker.sock" }
  var log: String { path + "/host.log" }
  var data: String { path + "/data" }

  /// Writes the configuration. Engines are not confined: they tell what they do in files that the tests watch.
  func configure(_ yaml: String) throws {
    try (yaml + "\nsandbox: {mode: \"off\"}\n").write(toFile: path + "/config.yaml", atomically: true, encoding: .utf8)
  }

  /// Puts a plugin in service the way an author should: made elsewhere, then moved into place.
  func install(_ plugin: ChaosPlugin) throws {
    let staging = path + "/staging"
    try FileManager.default.createDirectory(atPath: staging, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: Products.path("chaos-engine"), toPath: staging + "/chaos-engine")
    try plugin.manifest.write(toFile: staging + "/plugin.yaml", atomically: false, encoding: .utf8)
    try FileManager.default.moveItem(atPath: staging, toPath: path + "/plugins/" + plugin.name)
  }

  func uninstall(_ name: String) throws {
    try FileManager.default.moveItem(atPath: path + "/plugins/" + name, toPath: path + "/removed-\(UUID().uuidString)")
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// What engines and attempts have left on disk: entries of the work directory and of the engines' temporary directories.
  var litter: [String] {
    let engines = path + "/cache/engines"
    let temporary = entries(engines).flatMap { name in
      entries("\(engines)/\(name)").filter { $0.hasPrefix("tmp-") }.map { "\(engines)/\(name)/\($0)" }
    }
    var strays: [String] = []
    var work: [String] = []
    for name in entries(data + "/work") {
      // A directory for each plugin, which stays.
      var isDirectory: ObjCBool = false
      let path = "\(data)/work/\(name)"
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      if isDirectory.boolValue { work.append(path) } else { strays.append(path) }
    }
    return strays + (work + temporary).flatMap { directory in entries(directory).map { "\(directory)/\($0)" } }
  }

  /// Records of monitors that are said to live.
  var monitorRecords: [String] { entries(path + "/state/engines") }

  func entries(_ directory: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
  }

  var hostLog: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
}

func withTestHome<Value>(_ body: (TestHome) async throws -> Value) async throws -> Value {
  let home = try TestHome()
  defer { home.remove() }
  return try await body(home)
}
