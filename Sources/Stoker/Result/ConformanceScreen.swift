import Host
import PluginProtocol

/// How the verdict on a plugin is shown: as a list for people, as TAP 14 for programs, or as JSON.
struct ConformanceScreen: Sendable {
  enum Style: Sendable {
    case list, tap
    /// Nothing as it goes.
    case none
  }
  var console: Console
  var style: Style
  var isVerbose: Bool
  /// In a list: failures and the sum only.
  var isQuiet: Bool

  func begin(_ count: Int) {
    guard style == .tap else { return }
    write(["TAP version 14", "1..\(count)"])
  }

  func show(_ outcome: ConformanceOutcome, number: Int) {
    switch style {
    case .tap: write(Self.tap(outcome, number: number, verbose: isVerbose))
    case .list: write(list(outcome))
    case .none: break
    }
  }

  func end(_ report: ConformanceReport) {
    let counts = "\(report.passes) passed, \(report.failures.count) failed, \(report.skips) skipped"
    let warnings = report.warnings == 0 ? "" : ", \(report.warnings) warnings"
    switch style {
    case .tap: write(["# \(counts)\(warnings), \(Self.seconds(report.duration))"])
    case .list:
      let verdict =
        report.isConforming
        ? console.paint("\(report.plugin) conforms", .green) : console.paint("\(report.plugin) does not conform", .red)
      write(["", "\(verdict): \(counts)\(warnings) in \(Self.seconds(report.duration))"])
    case .none: break
    }
  }

  private func write(_ lines: [String]) {
    for line in lines { try? console.line(console.shown(line)) }
  }

  // MARK: TAP 14

  /// One test point with its diagnostics: https://testanything.org/tap-version-14-specification.html
  static func tap(_ outcome: ConformanceOutcome, number: Int, verbose: Bool) -> [String] {
    let name = outcome.check.name
    var lines: [String]
    switch outcome.verdict {
    case .passed: lines = ["ok \(number) - \(name)"]
    case .skipped(let reason): lines = ["ok \(number) - \(name) # SKIP \(oneLine(reason))"]
    case .failed(let fault):
      lines = ["not ok \(number) - \(name)", "  ---"]
      // A JSON string is a YAML string.
      let members = [
        ("demands", outcome.check.demands), ("expected", fault.expected), ("got", fault.got), ("advice", fault.advice),
        ("section", section(outcome.check)),
      ]
      lines += members.map { "  \($0.0): \(JSONValue.string($0.1).text)" }
      lines += ["  seconds: \(JSONValue.double(rounded(outcome.duration)).text)", "  ..."]
    }
    for warning in outcome.warnings {
      lines.append("# warning: \(oneLine(warning.expected)); got: \(oneLine(warning.got)); \(oneLine(warning.advice))")
    }
    if verbose { lines += outcome.wire.map { "# \(oneLine($0))" } }
    return lines
  }

  /// A directive or a comment ends with its line, and `#` begins one.
  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
  }

  // MARK: A list for people

  private func list(_ outcome: ConformanceOutcome) -> [String] {
    var lines: [String] = []
    let name = outcome.check.name
    switch outcome.verdict {
    case .passed:
      if !isQuiet || !outcome.warnings.isEmpty { lines.append("\(console.paint("✓", .green)) \(name)") }
    case .skipped(let reason):
      if !isQuiet { lines.append("\(console.paint("-", .yellow)) \(name): \(reason)") }
    case .failed(let fault):
      lines.append("\(console.paint("✗", .red)) \(name): \(outcome.check.demands)")
      lines += Self.lines(fault) + ["    see       \(Self.section(outcome.check))"]
    }
    for warning in outcome.warnings {
      lines.append("  \(console.paint("warning", .yellow))")
      lines += Self.lines(warning)
    }
    if isVerbose { lines += outcome.wire.map { "    \(console.paint($0, .dim))" } }
    return lines
  }

  private static func lines(_ fault: ConformanceFault) -> [String] {
    ["    expected  \(fault.expected)", "    got       \(fault.got)", "    do        \(fault.advice)"]
  }

  // MARK: JSON

  static func json(_ report: ConformanceReport, verbose: Bool) -> JSONValue {
    [
      "plugin": .string(report.plugin), "directory": .string(report.directory),
      "conforms": .bool(report.isConforming), "passed": JSONValue(report.passes),
      "failed": JSONValue(report.failures.count), "skipped": JSONValue(report.skips),
      "warnings": JSONValue(report.warnings), "seconds": .double(rounded(report.duration)),
      "checks": .array(report.outcomes.map { json($0, verbose: verbose) }),
    ]
  }

  private static func json(_ outcome: ConformanceOutcome, verbose: Bool) -> JSONValue {
    var members: [String: JSONValue] = [
      "name": .string(outcome.check.name), "demands": .string(outcome.check.demands),
      "section": .string(section(outcome.check)), "seconds": .double(rounded(outcome.duration)),
    ]
    switch outcome.verdict {
    case .passed: members["result"] = "passed"
    case .skipped(let reason):
      members["result"] = "skipped"
      members["reason"] = .string(reason)
    case .failed(let fault):
      members["result"] = "failed"
      members["fault"] = fault.json
    }
    if !outcome.warnings.isEmpty { members["warnings"] = .array(outcome.warnings.map(\.json)) }
    if verbose { members["wire"] = JSONValue(outcome.wire) }
    return .object(members)
  }

  /// Where the protocol's document says it.
  static func section(_ check: ConformanceCheck) -> String {
    let anchor = check.section.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
    return "Docs/Protocol.md#\(anchor.map { $0 == " " ? "-" : String($0) }.joined())"
  }

  private static func rounded(_ duration: Duration) -> Double { (duration.inSeconds * 1000).rounded() / 1000 }
  private static func seconds(_ duration: Duration) -> String { "\((duration.inSeconds * 10).rounded() / 10) s" }
}
