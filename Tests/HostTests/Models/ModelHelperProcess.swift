import CLinux
import Foundation
import Synchronization
import Testing

/// A helper program of a test, killed and reaped with this object.
///
/// Not `Foundation.Process`: its children inherit the blocked signals of the thread that happens to start them, and
/// then outlive a SIGTERM.
final class HelperProcess: Sendable {
  /// Nil once reaped.
  private let pid: Mutex<pid_t?>
  private let output: Int32
  private let input: Mutex<Int32>

  init(_ command: [String]) throws {
    var (toChild, fromChild): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
    try #require(linux_pipe(&toChild) >= 0 && linux_pipe(&fromChild) >= 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var argv: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer {
      for text in argv { free(text) }
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
      close(toChild[0])
      close(fromChild[1])
    }
    var started: pid_t = 0
    try #require(posix_spawnp(&started, command[0], &actions, &attributes, &argv, environ) == 0)
    pid = Mutex(started)
    output = fromChild[0]
    input = Mutex(toChild[1])
  }

  deinit {
    if let running = pid.withLock({ $0 }) { kill(running, SIGKILL) }
    wait()
    close(output)
    closeInput()
  }

  /// What the program wrote up to its first line end.
  func firstLine() -> String {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  func closeInput() {
    input.withLock { descriptor in
      if descriptor >= 0 { close(descriptor) }
      descriptor = -1
    }
  }

  /// Waits for the end; the exit status, or nil after a signal.
  @discardableResult
  func wait() -> Int32? {
    guard let running = pid.withLock({ $0 }) else { return nil }
    var status: Int32 = 0
    while waitpid(running, &status, 0) < 0, errno == EINTR {}
    pid.withLock { $0 = nil }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : nil
  }
}
