import Host
import PluginProtocol
import Synchronization

@testable import stoker

/// Keeps what a console was told.
final class Transcript: Sendable {
  private struct State {
    var out = ""
    var err = ""
    var failsAfter: Int?
  }
  private let state = Mutex(State())

  var out: String { state.withLock(\.out) }
  var err: String { state.withLock(\.err) }

  /// A console that writes here.
  func console(terminal: Bool = false, width: Int? = nil, colour: Bool = false) -> Console {
    Console(
      isOutputTerminal: terminal, isErrorTerminal: terminal, width: width, usesColour: colour,
      write: { text in
        try self.state.withLock { state in
          if let limit = state.failsAfter, state.out.count >= limit {
            throw CLIError(.failed, class: "output", "cannot write the output: Broken pipe")
          }
          state.out += text
        }
      }, writeError: { text in self.state.withLock { $0.err += text } })
  }

  /// Lets writing to stdout fail once so many characters were written.
  func breakOutput(after characters: Int) { state.withLock { $0.failsAfter = characters } }
}

/// A worker that answers what a test has written down, and records what it is asked.
final class ScriptedWorker: ControlHandler {
  typealias Answer = @Sendable (JSONValue, ControlEvents) async throws -> JSONValue
  private let answers: [String: Answer]
  private let asked = Mutex<[(method: String, params: JSONValue)]>([])

  init(_ answers: [String: Answer]) { self.answers = answers }

  var methods: [String] { asked.withLock { $0.map(\.method) } }
  func params(_ method: String) -> JSONValue? { asked.withLock { $0.last { $0.method == method }?.params } }

  func handle(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    asked.withLock { $0.append((method, params)) }
    guard let answer = answers[method] else {
      throw RPCError(code: RPCError.methodNotFoundCode, message: "no method \(method)")
    }
    return try await answer(params, events)
  }
}

/// A finished llm job.
func finishedJob(
  _ state: String = "succeeded", text: String = "Because of Rayleigh scattering.", errorClass: String = "bad_input"
) -> JSONValue {
  var job: [String: JSONValue] = [
    "id": .string(jobID), "kind": "llm", "model": "smollm2", "state": .string(state), "artifacts": [],
    "attempts": [["number": 1, "engine": "llama", "pid": 7, "outcome": .string(state)]],
    "timing": ["queuedMs": 1, "runMs": 2000],
  ]
  if state == "succeeded" {
    job["result"] = [
      "choices": [["message": ["role": "assistant", "content": .string(text)]]], "usage": ["completion_tokens": 50],
    ]
  }
  if state == "failed" {
    job["error"] = [
      "class": .string(errorClass), "message": "the prompt does not fit", "evidence": "line one\nline two",
    ]
  }
  return ["job": .object(job)]
}

let jobID = "019c5b7e-24f1-7c3a-9d5e-0a1b2c3d4e5f"
