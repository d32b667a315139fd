import CArtifact
import Crypto
import PluginProtocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The check and the move of one attempt's files. Blocks; hostile until proven otherwise: the engine may still run and
/// may change its directory at any moment.
struct ArtifactTransfer {
  let source: String
  let target: String
  let limits: ArtifactLimits

  func run(_ declarations: [ArtifactDeclaration]) throws(ArtifactError) -> [JobArtifact] {
    try checkDeclarations(declarations)
    try limits.check(source)
    let from = try directory(source, name: declarations[0].name)
    defer { close(from) }
    do { try StoreFiles.makeDirectory(target) } catch {
      throw ArtifactError(.resource, name: declarations[0].name, error.description)
    }
    let into = try directory(target, name: declarations[0].name)
    defer { close(into) }
    var taken: [JobArtifact] = []
    for declaration in declarations { taken.append(try take(declaration, from: from, into: into)) }
    try sync(into, name: declarations[0].name)
    return taken
  }

  private func checkDeclarations(_ declarations: [ArtifactDeclaration]) throws(ArtifactError) {
    guard declarations.count <= limits.maxFiles else {
      throw ArtifactError(
        .badArtifact, name: declarations[0].name,
        "the answer declares \(declarations.count) files; \(limits.maxFiles) are allowed")
    }
    var names: Set<String> = []
    var total: Int64 = 0
    for declaration in declarations {
      func bad(_ reason: String) -> ArtifactError { ArtifactError(.badArtifact, name: declaration.name, reason) }
      if let fault = ArtifactName.fault(in: declaration.name) { throw bad(fault) }
      guard names.insert(declaration.name).inserted else { throw bad("the name is declared twice") }
      let (sum, overflow) = total.addingReportingOverflow(Int64(clamping: declaration.bytes))
      guard !overflow, sum <= limits.maxBytes else {
        throw bad("the declared files exceed the job's quota of \(limits.maxBytes) bytes")
      }
      total = sum
      if let sha256 = declaration.sha256, sha256.utf8.count != 64 {
        throw bad("the declared sha256 is not 64 hexadecimal digits")
      }
      guard declaration.contentType.utf8.count <= 255, declaration.contentType.utf8.allSatisfy({ $0 >= 0x20 }) else {
        throw bad("the content type is longer than 255 bytes or has control characters")
      }
    }
  }

  private func take(_ declared: ArtifactDeclaration, from: Int32, into: Int32) throws(ArtifactError) -> JobArtifact {
    func bad(_ reason: String) -> ArtifactError { ArtifactError(.badArtifact, name: declared.name, reason) }
    let file = cartifact_open_beneath(from, declared.name)
    guard file >= 0 else {
      switch errno {
      case ENOENT: throw bad("there is no such file in the work directory")
      case ELOOP: throw bad("it is a symbolic link")
      case ENXIO: throw bad("it is a socket or a device, not a regular file")
      case EACCES, EPERM: throw bad("the host may not read it; leave it readable by its owner")
      case let code: throw failure(code, name: declared.name, doing: "opening it")
      }
    }
    defer { close(file) }
    let status = try self.status(file, name: declared.name)
    guard status.st_mode & S_IFMT == S_IFREG else { throw bad("it is a \(Self.noun(status)), not a regular file") }
    guard status.st_nlink == 1 else { throw bad("it has \(status.st_nlink) hard links; one is allowed") }
    let bytes = Int64(clamping: declared.bytes)
    guard status.st_size == bytes else {
      throw bad("it has \(status.st_size) bytes and \(declared.bytes) were declared")
    }
    let digest = try hash(file, bytes: bytes, name: declared.name)
    if let expected = declared.sha256, expected.lowercased() != digest {
      throw bad("its sha256 is \(digest) and \(expected.lowercased()) was declared")
    }
    guard fchmod(file, 0o600) == 0 else { throw failure(errno, name: declared.name, doing: "setting its mode") }
    guard fsync(file) == 0 else { throw failure(errno, name: declared.name, doing: "writing it to disk") }
    guard renameat(from, declared.name, into, declared.name) == 0 else {
      throw failure(errno, name: declared.name, doing: "moving it")
    }
    // The name may have been given to another file, or the file another name, since it was opened.
    var moved = stat()
    guard fstatat(into, declared.name, &moved, AT_SYMLINK_NOFOLLOW) == 0, moved.st_ino == status.st_ino,
      moved.st_dev == status.st_dev, moved.st_nlink == 1, moved.st_size == bytes
    else { throw bad("it was changed while the host took it") }
    return JobArtifact(
      name: declared.name, contentType: declared.contentType, bytes: bytes, sha256: digest,
      path: target + "/" + declared.name)
  }

  /// Reads exactly the declared bytes and makes sure that there is not one more.
  private func hash(_ file: Int32, bytes: Int64, name: String) throws(ArtifactError) -> String {
    var hasher = SHA256()
    var total: Int64 = 0
    let size = 1 << 18
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    defer { buffer.deallocate() }
    while total <= bytes {
      let count = read(file, buffer.baseAddress, size)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(errno, name: name, doing: "reading it")
      }
      if count == 0 { break }
      hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      total += Int64(count)
    }
    guard total == bytes else {
      throw ArtifactError(.badArtifact, name: name, "it changed size while the host read it")
    }
    return hasher.finalize().hexText
  }

  private func directory(_ path: String, name: String) throws(ArtifactError) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ELOOP || errno == ENOTDIR {
        throw ArtifactError(.badArtifact, name: name, "the work directory is gone or was replaced")
      }
      throw failure(errno, name: name, doing: "opening its directory")
    }
    return descriptor
  }

  private func sync(_ descriptor: Int32, name: String) throws(ArtifactError) {
    guard fsync(descriptor) == 0 else { throw failure(errno, name: name, doing: "writing its name to disk") }
  }

  private func status(_ file: Int32, name: String) throws(ArtifactError) -> stat {
    var status = stat()
    guard fstat(file, &status) == 0 else { throw failure(errno, name: name, doing: "examining it") }
    return status
  }

  private func failure(_ code: Int32, name: String, doing what: String) -> ArtifactError {
    switch code {
    case ENOSPC, EDQUOT: ArtifactError(.resource, name: name, "the disk is full: make room and submit again")
    case ENAMETOOLONG, ENOTDIR, EXDEV, ENOENT:
      ArtifactError(.badArtifact, name: name, "\(what) failed: \(String(cString: strerror(code)))")
    default: ArtifactError(.resource, name: name, "\(what) failed: \(String(cString: strerror(code)))")
    }
  }

  private static func noun(_ status: stat) -> String {
    switch status.st_mode & S_IFMT {
    case S_IFDIR: "directory"
    case S_IFIFO: "FIFO"
    case S_IFSOCK: "socket"
    case S_IFCHR, S_IFBLK: "device"
    default: "special file"
    }
  }
}
