import PluginProtocol

extension ConformanceCheck {
  /// Rules that hold in every conversation. They judge all that was said before, so they come last.
  static let watchedChecks: [ConformanceCheck] = [
    watched(
      "quiet-before-handshake", "initialize", "No message comes before `initialize` is answered."),
    watched("stdout", "Framing", "Nothing but messages comes on stdout."),
    watched(
      "json", "Framing",
      "Each line is one JSON object in UTF-8 with LF behind it: no duplicate keys, no NaN, no message cut in the middle."
    ),
    watched("envelope", "Envelope", "Each message is one of JSON-RPC 2.0, and params and results are objects."),
    watched("line-length", "Framing", "No line is longer than the agreed cap."),
    watched("no-requests", "Envelope", "The engine sends no requests."),
    watched("one-answer", "Envelope", "Each request has exactly one answer, with the id of the request."),
    watched("error-shape", "Errors", "Each error has a message, and a class that belongs to its code."),
    watched(
      "result-shape", "Tasks and outputs by kind", "Each result has the members of its kind, in their types."),
    watched(
      "artifacts", "Artifacts",
      "Each artifact is a regular file in the work directory, with the size and the hash that are declared."),
    watched(
      "content-files", "Content files", "An output above 256 KiB is a file in the work directory, with its exact size."),
    watched(
      "progress", "job/progress", "Progress is of a job that runs, and its numbers are finite and in their ranges."),
    watched(
      "chunks", "job/chunk",
      "Chunks count 1, 2, 3 … without gaps, have text or data, and texts joined are the content of the answer."),
    watched("credit", "job/chunk", "No chunk goes beyond the credit."),
    watched("after-the-end", "job/run", "Nothing of a job comes after its answer."),
    watched("log", "log", "`log` and `model/progress` have their members, in their types."),
  ]

  private static func watched(_ name: String, _ section: String, _ demands: String) -> ConformanceCheck {
    ConformanceCheck(name, section, limit: .seconds(5), isWatched: true, demands: demands) { bench in
      // Late messages of the last jobs are waited for once.
      if name == "quiet-before-handshake" { try bench.ready().settle("ping") }
    }
  }
}
