import Glibc

/// JSON content in a job's work directory: tasks and outputs that are too large for the wire.
enum ContentFile {
  /// Reads the task that the host has put into the work directory.
  ///
  /// - Throws: `engine_fault`: the file is the host's doing, so a failure is nobody's input.
  static func readTask(_ name: String, in directory: String) throws(EngineError) -> JSONValue {
    func fault(_ reason: String) -> EngineError {
      EngineError(.engineFault, "the task file cannot be used: \(reason)", evidence: "\(directory)/\(name.prefix(255))")
    }
    guard isPlain(name) else { throw fault("its name is not one plain path component") }
    let parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { throw fault("the work directory: \(String(cString: strerror(errno)))") }
    defer { close(parent) }
    // Not blocking, should it turn out to be a FIFO.
    let file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard file >= 0 else { throw fault(String(cString: strerror(errno))) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw fault("it is not a regular file") }
    guard status.st_size <= ContentLimits.fileBytes else {
      throw fault("it has \(status.st_size) bytes and \(ContentLimits.fileBytes) are allowed")
    }
    guard let bytes = readAll(file, count: Int(status.st_size)) else { throw fault("it changed while it was read") }
    let task: JSONValue
    do {
      task = try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
    } catch {
      throw fault(error.description)
    }
    guard task.object != nil else { throw fault("it holds no object") }
    return task
  }

  /// Writes an output into the work directory under a name that is free there.
  ///
  /// - Throws: `resource` when the disk is full, else `engine_fault`.
  static func writeOutput(_ bytes: [UInt8], in directory: String) throws(EngineError) -> OutputFile {
    guard bytes.count <= ContentLimits.fileBytes else {
      throw EngineError(
        .engineFault,
        "the output has \(bytes.count) bytes and \(ContentLimits.fileBytes) are allowed: write an artifact")
    }
    var name = "output.json"
    var file: CInt = -1
    for round in 1...100 {
      file = open("\(directory)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      if file >= 0 || errno != EEXIST { break }
      name = "output-\(round).json"
    }
    guard file >= 0 else { throw writing(errno) }
    var code = writeAll(bytes, to: file)
    // Some file systems tell of a full disk only here.
    if close(file) != 0, code == 0 { code = errno }
    guard code == 0 else { throw writing(code) }
    return OutputFile(name: name, bytes: UInt64(bytes.count))
  }

  private static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255
      && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
  }

  /// Exactly `count` bytes, or nil when there are more or fewer.
  private static func readAll(_ file: CInt, count: Int) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: count + 1) { buffer, filled in
      while filled <= count {
        let got = read(file, buffer.baseAddress.map { $0 + filled }, count + 1 - filled)
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { return }
        filled += got
      }
    }
    return bytes.count == count ? bytes : nil
  }

  /// Returns 0, or the `errno` of the failed write.
  private static func writeAll(_ bytes: [UInt8], to file: CInt) -> CInt {
    bytes.withUnsafeBytes { buffer in
      var rest = buffer[...]
      while !rest.isEmpty {
        let written = write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written < 0, errno == EINTR { continue }
        if written <= 0 { return errno }
        rest = rest.dropFirst(written)
      }
      return 0
    }
  }

  private static func writing(_ code: CInt) -> EngineError {
    EngineError(
      code == ENOSPC || code == EDQUOT ? .resource : .engineFault,
      "the output cannot be written to the job's work directory: \(String(cString: strerror(code)))")
  }
}
