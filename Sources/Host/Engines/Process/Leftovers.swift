import CLinux
import Glibc

/// What a former life of the host may have left running, and how to find it again without ever hitting a stranger.
///
/// Each living monitor has a file named `PID.START.BOOT` in a directory of the host. Number, start time and boot together are
/// never given to a second process, so a file whose process still matches names exactly the monitor that was started.
/// Monitors end by themselves when the host dies; this is for the one that was stopped, or blind, when it happened.
package struct Leftovers: Sendable {
  /// A living monitor's file.
  struct Record: Sendable {
    let path: String

    func remove() {
      unlink(path)
    }
  }

  /// What a sweep found and did.
  package struct Report: Sendable, Equatable {
    /// Monitors of the former life that were still there and were ended.
    package var ended: [Int32] = []
    /// Monitors that could not be ended in time.
    package var left: [Int32] = []
    /// Records of processes that were gone already.
    package var stale = 0
  }

  private struct Identity: Equatable {
    let pid: Int32
    let startTime: UInt64
    let boot: String

    var fileName: String { "\(pid).\(startTime).\(boot)" }

    init(pid: Int32, startTime: UInt64, boot: String) {
      self.pid = pid
      self.startTime = startTime
      self.boot = boot
    }

    init?(fileName: String) {
      let parts = fileName.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count == 3, let pid = Int32(parts[0]), pid > 1, let startTime = UInt64(parts[1]), !parts[2].isEmpty
      else { return nil }
      self.init(pid: pid, startTime: startTime, boot: String(parts[2]))
    }

    /// Whether the process that runs under the number now is this one.
    var isRunning: Bool {
      guard let entry = ProcessTable.entry(pid) else { return false }
      return entry.startTime == startTime && entry.isAlive
    }
  }

  private let directory: String

  /// - Parameter directory: a directory of this host alone; made, for its user only, when it does not exist.
  package init(directory: String) throws(SpawnError) {
    if mkdir(directory, 0o700) != 0 && errno != EEXIST {
      throw .host(operation: "making the directory \(directory)", errno: errno)
    }
    self.directory = directory
  }

  /// Records a monitor. Returns `nil`, and nothing is recorded, when the disk or `/proc` does not allow it: engines still
  /// start then, because a monitor ends with its host in any case.
  func add(pid: Int32) -> Record? {
    guard let entry = ProcessTable.entry(pid), let boot = ProcessTable.bootID() else { return nil }
    let name = Identity(pid: pid, startTime: entry.startTime, boot: boot).fileName
    let path = "\(directory)/\(name)"
    let fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else { return nil }
    close(fd)
    return Record(path: path)
  }

  /// Ends what is left of a former life: asks each monitor to sweep and leave, and kills it when it has not after two thirds
  /// of `limit`. Blocks for at most `limit`; call it before the first engine is started, and by one host at a time.
  package func sweep(within limit: Duration = .seconds(3), clock: some HostClock = SystemHostClock()) -> Report {
    var report = Report()
    let boot = ProcessTable.bootID()
    let identities = fileNames().compactMap { Identity(fileName: $0) }
    // The descriptor is opened first and the identity checked after: from then on the number cannot be reused unnoticed.
    var open: [(identity: Identity, pidfd: Int32)] = []
    for identity in identities {
      let pidfd = identity.boot == boot ? linux_pidfd_open(identity.pid) : -1
      if pidfd >= 0 && identity.isRunning {
        open.append((identity, pidfd))
      } else {
        if pidfd >= 0 { close(pidfd) }
        report.stale += 1
        remove(identity)
      }
    }
    defer { for item in open { close(item.pidfd) } }
    let start = clock.now()
    for item in open {
      // A stopped monitor takes no other signal until it is continued.
      _ = linux_pidfd_send_signal(item.pidfd, SIGTERM)
      _ = linux_pidfd_send_signal(item.pidfd, SIGCONT)
    }
    let patience = start.advanced(by: limit * 2 / 3)
    for item in open where !Self.wait(item.pidfd, until: patience, clock) {
      _ = linux_pidfd_send_signal(item.pidfd, SIGKILL)
    }
    for item in open {
      if Self.wait(item.pidfd, until: start.advanced(by: limit), clock) {
        report.ended.append(item.identity.pid)
        remove(item.identity)
      } else {
        report.left.append(item.identity.pid)
      }
    }
    return report
  }

  private static func wait(_ pidfd: Int32, until deadline: MonotonicInstant, _ clock: some HostClock) -> Bool {
    while true {
      var item = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
      let result = poll(&item, 1, clock.now().duration(to: deadline).pollMilliseconds)
      if result < 0 && errno == EINTR { continue }
      return result > 0
    }
  }

  private func remove(_ identity: Identity) {
    unlink("\(directory)/\(identity.fileName)")
  }

  private func fileNames() -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let item = readdir(stream) {
      names.append(
        withUnsafePointer(to: &item.pointee.d_name) { pointer in
          pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        })
    }
    return names
  }
}
