import CMediaChild
import FFmpegTasks
import Glibc
import PluginProtocol

/// One run of a command-line tool, from its start to its last byte and its end.
///
/// The process leads a group of its own, which is killed whole; it dies with the thread that runs it, and so with
/// this process, whatever happens to that.
struct ChildProcess: Sendable {
  enum Ending: Equatable, Sendable {
    case finished(ToolFailure.Ending)
    case cancelled
    case tooSlow
    case tooMuchOutput
  }

  struct Report: Sendable {
    var ending: Ending
    /// The end of stderr, at most `errorBytes`.
    var errors: String
  }

  var program: String
  var arguments: [String]
  var directory: String
  /// Bounds of memory and of written files, in bytes; 0 is none.
  var memoryBytes: UInt64 = 0
  var fileBytes: UInt64 = 0
  /// After this the process is killed; nil leaves that to the host's clocks.
  var patience: Duration?

  private static let errorBytes = 8192
  /// How soon a cancel is seen while the process says nothing.
  private static let tickMilliseconds: CInt = 20

  /// Runs the process. Blocks; call it on a thread that lives until it returns.
  ///
  /// - Parameters:
  ///   - isCancelled: asked at every tick; true kills the process.
  ///   - onOutput: gets stdout piece by piece; false kills the process as one that writes too much.
  /// - Throws: `EngineError` when it cannot be started.
  func run(isCancelled: () -> Bool, onOutput: ([UInt8]) -> Bool) throws -> Report {
    let child = try start()
    defer {
      close(child.output)
      close(child.errors)
    }
    let clock = ContinuousClock()
    let deadline = patience.map { clock.now + $0 }
    var errors: [UInt8] = []
    var open = [child.output, child.errors]
    while true {
      var wait = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      // With both pipes closed this is a plain pause until the process has ended.
      poll(&wait, nfds_t(wait.count), Self.tickMilliseconds)
      for entry in wait where entry.revents != 0 {
        let bytes = Self.read(entry.fd)
        if bytes.isEmpty { open.removeAll { $0 == entry.fd } }
        if entry.fd == child.errors {
          errors = Array((errors + bytes).suffix(Self.errorBytes))
        } else if !bytes.isEmpty, !onOutput(bytes) {
          return Report(ending: Self.kill(child.pid, .tooMuchOutput), errors: "")
        }
      }
      if isCancelled() { return Report(ending: Self.kill(child.pid, .cancelled), errors: "") }
      if let deadline, clock.now > deadline {
        return Report(ending: Self.kill(child.pid, .tooSlow), errors: String(decoding: errors, as: UTF8.self))
      }
      // What the process wrote last is read before its end counts.
      if open.isEmpty, let ending = Self.reap(child.pid, WNOHANG) {
        return Report(ending: .finished(ending), errors: String(decoding: errors, as: UTF8.self))
      }
    }
  }

  private func start() throws -> media_child {
    var child = media_child()
    let names: [String] = ["PATH", "LD_LIBRARY_PATH"]
    let environment = names.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
    let fixed = ["LC_ALL=C.UTF-8", "AV_LOG_FORCE_NOCOLOR=1", "TMPDIR=\(directory)", "HOME=\(directory)"]
    let code = Self.withPointers([program] + arguments) { arguments in
      Self.withPointers(environment + fixed) { environment in
        media_child_start(program, arguments, environment, directory, memoryBytes, fileBytes, &child)
      }
    }
    guard code == 0 else {
      let reason = String(cString: strerror(code))
      let isShort = [ENOMEM, EAGAIN, EMFILE, ENFILE].contains(code)
      throw EngineError(isShort ? .resource : .engineFault, "\(program) cannot be started: \(reason)")
    }
    return child
  }

  /// A null-terminated list of C strings, valid inside `body`.
  private static func withPointers<T>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> T
  ) -> T {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { buffer in
      // Never empty: the terminator is in it.
      body(buffer.baseAddress.unsafelyUnwrapped)
    }
  }

  /// What is there to read; empty at the end of the stream.
  private static func read(_ descriptor: CInt) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      return count > 0 ? Array(buffer.prefix(count)) : []
    }
  }

  private static func kill(_ pid: pid_t, _ ending: Ending) -> Ending {
    Glibc.kill(-pid, SIGKILL)
    _ = reap(pid, 0)
    return ending
  }

  /// How the process has ended; nil while it has not.
  private static func reap(_ pid: pid_t, _ options: CInt) -> ToolFailure.Ending? {
    var status: CInt = 0
    while true {
      let result = waitpid(pid, &status, options)
      if result < 0, errno == EINTR { continue }
      guard result == pid else { return nil }
      let signal = status & 0x7F
      return signal == 0 ? .exited(Int(status >> 8 & 0xFF)) : .signalled(Int(signal))
    }
  }
}
