import Foundation
import Host
import PluginProtocol

/// What the host adds to a round trip: dispatch to result of a job that does nothing, through a running engine.
struct Overhead {
  private let around: Surroundings
  private static let rounds = 4000
  private static let turns = 5

  init(_ around: Surroundings) { self.around = around }

  func run() async throws {
    let parameters = JobRunParameters(
      jobID: "019a0000-0000-7000-8000-000000000000", kind: "llm", model: ModelReference(id: "noop"),
      task: ["messages": [["role": "user", "content": "Say nothing."]]], workDirectory: "/tmp/work")
    let request = Envelope.request(id: .number(1000), method: Method.jobRun, params: parameters.json).frame.count
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":1000,\"result\":{\"output\":{}}}\n".utf8.count
    let launch = EngineLaunch(
      process: ProcessSpec(
        launcher: around.product("launch"), command: [around.product("noop-engine")], environment: ["PATH": "/usr/bin"]),
      initialize: InitializeParameters(
        host: PeerVersion(name: "bench", version: "1"), features: [],
        directories: EngineDirectories(models: "/tmp", cache: "/tmp", work: "/tmp"), resources: EngineResources()),
      limits: SessionLimits())
    var floors: [(p50: Double, p99: Double)] = []
    var hosts: [(p50: Double, p99: Double)] = []
    // In turns, so that a noisy moment of the machine falls on both.
    for _ in 0..<Overhead.turns {
      floors.append(try around.echo(request: request, answer: answer, rounds: Overhead.rounds))
      hosts.append(try await measure(launch, parameters))
    }
    let floor = (floors.map(\.p50).sorted()[Overhead.turns / 2], floors.map(\.p99).sorted()[Overhead.turns / 2])
    let host = (hosts.map(\.p50).sorted()[Overhead.turns / 2], hosts.map(\.p99).sorted()[Overhead.turns / 2])
    print("Host overhead, no-op job through a running engine (\(request) bytes there, \(answer) back)")
    row("pipe echo in C, the floor", "p50 \(text(floor.0)) µs   p99 \(text(floor.1)) µs")
    row("host, dispatch to result", "p50 \(text(host.0)) µs   p99 \(text(host.1)) µs")
    row("above the floor", "p50 \(text(host.0 - floor.0)) µs", "bar: 50 µs; p99 bar: 1000 µs")
    print("")
  }

  private func measure(_ launch: EngineLaunch, _ parameters: JobRunParameters) async throws -> (
    p50: Double, p99: Double
  ) {
    let clock = SystemHostClock()
    let (times, end) = try await withEngine(launch, spawner: ProcessSpawner(), emit: { _ in }) { engine, _ in
      var times: [Double] = []
      var parameters = parameters
      for round in 0..<(Overhead.rounds + 200) {
        parameters.jobID = "019a0000-0000-7000-8000-\(100_000_000_000 + round)"
        let start = clock.now()
        guard case .succeeded = await engine.run(parameters) else { return [Double]() }
        if round >= 200 { times.append(start.duration(to: clock.now()).inSeconds * 1e6) }
      }
      return times.sorted()
    }
    guard let times, times.count == Overhead.rounds else {
      throw BenchFailure(description: "the no-op engine failed: \(end.diagnosis)")
    }
    return (percentile(times, 0.5), percentile(times, 0.99))
  }
}

struct BenchFailure: Error, CustomStringConvertible {
  let description: String
}
