import Glibc
import PluginProtocol

/// Where `FUZZ_VERDICTS` says that somebody compares the verdicts with another reader's: `y` or `n` for each input.
private let verdicts: CInt = getenv("FUZZ_VERDICTS").flatMap { CInt(String(cString: $0)) } ?? -1

/// The JSON parser and every decoder of messages. What was read can be written and read again as the same.
func fuzzJSON(_ input: [UInt8]) {
  let bytes = Steering(input).payload
  let value: JSONValue
  do {
    value = try JSONValue(parsing: bytes)
    if verdicts >= 0 { _ = write(verdicts, "y", 1) }
  } catch {
    if verdicts >= 0 { _ = write(verdicts, "n", 1) }
    require((0...bytes.count).contains(error.offset), "the error lies at \(error.offset) of \(bytes.count): \(error)")
    require((try? JSONValue(parsing: AnySequence(bytes))) == nil, "a sequence is read that an array is not")
    return
  }
  require((try? JSONValue(parsing: AnySequence(bytes))) == value, "a sequence is read as something else")
  let written = value.bytes
  require(!written.contains(where: { $0 < 0x20 }), "compact JSON has a control character")
  require((try? JSONValue(parsing: written)) == value, "what was written is not what was read: \(value.text)")
  require((try? JSONValue(parsing: value.prettyText)) == value, "the pretty text is not what was read")

  guard let envelope = try? Envelope(value) else { return }
  require((try? Envelope(envelope.json)) == envelope, "an envelope does not survive: \(value.text)")
  require(envelope.frame.firstIndex(of: 0x0A) == envelope.frame.count - 1, "a frame is not one line")
  switch envelope {
  case .request(_, _, let params), .notification(_, let params): messages(params)
  case .response(_, let result): messages(result)
  case .failure(_, let error):
    _ = error.failureClass
    _ = error.description
  }
}

/// Every decoder sees every object: a peer may send anything under any name.
private func messages(_ value: JSONValue) {
  again("initialize", value, { try InitializeParameters($0) }, \.json)
  again("initialize result", value, { try InitializeResult($0) }, \.json)
  again("job/run", value, { try JobRunParameters($0) }, \.json)
  again("job/run result", value, { try JobRunResult($0) }, \.json)
  again("job/progress", value, { try JobProgress($0) }, \.json)
  again("job/chunk", value, { try JobChunk($0) }, \.json)
  again("job/cancel", value, { try JobCancelParameters($0) }, \.json)
  again("job/credit", value, { try JobCreditParameters($0) }, \.json)
  again("log", value, { try LogMessage($0) }, \.json)
  again("model/load", value, { try ModelLoadParameters($0) }, \.json)
  again("model/load result", value, { try ModelLoadResult($0) }, \.json)
  again("model/unload", value, { try ModelUnloadParameters($0) }, \.json)
  again("model/progress", value, { try ModelProgress($0) }, \.json)
}

/// What was decoded and encoded once stays as it is from then on.
private func again<Message: Equatable>(
  _ name: String, _ value: JSONValue, _ decode: (JSONValue) throws -> Message, _ encode: (Message) -> JSONValue
) {
  guard let first = try? decode(value) else { return }
  guard let second = try? decode(encode(first)) else {
    return require(false, "\(name) is not read again: \(encode(first).text)")
  }
  require(encode(second) == encode(first), "\(name) changes: \(encode(first).text) to \(encode(second).text)")
}
