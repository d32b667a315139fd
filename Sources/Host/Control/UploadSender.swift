import Glibc
import PluginProtocol

/// Sends a file, or bytes, to a worker part by part, for a job that is submitted afterwards.
package enum UploadSender {
  /// Sends what a regular file holds. Memory stays flat whatever the size.
  ///
  /// - Parameter progress: told the bytes sent so far.
  /// - Returns: `upload:ID`, to be put in the place of a URL in a task, within an hour.
  /// - Throws: `ControlError.system` when the file cannot be read; `RPCError`; `ControlError`; `CancellationError`.
  package static func send(
    path: String, over connection: some WorkerConnection, progress: @escaping @Sendable (Int64) -> Void = { _ in }
  ) async throws -> String {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ControlError.system(doing: "read", path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ControlError.occupied(path: path, reason: "is not a regular file")
    }
    return try await send(over: connection) { offset in
      var failure: CInt = 0
      let part = [UInt8](unsafeUninitializedCapacity: UploadDesk.partBytes) { buffer, filled in
        while filled < buffer.count {
          let got = pread(
            descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset) + off_t(filled))
          if got < 0, errno == EINTR { continue }
          if got < 0 { failure = errno }
          guard got > 0 else { return }
          filled += got
        }
      }
      guard failure == 0 else { throw ControlError.system(doing: "read", path: path, code: failure) }
      progress(offset + Int64(part.count))
      return part
    }
  }

  /// Sends bytes.
  package static func send(bytes: [UInt8], over connection: some WorkerConnection) async throws -> String {
    try await send(over: connection) { offset in
      Array(bytes.dropFirst(Int(offset)).prefix(UploadDesk.partBytes))
    }
  }

  /// - Parameter part: the bytes from an offset on, at most one part; none at the end.
  private static func send(
    over connection: some WorkerConnection, part: @escaping @Sendable (Int64) throws -> [UInt8]
  ) async throws -> String {
    try await connection.session { connection in
      guard let id = try await connection.call("input/begin")["upload"]?.string else {
        throw RPCError(control: .internal, "the worker has begun an upload without saying its name")
      }
      var offset: Int64 = 0
      var seq = 1
      while true {
        let bytes = try part(offset)
        if bytes.isEmpty { break }
        _ = try await connection.call(
          "input/data", ["upload": .string(id), "seq": JSONValue(seq), "data": .string(Base64.encode(bytes))])
        offset += Int64(bytes.count)
        seq += 1
      }
      guard let url = try await connection.call("input/end", ["upload": .string(id)])["url"]?.string else {
        throw RPCError(control: .internal, "the worker has ended an upload without saying its URL")
      }
      return url
    }
  }
}
