import PluginProtocol
import Testing

@Suite("Messages")
struct MessageTests {
  /// Writes, parses and reads: what a peer would see.
  private func wire(_ json: JSONValue) throws -> JSONValue { try JSONValue(parsing: json.bytes) }

  @Test func envelopes() throws {
    let error = RPCError(.resource, "no room", evidence: "oom")
    for envelope in [
      .request(id: .number(7), method: "job/run", params: ["a": 1]),
      .request(id: .text("seven"), method: "ping", params: [:]),
      .notification(method: "log", params: ["message": "a\nb"]), .response(id: .number(-1), result: .null),
      .response(id: .number(.max), result: ["output": [:]]), .failure(id: .number(3), error: error),
      .failure(id: nil, error: RPCError(code: RPCError.parseErrorCode, message: "bad")),
    ] as [Envelope] {
      let frame = envelope.frame
      #expect(frame.last == 0x0A && frame.dropLast().allSatisfy { $0 != 0x0A })
      #expect(try Envelope(try JSONValue(parsing: frame.dropLast())) == envelope)
    }
  }

  @Test(arguments: [
    ("[]", "object"), ("1", "object"), ("{}", "jsonrpc"), (#"{"jsonrpc":2}"#, "jsonrpc"),
    (#"{"jsonrpc":"2.0"}"#, "neither"), (#"{"jsonrpc":"2.0","method":5}"#, "method"),
    (#"{"jsonrpc":"2.0","method":"m","params":"x"}"#, "params"),
    (#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, "id"), (#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, "id"),
    (#"{"jsonrpc":"2.0","id":1}"#, "result"), (#"{"jsonrpc":"2.0","id":1,"error":{}}"#, "code"),
    (#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}"#, "code"),
    (#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, "message"), (#"{"jsonrpc":"2.0","result":1}"#, "id"),
  ])
  func notEnvelopes(_ text: String, _ word: String) throws {
    let value = try JSONValue(parsing: text)
    #expect { try Envelope(value) } throws: { ($0 as? EnvelopeError)?.description.contains(word) == true }
  }

  @Test func unknownMembersOfEnvelopesAreIgnored() throws {
    let value = try JSONValue(parsing: #"{"jsonrpc":"2.0","id":null,"method":"m","x":1,"params":null}"#)
    #expect(try Envelope(value) == .notification(method: "m", params: .null))
  }

  @Test func initializeParameters() throws {
    let full = InitializeParameters(
      protocolVersions: [2, 1], host: PeerVersion(name: "h", version: "9"), features: ["chunks", "new"],
      config: ["a": [1]], directories: EngineDirectories(models: "/m", cache: "/c", work: "/w"),
      resources: EngineResources(
        cpuThreads: 4,
        devices: [
          EngineDevice(kind: "cuda", index: 1, uuid: "GPU-1", memoryBytes: .max),
          EngineDevice(kind: "vulkan", index: 0, memoryBytes: 0),
        ], memoryBytes: 1 << 40), lineBytes: 4 << 20)
    #expect(try InitializeParameters(try wire(full.json)) == full)
    let least = try InitializeParameters([
      "host": ["name": "h"], "directories": ["models": "/m", "cache": "/c", "work": "/w"],
    ])
    #expect(least.protocolVersions.isEmpty && least.resources.cpuThreads == 1)
    #expect(least.lineBytes == LineFramer.defaultLineBytes)
  }

  @Test func initializeResult() throws {
    for result in [
      InitializeResult(protocolVersion: 1, engine: PeerVersion(name: "e", version: "1"), features: []),
      InitializeResult(
        protocolVersion: 1, engine: PeerVersion(name: "e", version: "1"), features: ["chunks"], concurrency: 8,
        models: ["a*"], lineBytes: 2 << 20),
    ] { #expect(try InitializeResult(try wire(result.json)) == result) }
  }

  @Test func models() throws {
    let file = ModelFile(role: "model", path: "/m/a.gguf", sha256: "00")
    let load = ModelLoadParameters(model: ModelReference(id: "a", files: [file], options: ["contextSize": 5]))
    #expect(try ModelLoadParameters(try wire(load.json)) == load)
    let bare = ModelLoadParameters(model: ModelReference(id: "a"))
    #expect(try ModelLoadParameters(try wire(bare.json)) == bare)
    for result in [ModelLoadResult(), ModelLoadResult(memoryBytes: 1, deviceBytes: .max, contextLength: 8192)] {
      #expect(try ModelLoadResult(try wire(result.json)) == result)
    }
    let unload = ModelUnloadParameters(id: "a")
    #expect(try ModelUnloadParameters(try wire(unload.json)) == unload)
    let progress = ModelProgress(model: "a", fraction: 0.25, message: "tensors")
    #expect(try ModelProgress(try wire(progress.json)) == progress)
  }

  @Test func jobs() throws {
    for run in [
      JobRunParameters(jobID: "j", kind: "llm", task: [:], workDirectory: "/w"),
      JobRunParameters(
        jobID: "j", attempt: 3, kind: "image", model: ModelReference(id: "m"), task: ["seed": .uint(.max)],
        workDirectory: "/w", deadlineSeconds: 1.5, credit: 0, traceparent: "00-1-2-01"),
    ] { #expect(try JobRunParameters(try wire(run.json)) == run) }
    for result in [
      JobRunResult(),
      JobRunResult(
        output: ["a": 1],
        artifacts: [
          ArtifactDeclaration(name: "a.wav", contentType: "audio/wav", bytes: .max, sha256: "ff"),
          ArtifactDeclaration(name: "b", contentType: "x/y", bytes: 0),
        ], usage: ["steps": 4]),
    ] { #expect(try JobRunResult(try wire(result.json)) == result) }
    for progress in [
      JobProgress(jobID: "j"),
      JobProgress(
        jobID: "j", fraction: 0.5, step: 1, steps: 2, stage: "sampling", message: "m", etaSeconds: 3.5),
    ] { #expect(try JobProgress(try wire(progress.json)) == progress) }
    for chunk in [
      JobChunk(jobID: "j", seq: 1, text: ""), JobChunk(jobID: "j", seq: .max, data: [1, "a"]),
    ] { #expect(try JobChunk(try wire(chunk.json)) == chunk) }
    let cancel = JobCancelParameters(jobID: "j")
    #expect(try JobCancelParameters(try wire(cancel.json)) == cancel)
    let credit = JobCreditParameters(jobID: "j", through: 128)
    #expect(try JobCreditParameters(try wire(credit.json)) == credit)
  }

  @Test func logs() throws {
    for level in LogMessage.Level.allCases {
      let log = LogMessage(level: level, message: "\u{1B}[31m\n", jobID: "j", fields: ["a": 1])
      #expect(try LogMessage(try wire(log.json)) == log)
    }
    #expect(try LogMessage(["level": "shout", "message": "m"]).level == .info)
  }

  @Test("a failure's class follows from data.class, then from the code", arguments: FailureClass.allCases)
  func failureClasses(_ failure: FailureClass) {
    #expect(RPCError(failure, "m").failureClass == failure)
    #expect(RPCError(code: failure.code, message: "m").failureClass == failure)
    #expect(RPCError(code: -32603, message: "m", data: ["class": .string(failure.rawValue)]).failureClass == failure)
    #expect(RPCError(code: -32603, message: "m", data: ["class": "new"]).failureClass == .engineFault)
  }

  // MARK: Fields

  @Test(
    "a wrong or missing member is named with its path",
    arguments: [
      (#"{}"#, "params.jobId is missing: it must be a string"),
      (#"{"jobId":null}"#, "params.jobId is missing: it must be a string"),
      (#"{"jobId":1}"#, "params.jobId must be a string, not of type number"),
      (#"{"jobId":"j","kind":"llm","workDirectory":[]}"#, "params.workDirectory must be a string, not of type array"),
      (#"{"jobId":"j","kind":"llm","attempt":1.5}"#, "params.attempt must be a whole number, not of type number"),
      (#"{"jobId":"j","kind":"llm","model":"m"}"#, "params.model must be an object, not of type string"),
      (
        #"{"jobId":"j","kind":"llm","model":{"id":"m","files":{}}}"#,
        "params.model.files must be a list, not of type object"
      ),
      (
        #"{"jobId":"j","kind":"llm","model":{"id":"m","files":[{"role":"r","path":"p"},{"role":"r"}]}}"#,
        "params.model.files[1].path is missing: it must be a string"
      ),
      (
        #"{"jobId":"j","kind":"llm","model":{"id":"m","files":[7]}}"#,
        "params.model.files[0] must be an object, not of type number"
      ),
    ])
  func fieldErrors(_ text: String, _ message: String) throws {
    let value = try JSONValue(parsing: text)
    #expect { try JobRunParameters(value) } throws: { ($0 as? FieldError)?.description == message }
  }

  @Test func fieldTypes() throws {
    let fields = try FieldReader(
      [
        "s": "x", "i": -1, "whole": .double(3), "u": .uint(.max), "d": 0.5, "b": true, "o": ["k": 1],
        "list": ["a", "b"], "mixed": ["a", 1], "numbers": [1, 2], "none": nil,
      ], path: "task")
    #expect(try fields.string("s") == "x" && fields.int("i") == -1 && fields.int("whole") == 3)
    #expect(try fields.count("u") == .max && fields.double("i") == -1 && fields.bool("b") == true)
    #expect(try fields.strings("list") == ["a", "b"] && fields.ints("numbers") == [1, 2])
    #expect(try fields.nested("o")?.path == "task.o")
    #expect(try fields.string("none") == nil && fields.string("absent") == nil && fields.list("none").isEmpty)
    for wrong in ["count i", "int u", "int d", "bool s", "strings mixed", "ints list", "double s", "string b"] {
      let words = wrong.split(separator: " ").map(String.init)
      #expect {
        switch words[0] {
        case "count": _ = try fields.count(words[1])
        case "int": _ = try fields.int(words[1])
        case "bool": _ = try fields.bool(words[1])
        case "strings": _ = try fields.strings(words[1])
        case "ints": _ = try fields.ints(words[1])
        case "double": _ = try fields.double(words[1])
        default: _ = try fields.string(words[1])
        }
      } throws: { ($0 as? FieldError)?.path == "task.\(words[1])" }
    }
  }

  @Test func aListOfNoInputsSaysNothing() throws {
    let json: JSONValue = ["jobId": "j", "kind": "llm", "workDirectory": "/w", "inputs": ["mask": []]]
    let once = try JobRunParameters(json).json
    #expect(once["inputs"] == nil)
    #expect(try JobRunParameters(once).json == once)
  }
}
