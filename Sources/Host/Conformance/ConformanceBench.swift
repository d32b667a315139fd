import Glibc
import PluginProtocol

/// What a check has to work with: the plugin, processes of its engine, and jobs that it can do.
///
/// Used by one thread. Most checks share one process, which is started anew after a check that failed.
final class ConformanceBench {
  let plugin: Plugin
  let setup: ConformanceSetup
  /// How much longer than usual work may take: as many times as the time of the whole suite is longer than its usual one.
  let scale: Double
  private let clock = SystemHostClock()
  private let cancel: CancelSignal
  private let wholeEnd: MonotonicInstant
  private var checkEnd: MonotonicInstant

  private var shared: RawEngine?
  private var others: [RawEngine] = []
  private var jobCount = 0
  /// Work directories of jobs of the running check, for those that it leaves in their middle.
  var workDirectories: [String] = []
  private(set) var warnings: [ConformanceFault] = []
  /// Rules that were broken in any conversation, by the name of the check that stands for them.
  private var broken: [String: [ConformanceFault]] = [:]
  private var closedWire: [String] = []
  /// The job that the engine has done, by kind; the first is the one that other checks use.
  var proven: [(job: ConformanceJob, model: ModelReference?)] = []
  /// Jobs can be held in their middle by giving them no credit.
  var creditWorks = false
  var directories: ConformanceDirectories { setup.directories }

  init(_ setup: ConformanceSetup, timeout: Duration, cancel: CancelSignal) {
    self.setup = setup
    plugin = setup.plugin
    self.cancel = cancel
    scale = max(1, timeout / .seconds(60))
    wholeEnd = clock.now().advanced(by: timeout)
    checkEnd = wholeEnd
  }

  var manifest: PluginManifest { plugin.manifest }
  var isOutOfTime: Bool { clock.now() >= wholeEnd }
  private var limit: (at: MonotonicInstant, isWhole: Bool) { (min(checkEnd, wholeEnd), wholeEnd <= checkEnd) }

  // MARK: One check after the other

  func begin(_ check: ConformanceCheck) throws {
    try cancel.check()
    checkEnd = clock.now().advanced(by: check.limit * scale)
    warnings = []
    closedWire = []
    shared?.limit = limit
  }

  /// Ends what the check has started, and returns its wire. `isClean`: the shared process can be used again.
  func finish(isClean: Bool) -> [String] {
    if !isClean || shared?.exit != nil || shared?.isOutputOpen == false {
      if let shared { others.append(shared) }
      shared = nil
    }
    var wire = closedWire
    for engine in others {
      engine.end()
      collect(engine)
      wire += engine.takeWire()
    }
    others = []
    for directory in workDirectories { FileTree.remove(directory) }
    workDirectories = []
    if let shared { wire += shared.takeWire() }
    return wire
  }

  /// Ends everything.
  func endAll() {
    if let shared { others.append(shared) }
    shared = nil
    for engine in others {
      engine.end()
      collect(engine)
    }
    others = []
  }

  /// Rules of that check that were broken so far.
  func findings(_ check: String) -> [ConformanceFault] {
    for engine in others + [shared].compactMap({ $0 }) { collect(engine) }
    return broken[check] ?? []
  }

  private func collect(_ engine: RawEngine) {
    for finding in engine.takeFindings() { broken[finding.check, default: []].append(finding.fault) }
  }

  func report(_ check: String, _ expected: String, _ got: String, _ advice: String) {
    broken[check, default: []].append(ConformanceFault(expected: expected, got: got, advice: advice))
  }

  func warn(expected: String, got: String, advice: String) {
    warnings.append(ConformanceFault(expected: expected, got: got, advice: advice))
  }

  // MARK: Processes

  /// A new process, to which nothing has been said.
  func spawn() throws -> RawEngine {
    let engine: RawEngine
    do {
      engine = try RawEngine(setup.process, clock: clock, cancel: cancel, limit: limit, observers: setup.observers())
    } catch let error as SpawnError {
      throw ConformanceFault(
        expected: "a process", got: "\(error)", advice: "install stoker whole: its launcher starts every engine")
    }
    others.append(engine)
    return engine
  }

  /// Ends the shared process, for checks that count processes or need the memory.
  func retire() {
    if let shared { others.append(shared) }
    shared = nil
  }

  /// The process that checks share, ready for work. It must be left as it was: no job running, nothing unread.
  func ready() throws -> RawEngine {
    if let shared, shared.exit == nil, shared.isOutputOpen { return shared }
    retire()
    let engine = try fresh()
    others.removeAll { $0 === engine }
    shared = engine
    return engine
  }

  /// A process of its own, ready for work.
  func fresh(_ offer: JSONValue? = nil) throws -> RawEngine {
    let engine = try spawn()
    engine.greeting = try greet(engine, offer)
    return engine
  }

  /// `initialize`, and its result.
  func greet(_ engine: RawEngine, _ offer: JSONValue? = nil) throws -> JSONValue {
    let id = engine.request(Method.initialize, offer ?? setup.initialize)
    let result = try engine.result(id, to: "initialize", within: manifest.timeouts.initialize)
    if let cap = result["limits"]?["lineBytes"]?.int.flatMap({ Int(exactly: $0) }) {
      engine.setLineLimit(max(LineFramer.defaultLineBytes, min(cap, LineFramer.maximumLineBytes)))
    }
    return result
  }

  /// Whether the engine has agreed on the feature.
  func has(_ feature: Feature, _ engine: RawEngine) -> Bool {
    engine.watch.features?.contains(feature.rawValue) ?? false
  }

  /// - Throws: a skip when the engine has not agreed on the feature.
  func require(_ feature: Feature, _ engine: RawEngine) throws {
    guard has(feature, engine) else {
      throw ConformanceStop.skip("the engine does not name the feature \(feature.rawValue)")
    }
  }

  // MARK: Jobs

  func nextJobID() -> String {
    jobCount += 1
    return "conformance-\(jobCount)"
  }
}
