import ArgumentParser
import Host
import PluginProtocol

/// `stoker status`.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what the running worker is doing.",
    discussion: """
      EXAMPLES
        stoker status
        stoker status --json | jq .jobs
      """)

  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let status = try await global.worker().call("status")
    if global.json { return try global.console.json(status) }
    for line in StatusScreen(status: status, now: Wall.now()).lines(for: global.console) {
      try global.console.line(line)
    }
  }
}

/// The worker's status, for people.
struct StatusScreen {
  let status: JSONValue
  let now: Int64

  func lines(for console: Console) -> [String] {
    var lines: [String] = []
    let add = { (name: String, value: String) in
      if !value.isEmpty { lines.append(TerminalText.pad(name, to: 14) + console.shown(value)) }
    }
    let state = status["state"]?.string ?? "?"
    lines.append(
      TerminalText.pad("worker", to: 14) + console.paint(state, JobDetails.colour(state))
        + console.shown(", pid \(status["pid"]?.int ?? 0), version \(status["version"]?.string ?? "?")"))
    add("home", status["home"]?.string ?? "")
    add("up", status["uptimeSeconds"]?.double.map { Human.duration(milliseconds: Int64(min($0, 1e12) * 1000)) } ?? "")
    add("memory", memory)
    for line in models { add("models", line) }
    for device in status["devices"]?.array ?? [] {
      add("device", "\(device["id"]?.string ?? "?"), \(device["name"]?.string ?? "?")")
    }
    add("sandbox", sandbox)
    add("jobs", jobs)
    for lane in status["waiting"]?.array ?? [] { add("waiting", lane["reason"]?.string ?? "") }
    if let store = status["store"], let commits = store["commits"]?.int {
      let share = store["fsyncShare"]?.double.map { ", \(Human.oneDecimal($0 * 100)) % of the time in fsync" } ?? ""
      add("store", "\(commits) commits\(share)")
    }
    for coordinator in status["coordinators"]?.array ?? [] {
      let detail = coordinator["detail"]?.string.map { ": \($0)" } ?? ""
      add("coordinator", "\(coordinator["name"]?.string ?? "?") \(coordinator["state"]?.string ?? "?")\(detail)")
    }
    let plugins = status["plugins"]?["plugins"]?.array ?? status["plugins"]?.array ?? []
    guard !plugins.isEmpty else {
      return lines + ["", "no plugins; put one into a plugins directory (stoker plugins list)"]
    }
    let turnedDown = plugins.filter { $0["candidate"]?["state"]?.string == "failed" }
    return lines + [""] + PluginScreen.table(plugins).lines(for: console)
      + PluginScreen.problems(turnedDown).map { console.shown($0) }
  }

  private var memory: String {
    let rss = status["rssBytes"]?.int.map { "\(Human.bytes($0)) resident" }
    let total = status["memoryBytes"]?.int.map { "\(Human.bytes($0)) in the machine" }
    let threads = status["cpuThreads"]?.int.map { "\($0) CPU threads for engines" }
    return [rss, total, threads].compactMap(\.self).joined(separator: ", ")
  }

  /// What this kernel has to confine engines with.
  private var sandbox: String {
    guard let found = status["sandbox"], let version = found["landlock"]?.int else { return "" }
    let landlock = version > 0 ? "Landlock \(version)" : "no Landlock: files are not confined (needs Linux 5.13)"
    return landlock + (found["seccomp"]?.bool == true ? ", seccomp" : ", no seccomp: system calls are not confined")
  }

  /// What engines hold in each pool of memory.
  private var models: [String] {
    let memory = status["memory"]
    let changes = [("load", memory?["loads"]?.int ?? 0), ("eviction", memory?["evictions"]?.int ?? 0)]
      .map { name, count in "\(count) \(name)\(count == 1 ? "" : "s")" }.joined(separator: ", ")
    return (memory?["pools"]?.array ?? []).enumerated().compactMap { index, pool in
      guard let held = pool["heldBytes"]?.int, let limit = pool["limitBytes"]?.int, let name = pool["pool"]?.string
      else { return nil }
      let place = name == "memory" ? "" : " on \(name)"
      return "\(Human.bytes(held)) of \(Human.bytes(limit)) held by engines that load models\(place)"
        + (index == 0 ? ", \(changes)" : "")
    }
  }

  private var jobs: String {
    ["queued", "running", "succeeded", "failed", "cancelled"].compactMap { state in
      status["jobs"]?[state]?.int.map { "\($0) \(state)" }
    }.joined(separator: ", ")
  }
}
