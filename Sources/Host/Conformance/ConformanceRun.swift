import PluginProtocol

/// Runs the checks, one after the other, on the thread that it is called on.
struct ConformanceRun {
  private let bench: ConformanceBench
  private let lint: PluginLint.Report
  private let clock = SystemHostClock()

  init(_ setup: ConformanceSetup, lint: PluginLint.Report, timeout: Duration, cancel: CancelSignal) {
    bench = ConformanceBench(setup, timeout: timeout, cancel: cancel)
    self.lint = lint
  }

  func run(_ checks: [ConformanceCheck], _ report: (Int, ConformanceOutcome) -> Void) throws -> [ConformanceOutcome] {
    defer { bench.endAll() }
    var outcomes: [ConformanceOutcome] = []
    var verdicts: [String: ConformanceOutcome.Verdict] = [:]
    for check in checks {
      let outcome = try outcome(of: check, verdicts)
      verdicts[check.name] = outcome.verdict
      outcomes.append(outcome)
      report(outcomes.count, outcome)
    }
    return outcomes
  }

  /// The verdicts when the manifest cannot be used: nothing may be started then.
  static func unusable(_ lint: PluginLint.Report, _ checks: [ConformanceCheck]) -> [ConformanceOutcome] {
    checks.map { check in
      ConformanceOutcome(
        check: check,
        verdict: check.name == ConformanceCheck.manifestName
          ? .failed(fault(lint.diagnostics)) : .skipped("needs \(ConformanceCheck.manifestName), which failed"),
        warnings: [], duration: .zero, wire: [])
    }
  }

  private static func fault(_ diagnostics: [SourceDiagnostic]) -> ConformanceFault {
    ConformanceFault(
      expected: "a plugin that the host can use",
      got: diagnostics.map { "\($0)" }.joined(separator: "\n"),
      advice: "correct plugin.yaml, and see `stoker plugins lint`")
  }

  private func outcome(
    of check: ConformanceCheck, _ verdicts: [String: ConformanceOutcome.Verdict]
  ) throws -> ConformanceOutcome {
    let began = clock.now()
    try bench.begin(check)
    var warnings: [ConformanceFault] = []
    var verdict: ConformanceOutcome.Verdict
    if check.name == ConformanceCheck.manifestName {
      verdict = .passed
      warnings = lint.diagnostics.map {
        ConformanceFault(expected: "a manifest without remarks", got: "\($0)", advice: "see `stoker plugins lint`")
      }
    } else if bench.isOutOfTime, verdicts.values.contains(.failed(ConformanceRun.outOfTime)) {
      verdict = .skipped("the time of --timeout has passed")
    } else if let reason = obstacle(check, verdicts) {
      verdict = .skipped(reason)
    } else {
      verdict = try self.verdict(of: check)
    }
    // What the wire has shown counts, whatever became of the check's own conversation.
    if check.isWatched, let first = bench.findings(check.name).first { verdict = .failed(first) }
    let isClean = if case .failed = verdict { check.isWatched } else { true }
    if case .failed(let fault) = verdict, check.isAdvice {
      warnings.append(fault)
      verdict = .passed
    }
    warnings += bench.warnings
    let wire = bench.finish(isClean: isClean)
    return ConformanceOutcome(
      check: check, verdict: verdict, warnings: warnings, duration: began.duration(to: clock.now()), wire: wire)
  }

  private func verdict(of check: ConformanceCheck) throws -> ConformanceOutcome.Verdict {
    do {
      try check.body(bench)
      return .passed
    } catch let fault as ConformanceFault {
      return .failed(fault)
    } catch ConformanceStop.skip(let reason) {
      return .skipped(reason)
    } catch ConformanceStop.outOfTime {
      return .failed(ConformanceRun.outOfTime)
    }
  }

  private static let outOfTime = ConformanceFault(
    expected: "all checks within the time of --timeout", got: "the time has passed",
    advice: "give more with --timeout 5m, a smaller model with --model, or a shorter job with --job FILE")

  /// Why the check cannot find anything out.
  private func obstacle(
    _ check: ConformanceCheck, _ verdicts: [String: ConformanceOutcome.Verdict]
  ) -> String? {
    for need in check.needs {
      switch verdicts[need] {
      case .passed: continue
      case .skipped(let reason): return reason
      case .failed: return "needs \(need), which failed"
      case nil: return "needs \(need), which was not run"
      }
    }
    return nil
  }
}
