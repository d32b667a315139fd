import PluginProtocol

extension ConformanceCheck {
  static let envelopeChecks: [ConformanceCheck] = [
    ConformanceCheck("ping", "ping", demands: "`ping` is answered with {} within 5 seconds.") { bench in
      try bench.ready().ping()
    },
    ConformanceCheck(
      "unknown-members", "Envelope",
      demands: "Members that the engine does not know are ignored, and null is the same as absent."
    ) { bench in
      let engine = try bench.fresh(
        bench.offer(["x-unknown": ["deep": [1, ["a": nil]]], "limits": nil, "later": "member"]))
      let id = engine.announce(Method.ping)
      let line = #"{"later":[1],"jsonrpc":"2.0","id":\#(id),"method":"ping","params":{"a":{"b":[]}},"x":null}"#
      engine.write(Array(line.utf8) + [0x0A])
      _ = try engine.result(id, to: "a ping with unknown members in the envelope", within: RawEngine.pingClock)
      try engine.ping("ping with unknown members", ["unknown": ["a": []], "none": nil])
    },
    ConformanceCheck(
      "unknown-notification", "Envelope", demands: "A notification with an unknown method is dropped without an answer."
    ) { bench in
      let engine = try bench.ready()
      engine.notify("job/estimated", ["jobId": "nobody", "anything": [1, 2]])
      try engine.expectAlive(after: "a notification with an unknown method")
    },
    ConformanceCheck(
      "unknown-request", "Envelope", demands: "A request with an unknown method is answered with the error -32601."
    ) { bench in
      let engine = try bench.ready()
      let id = engine.request("job/estimate", ["kind": "llm"])
      let answer = try engine.answer(id, to: "job/estimate, which does not exist,", within: RawEngine.pingClock)
      guard case .failure(let error) = answer, error.code == RPCError.methodNotFoundCode else {
        throw ConformanceFault(
          expected: "the error -32601", got: answer.text, advice: "answer every method that you do not know with -32601"
        )
      }
    },
    ConformanceCheck(
      "framing", "Framing",
      demands:
        "Lines are cut at LF alone, however the bytes arrive: in pieces, many at once, with CR before the LF, with other line separators inside strings."
    ) { bench in
      let engine = try bench.ready()
      let strange: JSONValue = ["text": "a\u{2028}b\u{2029}c\u{85}d\u{0B}e\u{0C}f\u{1F600}\r\n\t"]
      try engine.ping("a ping that holds other line separators", strange)
      for byte in Envelope.request(id: .number(engine.announce(Method.ping)), method: Method.ping, params: [:]).frame {
        engine.write([byte])
        try engine.wait(.milliseconds(20)) { engine.isAllWritten }
      }
      try engine.expectAlive(after: "a message that came byte by byte")
      let many = (0..<50).map { _ in engine.announce(Method.ping) }
      engine.write(many.flatMap { Envelope.request(id: .number($0), method: Method.ping, params: [:]).frame })
      for id in many { _ = try engine.result(id, to: "one of 50 pings in one write", within: RawEngine.pingClock) }
      let withReturn = engine.announce(Method.ping)
      engine.write(
        Envelope.request(id: .number(withReturn), method: Method.ping, params: [:]).frame.dropLast() + [0x0D, 0x0A])
      _ = try engine.result(withReturn, to: "a ping with CR before the LF", within: RawEngine.pingClock)
    },
    ConformanceCheck(
      "long-line", "Framing", demands: "A line of 1 MiB to the engine is read."
    ) { bench in
      let engine = try bench.ready()
      let filler = String(repeating: "x", count: LineFramer.defaultLineBytes - 200)
      try engine.ping("a ping of nearly 1 MiB", ["filler": .string(filler)])
    },
    ConformanceCheck(
      "garbage", "Framing", demands: "A line that is no message does not end the engine."
    ) { bench in
      let engine = try bench.ready()
      let lines: [[UInt8]] = [
        Array("this is no message".utf8), Array("{\"jsonrpc\":\"2.0\",\"id\":".utf8), Array("[]".utf8),
        Array("{}".utf8), Array("17".utf8), [], [0x7B, 0xFF, 0xFE, 0x80, 0x7D],
        Array("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":5}".utf8),
      ]
      for line in lines {
        engine.write(line + [0x0A])
        try engine.expectAlive(after: "the line \"\(Evidence.text(line))\"")
      }
    },
    ConformanceCheck(
      "bad-params", "Errors", isAdvice: true,
      demands:
        "A request whose params are not those of the protocol is answered with an error, and does not end the engine."
    ) { bench in
      let engine = try bench.ready()
      let id = engine.request(Method.jobRun, ["jobId": 5, "task": []])
      guard case .failure = try engine.answer(id, to: "job/run with params of wrong types", within: RawEngine.pingClock)
      else {
        throw ConformanceFault(
          expected: "the error -32602", got: "a result", advice: "check the params of every request before you use them"
        )
      }
      try engine.expectAlive(after: "job/run with params of wrong types")
    },
  ]
}

extension ProtocolWatch.Answer {
  /// As a report shows it.
  var text: String {
    switch self {
    case .result(let value): "the result \(Evidence.text(value))"
    case .failure(let error): "the error \(error.code): \(error.message)"
    }
  }
}
