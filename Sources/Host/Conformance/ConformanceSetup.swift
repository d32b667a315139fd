import Glibc
import PluginProtocol

/// Where an engine under test works: a tree of its own, which is removed at the end.
struct ConformanceDirectories: Sendable {
  /// All of it.
  let root: String
  /// Parent of the jobs' work directories.
  let work: String
  /// Where the suite puts what is to pass for a model: engines may read it.
  var models: String { FilePath.join(root, "models") }
}

/// How a plugin is to be tested, found out before the first check runs.
struct ConformanceSetup: Sendable {
  let plugin: Plugin
  let process: ProcessSpec
  /// The params of `initialize`.
  let initialize: JSONValue
  let directories: ConformanceDirectories
  /// The models that jobs of a kind can be tried with.
  let models: [JobKind: ConformanceModels]
  /// The author's own job; nil for the usual ones.
  let job: ConformanceJob?
  /// The plugin's directory before anything was started.
  let listing: DirectoryListing
  /// Makes those who see the wire of a process.
  var observers: @Sendable () -> [any WireObserver] = { [] }
}

/// The models that an engine can be asked for.
enum ConformanceModels: Sendable, Equatable {
  /// In the order in which they are tried.
  case candidates([ModelReference])
  /// There is none here; the reason says what to do.
  case missing(String)

  /// Files of the models.
  var files: [String] {
    if case .candidates(let models) = self { models.flatMap { $0.files.map(\.path) } } else { [] }
  }

  /// Finds the models of a kind that the plugin serves.
  ///
  /// - Parameter wanted: an id, or the path of a file; nil for what the manifest names and what lies on this machine.
  static func find(
    _ kind: JobKind, _ manifest: PluginManifest, wanted: String?, in store: ModelStore
  ) async -> ConformanceModels {
    let patterns = manifest.serves.filter { $0.kind == kind }.flatMap(\.models)
    if let wanted {
      let found = await named(wanted, kind, patterns, store)
      if let found { return found }
    }
    // Models that live in the engine are known by their whole names, or by the begin of them.
    let loads = manifest.features.contains(Feature.modelResidency.rawValue)
    var candidates: [ModelReference] = []
    for pattern in patterns where pattern.isExact {
      if store.catalogue.entry(pattern.text) == nil {
        candidates.append(ModelReference(id: pattern.text))
      } else if let found = try? await store.resolve(pattern.text) {
        candidates.append(found.reference)
      }
    }
    if candidates.isEmpty, !loads {
      for pattern in patterns where pattern.text.hasSuffix("*") {
        let stem = String(pattern.text.dropLast())
        if !stem.isEmpty, ModelPattern(stem).isExact, stem.last?.isLetter ?? false {
          candidates.append(ModelReference(id: stem))
        }
      }
    }
    if !candidates.isEmpty { return .candidates(candidates) }
    let here = store.list().filter { status in
      status.kind == kind && (status.state == .ready || status.state == .unverified)
        && ModelRouter.serves(manifest, kind, status.id, engine: status.engine)
    }
    for status in here.sorted(by: { ($0.bytes ?? .max) < ($1.bytes ?? .max) }) {
      if let found = try? await store.resolve(status.id) { return .candidates([found.reference]) }
    }
    return .missing(
      "no model that this plugin serves for \(kind.cliName) jobs is on this machine: name one with --model ID or "
        + "--model FILE, or fetch one with `stoker models pull`")
  }

  private static func named(
    _ wanted: String, _ kind: JobKind, _ patterns: [ModelPattern], _ store: ModelStore
  ) async -> ConformanceModels? {
    if wanted.contains("/") || FilePath.kind(wanted) == .file {
      guard case .success(let path) = FilePath.resolve(wanted), FilePath.kind(path) == .file else {
        return .missing("--model: there is no file \(wanted)")
      }
      return .candidates([
        ModelReference(id: FilePath.name(path), files: [ModelFile(role: "model", path: path)])
      ])
    }
    do {
      let found = try await store.resolve(wanted)
      return found.kind == kind ? .candidates([found.reference]) : nil
    } catch {
      if patterns.contains(where: { $0.matches(wanted) }) { return .candidates([ModelReference(id: wanted)]) }
      return .missing("--model: \(error)")
    }
  }
}

/// Small files of a test.
enum ConformanceFiles {
  /// - Throws: `HomeError` when the file cannot be written.
  static func write(_ bytes: [UInt8], to path: String) throws(HomeError) {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw HomeError(path: path, problem: "cannot write \(path): \(errorText(errno))") }
    defer { close(file) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      guard count > 0 else { throw HomeError(path: path, problem: "cannot write \(path): \(errorText(errno))") }
      rest = rest.dropFirst(count)
    }
  }

  /// A new private directory below `parent`.
  static func temporary(below parent: String) throws(HomeError) -> String {
    var template = Array(FilePath.join(parent, "stoker-conformance-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw HomeError(
        path: parent, problem: "cannot create a directory in \(parent): \(errorText(errno)); set TMPDIR to one that can"
      )
    }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
