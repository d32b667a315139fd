import PluginProtocol

/// Compares what an engine answered twice to the same messages.
///
/// Compared are the answers' order and their shapes, errors by code and class, chunks by their number and shape, and
/// texts unless they are not to be. Numbers count by being numbers: times and sizes differ from run to run. Progress and
/// logs, which depend on the time, are not compared.
package struct TraceComparison: Sendable {
  package struct Difference: Sendable, Equatable {
    /// What it is about: `answer 3 (job/run): result.output.text`.
    package var place: String
    package var recorded: String
    package var replayed: String

    package var json: JSONValue {
      ["place": .string(place), "recorded": .string(recorded), "replayed": .string(replayed)]
    }
  }

  var comparesTexts: Bool
  /// Methods of the requests, by id.
  var methods: [Int64: String]
  private(set) var differences: [Difference] = []

  /// Differences that are kept; an engine that does all else differently needs no longer list.
  static let most = 100

  init(script: TraceScript, comparesTexts: Bool) {
    self.comparesTexts = comparesTexts && !script.isCut
    methods = [:]
    for step in script.steps {
      if let id = step.frame["id"]?.int, let method = step.frame["method"]?.string { methods[id] = method }
    }
  }

  mutating func compare(_ recorded: [JSONValue], _ replayed: [JSONValue]) {
    let (then, now) = (TraceComparison.answers(recorded), TraceComparison.answers(replayed))
    for id in methods.keys.sorted() {
      let place = "answer \(id) (\(methods[id] ?? "?"))"
      switch (then[id], now[id]) {
      case (.none, .none): continue
      // The host went before it came.
      case (.none, .some): continue
      case (.some, .none): add(place, "an answer", "none")
      case (.some(let then), .some(let now)): compare(answer: then, now, place)
      }
    }
    compareOrder(recorded, replayed)
    compareChunks(recorded, replayed)
  }

  private static func answers(_ frames: [JSONValue]) -> [Int64: JSONValue] {
    var found: [Int64: JSONValue] = [:]
    for frame in frames where frame["method"] == nil {
      if let id = frame["id"]?.int, found[id] == nil { found[id] = frame }
    }
    return found
  }

  private mutating func compare(answer then: JSONValue, _ now: JSONValue, _ place: String) {
    switch (then["error"], now["error"]) {
    case (.none, .none): compare(then["result"] ?? .null, now["result"] ?? .null, "\(place): result")
    case (.some(let then), .none): add(place, "error \(then["code"]?.int ?? 0)", "a result")
    case (.none, .some(let now)):
      add(place, "a result", "error \(now["code"]?.int ?? 0): \(now["message"]?.string ?? "")")
    case (.some(let then), .some(let now)):
      let name = { (error: JSONValue) in "\(error["code"]?.int ?? 0) \(error["data"]?["class"]?.string ?? "")" }
      if name(then) != name(now) { add("\(place): error", name(then), name(now)) }
    }
  }

  /// The jobs' ends, in the order in which they came.
  private mutating func compareOrder(_ recorded: [JSONValue], _ replayed: [JSONValue]) {
    let methods = methods
    let order = { (frames: [JSONValue]) in
      frames.filter { $0["method"] == nil }.compactMap { $0["id"]?.int }.filter { methods[$0] == Method.jobRun }
    }
    let (then, now) = (order(recorded), order(replayed).filter { order(recorded).contains($0) })
    if then.count == now.count, then != now {
      add(
        "order of the jobs' ends", then.map(String.init).joined(separator: ", "),
        now.map(String.init).joined(separator: ", "))
    }
  }

  private mutating func compareChunks(_ recorded: [JSONValue], _ replayed: [JSONValue]) {
    let chunks = { (frames: [JSONValue]) in
      Dictionary(
        grouping: frames.filter { $0["method"]?.string == Method.jobChunk }.compactMap { $0["params"] },
        by: { $0["jobId"]?.string ?? "" })
    }
    let (then, now) = (chunks(recorded), chunks(replayed))
    for job in Set(then.keys).union(now.keys).sorted() {
      let (then, now) = (then[job] ?? [], now[job] ?? [])
      let place = "chunks of job \(job)"
      // With other texts there are other chunks.
      if then.isEmpty != now.isEmpty || (comparesTexts && then.count != now.count) {
        add(place, "\(then.count)", "\(now.count)")
      }
      for (index, pair) in zip(then, now).enumerated() { compare(pair.0, pair.1, "\(place): \(index + 1)") }
    }
  }

  private mutating func compare(_ then: JSONValue, _ now: JSONValue, _ place: String) {
    switch (then, now) {
    case (.object(let then), .object(let now)):
      for name in Set(then.keys).union(now.keys).sorted() {
        switch (then[name], now[name]) {
        case (.some(let then), .some(let now)): compare(then, now, "\(place).\(name)")
        case (.some(let then), .none): add("\(place).\(name)", shown(then), "absent")
        case (.none, .some(let now)): add("\(place).\(name)", "absent", shown(now))
        case (.none, .none): break
        }
      }
    case (.array(let then), .array(let now)):
      if then.count != now.count, comparesTexts { add(place, "\(then.count) elements", "\(now.count) elements") }
      for (index, pair) in zip(then, now).enumerated() { compare(pair.0, pair.1, "\(place)[\(index)]") }
    case (.string(let then), .string(let now)):
      if comparesTexts, then != now { add(place, shown(.string(then)), shown(.string(now))) }
    default:
      if kind(then) != kind(now) { add(place, shown(then), shown(now)) }
    }
  }

  private func kind(_ value: JSONValue) -> String { value.double == nil ? value.typeName : "a number" }

  private func shown(_ value: JSONValue) -> String {
    let text = value.text
    return text.count > 120 ? text.prefix(120) + "…" : text
  }

  private mutating func add(_ place: String, _ recorded: String, _ replayed: String) {
    guard differences.count < TraceComparison.most else { return }
    differences.append(Difference(place: place, recorded: recorded, replayed: replayed))
  }
}
