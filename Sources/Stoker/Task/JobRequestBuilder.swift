import Host
import PluginProtocol

/// A job to be submitted.
struct JobSubmission: Sendable {
  let kind: JobKind
  /// What `jobs/submit` gets, but for uploads: an input from stdin is still `TaskInput.standardInput`.
  var params: JSONValue
  /// How the transcript is to be written; nil as plain text.
  var transcript: TranscriptFormat?

  /// The result is written in a way that text as it comes cannot be.
  var isMadeAtTheEnd: Bool { transcript != nil && transcript != .txt }

  /// - Throws: `CLIError` when the result cannot be printed as it comes.
  func refuseStreaming() throws {
    guard isMadeAtTheEnd, let transcript else { return }
    throw CLIError.usage(
      "--stream prints text as it comes, and \(transcript.rawValue) is made at the end; leave one out")
  }
}

/// Makes the parameters of `jobs/submit` from a command line: from flags, or from a whole job in a file.
struct JobRequestBuilder {
  var kind: String?
  var jobFile: String?
  var flags = TaskFlags()
  var common = JobFlags()
  var readText: (String) throws -> String = { try InputFile.text($0) }
  var locate: (String) throws -> String = { try InputFile.locate($0) }

  private static let members = ["kind", "model", "task", "priority", "deadlineSeconds", "idempotencyKey", "labels"]

  /// Takes the format from the name of the file that the result goes to, for kinds that have formats.
  ///
  /// - Throws: `CLIError` when the name asks for something that the kind does not make.
  mutating func adoptFormat(ofOutput path: String?) throws {
    guard flags.format == nil, jobFile == nil, let path, let kind, let named = try? JobKind(named: kind) else { return }
    flags.format = try TaskFormats.adopted(fromOutput: path, named)
  }

  /// The request for `jobs/submit`.
  func request() throws -> JobSubmission {
    let named: JobKind? = if let kind { try JobKind(named: kind) } else { nil }
    var members: [String: JSONValue] = [:]
    let kind: JobKind
    if let jobFile {
      if let flag = flags.given.first { throw CLIError.usage("--job holds the whole task; leave out \(flag)") }
      members = try whole(jobFile)
      guard let text = members["kind"]?.string ?? named?.rawValue else {
        throw CLIError.usage("\(jobFile) has no \"kind\"; name one there, or after the command")
      }
      kind = try JobKind(named: text)
      if let named, named != kind {
        throw CLIError.usage("\(jobFile) is a job of kind \(kind.cliName), and \(named.cliName) was asked for")
      }
    } else {
      guard let named else {
        let kinds = JobKind.allCases.map(\.cliName).joined(separator: ", ")
        throw CLIError.usage("say which kind of job: \(kinds); or give a whole one with --job FILE.json")
      }
      kind = named
      members["task"] = try TaskBuilder(kind: kind, flags: flags, readText: readText, locate: locate).task()
    }
    members["kind"] = .string(kind.rawValue)
    try apply(to: &members)
    let transcript = kind == .audioSTT ? flags.format.flatMap { TranscriptFormat(rawValue: $0.lowercased()) } : nil
    return JobSubmission(kind: kind, params: .compact(members), transcript: transcript)
  }

  private func whole(_ path: String) throws -> [String: JSONValue] {
    let value: JSONValue
    let text = try readText(path)
    do {
      value = try JSONValue(parsing: text)
    } catch {
      throw CLIError.usage("\(path) is not JSON: \(error)")
    }
    guard let members = value.object else {
      throw CLIError.usage("\(path) must hold a JSON object such as {\"kind\": \"llm\", \"task\": {…}}")
    }
    if let stranger = members.keys.sorted().first(where: { !JobRequestBuilder.members.contains($0) }) {
      throw CLIError.usage(
        "\(path): " + NearestName.message(unknown: "member", stranger, among: JobRequestBuilder.members))
    }
    guard members["task"]?.object != nil else { throw CLIError.usage("\(path) has no \"task\" object") }
    return members
  }

  /// What is said on the command line counts more than what the file says.
  private func apply(to members: inout [String: JSONValue]) throws {
    if let model = common.model { members["model"] = .string(model) }
    if let key = common.idempotencyKey { members["idempotencyKey"] = .string(key) }
    if let priority = common.priority {
      guard (-100...100).contains(priority) else {
        throw CLIError.usage("--priority must be from -100 to 100, not \(priority)")
      }
      members["priority"] = JSONValue(priority)
    }
    if let deadline = common.deadline {
      members["deadlineSeconds"] = try JobRequestBuilder.seconds(deadline, "--deadline")
    }
    guard !common.labels.isEmpty else { return }
    var labels = members["labels"]?.object ?? [:]
    for label in common.labels {
      guard let equals = label.firstIndex(of: "="), equals != label.startIndex else {
        throw CLIError.usage("--label must be KEY=VALUE, not '\(label)'")
      }
      labels[String(label[..<equals])] = .string(String(label[label.index(after: equals)...]))
    }
    members["labels"] = .object(labels)
  }

  /// Seconds from `90`, `90s`, `1.5h` …
  static func seconds(_ text: String, _ flag: String) throws -> JSONValue {
    let duration = DurationText.parse(text).map { $0 / .seconds(1) } ?? Double(text)
    guard let duration, duration > 0, duration.isFinite else {
      throw CLIError.usage("\(flag) must be a time such as 90s, 10m or 2h, not '\(text)'")
    }
    return .double(duration)
  }
}
