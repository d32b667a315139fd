import Glibc

/// Runs code that blocks on a thread of its own, so that the shared pool, which serves the wire, never waits for it.
enum BlockingThread {
  private static let stackBytes = 1 << 20

  /// Returns what `body` returns. The thread lives exactly as long as `body`.
  ///
  /// - Throws: what `body` throws, or `ThreadError`.
  static func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      let work = Work { continuation.resume(with: Result(catching: body)) }
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
      pthread_attr_setstacksize(&attributes, stackBytes)
      let retained = Unmanaged.passRetained(work)
      var thread = pthread_t()
      let status = pthread_create(
        &thread, &attributes,
        { argument in
          if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
          return nil
        }, retained.toOpaque())
      pthread_attr_destroy(&attributes)
      if status != 0 {
        retained.release()
        continuation.resume(throwing: ThreadError(code: status))
      }
    }
  }

  struct ThreadError: Error, CustomStringConvertible {
    let code: CInt
    var description: String { "no thread can be started: \(String(cString: strerror(code)))" }
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
