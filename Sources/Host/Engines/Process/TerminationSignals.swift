import CLinux
import Glibc
import Synchronization

/// Signals that ask the host to end, as a stream instead of sudden death.
package enum TerminationSignals {
  /// One thread waits for the whole life of the process; everyone who listens is in this list.
  private struct State {
    var installed: Result<Void, SpawnError>?
    var listeners: [Int: AsyncStream<Int32>.Continuation] = [:]
    var nextListener = 0
  }

  private static let state = Mutex(State())

  /// A write to a pipe that nobody reads any more becomes an error instead of the end of the process. Call it first of all.
  package static func ignoreBrokenPipes() {
    _ = linux_ignore_sigpipe()
  }

  /// SIGINT, SIGTERM and SIGHUP from now on, each time they arrive. They do not end the process any more once this was called,
  /// even when the stream is not used any more. Every call gets its own stream with every signal.
  ///
  /// It works whatever threads exist already, and programs that the host executes do not inherit it.
  package static func stream() throws(SpawnError) -> AsyncStream<Int32> {
    try state.withLock { state -> Result<Void, SpawnError> in
      let installed = state.installed ?? install()
      state.installed = installed
      return installed
    }.get()
    // A person who presses Ctrl-C a hundred times means no more than with the first few.
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingOldest(16))
    let listener = state.withLock { state in
      defer { state.nextListener += 1 }
      state.listeners[state.nextListener] = continuation
      return state.nextListener
    }
    continuation.onTermination = { _ in
      state.withLock { _ = $0.listeners.removeValue(forKey: listener) }
    }
    return stream
  }

  private static func install() -> Result<Void, SpawnError> {
    var ends: [Int32] = [-1, -1]
    let made = linux_pipe(&ends)
    guard made >= 0 else { return .failure(.host(operation: "making a pipe", errno: -made)) }
    var thread = pthread_t()
    // The descriptor travels as the pointer's value: the thread needs nothing else.
    let argument = UnsafeMutableRawPointer(bitPattern: Int(ends[0]))
    let started = pthread_create(&thread, nil, { TerminationSignals.wait($0) }, argument)
    guard started == 0 else {
      close(ends[0])
      close(ends[1])
      return .failure(.host(operation: "starting the signal thread", errno: started))
    }
    pthread_detach(thread)
    let forwarded = linux_forward_signals(ends[1], [SIGINT, SIGTERM, SIGHUP], 3)
    return forwarded < 0 ? .failure(.host(operation: "handling signals", errno: -forwarded)) : .success(())
  }

  private static func wait(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    linux_name_thread("signals")
    let descriptor = Int32(Int(bitPattern: argument))
    var signal: UInt8 = 0
    while true {
      let count = read(descriptor, &signal, 1)
      if count < 0 && errno == EINTR { continue }
      guard count == 1 else { return nil }
      for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(Int32(signal)) }
    }
  }
}
