import Foundation
import PluginProtocol
import Testing

/// Every message shown in Docs/Protocol.md is read by the types that speak the protocol, and written again unchanged.
struct ProtocolExamplesTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let method: String
    let form: String
    let json: JSONValue
    let line: Int
    var testDescription: String { "\(method) \(form), line \(line)" }
  }

  static let examples: [Example] = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    guard let text = try? String(contentsOf: root.appendingPathComponent("Docs/Protocol.md"), encoding: .utf8) else {
      return []
    }
    var found: [Example] = []
    let lines = text.components(separatedBy: "\n")
    for (index, line) in lines.enumerated() where line.hasPrefix("<!-- example: ") {
      let words = line.split(separator: " ")
      guard words.count >= 4, index + 2 < lines.count, lines[index + 1] == "```json" else { continue }
      let body = lines[(index + 2)...].prefix { $0 != "```" }.joined(separator: "\n")
      guard let json = try? JSONValue(parsing: body) else { continue }
      found.append(Example(method: String(words[2]), form: String(words[3]), json: json, line: index + 1))
    }
    return found
  }()

  @Test func theDocumentShowsEveryMessage() {
    let methods = Set(Self.examples.map(\.method))
    let all = [
      Method.initialize, Method.modelLoad, Method.modelUnload, Method.jobRun, Method.ping, Method.shutdown,
      Method.jobCancel, Method.jobCredit, Method.jobProgress, Method.jobChunk, Method.log, Method.modelProgress,
    ]
    for method in all { #expect(methods.contains(method), "no example of \(method)") }
    #expect(Self.examples.count >= 30)
  }

  @Test(arguments: examples) func isReadAndWrittenUnchanged(example: Example) throws {
    let envelope = try Envelope(example.json)
    #expect(envelope.json == example.json)
    let again = try roundTrip(example, envelope)
    if let again { #expect(again.0 == again.1) }
  }

  /// The message's own part, as it stands and as its type writes it; nil for parts without a type.
  private func roundTrip(_ example: Example, _ envelope: Envelope) throws -> (JSONValue, JSONValue)? {
    switch envelope {
    case .request(_, let method, let params), .notification(let method, let params):
      #expect(method == example.method)
      switch method {
      case Method.initialize: return (params, try InitializeParameters(params).json)
      case Method.modelLoad: return (params, try ModelLoadParameters(params).json)
      case Method.modelUnload: return (params, try ModelUnloadParameters(params).json)
      case Method.jobRun:
        // The type fills in the credit that the sender may leave out.
        return (try JobRunParameters(params).json, try JobRunParameters(try JobRunParameters(params).json).json)
      case Method.jobCancel: return (params, try JobCancelParameters(params).json)
      case Method.jobCredit: return (params, try JobCreditParameters(params).json)
      case Method.jobProgress: return (params, try JobProgress(params).json)
      case Method.jobChunk: return (params, try JobChunk(params).json)
      case Method.log: return (params, try LogMessage(params).json)
      case Method.modelProgress: return (params, try ModelProgress(params).json)
      default: return nil
      }
    case .response(_, let result):
      switch example.method {
      case Method.initialize:
        return (try InitializeResult(result).json, try InitializeResult(try InitializeResult(result).json).json)
      case Method.modelLoad: return (result, try ModelLoadResult(result).json)
      case Method.jobRun: return (try JobRunResult(result).json, try JobRunResult(try JobRunResult(result).json).json)
      default: return nil
      }
    case .failure(_, let error):
      #expect(example.form == "error")
      #expect(!error.message.isEmpty)
      return nil
    }
  }
}
