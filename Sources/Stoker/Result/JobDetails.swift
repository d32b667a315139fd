import Glibc
import PluginProtocol

/// The wall clock, in milliseconds since 1970.
enum Wall {
  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

/// One job, line by line; or many, row by row.
struct JobDetails {
  let job: JobView
  let now: Int64

  static func colour(_ state: String) -> Console.Colour? {
    switch state {
    case "succeeded", "ready", "loaded", "busy", "running": .green
    case "failed", "quarantined", "invalid", "damaged": .red
    case "cancelled", "backoff", "disabled", "paused", "draining", "stopping", "downloading", "loading": .yellow
    default: nil
    }
  }

  static func table(_ jobs: [JSONValue], now: Int64) -> Table {
    var table = Table([
      .init(title: "ID"), .init(title: "KIND"), .init(title: "MODEL", isFlexible: true),
      .init(title: "STATE", colour: colour), .init(title: "CREATED"), .init(title: "TIME", isNumeric: true),
    ])
    for job in jobs {
      let time = job["timing"]?["runMs"]?.int.map { Human.duration(milliseconds: $0) }
      table.add([
        job["id"]?.string ?? "", job["kind"]?.string ?? "", job["model"]?.string ?? "", job["state"]?.string ?? "",
        Human.relative(job["createdAt"]?.string, now: now), time ?? "",
      ])
    }
    return table
  }

  func text(for console: Console) -> String {
    var lines: [String] = []
    let add = { (name: String, value: String?) in
      guard let value, !value.isEmpty else { return }
      lines.append(TerminalText.pad(name, to: 12) + console.shown(value))
    }
    add("job", job.id)
    add("kind", job.kind)
    add("model", job.model)
    lines.append(TerminalText.pad("state", to: 12) + console.paint(job.state, JobDetails.colour(job.state)))
    add("created", Human.relative(job.json["createdAt"]?.string, now: now))
    add("deadline", job.json["deadlineAt"]?.string.map { Human.relative($0, now: now) })
    add("priority", job.json["priority"]?.int.flatMap { $0 == 0 ? nil : "\($0)" })
    let labels = job.json["labels"]?.object ?? [:]
    add("labels", labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.string ?? "")" }.joined(separator: " "))
    add(
      "progress",
      job.isFinished ? nil : job.json["progress"].flatMap { ProgressBar(event: ["progress": $0])?.text(columns: 80) })
    add("waits", job.json["waitsFor"]?.string)
    add("time", timing)
    for attempt in job.json["attempts"]?.array ?? [] { add("attempt", line(attempt)) }
    if let failure = job.failure, job.state == "failed" {
      add("error", failure.message)
      for line in job.evidence { add("", line) }
    }
    for artifact in job.artifacts {
      let size = artifact["bytes"]?.int.map(Human.bytes) ?? ""
      add("artifact", "\(artifact["path"]?.string ?? "") (\(artifact["contentType"]?.string ?? ""), \(size))")
    }
    if let text = job.text { add("result", text) }
    return lines.joined(separator: "\n")
  }

  private var timing: String {
    let timing = job.json["timing"]
    return [("queued", "queuedMs"), ("loading", "loadMs"), ("running", "runMs")].compactMap { name, key in
      timing?[key]?.int.map { "\(name) \(Human.duration(milliseconds: $0))" }
    }.joined(separator: ", ")
  }

  private func line(_ attempt: JSONValue) -> String {
    var parts = ["\(attempt["number"]?.int ?? 0)", attempt["engine"]?.string ?? "?"]
    if let pid = attempt["pid"]?.int { parts.append("pid \(pid)") }
    parts.append(attempt["outcome"]?.string ?? "under way")
    if let message = attempt["error"]?["message"]?.string { parts.append(message) }
    return parts.joined(separator: " · ")
  }
}
