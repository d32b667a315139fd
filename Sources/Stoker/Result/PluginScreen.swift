import Host
import PluginProtocol

/// Plugins, for people.
enum PluginScreen {
  static func table(_ plugins: [JSONValue]) -> Table {
    var table = Table([
      .init(title: "PLUGIN"), .init(title: "VERSION"), .init(title: "STATE", colour: JobDetails.colour),
      .init(title: "KINDS"), .init(title: "PROCESSES", isNumeric: true), .init(title: "SANDBOX"),
      .init(title: "MODELS", isFlexible: true),
    ])
    for plugin in plugins {
      let processes = plugin["processes"]?.array ?? []
      let models = processes.flatMap { strings($0["models"]) }
      table.add([
        plugin["name"]?.string ?? "?", plugin["version"]?.string ?? "", state(plugin),
        strings(plugin["kinds"]).joined(separator: ","), "\(processes.count)", sandbox(processes),
        models.joined(separator: ", "),
      ])
    }
    return table
  }

  /// Why plugins cannot be used, a line each.
  static func problems(_ plugins: [JSONValue]) -> [String] {
    plugins.flatMap { plugin in strings(plugin["problems"]).map { "\(plugin["name"]?.string ?? "?"): \($0)" } }
  }

  static func details(_ answer: JSONValue, now: Int64, for console: Console) -> [String] {
    let plugin = answer["plugin"] ?? .object([:])
    var lines: [String] = []
    let add = { (name: String, value: String?) in
      if let value, !value.isEmpty { lines.append(TerminalText.pad(name, to: 14) + console.shown(value)) }
    }
    add("plugin", "\(plugin["name"]?.string ?? "?") \(plugin["version"]?.string ?? "")")
    add("summary", plugin["summary"]?.string)
    add("state", state(plugin))
    add("directory", plugin["directory"]?.string)
    add("content", plugin["contentHash"]?.string)
    for serves in plugin["serves"]?.array ?? [] {
      add("serves", "\(serves["kind"]?.string ?? "?"): \(strings(serves["models"]).joined(separator: ", "))")
    }
    for problem in strings(plugin["problems"]) { add("problem", problem) }
    for process in plugin["processes"]?.array ?? [] {
      add("process", line(process, now: now))
      add("sandbox", process["sandbox"]?.string)
    }
    for line in rules(answer["sandbox"]) { add("may", line) }
    let counters = answer["counters"]?.object ?? [:]
    let shown = counters.sorted { $0.key < $1.key }.filter { $0.value != 0 }
    add("counters", shown.map { "\($0.key) \($0.value.text)" }.joined(separator: ", "))
    if let config = answer["config"]?.object, !config.isEmpty {
      for (key, value) in config.sorted(by: { $0.key < $1.key }) { add("config", "\(key) = \(value.text)") }
    }
    for event in answer["history"]?.array ?? [] {
      let pid = event["pid"]?.int.map { " (pid \($0))" } ?? ""
      let what = [event["event"]?.string.map { $0 + pid }, event["detail"]?.string].compactMap(\.self)
        .joined(separator: ": ")
      add("history", "\(Human.relative(event["at"]?.string, now: now))  \(what)")
    }
    let crash = answer["history"]?.array?.last { $0["evidence"] != nil }
    if let crash, let evidence = crash["evidence"].flatMap(EvidenceText.lines) {
      lines.append(
        console.shown(
          "the last crash, \(Human.relative(crash["at"]?.string, now: now)): \(crash["detail"]?.string ?? "")"))
      for line in evidence { lines.append("  " + console.shown(line)) }
    }
    let stderr = strings(answer["stderr"])
    if !stderr.isEmpty {
      lines.append("stderr, the last lines:")
      for line in stderr { lines.append("  " + console.shown(line)) }
    }
    return lines
  }

