import Foundation
import Glibc
import Host
import Synchronization
import Testing

/// Something that was awaited did not come.
struct NotInTime: Error, CustomStringConvertible {
  let awaited: String
  let limit: Duration
  var description: String { "\(awaited) did not come within \(limit)" }
}

/// Longest wait for what has no bound of its own; generous, because a loaded machine is slow.
let patience = Duration.seconds(30)

/// Looks every few milliseconds until `look` gives something; returns it and how long that took.
@discardableResult
func until<Value>(
  _ awaited: String, within limit: Duration = patience, _ look: () async throws -> Value?
) async throws -> (value: Value, after: Duration) {
  let clock = SystemHostClock()
  let start = clock.now()
  while true {
    if let value = try await look() { return (value, start.duration(to: clock.now())) }
    guard start.duration(to: clock.now()) < limit else { throw NotInTime(awaited: awaited, limit: limit) }
    try await Task.sleep(for: .milliseconds(5))
  }
}

/// Waits until a condition holds; returns how long that took.
@discardableResult
func until(
  _ awaited: String, within limit: Duration = patience, _ holds: () async throws -> Bool
) async throws -> Duration {
  try await until(awaited, within: limit) { try await holds() ? () : nil }.after
}

/// Says how long something took beside what is allowed, on the test's output: where the documentation's numbers come from.
func measured(_ row: String, _ what: String, _ took: Duration, bound: Duration, slack: Duration = .seconds(2)) {
  print("measured \(row) \(what): \(took.short) (bound \(bound.short))")
  #expect(took <= bound + slack, "\(row): \(what) took \(took.short), and \(bound.short) are allowed")
}

/// Runs a body under a limit; a body that hangs is cancelled and fails.
func limited<Value: Sendable>(
  _ what: String, _ limit: Duration = patience, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: limit)
      throw NotInTime(awaited: what, limit: limit)
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw NotInTime(awaited: what, limit: limit) }
    return value
  }
}

/// A value that several tasks change.
final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>

  init(_ value: Value) { self.value = Mutex(value) }

  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    value.withLock { value in
      var copy = value
      defer { value = copy }
      return body(&copy)
    }
  }
}
