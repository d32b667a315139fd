/// One JSON-RPC 2.0 message, before its method is looked at.
public enum Envelope: Equatable, Sendable {
  case request(id: RequestID, method: String, params: JSONValue)
  case notification(method: String, params: JSONValue)
  case response(id: RequestID, result: JSONValue)
  /// An error response; `id` is nil when the peer could not tell which request failed.
  case failure(id: RequestID?, error: RPCError)
}

/// The id of a request: JSON-RPC allows integers and strings. The host uses integers only.
public enum RequestID: Hashable, Sendable {
  case number(Int64)
  case text(String)

  /// The id as it stands on the wire.
  public var json: JSONValue {
    switch self {
    case .number(let value): .int(value)
    case .text(let value): .string(value)
    }
  }
}

/// Why a parsed JSON value is not a JSON-RPC 2.0 message.
public struct EnvelopeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// One clause that says what is wrong.
  public let description: String

  init(_ description: String) { self.description = description }
}

extension Envelope {
  /// Reads an envelope from a parsed line.
  ///
  /// Members that JSON-RPC does not name are ignored. Batches are not part of the protocol.
  public init(_ value: JSONValue) throws(EnvelopeError) {
    guard case .object(let members) = value else {
      throw EnvelopeError("a message is an object, this is of type \(value.typeName)")
    }
    guard members["jsonrpc"] == .string("2.0") else { throw EnvelopeError("\"jsonrpc\" is not \"2.0\"") }
    let id = try Envelope.id(members["id"])
    if let method = members["method"] {
      guard case .string(let name) = method else { throw EnvelopeError("\"method\" is not a string") }
      let params = members["params"] ?? .object([:])
      guard params.object != nil || params.array != nil || params.isNull else {
        throw EnvelopeError("\"params\" is of type \(params.typeName), not an object")
      }
      if let id {
        self = .request(id: id, method: name, params: params)
      } else {
        self = .notification(method: name, params: params)
      }
      return
    }
    if let error = members["error"], error != .null {
      self = .failure(id: id, error: try RPCError(error))
      return
    }
    guard let id else { throw EnvelopeError("neither a method nor a response with an id") }
    guard let result = members["result"] else { throw EnvelopeError("a response without result or error") }
    self = .response(id: id, result: result)
  }

  private static func id(_ value: JSONValue?) throws(EnvelopeError) -> RequestID? {
    switch value {
    case nil, .null: return nil
    case .string(let text): return .text(text)
    case .int(let number): return .number(number)
    default: throw EnvelopeError("\"id\" is neither an integer nor a string")
    }
  }

  /// The message as JSON.
  public var json: JSONValue {
    var members: [String: JSONValue] = ["jsonrpc": "2.0"]
    switch self {
    case .request(let id, let method, let params):
      members["id"] = id.json
      members["method"] = .string(method)
      members["params"] = params
    case .notification(let method, let params):
      members["method"] = .string(method)
      members["params"] = params
    case .response(let id, let result):
      members["id"] = id.json
      members["result"] = result
    case .failure(let id, let error):
      members["id"] = id?.json ?? .null
      members["error"] = error.json
    }
    return .object(members)
  }

  /// The message as one frame: compact JSON and an LF.
  public var frame: [UInt8] {
    var out: [UInt8] = []
    json.write(to: &out)
    out.append(0x0A)
    return out
  }
}