  /// `full` when all of a sandbox is in force in every process, `partial` when the kernel lacks some of it.
  private static func sandbox(_ processes: [JSONValue]) -> String {
    let texts = processes.compactMap { $0["sandbox"]?.string }
    if texts.isEmpty { return "" }
    if texts.contains("off") { return "off" }
    return texts.allSatisfy { !$0.contains("not in force") } ? "full" : "partial"
  }

  /// What a plugin's processes may reach, but for what all may.
  private static func rules(_ rules: JSONValue?) -> [String] {
    guard let rules, let mode = rules["mode"]?.string else { return [] }
    if let problem = rules["problem"]?.string { return [problem] }
    guard mode != "off" else { return ["do what the worker's user may: its sandbox is switched off"] }
    let network =
      rules["network"]?.string == "any"
      ? "use the network" : rules["networkAsked"]?.bool == true ? "not use the network: asked for, not granted" : ""
    return strings(rules["write"]).map { "change \($0)" } + (network.isEmpty ? [] : [network])
  }

  /// Asks for a change of one plugin and says what came of it.
  ///
  /// - Parameter grace: what becomes of running jobs; nil where none end by it.
  static func act(
    _ method: String, _ name: String, _ done: String, _ global: GlobalOptions, _ grace: GraceOption? = nil
  ) async throws {
    var params: [String: JSONValue] = ["name": .string(name)]
    if let grace {
      params["graceSeconds"] = .double(try grace.seconds)
      params["wait"] = .bool(!grace.isImpatient)
    }
    let worker = try global.worker()
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    if let grace, !grace.isImpatient {
      line.show(ProgressBar(label: name, fraction: nil, detail: "running jobs may finish within \(grace.text)"))
    }
    let request = JSONValue.object(params)
    let answer = try await endedByInterrupt { try await CLIError.naming { try await worker.call(method, request) } }
    line.clear()
    if global.json { return try global.console.json(answer) }
    guard !global.quiet else { return }
    let plugin = answer["plugin"] ?? .null
    let returned = GraceOption.returned(answer["drained"] ?? .null)
    if plugin["candidate"]?["state"]?.string == "starting", let serving = plugin["version"]?.string {
      let candidate = plugin["candidate"]?["version"]?.string ?? "in its directory"
      return try global.console.line(
        global.console.shown("\(name): version \(candidate) is being tried; \(serving) serves until it has started"))
    }
    try global.console.line(global.console.shown("\(name) \(done); it is \(state(plugin))\(returned)"))
  }

  /// Asks about one plugin by its name.
  static func ask(_ method: String, _ name: String, _ global: GlobalOptions) async throws -> JSONValue {
    let worker = try global.worker()
    return try await CLIError.naming { try await worker.call(method, ["name": .string(name)]) }
  }

  private static func state(_ plugin: JSONValue) -> String {
    let state = plugin["state"]?.string ?? "?"
    guard state == "backoff", let seconds = plugin["backoffSeconds"]?.double, seconds.isFinite else { return state }
    return "backoff (\(Human.oneDecimal(seconds)) s)"
  }

  private static func line(_ process: JSONValue, now: Int64) -> String {
    var parts = ["pid \(process["pid"]?.int ?? 0)", process["state"]?.string ?? "?"]
    if let version = process["version"]?.string { parts.append("version \(version)") }
    if let started = process["startedAt"]?.string { parts.append("started \(Human.relative(started, now: now))") }
    if let rss = process["rssBytes"]?.int { parts.append(Human.bytes(rss)) }
    let models = strings(process["models"])
    if !models.isEmpty { parts.append("models \(models.joined(separator: ", "))") }
    let jobs = strings(process["jobs"])
    if !jobs.isEmpty { parts.append("jobs \(jobs.joined(separator: ", "))") }
    return parts.joined(separator: " · ")
  }

  static func strings(_ value: JSONValue?) -> [String] { value?.array?.compactMap(\.string) ?? [] }
}
