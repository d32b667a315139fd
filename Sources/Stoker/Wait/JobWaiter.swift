import Host
import PluginProtocol
import Synchronization

/// Waits for one job, shows it meanwhile, and does what Ctrl-C asks for.
struct JobWaiter: Sendable {
  let connection: any WorkerConnection
  let console: Console
  let printer: JobEventPrinter
  /// False for a worker that ends with this program: there is nothing to look at later.
  let outlivesProgram: Bool

  /// How the wait ended.
  struct Outcome: Sendable {
    let job: JobView
    /// Ctrl-C had been pressed.
    let wasInterrupted: Bool
    /// The text of the result has been printed as it came.
    let printedText: Bool
  }

  /// Waits for the job's terminal state.
  ///
  /// - Parameters:
  ///   - chunks: Ask for the text as it comes.
  ///   - events: Signals, and the output's failure, from before the job was submitted.
  /// - Throws: `CLIError.interrupted` when the user left before the end.
  func wait(
    for id: String, chunks: Bool, events: AsyncStream<SignalWatch.Event>,
    outputFailed: @escaping @Sendable (any Error) -> Void
  ) async throws -> Outcome {
    let interrupts = Interrupts()
    let answer = try await withThrowingTaskGroup(of: JSONValue?.self) { group in
      group.addTask {
        try await connection.call("jobs/watch", ["id": .string(id), "chunks": .bool(chunks)]) { event in
          do {
            try printer.take(event)
          } catch {
            outputFailed(error)
          }
        }
      }
      group.addTask {
        try await obey(events, interrupts, id)
        return nil
      }
      defer { group.cancelAll() }
      while let value = try await group.next() {
        if let value { return value }
      }
      throw CLIError.interrupted
    }
    let printed = try printer.endText()
    return Outcome(
      job: try JobView(answer), wasInterrupted: interrupts.isCancelling, printedText: printed)
  }

  /// Does what signals ask for, until one of them ends the wait.
  private func obey(_ events: AsyncStream<SignalWatch.Event>, _ interrupts: Interrupts, _ id: String) async throws {
    // The request runs beside the signals: a worker that does not answer must not hold them up.
    try await withThrowingDiscardingTaskGroup { group in
      for await event in events {
        switch event {
        case .outputFailed(let error): throw error
        case .signal(let number):
          try printer.endText()
          switch interrupts.take(number) {
          case .requestCancel:
            console.note("stoker: cancelling job \(id)")
            group.addTask { await cancel(id) }
          case .remind:
            let hint = outlivesProgram ? "look at it with `stoker jobs \(id)`; " : ""
            console.note("stoker: job \(id) is still being cancelled; \(hint)Ctrl-C once more leaves at once")
          case .leave:
            if outlivesProgram { console.note("stoker: left; look at the job with `stoker jobs \(id)`") }
            throw CLIError.interrupted
          }
        }
      }
    }
  }

  private func cancel(_ id: String) async {
    do {
      _ = try await connection.call("jobs/cancel", ["id": .string(id)])
    } catch {
      if !Task.isCancelled { console.note("stoker: cannot cancel: \(CLIError(error).message)") }
    }
  }
}

/// The policy, shared by the tasks of one wait.
private final class Interrupts: Sendable {
  private let policy = Mutex(InterruptPolicy())

  var isCancelling: Bool { policy.withLock(\.isCancelling) }
  func take(_ signal: CInt) -> InterruptPolicy.Action { policy.withLock { $0.take(signal) } }
}
