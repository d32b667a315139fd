/// What an archive has named so far, and the rules for names and links. A value without I/O.
///
/// Whoever writes only what was admitted here writes beneath its root: no path is absolute, climbs, is used twice, or
/// leads through a link. Names that differ in case alone are refused too: on other systems they would be one file.
struct ArchiveIndex {
  private enum Kind: Equatable {
    case file
    /// The archive has named it; others only lie on the way to something.
    case directory(isNamed: Bool)
    case link(target: String)
  }

  private let limits: ArchiveLimits
  private var kinds: [String: Kind] = [:]
  /// By the lower-case form, the path in use.
  private var folded: [String: String] = [:]
  private var pathBytes = 0
  /// In the archive's order.
  private var links: [String] = []

  init(limits: ArchiveLimits) { self.limits = limits }

  // MARK: Names

  private static let slash = UInt8(ascii: "/")

  /// What the kernel sees between slashes. To Swift a slash with a combining mark behind it is another character, and
  /// `../\u{301}x` one component.
  private static func parts(_ path: String) -> [Substring] { path.utf8.split(separator: slash).map { Substring($0) } }

  /// The path as components of UTF-8 text.
  ///
  /// - Returns: empty for the root itself, which archives of `.` begin with.
  func components(_ bytes: [UInt8]) throws(ArchiveError) -> [String] {
    guard let path = String(validating: bytes, as: UTF8.self) else {
      throw ArchiveError(String(decoding: bytes, as: UTF8.self), "has a name that is not UTF-8")
    }
    guard path.utf8.count <= limits.pathBytes else {
      throw ArchiveError(path, "has a path of more than \(limits.pathBytes) bytes")
    }
    guard !path.isEmpty else { throw ArchiveError("an entry has no name") }
    guard path.utf8.first != ArchiveIndex.slash else { throw ArchiveError(path, "has an absolute path") }
    guard !path.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) }) else {
      throw ArchiveError(path, "has control characters in its name")
    }
    var components: [String] = []
    for part in ArchiveIndex.parts(path) where part != "." {
      guard part != ".." else { throw ArchiveError(path, "climbs with '..'") }
      guard part.utf8.count <= limits.nameBytes else {
        throw ArchiveError(path, "has a name of more than \(limits.nameBytes) bytes")
      }
      components.append(String(part))
    }
    guard components.count <= limits.depth else {
      throw ArchiveError(path, "lies deeper than \(limits.depth) directories")
    }
    return components
  }

  // MARK: Entries

  /// A directory. Returns the directories that are new by it, outermost first; none for one that is known.
  mutating func directory(_ components: [String]) throws(ArchiveError) -> [String] {
    guard let last = components.last else { return [] }
    var made = try parents(components)
    let path = components.joined(separator: "/")
    switch kinds[path] {
    case .directory(isNamed: false): kinds[path] = .directory(isNamed: true)
    case .directory, .file, .link: throw ArchiveError(path, "comes twice")
    case nil:
      try add(path, last, .directory(isNamed: true))
      made.append(path)
    }
    return made
  }

  /// A file. Returns the directories that must be made for it first.
  mutating func file(_ components: [String]) throws(ArchiveError) -> (path: String, parents: [String]) {
    try leaf(components, .file)
  }

  /// A symbolic link. Where it leads is judged by ``finish()``.
  mutating func link(
    _ components: [String], target bytes: [UInt8]
  ) throws(ArchiveError) -> (path: String, parents: [String]) {
    let path = components.joined(separator: "/")
    guard let target = String(validating: bytes, as: UTF8.self), !target.isEmpty,
      target.utf8.count <= limits.pathBytes
    else { throw ArchiveError(path, "is a link without a usable target") }
    guard target.utf8.first != ArchiveIndex.slash else { throw ArchiveError(path, "is a link to an absolute path") }
    let made = try leaf(components, .link(target: target))
    links.append(made.path)
    return made
  }

  private mutating func leaf(
    _ components: [String], _ kind: Kind
  ) throws(ArchiveError) -> (path: String, parents: [String]) {
    guard let last = components.last else { throw ArchiveError("an entry that is no directory has no name") }
    let made = try parents(components)
    let path = components.joined(separator: "/")
    guard kinds[path] == nil else { throw ArchiveError(path, "comes twice") }
    try add(path, last, kind)
    return (path, made)
  }

  /// Makes sure that all above the last component are directories; returns the new ones.
  private mutating func parents(_ components: [String]) throws(ArchiveError) -> [String] {
    var made: [String] = []
    var path = ""
    for part in components.dropLast() {
      path = path.isEmpty ? part : path + "/" + part
      switch kinds[path] {
      case .directory: break
      case .file: throw ArchiveError(path, "is a file, and something lies beneath it")
      case .link: throw ArchiveError(path, "is a link, and something lies beneath it")
      case nil:
        try add(path, part, .directory(isNamed: false))
        made.append(path)
      }
    }
    return made
  }

  private mutating func add(_ path: String, _ name: String, _ kind: Kind) throws(ArchiveError) {
    guard kinds.count < limits.entries else {
      throw ArchiveError("the archive has more than \(limits.entries) entries")
    }
    pathBytes += path.utf8.count
    guard pathBytes <= limits.allPathBytes else { throw ArchiveError("the archive's names are too long together") }
    let lower = path.lowercased()
    if let other = folded[lower], other != path {
      throw ArchiveError(path, "differs from \(ArchiveError.shown(other)) in case only")
    }
    folded[lower] = path
    kinds[path] = kind
  }

  // MARK: Links

  /// The links, once all is known. Each leads, through whatever other links, to something in the archive.
  func finish() throws(ArchiveError) -> [(path: String, target: String)] {
    // One directory that holds all is renamed by whoever installs it: no link may lead through its name.
    let tops = Set(kinds.keys.compactMap { ArchiveIndex.parts($0).first })
    let floor = tops.count == 1 ? 1 : 0
    var checked: [(path: String, target: String)] = []
    for path in links {
      guard case .link(let target)? = kinds[path] else { continue }
      try follow(path, floor: floor)
      checked.append((path, target))
    }
    return checked
  }

  /// Links that one may lead through: what Linux follows.
  private static let hops = 40

  /// - Parameter floor: components from the archive's top that must not be left.
  private func follow(_ link: String, floor: Int) throws(ArchiveError) {
    var hops = 0
    var done: [Substring] = []
    /// Components that are yet to be walked, the next one last.
    var rest: [Substring] = ArchiveIndex.parts(link).reversed()
    while let part = rest.popLast() {
      if part == "." { continue }
      if part == ".." {
        guard done.count > floor else { throw ArchiveError(link, "is a link that leads out of the archive") }
        done.removeLast()
        continue
      }
      done.append(part)
      switch kinds[done.joined(separator: "/")] {
      case nil: throw ArchiveError(link, "is a link to something that is not in the archive")
      case .file? where !rest.isEmpty: throw ArchiveError(link, "is a link through a file")
      case .file?, .directory?: break
      case .link(let target)?:
        hops += 1
        guard hops <= ArchiveIndex.hops else { throw ArchiveError(link, "is a link that goes round in a circle") }
        done.removeLast()
        // A chain of links must not make the walk longer than a path can be.
        guard rest.count <= limits.pathBytes else { throw ArchiveError(link, "is a link through too many others") }
        rest += ArchiveIndex.parts(target).reversed()
      }
    }
  }
}
