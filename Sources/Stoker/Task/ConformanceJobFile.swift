import Host
import PluginProtocol

/// The job that an author gives for testing a plugin: a file as `stoker submit --job` takes it.
enum ConformanceJobFile {
  /// - Throws: `CLIError` for a file that is no job, and for an input that is no file of this machine.
  static func read(_ path: String) throws -> (job: ConformanceJob, model: String?) {
    var builder = JobRequestBuilder()
    builder.jobFile = path
    let submission = try builder.request()
    var task = submission.params["task"]?.object ?? [:]
    var inputs: [ConformanceJob.Input] = []
    for member in task.keys.sorted() {
      let urls: [JSONValue]
      if member.hasSuffix(JobInput.listSuffix) {
        urls = task[member]?.array ?? []
      } else if member.hasSuffix(JobInput.memberSuffix) {
        urls = [task[member]].compactMap { $0 }.filter { !$0.isNull }
      } else {
        continue
      }
      task[member] = nil
      for (index, url) in urls.enumerated() {
        inputs.append(
          try input(member, url.string ?? "", number: member.hasSuffix(JobInput.listSuffix) ? index + 1 : nil))
      }
    }
    return (
      ConformanceJob(kind: submission.kind, task: .object(task), inputs: inputs), submission.params["model"]?.string
    )
  }

  private static func input(_ member: String, _ text: String, number: Int?) throws -> ConformanceJob.Input {
    let path: String
    do {
      path = try InputFile.locate(text.hasPrefix("file:") ? try FileURL.path(text, field: "task.\(member)") : text)
    } catch {
      throw CLIError.usage("task.\(member): \(CLIError(error).message); a test takes files of this machine only")
    }
    let bytes = try SafeFile.read(path, maxBytes: 256 << 20).bytes
    let ending =
      FilePath.name(path).split(separator: ".").count > 1 ? path.split(separator: ".").last.map(String.init) : nil
    let name = ["input-\(member)", number.map { "-\($0)" }, ".\(ending ?? "bin")"].compactMap { $0 }.joined()
    return ConformanceJob.Input(member: member, name: name, contentType: "application/octet-stream", bytes: bytes)
  }
}
