import FoundationEssentials
import Host
import PluginProtocol

/// Brings to the worker what does not travel in a request: stdin as an input, and tasks that are large.
///
/// An upload is `input/begin`, any number of `input/data` in order, and `input/end`, all on one connection. One that is left
/// in the middle goes with the connection; one that no job names is the worker's to clear away.
struct Uploader: Sendable {
  /// Bytes of one `input/data`, before base64.
  static let pieceBytes = UploadDesk.partBytes
  /// A task of more bytes as JSON goes by upload.
  static let largestTask = 256 << 10

  let connection: any WorkerConnection
  let console: Console
  var isQuiet = false
  /// The next bytes of stdin, no more than that many, none at its end.
  var readInput: @Sendable (Int) async throws -> [UInt8] = { try await StandardInput.next($0) }
  /// Bytes of stdin that are left to be read, where that can be told.
  var inputBytes: @Sendable () -> Int64? = { StandardInput.bytesLeft() }

  /// Whether a request cannot be submitted as it stands.
  func isNeeded(_ request: JobSubmission) -> Bool {
    guard let task = request.params["task"] else { return false }
    return Uploader.namesInput(task) || task.text.utf8.count > Uploader.largestTask
  }

  /// The parameters of `jobs/submit`, once everything that they name has been uploaded.
  ///
  /// - Throws: `CLIError` for a stdin that is empty or cannot be read, and what the worker refuses.
  func prepare(_ request: JobSubmission) async throws -> JSONValue {
    guard var members = request.params.object, var task = members["task"] else { return request.params }
    if Uploader.namesInput(task) {
      task = Uploader.naming(try await uploadInput(), in: task)
      members["task"] = task
    }
    let bytes = task.bytes
    if bytes.count > Uploader.largestTask {
      members["task"] = nil
      members["taskUpload"] = .string(try await upload(bytes))
    }
    return .object(members)
  }

  /// Whether a member that names inputs names stdin.
  private static func namesInput(_ task: JSONValue) -> Bool {
    (task.object ?? [:]).contains { name, value in
      (name.hasSuffix("Url") && value.string == TaskInput.standardInput)
        || (name.hasSuffix("Urls") && value.array?.contains { $0.string == TaskInput.standardInput } == true)
    }
  }

  private static func naming(_ url: String, in task: JSONValue) -> JSONValue {
    let replaced = { (value: JSONValue) in value.string == TaskInput.standardInput ? JSONValue.string(url) : value }
    var members = task.object ?? [:]
    for (name, value) in members {
      if name.hasSuffix("Url") { members[name] = replaced(value) }
      if name.hasSuffix("Urls"), let urls = value.array { members[name] = .array(urls.map(replaced)) }
    }
    return .object(members)
  }

  private func uploadInput() async throws -> String {
    let total = inputBytes()
    let first = try await readInput(Uploader.pieceBytes)
    guard !first.isEmpty else { throw CLIError.usage("stdin is empty; pipe the file into it, or give its path") }
    return try await connection.session { connection in
      let upload = try await Upload(begin: connection)
      try await upload.send(first)
      try await showing("stdin", total: total) { show in
        show(upload.sent)
        while true {
          let piece = try await readInput(Uploader.pieceBytes)
          guard !piece.isEmpty else { return }
          try await upload.send(piece)
          show(upload.sent)
        }
      }
      return try await upload.end()
    }
  }

  /// Uploads a task and gives the upload's name.
  private func upload(_ bytes: [UInt8]) async throws -> String {
    try await connection.session { connection in
      let upload = try await Upload(begin: connection)
      try await showing("the task", total: Int64(bytes.count)) { show in
        var rest = bytes[...]
        while !rest.isEmpty {
          try await upload.send(Array(rest.prefix(Uploader.pieceBytes)))
          rest = rest.dropFirst(Uploader.pieceBytes)
          show(upload.sent)
        }
      }
      _ = try await upload.end()
      return upload.id
    }
  }

  private func showing(
    _ label: String, total: Int64?, _ body: ((Int64) -> Void) async throws -> Void
  ) async throws {
    let line = ProgressLine(console, isQuiet: isQuiet)
    defer { line.clear() }
    var meter = DownloadMeter()
    try await body { sent in
      meter.update(bytes: sent, at: .now)
      line.show(
        ProgressBar(
          label: "uploading \(label)", fraction: total.flatMap { $0 > 0 ? Double(sent) / Double($0) : nil },
          detail: meter.text(bytes: sent, total: total)))
    }
  }
}

/// One upload under way.
private final class Upload {
  let id: String
  /// Bytes so far.
  private(set) var sent: Int64 = 0
  private var pieces = 0
  private let connection: any WorkerConnection

  init(begin connection: any WorkerConnection) async throws {
    self.connection = connection
    guard let id = try await connection.call("input/begin")["upload"]?.string else { throw Upload.misunderstood }
    self.id = id
  }

  func send(_ bytes: [UInt8]) async throws {
    _ = try await connection.call(
      "input/data",
      ["upload": .string(id), "seq": JSONValue(pieces), "data": .string(Data(bytes).base64EncodedString())])
    pieces += 1
    sent += Int64(bytes.count)
  }

  /// Gives the URL under which a task names what was uploaded.
  func end() async throws -> String {
    guard let url = try await connection.call("input/end", ["upload": .string(id)])["url"]?.string else {
      throw Upload.misunderstood
    }
    return url
  }

  private static let misunderstood = CLIError(
    .failed, class: "version", "the worker does not take uploads as expected; restart it with this version of stoker")
}
