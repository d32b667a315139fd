import PluginProtocol

/// Reads a conversation with an engine line by line and holds it against the rules that hold at all times.
///
/// A value without I/O. What breaks a rule is a finding under the name of the check that stands for the rule, whatever the
/// conversation was about; the line is then ignored, as the host ignores it.
struct ProtocolWatch: Sendable {
  /// A broken rule.
  struct Finding: Sendable, Equatable {
    /// The check whose rule it is.
    let check: String
    let fault: ConformanceFault
  }

  /// An engine's answer to a request.
  enum Answer: Sendable, Equatable {
    case result(JSONValue)
    case failure(RPCError)
  }

  /// What a line was.
  enum Received: Sendable, Equatable {
    case answer(id: Int64, Answer)
    case notification(method: String, params: JSONValue)
    /// Nothing that a host would act on.
    case ignored
  }

  /// A job as far as the wire shows it.
  struct WatchedJob: Sendable {
    let request: Int64
    var through: Int64
    var lastSeq: Int64 = 0
    var chunks = 0
    var hasEnded = false
    /// The texts of its chunks, joined.
    var text = ""
  }

  private(set) var findings: [Finding] = []
  private(set) var jobs: [String: WatchedJob] = [:]
  /// Features that both sides have; nil before the handshake.
  private(set) var features: Set<String>?
  private var offered: Set<String> = []
  private var requests: [Int64: (method: String, job: String?)] = [:]
  private var answered: Set<Int64> = []

  // MARK: What the host says

  mutating func sent(request id: Int64, method: String, params: JSONValue) {
    if method == Method.initialize { offered = Set((params["features"]?.array ?? []).compactMap(\.string)) }
    let job = method == Method.jobRun ? params["jobId"]?.string : nil
    requests[id] = (method, job)
    if let job { jobs[job] = WatchedJob(request: id, through: params["credit"]?.int ?? Int64(defaultChunkCredit)) }
  }

  mutating func sent(credit through: Int64, job: String) {
    guard let known = jobs[job] else { return }
    jobs[job]?.through = max(known.through, through)
  }

  // MARK: What the engine says

  /// Judges a line, given without its LF.
  mutating func receive(_ line: [UInt8]) -> Received {
    guard let first = line.first else { return .ignored }
    guard first == UInt8(ascii: "{") else {
      if line.allSatisfy({ $0 == 0x0D || $0 == 0x20 || $0 == 0x09 }) { return .ignored }
      find(
        "stdout", "nothing but messages on stdout", Evidence.text(line),
        "did you print to stdout? Move the protocol to a descriptor of its own and point descriptor 1 at descriptor 2")
      return .ignored
    }
    do {
      let value = try JSONValue(parsing: line)
      return receive(try Envelope(value), value, line)
    } catch let error as JSONParseError {
      find(
        "json", "a line that begins with { is one JSON object", "\(error) in \(Evidence.text(line))",
        "write each message with a JSON encoder, in UTF-8, without NaN and duplicate keys, and whole under one lock")
    } catch {
      find(
        "envelope", "a JSON-RPC 2.0 message", "\(error): \(Evidence.text(line))",
        "give every message \"jsonrpc\":\"2.0\" and either a method, or an id with exactly one of result and error")
    }
    return .ignored
  }

  /// A line over the cap has ended.
  mutating func receiveOverlong(length: Int, prefix: [UInt8], cap: Int) {
    find(
      "line-length", "lines of at most \(cap) bytes", "a line of \(length) bytes that begins \(Evidence.text(prefix))",
      "put what is large into a file of the work directory: an artifact, or with content-files an outputFile")
  }

  /// The stream has ended in the middle of a line.
  mutating func receivePartial() {
    find(
      "json", "every message ends with LF", "the stream ended in the middle of a line",
      "end each message with LF, write it whole, and flush stdout before the process ends")
  }

  private mutating func receive(_ envelope: Envelope, _ value: JSONValue, _ line: [UInt8]) -> Received {
    switch envelope {
    case .request(_, let method, _):
      find(
        "no-requests", "no requests from the engine: in version 1 only the host sends them", Evidence.text(line),
        "send \(method) as a notification, without an id, or not at all")
      return .ignored
    case .notification(let method, let params):
      guard features != nil else {
        find(
          "quiet-before-handshake", "no message before initialize is answered", Evidence.text(line),
          "send log and other messages after the answer; write to stderr before it")
        return .ignored
      }
      guard params.object != nil || params.isNull else {
        find(
          "envelope", "params that are an object", Evidence.text(line), "send params as an object with members by name")
        return .ignored
      }
      judge(method, params, line)
      return .notification(method: method, params: params)
    case .response(let id, let result):
      if value["error"] != nil {
        find(
          "envelope", "an answer with either result or error", Evidence.text(line),
          "send one answer: a result when it went well, an error when it did not")
      }
      if result.object == nil {
        find(
          "envelope", "a result that is an object", Evidence.text(line), "answer with {} where there is nothing to say")
      }
      return answer(id, .result(result), line)
    case .failure(let id, let error):
      judge(error, line)
      if value.object?["result"] != nil {
        find(
          "envelope", "an answer with either result or error", Evidence.text(line),
          "send one answer: a result when it went well, an error when it did not")
      }
      // Without an id it is about a line that could not be read: nobody's answer.
      guard let id else { return .ignored }
      return answer(id, .failure(error), line)
    }
  }

  private mutating func answer(_ id: RequestID, _ answer: Answer, _ line: [UInt8]) -> Received {
    guard case .number(let number) = id, let request = requests[number] else {
      find(
        "one-answer", "answers to requests that were sent, with their ids", Evidence.text(line),
        "repeat the request's id as it stands: an integer stays an integer")
      return .ignored
    }
    guard answered.insert(number).inserted else {
      find(
        "one-answer", "exactly one answer to each request", "a second answer: \(Evidence.text(line))",
        "answer each request once, also when it is cancelled while it ends")
      return .ignored
    }
    if request.method == Method.initialize, case .result(let result) = answer {
      features = offered.intersection((result["features"]?.array ?? []).compactMap(\.string))
    }
    if let job = request.job { jobs[job]?.hasEnded = true }
    return .answer(id: number, answer)
  }

  mutating func takeFindings() -> [Finding] {
    defer { findings = [] }
    return findings
  }

  mutating func find(_ check: String, _ expected: String, _ got: String, _ advice: String) {
    // One finding says it; a thousand more say nothing else.
    guard findings.count(where: { $0.check == check }) < 3 else { return }
    findings.append(Finding(check: check, fault: ConformanceFault(expected: expected, got: got, advice: advice)))
  }

  mutating func take(chunk seq: Int64, text: String?, of job: String) {
    jobs[job]?.lastSeq = seq
    jobs[job]?.chunks += 1
    if let text { jobs[job]?.text += text }
  }
}

/// Bytes of the wire as a report shows them.
enum Evidence {
  static let longest = 400

  /// The text, cut, with what is not UTF-8 replaced.
  static func text(_ bytes: [UInt8]) -> String {
    let shown = String(decoding: bytes.prefix(longest), as: UTF8.self)
    return bytes.count > longest ? "\(shown) … (\(bytes.count) bytes)" : shown
  }

  static func text(_ value: JSONValue) -> String { text(value.bytes) }
}
