import Glibc
import PluginProtocol
import Synchronization
import WhisperCore

/// Carries segments from the compute thread, which must not be left while libwhisper runs, to the host, whose credit
/// may have to be waited for. Holds a few; then the compute thread waits, so that a slow reader slows the engine.
final class SegmentRelay: Sendable {
  private static let capacity: CUnsignedInt = 64
  /// How long a cancel can go unnoticed while the relay is full, in nanoseconds.
  private static let patience = 50_000_000

  private let job: EngineJob
  private let stream: AsyncStream<JSONValue>
  private let continuation: AsyncStream<JSONValue>.Continuation
  /// Counts the free places. POSIX semaphores may be used from any thread.
  nonisolated(unsafe) private let room: UnsafeMutablePointer<sem_t>

  init(_ job: EngineJob) {
    self.job = job
    (stream, continuation) = AsyncStream.makeStream()
    room = .allocate(capacity: 1)
    sem_init(room, 0, Self.capacity)
  }

  deinit {
    sem_destroy(room)
    room.deallocate()
  }

  /// From the compute thread. Once the job is cancelled, segments are dropped.
  func push(_ segment: TranscribedSegment) {
    while !job.isCancelled {
      var until = timespec()
      clock_gettime(CLOCK_REALTIME, &until)
      until.tv_nsec += Self.patience
      if until.tv_nsec >= 1_000_000_000 {
        until.tv_nsec -= 1_000_000_000
        until.tv_sec += 1
      }
      if sem_timedwait(room, &until) == 0 {
        continuation.yield(segment.json)
        return
      }
    }
  }

  /// No segment follows.
  func finish() { continuation.finish() }

  /// Sends the segments until `finish`; throws when the job is cancelled.
  func send() async throws {
    for await segment in stream {
      try await job.chunk(data: segment)
      sem_post(room)
    }
  }
}
