import ArgumentParser
import Host
import PluginProtocol

/// `stoker jobs`.
struct JobsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jobs", abstract: "List jobs, or show one.",
    discussion: """
      The newest come first. An id may be cut to its first characters, 8 at least, as long as it means one job.

      EXAMPLES
        stoker jobs
        stoker jobs --state failed --limit 100
        stoker jobs 019c5b7e-24f1
      """)

  @OptionGroup var global: GlobalOptions
  @Argument(help: "The job to show in full.") var id: String?
  @Option(
    help: "Only jobs in this state: queued, running, succeeded, failed or cancelled.",
    completion: .list(JobState.allCases.map(\.rawValue)))
  var state: String?
  @Option(
    help: "Only jobs of this kind: llm, stt, tts, image or video.", completion: .list(JobKind.allCases.map(\.cliName)))
  var kind: String?
  @Option(help: ArgumentHelp("How many at most.", valueName: "n")) var limit = 20

  func run() async throws {
    let connection = try global.worker()
    if let id {
      guard state == nil, kind == nil else {
        throw CLIError.usage("--state and --kind choose among jobs; leave out the id")
      }
      let id = try await JobReference.resolve(id, by: connection)
      let job = try JobView(try await connection.call("jobs/get", ["id": .string(id)])).withWholeResult()
      if global.json { return try global.console.json(job.json) }
      return try global.console.line(JobDetails(job: job, now: Wall.now()).text(for: global.console))
    }
    let answer = try await connection.call("jobs/list", try filter())
    if global.json { return try global.console.json(["jobs": answer["jobs"] ?? []]) }
    let jobs = answer["jobs"]?.array ?? []
    guard !jobs.isEmpty else {
      if !global.quiet { global.console.note("no jobs") }
      return
    }
    for line in JobDetails.table(jobs, now: Wall.now()).lines(for: global.console) { try global.console.line(line) }
  }

  private func filter() throws -> JSONValue {
    if let state, JobState(rawValue: state) == nil {
      throw CLIError.usage(NearestName.message(unknown: "state", state, among: JobState.allCases.map(\.rawValue)))
    }
    guard (1...1000).contains(limit) else { throw CLIError.usage("--limit must be from 1 to 1000, not \(limit)") }
    let kind: JobKind? = if let kind { try JobKind(named: kind) } else { nil }
    return .compact(["state": JSONValue(state), "kind": JSONValue(kind?.rawValue), "limit": JSONValue(limit)])
  }
}
