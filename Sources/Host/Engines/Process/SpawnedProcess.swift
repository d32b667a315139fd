import CLinux
import Glibc
import Synchronization

/// An engine with its monitor, as the host holds it.
///
/// The descriptors are non-blocking and close-on-exec. They are valid until `close(_:)` was called for them or the object is
/// gone; only the thread that reads or writes a descriptor may close it. An owner that is done calls `reapMonitor()` until it
/// says that the monitor is gone. Dropping the last reference closes everything, which ends the engine and all its descendants.
package final class SpawnedProcess: Sendable {
  /// The host's end of one pipe.
  package enum Channel: Int, Sendable, CaseIterable {
    case stdin, stdout, stderr, status, control
  }

  /// A signal to the engine's process group.
  package enum GroupSignal: UInt8, Sendable {
    /// SIGTERM: asks.
    case terminate = 0x54
    /// SIGKILL: does not ask.
    case kill = 0x4B
  }

  /// How the monitor itself ended.
  package enum MonitorEnd: Sendable, Equatable {
    /// 0 when nothing was left behind.
    case exited(Int32)
    /// It was killed; orphans may have come to the host.
    case signaled(Int32)
  }

  package let monitorPID: Int32
  /// Readable when the monitor has ended.
  package let monitorPIDFD: Int32
  /// Written: the engine's standard input.
  package let stdin: Int32
  /// Read: the engine's standard output.
  package let stdout: Int32
  /// Read: the engine's standard error.
  package let stderr: Int32
  /// Read: the monitor's records, for `ProcessStatusParser`.
  package let status: Int32

  private struct State {
    var open = Set(Channel.allCases)
    var end: MonitorEnd?
  }
  private let control: Int32
  private let record: Leftovers.Record?
  private let state = Mutex(State())

  init(monitorPID: Int32, pidfd: Int32, ends: EnginePipes.HostEnds, record: Leftovers.Record?) {
    self.monitorPID = monitorPID
    self.monitorPIDFD = pidfd
    self.stdin = ends.stdin
    self.stdout = ends.stdout
    self.stderr = ends.stderr
    self.status = ends.status
    self.control = ends.control
    self.record = record
  }

  deinit {
    for channel in Channel.allCases { close(channel) }
    _ = Glibc.close(monitorPIDFD)
    guard state.withLock({ $0.end == nil }) else { return }
    ChildRegistry.abandon(monitorPID)
    record?.remove()
  }

  /// Closes the host's end of a pipe; does nothing when it is closed already.
  ///
  /// Closing `.stdin` is how an engine is told that no more will come. Closing `.control` makes the monitor kill the engine
  /// and every descendant, report `swept`, and leave.
  package func close(_ channel: Channel) {
    guard state.withLock({ $0.open.remove(channel) }) != nil else { return }
    _ = Glibc.close(descriptor(channel))
  }

  /// Whether `close(_:)` has been called for the pipe.
  package func isOpen(_ channel: Channel) -> Bool {
    state.withLock { $0.open.contains(channel) }
  }

  /// Has the monitor send a signal to the engine's process group. It alone can do so without ever reaching a stranger, because
  /// it alone knows whether the engine has been reaped. Never blocks. Returns false when the monitor can no longer be told.
  @discardableResult
  package func signalGroup(_ signal: GroupSignal) -> Bool {
    guard isOpen(.control) else { return false }
    return withUnsafeBytes(of: signal.rawValue) { write(control, $0.baseAddress, 1) } == 1
  }

  /// Kills the monitor itself, the last resort when it does not answer. The kernel then kills the engine, and other
  /// descendants become children of the host, for `OrphanReaper`.
  package func killMonitor() {
    _ = linux_pidfd_send_signal(monitorPIDFD, SIGKILL)
  }

  /// Reaps the monitor without blocking. Returns `nil` while it lives, and the same answer again afterwards.
  package func reapMonitor() -> MonitorEnd? {
    let (end, isNew) = state.withLock { state -> (MonitorEnd?, Bool) in
      if let end = state.end { return (end, false) }
      var signaled: Int32 = 0
      var status: Int32 = 0
      let result = linux_pidfd_reap(monitorPIDFD, &signaled, &status)
      guard result != 0 else { return (nil, false) }
      // An error means that someone else has reaped it; how it ended is lost, that it ended is not.
      state.end = result < 0 ? .signaled(0) : signaled != 0 ? .signaled(status) : .exited(status)
      return (state.end, true)
    }
    if isNew {
      ChildRegistry.remove(monitorPID)
      record?.remove()
    }
    return end
  }

  private func descriptor(_ channel: Channel) -> Int32 {
    switch channel {
    case .stdin: stdin
    case .stdout: stdout
    case .stderr: stderr
    case .status: status
    case .control: control
    }
  }
}
