import Host
import PluginProtocol

/// Finds the job that a user means by an id, or by its beginning.
enum JobReference {
  /// Shortest beginning that is looked up.
  static let minimumPrefix = 8
  /// How many of the newest jobs are looked at for a beginning.
  static let searched = 1000

  /// The whole id.
  static func resolve(_ text: String, by connection: any WorkerConnection) async throws -> String {
    let wanted = text.lowercased()
    if JobID(wanted) != nil { return wanted }
    let isPlausible = wanted.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || byte == UInt8(ascii: "-")
    }
    guard isPlausible, wanted.utf8.count < 36 else {
      throw CLIError.usage("'\(TerminalText.sanitise(text, keepsLines: false))' is not a job's id; see `stoker jobs`")
    }
    guard wanted.utf8.count >= minimumPrefix else {
      throw CLIError.usage("'\(text)' is too short for a job's id; give \(minimumPrefix) characters at least")
    }
    let answer = try await connection.call("jobs/list", ["limit": JSONValue(searched)])
    return try choose(wanted, among: (answer["jobs"]?.array ?? []).compactMap { $0["id"]?.string })
  }

  /// The one id that begins so.
  static func choose(_ prefix: String, among ids: [String]) throws -> String {
    let found = ids.filter { $0.hasPrefix(prefix) }
    switch found.count {
    case 1: return found[0]
    case 0: throw CLIError(.failed, class: "not_found", "no job's id begins with \(prefix); see `stoker jobs`")
    default:
      let shown = found.prefix(4).joined(separator: ", ") + (found.count > 4 ? ", …" : "")
      throw CLIError.usage("\(found.count) jobs' ids begin with \(prefix): \(shown); give more of it")
    }
  }
}
