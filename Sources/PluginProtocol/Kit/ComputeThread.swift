import Glibc
import Synchronization

/// The one thread of a process for a native library that computes, as an actor's executor.
///
/// Such a library blocks for as long as it computes, which the shared pool must not; its worker threads belong to the
/// thread that calls it, and its callbacks to the process, so that it must always be the same thread, one call at a time.
/// Lives as long as the process.
public final class ComputeThread: SerialExecutor {
  public static let shared = ComputeThread()

  /// Tokenisers match with recursive regular expressions: a long prompt needs more than the usual 8 MiB.
  private static let stackBytes = 64 << 20

  private let queue = Mutex<[UnownedJob]>([])
  /// Counts the queued jobs. Never destroyed; POSIX semaphores may be used from any thread.
  nonisolated(unsafe) private let available: UnsafeMutablePointer<sem_t>

  private init() {
    available = .allocate(capacity: 1)
    sem_init(available, 0, 0)
    start()
  }

  /// Runs a job on the thread, after those that came before it.
  public func enqueue(_ job: consuming ExecutorJob) {
    let unowned = UnownedJob(job)
    queue.withLock { $0.append(unowned) }
    sem_post(available)
  }

  private func start() {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, Self.stackBytes)
    var thread = pthread_t()
    let status = pthread_create(
      &thread, &attributes,
      { argument in
        if let argument { Unmanaged<ComputeThread>.fromOpaque(argument).takeRetainedValue().serve() }
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    pthread_attr_destroy(&attributes)
    precondition(status == 0, "no thread to compute on: error \(status)")
  }

  private func serve() {
    while true {
      guard sem_wait(available) == 0 else { continue }
      let job = queue.withLock { $0.isEmpty ? nil : $0.removeFirst() }
      job?.runSynchronously(on: asUnownedSerialExecutor())
    }
  }
}
