/// An input of a job as an engine uses it: a local file.
public struct EngineInput: Equatable, Sendable {
  /// Absolute path. Valid until `run` returns. That a regular file is there was not looked at.
  public var path: String
  /// What the host has found out about the file; nil when it said nothing.
  public var description: JobInput?
}

extension EngineJob {
  /// The input that a member of the task names: `inputUrl`, `maskUrl` …
  ///
  /// - Returns: nil when the task has no such member.
  /// - Throws: `bad_input` when the member is no `file:` URL of an absolute local path.
  public func input(_ member: String) throws -> EngineInput? {
    guard let url = try taskFields().string(member) else { return nil }
    let path = try FileURL.path(url, field: "task.\(member)")
    return EngineInput(path: path, description: parameters.inputs[member]?.first)
  }

  /// As `input(_:)`, for a member that the task must have.
  public func requiredInput(_ member: String) throws -> EngineInput {
    _ = try taskFields().requiredString(member)
    guard let input = try input(member) else {
      throw EngineError(.badInput, "task.\(member) is missing: it must be a file: URL")
    }
    return input
  }

  /// The inputs that a member of the task lists: `imageUrls` …; none when the task has no such member.
  ///
  /// - Throws: `bad_input` when one of them is no `file:` URL of an absolute local path.
  public func inputs(_ member: String) throws -> [EngineInput] {
    let urls = try taskFields().strings(member) ?? []
    let known = parameters.inputs[member] ?? []
    var inputs: [EngineInput] = []
    for (index, url) in urls.enumerated() {
      let path = try FileURL.path(url, field: "task.\(member)[\(index)]")
      inputs.append(EngineInput(path: path, description: known.indices.contains(index) ? known[index] : nil))
    }
    return inputs
  }
}
