import Glibc
import PluginProtocol
import Synchronization

/// What the operator and the host have decided about plugins, kept between lives: which are switched off, which versions
/// are quarantined.
package final class PluginMarks: Sendable {
  package struct Quarantine: Sendable, Equatable {
    package var name: String
    package var reason: String
    /// Wall time in milliseconds since 1970.
    package var at: Int64
  }

  private struct State {
    var disabled: Set<String> = []
    /// By content hash: a changed plugin starts with a clean name.
    var quarantined: [String: Quarantine] = [:]
    /// Counts changes, so that of two that are stored at one time the later one stays.
    var generation = 0
    var stored = 0
  }
  private let path: String
  private let state: Mutex<State>

  /// Reads the file; one that cannot be read or understood counts as empty, and `problem` says so.
  package init(path: String, problem: (String) -> Void) {
    self.path = path
    var initial = State()
    do {
      if let bytes = try PluginMarks.read(path) {
        let json = try JSONValue(parsing: bytes)
        guard let disabled = json["disabled"]?.array, let quarantined = json["quarantined"]?.object else {
          throw Failure(description: "it has no list \"disabled\" or no object \"quarantined\"")
        }
        initial.disabled = Set(disabled.compactMap(\.string))
        for (hash, entry) in quarantined {
          initial.quarantined[hash] = Quarantine(
            name: entry["name"]?.string ?? "", reason: entry["reason"]?.string ?? "", at: entry["at"]?.int ?? 0)
        }
      }
    } catch {
      problem("\(path) cannot be used and is begun anew: \(error)")
    }
    state = Mutex(initial)
  }

  package func isDisabled(_ name: String) -> Bool { state.withLock { $0.disabled.contains(name) } }
  package var hasQuarantines: Bool { state.withLock { !$0.quarantined.isEmpty } }
  package func quarantine(_ hash: String) -> Quarantine? { state.withLock { $0.quarantined[hash] } }

  /// Switches a plugin off or on. Throws when that cannot be stored.
  package func setDisabled(_ name: String, _ disabled: Bool) throws {
    try change { state in
      if disabled { state.disabled.insert(name) } else { state.disabled.remove(name) }
    }
  }

  package func setQuarantine(_ hash: String, _ mark: Quarantine) throws {
    try change { $0.quarantined[hash] = mark }
  }

  /// Lifts every quarantine of a plugin.
  package func lift(_ name: String) throws {
    try change { state in state.quarantined = state.quarantined.filter { $0.value.name != name } }
  }

  private func change(_ body: (inout State) -> Void) throws {
    let (bytes, generation) = state.withLock { state in
      body(&state)
      state.generation += 1
      let json: JSONValue = [
        "disabled": JSONValue(state.disabled.sorted()),
        "quarantined": .object(
          state.quarantined.mapValues { mark in
            ["name": .string(mark.name), "reason": .string(mark.reason), "at": .int(mark.at)]
          }),
      ]
      return (Array((json.prettyText + "\n").utf8), state.generation)
    }
    let temporary = "\(path).new\(generation)"
    do {
      try PluginMarks.write(bytes, to: temporary)
      // The rename alone is under the lock: it is what decides which change comes last.
      try state.withLock { state in
        guard generation > state.stored else {
          unlink(temporary)
          return
        }
        guard rename(temporary, path) == 0 else {
          throw Failure(description: "cannot replace \(path): \(errorText(errno))")
        }
        state.stored = generation
      }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private static func read(_ path: String) throws -> [UInt8]? {
    if access(path, F_OK) != 0, errno == ENOENT { return nil }
    return try SafeFile.read(path, maxBytes: 1 << 20).bytes
  }

  /// Writes a file that is then renamed to its place: there the content is old or new, never half.
  private static func write(_ bytes: [UInt8], to temporary: String) throws {
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(description: "cannot write \(temporary): \(errorText(errno))") }
    defer { close(descriptor) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      guard count > 0 else { throw Failure(description: "cannot write \(temporary): \(errorText(errno))") }
      offset += count
    }
    guard fsync(descriptor) == 0 else { throw Failure(description: "cannot write \(temporary): \(errorText(errno))") }
  }
}
