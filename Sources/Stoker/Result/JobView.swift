import Host
import PluginProtocol

/// A job as the worker shows it, read for the terminal.
struct JobView: Sendable {
  let json: JSONValue

  /// - Throws: when the answer is not a job.
  init(_ answer: JSONValue) throws {
    guard let job = answer["job"], job["id"]?.string != nil, job["state"]?.string != nil else {
      throw CLIError(
        .failed, class: "version", "the worker's answer has no job; restart it with this version of stoker")
    }
    json = job
  }

  private init(json: JSONValue) { self.json = json }

  /// The job with its result in it, also when that is so large that it lies in a file of the job's.
  ///
  /// - Throws: `CLIError` when the file is gone or was changed.
  func withWholeResult() throws -> JobView {
    do {
      return JobView(json: try InputStage.whole(shown: json))
    } catch {
      throw CLIError(.failed, class: error.failure.errorClass, "the result of job \(id) cannot be read: \(error)")
    }
  }

  var id: String { json["id"]?.string ?? "" }
  var state: String { json["state"]?.string ?? "" }
  var kind: String { json["kind"]?.string ?? "" }
  var model: String? { json["model"]?.string }
  var isFinished: Bool { ["succeeded", "failed", "cancelled"].contains(state) }
  var attempts: Int { json["attempts"]?.array?.count ?? 0 }
  var artifacts: [JSONValue] { json["artifacts"]?.array ?? [] }

  /// The text of a result that is text: an answer, a transcript.
  var text: String? {
    let result = json["result"]
    return result?["choices"]?.array?.first?["message"]?["content"]?.string ?? result?["text"]?.string
  }

  /// How the program ends when it waited for this job.
  func status(cancelledByUser: Bool) -> ProgramStatus {
    switch state {
    case "succeeded": .done
    case "cancelled" where cancelledByUser: .interrupted
    default: .failed
    }
  }

  /// Why it did not succeed, for stderr; nil when it did.
  var failure: CLIError? {
    switch state {
    case "succeeded": return nil
    case "cancelled": return CLIError(.failed, class: "cancelled", "job \(id) was cancelled")
    default:
      let errorClass = json["error"]?["class"]?.string ?? "failed"
      let message = json["error"]?["message"]?.string ?? "the worker gave no reason"
      return CLIError(.failed, class: errorClass, "job \(id) failed (\(errorClass)): \(message)")
    }
  }

  /// The lines of evidence for a failure; of much, the last ones.
  var evidence: [String] {
    let evidence = json["error"]?["evidence"]
    if let lines = evidence.flatMap(EvidenceText.lines) { return lines }
    return switch evidence {
    case .string(let text)?: text.split(separator: "\n").suffix(20).map(String.init)
    case .array(let lines)?: lines.compactMap(\.string).suffix(20)
    case let other?: other.prettyText.split(separator: "\n").suffix(20).map(String.init)
    case nil: []
    }
  }

  /// `job ID · MODEL · 42 tokens, 31.2 a second · 1.4 s · PLACE`.
  func summary(place: String?) -> String {
    var parts = ["job \(id)", model ?? kind]
    let runMs = json["timing"]?["runMs"]?.int
    if let tokens = json["result"]?["usage"]?["completion_tokens"]?.int {
      let rate = runMs.flatMap { $0 > 0 ? ", \(Human.oneDecimal(Double(tokens) * 1000 / Double($0))) a second" : nil }
      parts.append("\(tokens) tokens" + (rate ?? ""))
    }
    if let runMs { parts.append(Human.duration(milliseconds: runMs)) }
    if attempts > 1 { parts.append("\(attempts) attempts") }
    if let place { parts.append(place) }
    return parts.joined(separator: " · ")
  }
}
