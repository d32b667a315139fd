import PluginProtocol

/// Exchanges that fail with what was expected and what came.
extension RawEngine {
  /// How the process has ended, with its last words; nil while it lives.
  var lastWords: String? {
    guard let exit else { return nil }
    let tail = stderrTail
    return "the process ended: \(exit.text)"
      + (tail.isEmpty ? "" : "; its last words: \(tail.joined(separator: " | "))")
  }

  /// The answer to a request.
  ///
  /// - Throws: `ConformanceFault` when none comes in time, or the process ends.
  func answer(
    _ id: Int64, to what: String, within time: Duration, given: Duration? = nil
  ) throws -> ProtocolWatch.Answer {
    try wait(time) { answers[id] != nil || isGone }
    if let answer = take(answer: id) { return answer }
    throw ConformanceFault(
      expected: "an answer to \(what) within \(DurationText.text(given ?? time))", got: lastWords ?? silence,
      advice: exit == nil
        ? "read stdin in a thread of its own, and answer every request, with an error if need be"
        : "catch what can go wrong in the work for a message, and answer it with an error")
  }

  /// Process and wire are at their end: nothing more will come.
  private var isGone: Bool { exit != nil && !isOutputOpen }

  private var silence: String {
    let tail = stderrTail
    let told = tail.isEmpty ? "" : "; on stderr: \(tail.joined(separator: " | "))"
    if !isOutputOpen { return "the engine has closed its stdout" + told }
    return (isAllWritten ? "nothing" : "nothing: the engine has stopped reading its stdin") + told
  }

  /// The result of a request.
  func result(_ id: Int64, to what: String, within time: Duration) throws -> JSONValue {
    switch try answer(id, to: what, within: time) {
    case .result(let value): return value
    case .failure(let error):
      throw ConformanceFault(
        expected: "a result of \(what)", got: "error \(error.code): \(error.message)",
        advice: "answer with a result; what the message says was refused is allowed here")
    }
  }

  /// A ping and its answer: all that the engine wrote before has been read then.
  func ping(_ what: String = "ping", _ params: JSONValue = [:]) throws {
    let id = request(Method.ping, params)
    let result = try result(id, to: what, within: RawEngine.pingClock)
    guard result == .object([:]) else {
      throw ConformanceFault(
        expected: "the result {} of ping", got: Evidence.text(result), advice: "answer ping with an empty object")
    }
  }

  /// The host's own clock for a ping.
  static let pingClock = Duration.seconds(5)

  /// Time in which something that must not come would come: two pings, and a moment for other threads.
  func settle(_ what: String) throws {
    try ping(what)
    try wait(.milliseconds(60)) { !isOutputOpen }
    try ping(what)
  }

  /// The engine must be alive and in order after something odd.
  func expectAlive(after what: String) throws {
    do {
      try ping("a ping after \(what)")
    } catch let fault as ConformanceFault {
      throw ConformanceFault(
        expected: "an engine that goes on after \(what)", got: fault.got,
        advice: "a message that cannot be used must not end the engine: answer it with an error, or drop it")
    }
  }

  /// Waits for the process to end by itself.
  func expectExit(after what: String, within time: Duration) throws -> Exit {
    if try wait(time, until: { exit != nil }), let exit { return exit }
    throw ConformanceFault(
      expected: "the process is gone \(DurationText.text(time)) after \(what)", got: "it still runs",
      advice: "end the process there, whatever still works: os._exit, _exit or their like")
  }
}
