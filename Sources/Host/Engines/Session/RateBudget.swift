/// Counts events against a budget a minute, in constant memory.
///
/// The minute begins with its first event; a new one begins with the first event after it has passed.
package struct RateBudget: Sendable {
  package let limit: Int
  private var windowStart: MonotonicInstant?
  private var count = 0

  package init(limit: Int) { self.limit = limit }

  /// Takes one event. Returns false when the budget of the running minute is used up.
  package mutating func take(now: MonotonicInstant) -> Bool {
    if let start = windowStart, start.duration(to: now) < .seconds(60) {
      count += 1
    } else {
      windowStart = now
      count = 1
    }
    return count <= limit
  }
}
