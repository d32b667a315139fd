import CArtifact
import Crypto
import Glibc
import PluginProtocol

/// What every result must be like, whatever it was asked for.
extension ConformanceBench {
  func judge(_ result: JSONValue, of job: RunningJob, on engine: RawEngine) {
    let parsed: JobRunResult
    do {
      parsed = try JobRunResult(result)
    } catch {
      return report(
        "result-shape", "a result with output and artifacts", "\(error) in \(Evidence.text(result))",
        "give members the types of the table of job/run")
    }
    if let usage = parsed.usage?.object, usage.values.contains(where: { $0.double == nil }) {
      report(
        "result-shape", "usage with numbers by name", Evidence.text(result), "leave out of usage what is no number")
    }
    var output = parsed.output
    if let file = parsed.outputFile {
      guard has(.contentFiles, engine) else {
        return report(
          "content-files", "output in the message without the feature content-files", Evidence.text(result),
          "name content-files in the answer to initialize before you use outputFile")
      }
      guard let read = readOutput(file, in: job.directory) else { return }
      output = read
    } else {
      if result["output"] == nil {
        report(
          "result-shape", "output, an object", Evidence.text(result), "give {} where the artifacts say it all")
      }
      if has(.contentFiles, engine), output.bytes.count > ContentLimits.inlineBytes {
        report(
          "content-files", "an output above \(ContentLimits.inlineBytes) bytes in a file",
          "\(output.bytes.count) bytes in the message", "write it into the work directory and declare it as outputFile")
      }
    }
    if let wrong = OutputShape.fault(in: output, of: job.kind, artifacts: parsed.artifacts.count) {
      report(
        "result-shape", "an output of the kind \(job.kind.rawValue): \(wrong)", Evidence.text(output),
        "make the output as the table of outputs says")
    }
    if job.kind == .audioSTT, output["segments"] == nil, !warnings.contains(where: { $0.got == "no segments" }) {
      warn(
        expected: "segments of the transcript", got: "no segments",
        advice: "give each sentence with start and end: subtitles are made of them")
    }
    judgeText(output, of: job, on: engine)
    var names: Set<String> = []
    for artifact in parsed.artifacts {
      let problem = names.insert(artifact.name).inserted ? fault(in: artifact, of: job) : "the name is declared twice"
      guard let problem else { continue }
      report(
        "artifacts", "artifacts that lie in the work directory as they are declared",
        "\"\(artifact.name)\": \(problem)",
        "write the file into workDirectory, close it, and declare its name and its exact size before you answer")
    }
  }

  /// The chunks of a text job, joined, are its answer.
  private func judgeText(_ output: JSONValue, of job: RunningJob, on engine: RawEngine) {
    guard job.kind == .llm, let seen = engine.watch.jobs[job.id], seen.lastSeq > 0,
      let content = output["choices"]?.array?.first?["message"]?["content"]?.string, content != seen.text
    else { return }
    report(
      "chunks", "chunks whose texts, joined, are the content of the answer",
      "\"\(seen.text.prefix(120))\" and \"\(content.prefix(120))\"", "send every piece of the answer as a chunk, once")
  }

  private func readOutput(_ file: OutputFile, in directory: String) -> JSONValue? {
    let path = FilePath.join(directory, file.name)
    var problem = ArtifactName.fault(in: file.name)
    if problem == nil {
      do {
        let bytes = try SafeFile.read(path, maxBytes: ContentLimits.fileBytes).bytes
        if UInt64(bytes.count) != file.bytes {
          problem = "it has \(bytes.count) bytes, and \(file.bytes) are declared"
        } else {
          let value = try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
          if value.object != nil { return value }
          problem = "it holds no JSON object"
        }
      } catch {
        problem = "\(error)"
      }
    }
    report(
      "content-files", "outputFile: one JSON object in the work directory, with its exact size",
      "\"\(file.name)\": \(problem ?? "")", "write and close the file before you answer")
    return nil
  }

  private func fault(in artifact: ArtifactDeclaration, of job: RunningJob) -> String? {
    if let fault = ArtifactName.fault(in: artifact.name) { return fault }
    let directory = open(job.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { return "the work directory is gone" }
    defer { close(directory) }
    let file = cartifact_open_beneath(directory, artifact.name)
    guard file >= 0 else { return errno == ELOOP ? "it is a symbolic link" : errorText(errno) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { return errorText(errno) }
    if status.st_mode & S_IFMT != S_IFREG { return "it is no regular file" }
    if status.st_nlink != 1 { return "it has \(status.st_nlink) hard links; one is allowed" }
    if UInt64(clamping: status.st_size) != artifact.bytes {
      return "it has \(status.st_size) bytes, and \(artifact.bytes) are declared"
    }
    guard let declared = artifact.sha256 else { return nil }
    guard let actual = try? Plugin.sha256(of: FilePath.join(job.directory, artifact.name)).text else {
      return "it cannot be read"
    }
    return actual == declared ? nil : "its sha256 is \(actual), and \(declared) is declared"
  }
}

/// What the output of each kind has.
enum OutputShape {
  /// What is wrong, as what should be; nil when nothing is.
  static func fault(in output: JSONValue, of kind: JobKind, artifacts: Int) -> String? {
    switch kind {
    case .llm: chat(output)
    case .audioSTT: transcript(output)
    case .audioTTS, .image, .video: artifacts == 0 ? "an artifact, which is the result" : media(output)
    }
  }

  private static func chat(_ output: JSONValue) -> String? {
    guard output["object"]?.string == "chat.completion" else { return "object is \"chat.completion\"" }
    guard output["model"]?.string != nil else { return "model is a string" }
    guard let choices = output["choices"]?.array, !choices.isEmpty else { return "choices has an element" }
    for choice in choices {
      guard choice["index"]?.int != nil else { return "each choice has an index" }
      guard choice["message"]?["role"]?.string == "assistant", choice["message"]?["content"]?.string != nil else {
        return "each choice has a message with the role assistant and a content"
      }
      guard ["stop", "length"].contains(choice["finish_reason"]?.string) else {
        return "each choice has the finish_reason stop or length"
      }
    }
    let counts = ["prompt_tokens", "completion_tokens", "total_tokens"]
    return counts.allSatisfy { output["usage"]?[$0]?.int != nil } ? nil : "usage has \(counts.joined(separator: ", "))"
  }

  private static func transcript(_ output: JSONValue) -> String? {
    guard output["text"]?.string != nil, output["language"]?.string != nil else {
      return "text and language are strings"
    }
    guard let duration = output["duration"]?.double, duration >= 0 else { return "duration is a number of seconds" }
    guard let segments = (output["segments"] ?? []).array else { return "segments is a list" }
    let isWhole = segments.allSatisfy { segment in
      guard let start = segment["start"]?.double, let end = segment["end"]?.double else { return false }
      return start <= end && segment["text"]?.string != nil
    }
    return isWhole ? nil : "each segment has start, end and text, and ends after it starts"
  }

  private static func media(_ output: JSONValue) -> String? {
    if output["ext"] != nil, output["ext"]?.string == nil { return "ext is a string" }
    let numbers = ["duration", "sampleRate", "channels", "width", "height", "fps", "frames", "seed"]
    let wrong = numbers.first { output[$0] != nil && output[$0]?.double == nil }
    return wrong.map { "\($0) is a number" }
  }
}
