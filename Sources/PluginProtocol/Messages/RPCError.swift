/// The error object of a JSON-RPC response.
public struct RPCError: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Int
  /// One sentence that a user can act on.
  public var message: String
  /// `data`; its member `class` carries the failure class by name.
  public var data: JSONValue

  public init(code: Int, message: String, data: JSONValue = .null) {
    self.code = code
    self.message = message
    self.data = data
  }

  /// An error of one of the protocol's classes.
  public init(_ failure: FailureClass, _ message: String, evidence: String? = nil) {
    self.init(
      code: failure.code, message: message,
      data: .compact(["class": .string(failure.rawValue), "evidence": JSONValue(evidence)]))
  }

  /// JSON-RPC's "Parse error".
  public static let parseErrorCode = -32700
  /// JSON-RPC's "Invalid Request".
  public static let invalidRequestCode = -32600
  /// JSON-RPC's "Method not found".
  public static let methodNotFoundCode = -32601
  /// JSON-RPC's "Invalid params".
  public static let invalidParamsCode = -32602
  /// JSON-RPC's "Internal error".
  public static let internalErrorCode = -32603

  init(_ value: JSONValue) throws(EnvelopeError) {
    guard let code = value["code"]?.int else { throw EnvelopeError("\"error\" has no integer \"code\"") }
    guard let message = value["message"]?.string else { throw EnvelopeError("\"error\" has no string \"message\"") }
    self.init(code: Int(code), message: message, data: value["data"] ?? .null)
  }

  /// The class: `data.class` when it names one, else the one that belongs to the code.
  ///
  /// JSON-RPC's own codes count as the engine's fault, except that it may refuse params as the caller's bad input.
  public var failureClass: FailureClass {
    if let name = data["class"]?.string, let named = FailureClass(rawValue: name) { return named }
    return FailureClass.allCases.first { $0.code == code } ?? .engineFault
  }

  /// The error as it stands on the wire.
  public var json: JSONValue {
    .compact(["code": JSONValue(code), "message": .string(message), "data": data])
  }

  public var description: String { "\(message) (\(code))" }
}

/// What a failed job's error says about who should try again.
public enum FailureClass: String, CaseIterable, Sendable {
  /// The job was cancelled; not a failure of anything.
  case cancelled
  /// The caller's fault: never retried.
  case badInput = "bad_input"
  /// The engine's fault: retried on a fresh process or elsewhere.
  case engineFault = "engine_fault"
  /// Memory, device or disk ran out: retried after room is made.
  case resource
  /// Passing trouble: retried.
  case transient
  /// The engine cannot do that at all: never retried there.
  case unsupported

  /// The JSON-RPC code of this class.
  public var code: Int {
    switch self {
    case .cancelled: -32800
    case .badInput: -32001
    case .engineFault: -32002
    case .resource: -32003
    case .transient: -32004
    case .unsupported: -32005
    }
  }
}
