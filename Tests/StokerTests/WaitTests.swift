import Glibc
import Host
import PluginProtocol
import Testing

@testable import stoker

@Suite(.timeLimit(.minutes(1)))
struct WaitTests {
  @Test func ctrlCCancelsThenRemindsThenLeaves() {
    var policy = InterruptPolicy()
    #expect(!policy.isCancelling)
    #expect(policy.take(SIGINT) == .requestCancel)
    #expect(policy.isCancelling)
    #expect(policy.take(SIGINT) == .remind)
    #expect(policy.take(SIGINT) == .leave)
    #expect(policy.take(SIGINT) == .leave)
    var terminated = InterruptPolicy()
    #expect(terminated.take(SIGTERM) == .leave)
    #expect(!terminated.isCancelling)
  }

  private func follow(
    _ worker: ScriptedWorker, _ transcript: Transcript, terminal: Bool = false, isJSON: Bool = false,
    streams: Bool = false, signals: [CInt] = [], output: String? = nil
  ) async -> CLIError? {
    let (events, feed) = AsyncStream.makeStream(of: SignalWatch.Event.self)
    for signal in signals { feed.yield(.signal(signal)) }
    let runner = JobRunner(
      connection: InProcessConnection(worker), console: transcript.console(terminal: terminal), isJSON: isJSON,
      streams: streams, output: output)
    do {
      try await runner.follow(jobID, events: events) { feed.yield(.outputFailed(CLIError($0))) }
      return nil
    } catch {
      return CLIError(error)
    }
  }

  /// Watches that end when the job is cancelled.
  private func stubborn(endsAfterCancel: Bool) -> ScriptedWorker {
    let (ends, end) = AsyncStream.makeStream(of: Void.self)
    return ScriptedWorker([
      "jobs/watch": { _, _ in
        for await _ in ends { return finishedJob("cancelled") }
        throw CancellationError()
      },
      "jobs/cancel": { _, _ in
        if endsAfterCancel { end.yield() }
        return ["outcome": "requested"]
      },
    ])
  }

  @Test func textIsStreamedAndNotPrintedTwice() async {
    let worker = ScriptedWorker([
      "jobs/watch": { _, events in
        await events.send(["type": "state", "state": "running"])
        for text in ["Because ", "of \u{1B}[2J", "scattering."] {
          await events.send(["type": "chunk", "text": .string(text)])
        }
        return finishedJob()
      }
    ])
    let pipe = Transcript()
    #expect(await follow(worker, pipe, streams: true) == nil)
    #expect(pipe.out == "Because of \u{1B}[2Jscattering.\n")
    #expect(pipe.err.isEmpty)
    let terminal = Transcript()
    #expect(await follow(worker, terminal, terminal: true, streams: true) == nil)
    #expect(terminal.out == "Because of ␛[2Jscattering.\n")
    #expect(terminal.err.contains("job \(jobID) · smollm2 · 50 tokens, 25.0 a second · 2.0 s"))
    #expect(worker.params("jobs/watch") == ["id": .string(jobID), "chunks": true])
  }

  @Test func aLostAttemptStartsTheTextAnew() async {
    let worker = ScriptedWorker([
      "jobs/watch": { _, events in
        await events.send(["type": "chunk", "text": "Beca"])
        await events.send(["type": "restart", "attempt": 2])
        await events.send(["type": "chunk", "text": "Because."])
        return finishedJob(text: "Because.")
      }
    ])
    let transcript = Transcript()
    #expect(await follow(worker, transcript, streams: true) == nil)
    #expect(transcript.out == "Beca\nBecause.\n")
    #expect(transcript.err == "stoker: the engine was lost; attempt 2 starts anew\n")
  }

  @Test func withoutStreamTheResultIsPrintedAtTheEnd() async {
    let worker = ScriptedWorker(["jobs/watch": { _, _ in finishedJob() }])
    let text = Transcript()
    #expect(await follow(worker, text) == nil)
    #expect(text.out == "Because of Rayleigh scattering.\n")
    let json = Transcript()
    #expect(await follow(worker, json, isJSON: true) == nil)
    #expect((try? JSONValue(parsing: json.out)) == finishedJob()["job"])
    let lines = Transcript()
    #expect(await follow(worker, lines, isJSON: true, streams: true) == nil)
    #expect(lines.out.split(separator: "\n").count == 1)
    #expect((try? JSONValue(parsing: lines.out))?["type"] == "result")
  }

