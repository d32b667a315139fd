import Foundation
import Glibc
import Host
import PluginProtocol

/// Measures the host beside its floors, in one run: `stoker-bench [overhead] [durable]`.
@main
struct Main {
  static func main() async {
    let wanted = Set(CommandLine.arguments.dropFirst())
    do {
      let bench = try Surroundings()
      defer { bench.remove() }
      if wanted.isEmpty || wanted.contains("overhead") { try await Overhead(bench).run() }
      if wanted.isEmpty || wanted.contains("durable") { try await Durable(bench).run() }
    } catch {
      FileHandle.standardError.write(Data("stoker-bench: \(error)\n".utf8))
      exit(1)
    }
  }
}

/// Built products beside this one, and a directory to work in.
struct Surroundings {
  let products: String
  let directory: String

  init() throws {
    products = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().path
    var template = Array("\(NSTemporaryDirectory())/stoker-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
    directory = template.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
  }

  func product(_ name: String) -> String { "\(products)/\(name)" }
  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Runs the pipe echo and returns its p50 and p99 in microseconds.
  func echo(request: Int, answer: Int, rounds: Int) throws -> (p50: Double, p99: Double) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: product("pipe-echo"))
    process.arguments = [String(request), String(answer), String(rounds)]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let json = try JSONValue(parsing: text.filter { $0 != 0x0A })
    return ((json["p50"]?.double ?? 0) / 1000, (json["p99"]?.double ?? 0) / 1000)
  }
}

func percentile(_ sorted: [Double], _ part: Double) -> Double {
  sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
}

func row(_ name: String, _ value: String, _ beside: String = "") {
  print(
    "  " + name.padding(toLength: 44, withPad: " ", startingAt: 0) + value + (beside.isEmpty ? "" : "   (\(beside))"))
}

func text(_ value: Double, _ digits: Int = 1) -> String { String(format: "%.\(digits)f", value) }
