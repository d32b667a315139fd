import CLinux
import Dispatch
import Glibc
import Synchronization

/// A cancellation that blocking code can poll together with its descriptors.
///
/// Once set it stays set: the descriptor is readable from then on.
package final class CancelSignal: Sendable {
  /// Readable once cancelled. Valid as long as this object lives.
  package let descriptor: Int32
  private let writeEnd: Int32
  private let isSet = Atomic<Bool>(false)

  /// - Throws: `ModelError` of kind `fileSystem` when the process is out of descriptors.
  package init() throws(ModelError) {
    var ends: [Int32] = [-1, -1]
    guard linux_pipe(&ends) >= 0 else {
      throw ModelError(.fileSystem, "no descriptor is left for a pipe; raise the limit of open files")
    }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(descriptor)
    close(writeEnd)
  }

  package func cancel() {
    guard !isSet.exchange(true, ordering: .relaxed) else { return }
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  /// - Throws: `CancellationError` once cancelled.
  package func check() throws {
    if isSet.load(ordering: .relaxed) { throw CancellationError() }
  }

  /// Waits, but not beyond a cancellation.
  ///
  /// - Throws: `CancellationError` once cancelled.
  package func pause(milliseconds: Int32) throws {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&wanted, 1, milliseconds)
    try check()
  }
}

/// Runs blocking work on a thread of its own, off the cooperative pool, for as long as it takes.
///
/// The call returns only when the work has: a cancelled task sets the signal, and the work is what ends early.
package func onBlockingThread<Value: Sendable>(
  _ work: @escaping @Sendable (CancelSignal) throws -> Value
) async throws -> Value {
  let signal = try CancelSignal()
  return try await withTaskCancellationHandler {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue(label: "stoker.models").async {
        continuation.resume(with: Result { try work(signal) })
      }
    }
  } onCancel: {
    signal.cancel()
  }
}