  @Test func aFailedJobIsOneWithItsReason() async {
    let worker = ScriptedWorker(["jobs/watch": { _, _ in finishedJob("failed") }])
    let transcript = Transcript()
    let error = await follow(worker, transcript)
    #expect(error?.status == .failed)
    #expect(error?.message == "job \(jobID) failed (bad_input): the prompt does not fit")
    #expect(transcript.err.isEmpty, "what tools said is of no use to whoever gave a bad input")
    let fault = Transcript()
    let broken = ScriptedWorker(["jobs/watch": { _, _ in finishedJob("failed", errorClass: "engine_fault") }])
    #expect(await follow(broken, fault)?.message.contains("(engine_fault)") == true)
    #expect(fault.err == "  line one\n  line two\n")
    let json = await follow(worker, Transcript(), isJSON: true)
    #expect(json?.isReported == true)
  }

  @Test func ctrlCAsksForTheCancelAndWaitsForIt() async {
    let worker = stubborn(endsAfterCancel: true)
    let transcript = Transcript()
    let error = await follow(worker, transcript, signals: [SIGINT])
    #expect(error?.status == .interrupted)
    #expect(worker.methods.contains("jobs/cancel"))
    #expect(transcript.err == "stoker: cancelling job \(jobID)\n")
  }

  @Test func theThirdCtrlCLeaves() async {
    let worker = stubborn(endsAfterCancel: false)
    let transcript = Transcript()
    let error = await follow(worker, transcript, signals: [SIGINT, SIGINT, SIGINT])
    #expect(error?.status == .interrupted)
    #expect(worker.methods.filter { $0 == "jobs/cancel" }.count == 1)
    #expect(transcript.err.contains("still being cancelled"))
    #expect(transcript.err.contains("stoker jobs \(jobID)"))
  }

  @Test func aWorkerThatHangsCannotHoldTheUser() async {
    let hang: ScriptedWorker.Answer = { _, _ in
      let (never, _) = AsyncStream.makeStream(of: Void.self)
      for await _ in never {}
      throw CancellationError()
    }
    let worker = ScriptedWorker(["jobs/watch": hang, "jobs/cancel": hang])
    let error = await follow(worker, Transcript(), signals: [SIGINT, SIGINT, SIGINT])
    #expect(error?.status == .interrupted)
  }

  @Test func aTermSignalLeavesTheJobAlone() async {
    let worker = stubborn(endsAfterCancel: true)
    let error = await follow(worker, Transcript(), signals: [SIGTERM])
    #expect(error?.status == .interrupted)
    #expect(!worker.methods.contains("jobs/cancel"))
  }

  @Test func aJobCancelledBySomebodyElseIsOne() async {
    let worker = ScriptedWorker(["jobs/watch": { _, _ in finishedJob("cancelled") }])
    #expect(await follow(worker, Transcript())?.status == .failed)
  }

  @Test func aBrokenPipeEndsTheWait() async {
    let worker = ScriptedWorker([
      "jobs/watch": { _, events in
        while !Task.isCancelled { await events.send(["type": "chunk", "text": "more "]) }
        throw CancellationError()
      }
    ])
    let transcript = Transcript()
    transcript.breakOutput(after: 20)
    #expect(await follow(worker, transcript, streams: true)?.errorClass == "output")
  }

  @Test func aWorkerThatGoesAwayIsThree() async {
    struct Gone: WorkerConnection {
      func call(
        _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
      ) async throws -> JSONValue { throw ControlError.disconnected(path: "/run/s") }
    }
    let (events, _) = AsyncStream.makeStream(of: SignalWatch.Event.self)
    let runner = JobRunner(connection: Gone(), console: Transcript().console())
    await #expect {
      try await runner.follow(jobID, events: events) { _ in }
    } throws: { error in
      let failure = CLIError(error)
      return failure.status == .noWorker && failure.message.contains("the job is kept")
    }
  }

  @Test func idsMayBeCut() async throws {
    let other = "019c5b7e-24f1-7c3a-9d5e-ffffffffffff"
    let worker = ScriptedWorker(["jobs/list": { _, _ in ["jobs": [["id": .string(jobID)], ["id": .string(other)]]] }])
    let connection = InProcessConnection(worker)
    let whole = try await JobReference.resolve(jobID.uppercased(), by: connection)
    #expect(whole == jobID)
    #expect(worker.methods.isEmpty)
    let found = try await JobReference.resolve("019c5b7e-24f1-7c3a-9d5e-0", by: connection)
    #expect(found == jobID)
    for (text, message) in [
      ("019c5b7e", "2 jobs' ids begin"), ("019c", "too short"), ("019c5b7f", "no job's id begins"),
      ("../../x", "not a job's id"),
    ] {
      await #expect {
        try await JobReference.resolve(text, by: connection)
      } throws: { CLIError($0).message.contains(message) }
    }
  }
}
