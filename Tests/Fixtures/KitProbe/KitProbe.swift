@preconcurrency import Glibc
import PluginProtocol

/// An engine that prints where it should not, in every way there is, and obeys or not as its task says.
@main
struct KitProbe: Engine {
  static func main() async { await EngineMain.run(KitProbe()) }

  var information: EngineInformation { EngineInformation(name: "kit-probe", version: "1.0.0", concurrency: 4) }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    switch try job.taskFields().requiredString("do") {
    case "print":
      print("printed by Swift")
      withVaList([]) { _ = vprintf("printed by C\n", $0) }
      fflush(stdout)
      let status = system("echo printed by a child; read line && echo \"the child has read: $line\"")
      return JobRunResult(output: ["status": JSONValue(Int(status))])
    case "print-and-crash":
      print("printed before the crash")
      abort()
    case "disobey":
      job.progress(stage: "deaf")
      while true { try? await Task.sleep(for: .seconds(3600)) }
    default:
      throw EngineError(.badInput, "task.do is unknown")
    }
  }
}
