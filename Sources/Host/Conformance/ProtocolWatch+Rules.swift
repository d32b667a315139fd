import PluginProtocol

/// Rules for single messages.
extension ProtocolWatch {
  mutating func judge(_ method: String, _ params: JSONValue, _ line: [UInt8]) {
    switch method {
    case Method.jobProgress: judgeProgress(params, line)
    case Method.jobChunk: judgeChunk(params, line)
    case Method.log:
      if params["level"]?.string == nil || params["message"]?.string == nil {
        find(
          "log", "log with the strings level and message", Evidence.text(line),
          "send level (debug, info, warn or error) and message; put details into fields")
      }
    case Method.modelProgress:
      if params["model"]?.string == nil || !isFraction(params["fraction"]) {
        find(
          "log", "model/progress with the string model and a fraction from 0 to 1", Evidence.text(line),
          "name the model by its id, and leave fraction out where it is not known")
      }
    default: break
    }
  }

  mutating func judge(_ error: RPCError, _ line: [UInt8]) {
    if error.message.allSatisfy(\.isWhitespace) {
      find(
        "error-shape", "an error with a message that a user can act on", Evidence.text(line),
        "say in one sentence what is wrong and what to do")
    }
    guard let name = error.data["class"] else { return }
    let named = name.string.flatMap { FailureClass(rawValue: $0) }
    let ofCode = FailureClass.allCases.first { $0.code == error.code }
    if named == nil || (ofCode != nil && named != ofCode) {
      find(
        "error-shape", "data.class that is one of the six names and belongs to the code", Evidence.text(line),
        "take code and class from one row of the table of errors")
    }
  }

  /// The job that a notification is about, if it may be about it.
  private mutating func running(_ params: JSONValue, _ feature: String, _ check: String, _ line: [UInt8]) -> String? {
    guard features?.contains(feature) == true else {
      find(
        check, "no such message without the feature \(feature), which both sides must have named", Evidence.text(line),
        "send it only when initialize offered \(feature), and name it in the answer")
      return nil
    }
    guard let id = params["jobId"]?.string, let job = jobs[id] else {
      find(
        check, "the jobId of a job that runs", Evidence.text(line), "repeat jobId as it stood in job/run")
      return nil
    }
    guard !job.hasEnded else {
      find(
        "after-the-end", "nothing of a job after its answer", Evidence.text(line),
        "send the answer last: join what still reports before you answer")
      return nil
    }
    return id
  }

  private mutating func judgeProgress(_ params: JSONValue, _ line: [UInt8]) {
    guard running(params, Feature.progress.rawValue, "progress", line) != nil else { return }
    let wrong: String? =
      if !isFraction(params["fraction"]) {
        "fraction must be a number from 0 to 1"
      } else if !isCount(params["step"]) || !isCount(params["steps"]) {
        "step and steps must be whole numbers, 0 or more"
      } else if let step = params["step"]?.int, let steps = params["steps"]?.int, step > steps {
        "step must not be above steps"
      } else if let eta = params["etaSeconds"], !(eta.double.map { $0 >= 0 && $0.isFinite } ?? false) {
        "etaSeconds must be a number, 0 or more"
      } else if ["stage", "message"].contains(where: { params[$0] != nil && params[$0]?.string == nil }) {
        "stage and message must be strings"
      } else {
        nil
      }
    guard let wrong else { return }
    find("progress", wrong, Evidence.text(line), "clamp what you report, and leave out what you do not know")
  }

  private mutating func judgeChunk(_ params: JSONValue, _ line: [UInt8]) {
    guard let id = running(params, Feature.chunks.rawValue, "chunks", line), let job = jobs[id] else { return }
    guard let seq = params["seq"]?.int else {
      return find(
        "chunks", "seq, a whole number from 1", Evidence.text(line), "number the chunks of each attempt from 1")
    }
    if seq != job.lastSeq + 1 {
      find(
        "chunks", "seq \(job.lastSeq + 1) after \(job.lastSeq)", "seq \(seq): \(Evidence.text(line))",
        "number the chunks of each attempt 1, 2, 3 … without gaps, and send them in that order")
    }
    if seq > job.through {
      find(
        "credit", "no chunk beyond the credit, which was \(job.through)", "seq \(seq): \(Evidence.text(line))",
        "wait for job/credit before you send a chunk whose seq is above what was granted")
    }
    let text = params["text"]
    if (text == nil) == (params["data"] == nil) || (text != nil && text?.string == nil) {
      find("chunks", "either the string text or data", Evidence.text(line), "send one of the two")
    }
    if line.count > ContentLimits.inlineBytes + 1024 {
      find(
        "chunks", "chunks of at most \(ContentLimits.inlineBytes) bytes", "one of \(line.count) bytes",
        "cut large pieces, or give them as an artifact")
    }
    take(chunk: seq, text: text?.string, of: id)
  }

  private func isFraction(_ value: JSONValue?) -> Bool {
    guard let value else { return true }
    return value.double.map { (0...1).contains($0) } ?? false
  }

  private func isCount(_ value: JSONValue?) -> Bool {
    guard let value else { return true }
    return value.int.map { $0 >= 0 } ?? false
  }
}
