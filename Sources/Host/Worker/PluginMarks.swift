import Glibc
import PluginProtocol
import Synchronization

/// What the operator and the host have decided about plugins, kept between lives: which are switched off, which versions
/// are quarantined.
///
/// Several programs may change the file: a worker, and a command while none runs. Each change is made to what the file says
/// at that moment, under a lock on the directory, and counts here only once it is stored.
package final class PluginMarks: Sendable {
  package struct Quarantine: Sendable, Equatable {
    package var name: String
    package var reason: String
    /// Wall time in milliseconds since 1970.
    package var at: Int64
    /// What is left of the last process that died: signal or status, stderr, wire.
    package var evidence: JSONValue?

    package init(name: String, reason: String, at: Int64, evidence: JSONValue? = nil) {
      self.name = name
      self.reason = reason
      self.at = at
      self.evidence = evidence
    }
  }

  /// Quarantines kept; the oldest go first. They are of versions that have long been replaced.
  static let kept = 32
  /// Bytes of evidence kept of one: the file must stay below what is read.
  static let evidenceBytes = 48 << 10
  /// Letters of a hash that name a quarantine.
  package static let shortestHash = 8

  struct State: Equatable {
    var disabled: Set<String> = []
    /// By content hash: a changed plugin starts with a clean name.
    var quarantined: [String: Quarantine] = [:]
  }
  private let path: String
  private let state: Mutex<State>

  /// Reads the file; one that cannot be read or understood counts as empty, and `problem` says so.
  package init(path: String, problem: (String) -> Void) {
    self.path = path
    var initial = State()
    do {
      if let found = try PluginMarks.read(path) { initial = found }
    } catch {
      problem("\(path) cannot be used and is begun anew: \(error)")
    }
    state = Mutex(initial)
  }

  package func isDisabled(_ name: String) -> Bool { state.withLock { $0.disabled.contains(name) } }
  package var hasQuarantines: Bool { state.withLock { !$0.quarantined.isEmpty } }
  package func quarantine(_ hash: String) -> Quarantine? { state.withLock { $0.quarantined[hash] } }
  /// All of them by content hash, the oldest first.
  package var quarantines: [(hash: String, mark: Quarantine)] {
    state.withLock { $0.quarantined }.map { ($0.key, $0.value) }.sorted { ($0.1.at, $0.0) < ($1.1.at, $1.0) }
  }

  /// Switches a plugin off or on. Throws when that cannot be stored; then it has not happened.
  package func setDisabled(_ name: String, _ disabled: Bool) throws {
    try change { state in
      if disabled { state.disabled.insert(name) } else { state.disabled.remove(name) }
    }
  }

  package func setQuarantine(_ hash: String, _ mark: Quarantine) throws {
    var mark = mark
    if let evidence = mark.evidence, evidence.text.utf8.count > PluginMarks.evidenceBytes { mark.evidence = nil }
    try change { [mark] state in
      state.quarantined[hash] = mark
      let old = state.quarantined.sorted { $0.value.at > $1.value.at }.dropFirst(PluginMarks.kept)
      for (hash, _) in old { state.quarantined[hash] = nil }
    }
  }

  /// Lifts every quarantine of a plugin's name, or the one of a content hash, of which the beginning will do.
  ///
  /// - Returns: those that were lifted; none when there was none.
  @discardableResult
  package func lift(_ target: String) throws -> [(hash: String, mark: Quarantine)] {
    let matches = { (hash: String, mark: Quarantine) in
      mark.name == target || (target.utf8.count >= PluginMarks.shortestHash && hash.hasPrefix(target.lowercased()))
    }
    guard state.withLock({ state in state.quarantined.contains { matches($0.key, $0.value) } }) else { return [] }
    var lifted: [(hash: String, mark: Quarantine)] = []
    try change { state in
      lifted = state.quarantined.filter { matches($0.key, $0.value) }.map { ($0.key, $0.value) }
      for (hash, _) in lifted { state.quarantined[hash] = nil }
    }
    return lifted.sorted { $0.mark.at < $1.mark.at }
  }

  /// Changes what the file says, then what is known here.
  private func change(_ body: (inout State) -> Void) throws {
    let directory = FilePath.parent(path)
    // Two changes of one program meet here, too: each opens the directory for itself.
    let lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard lock >= 0 else { throw Failure(description: "cannot open \(directory): \(errorText(errno))") }
    defer { close(lock) }
    while flock(lock, LOCK_EX) != 0 {
      guard errno == EINTR else { throw Failure(description: "cannot lock \(directory): \(errorText(errno))") }
    }
    // A file that has been damaged since it was read is put right by what is known here.
    let known = state.withLock { $0 }
    var next = (try? PluginMarks.read(path)) ?? known
    let stored = next
    body(&next)
    if next != stored || access(path, F_OK) != 0 {
      let temporary = "\(path).new"
      do {
        try PluginMarks.write(PluginMarks.bytes(next), to: temporary)
        guard rename(temporary, path) == 0 else {
          throw Failure(description: "cannot replace \(path): \(errorText(errno))")
        }
      } catch {
        unlink(temporary)
        throw error
      }
    }
    // Still under the file's lock: of two changes the later one is known last.
    state.withLock { $0 = next }
  }

  private static func bytes(_ state: State) -> [UInt8] {
    let json: JSONValue = [
      "disabled": JSONValue(state.disabled.sorted()),
      "quarantined": .object(
        state.quarantined.mapValues { mark in
          .compact([
            "name": .string(mark.name), "reason": .string(mark.reason), "at": .int(mark.at),
            "evidence": mark.evidence ?? .null,
          ])
        }),
    ]
    return Array((json.prettyText + "\n").utf8)
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Nil when there is no file.
  private static func read(_ path: String) throws -> State? {
    if access(path, F_OK) != 0, errno == ENOENT { return nil }
    let json = try JSONValue(parsing: try SafeFile.read(path, maxBytes: 4 << 20).bytes)
    guard let disabled = json["disabled"]?.array, let quarantined = json["quarantined"]?.object else {
      throw Failure(description: "it has no list \"disabled\" or no object \"quarantined\"")
    }
    var state = State()
    state.disabled = Set(disabled.compactMap(\.string))
    for (hash, entry) in quarantined {
      state.quarantined[hash] = Quarantine(
        name: entry["name"]?.string ?? "", reason: entry["reason"]?.string ?? "", at: entry["at"]?.int ?? 0,
        evidence: entry["evidence"])
    }
    return state
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
