import PluginProtocol

/// One thing that the protocol demands of every engine, and how it is found out.
package struct ConformanceCheck: Sendable {
  /// How it is called on the command line, in reports and in the documentation: words joined by hyphens.
  package let name: String
  /// What the engine must do, as a sentence; the documentation has the same one.
  package let demands: String
  /// The section of the protocol's document that says so.
  package let section: String
  /// Checks without which this one can find nothing out: it is skipped when one of them did not pass.
  package let needs: [String]
  /// Longest time that the check takes.
  package let limit: Duration
  /// What the protocol asks for but does not demand: a failure is a warning.
  package let isAdvice: Bool
  /// Its rule is watched in all conversations; the check itself only makes sure that there was one.
  let isWatched: Bool
  let body: @Sendable (ConformanceBench) throws -> Void

  init(
    _ name: String, _ section: String, needs: [String] = [ConformanceCheck.handshake], limit: Duration = .seconds(10),
    isAdvice: Bool = false, isWatched: Bool = false, demands: String,
    _ body: @escaping @Sendable (ConformanceBench) throws -> Void
  ) {
    self.name = name
    self.demands = demands
    self.section = section
    self.needs = needs
    self.limit = limit
    self.isAdvice = isAdvice
    self.isWatched = isWatched
    self.body = body
  }

  /// What almost every check needs.
  static let handshake = "handshake"
  /// What every check needs that has the engine work.
  static let job = "job"

  /// Every check, in the order in which they run. What only watches comes last: it judges all that was said before.
  package static let all: [ConformanceCheck] =
    [.manifest] + handshakeChecks + envelopeChecks + modelChecks + jobChecks + flowChecks + cancelChecks + fileChecks
    + endChecks + watchedChecks

  /// The named checks and all that they need, in order.
  ///
  /// - Throws: `UnknownCheck` for a name that no check has.
  package static func selected(_ names: [String]) throws(UnknownCheck) -> [ConformanceCheck] {
    guard !names.isEmpty else { return all }
    let known = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    var wanted: Set<String> = []
    var pending = names
    while let name = pending.popLast() {
      guard let check = known[name] else { throw UnknownCheck(name: name) }
      // What watches needs something to watch.
      if wanted.insert(name).inserted { pending += check.needs + (check.isWatched ? [job] : []) }
    }
    return all.filter { wanted.contains($0.name) }
  }
}

/// A name that no check has.
package struct UnknownCheck: Error, Sendable, Equatable, CustomStringConvertible {
  package let name: String

  package var description: String {
    NearestName.message(unknown: "check", name, among: ConformanceCheck.all.map(\.name))
  }
}

/// What an engine did wrong.
package struct ConformanceFault: Error, Sendable, Equatable {
  /// What should have happened.
  package var expected: String
  /// What did: in words, or the bytes, cut.
  package var got: String
  /// What to do about it.
  package var advice: String

  init(expected: String, got: String, advice: String) {
    self.expected = expected
    self.got = got
    self.advice = advice
  }

  /// `{expected, got, advice}`.
  package var json: JSONValue {
    ["expected": .string(expected), "got": .string(got), "advice": .string(advice)]
  }
}

/// Why a check ends without a verdict.
enum ConformanceStop: Error {
  /// It does not apply to this plugin, or not here; the reason follows.
  case skip(String)
  /// The time of the whole suite has passed.
  case outOfTime
}

/// What came of one check.
package struct ConformanceOutcome: Sendable {
  package enum Verdict: Sendable, Equatable {
    case passed
    case failed(ConformanceFault)
    case skipped(String)
  }
  package let check: ConformanceCheck
  package let verdict: Verdict
  /// What is not wrong but should be better.
  package let warnings: [ConformanceFault]
  package let duration: Duration
  /// The wire of the check, oldest line first: `->` to the engine, `<-` from it, `!!` its stderr.
  package let wire: [String]

  package var isFailure: Bool { if case .failed = verdict { true } else { false } }
}

/// The whole verdict.
package struct ConformanceReport: Sendable {
  package let plugin: String
  package let directory: String
  package let outcomes: [ConformanceOutcome]
  package let duration: Duration

  package var failures: [ConformanceOutcome] { outcomes.filter(\.isFailure) }
  package var skips: Int {
    outcomes.count { if case .skipped = $0.verdict { true } else { false } }
  }
  package var passes: Int { outcomes.count - failures.count - skips }
  package var warnings: Int { outcomes.reduce(0) { $0 + $1.warnings.count } }
  /// Whether the plugin may be served.
  package var isConforming: Bool { failures.isEmpty && passes > 0 }
}
