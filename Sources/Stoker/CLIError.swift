import Host
import PluginProtocol

/// What the program's exit status says. Part of its contract with scripts.
enum ProgramStatus: Int32, CaseIterable, Sendable {
  case done = 0
  /// The job, or what was asked for, failed.
  case failed = 1
  case usage = 2
  case noWorker = 3
  /// Nothing here can serve that job.
  case unserved = 4
  /// By Ctrl-C or SIGTERM: 128 and the number of SIGINT.
  case interrupted = 130
}

/// Why a command ends without success.
struct CLIError: Error, Equatable, Sendable {
  var status: ProgramStatus
  /// Machine-readable, for `--json`.
  var errorClass: String
  /// One sentence; empty when there is nothing left to say.
  var message: String
  /// The command has printed the JSON that `--json` promises already.
  var isReported = false

  init(_ status: ProgramStatus, class errorClass: String, _ message: String) {
    self.status = status
    self.errorClass = errorClass
    self.message = message
  }

  /// Wrong usage.
  static func usage(_ message: String) -> CLIError { CLIError(.usage, class: "usage", message) }
  /// A plain failure.
  static func failed(_ message: String) -> CLIError { CLIError(.failed, class: "failed", message) }
  /// Left because of a signal.
  static let interrupted = CLIError(.interrupted, class: "interrupted", "")

  /// Runs something that names a plugin or a model. A name that the worker does not know is wrong usage, as it is where
  /// this program finds that out by itself.
  static func naming<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as RPCError where error.controlFailure == .notFound {
      throw CLIError(.usage, class: ControlFailure.notFound.rawValue, error.message)
    }
  }

  /// `{"error": {class, message}}`.
  var json: JSONValue { ["error": ["class": .string(errorClass), "message": .string(message)]] }

  /// Any error, as this program reports it.
  init(_ error: any Error) {
    self = CLIError.known(error) ?? .failed("\(error)")
  }

  /// The errors that this program and the host throw; nil for others, such as the argument parser's.
  static func known(_ error: any Error) -> CLIError? {
    switch error {
    case let error as CLIError: error
    case let error as RPCError: CLIError(refusal: error)
    case let error as ControlError: CLIError(control: error)
    case is CancellationError: .interrupted
    case let error as ModelError:
      CLIError(status(of: error), class: error.kind.rawValue, error.message)
    case let error as HomeError: CLIError(.usage, class: "home", error.description)
    case is SourceDiagnostics, is SourceDiagnostic, is YAMLError: CLIError(.usage, class: "configuration", "\(error)")
    case let error as ConfigurationEditor.EditError: CLIError(.usage, class: "configuration", error.description)
    case let error as SafeFile.ReadError: CLIError(.usage, class: "file", error.description)
    case let error as InstallError:
      CLIError(error.kind == .usage ? .usage : .failed, class: error.kind.rawValue, error.description)
    case let error as ArchiveError: CLIError(.failed, class: "refused", "the archive is refused: \(error)")
    case let error as UnknownJobKind: CLIError(.usage, class: "unknown_kind", error.description)
    default: nil
    }
  }

  private static func status(of error: ModelError) -> ProgramStatus {
    switch error.kind {
    case .unknownModel: .usage
    case .noDefault: .unserved
    default: .failed
    }
  }

  private init(refusal error: RPCError) {
    if error.code == RPCError.methodNotFoundCode {
      self.init(
        .failed, class: "version",
        "the running worker does not know this command (\(error.message)); restart it with this version of stoker")
      return
    }
    let status: ProgramStatus =
      switch error.controlFailure {
      case .unknownKind, .noEngine: .unserved
      case .badInput: .usage
      case .notFound, .queueFull, .conflict, .draining, .busy, .internal, nil:
        error.failureClass == .badInput ? .usage : .failed
      }
    self.init(status, class: error.data["class"]?.string ?? "failed", error.message)
  }

  private init(control error: ControlError) {
    switch error {
    case .noWorker, .disconnected: self.init(.noWorker, class: "no_worker", error.description)
    case .pathTooLong, .requestTooLarge: self.init(.usage, class: "usage", error.description)
    case .homeInUse: self.init(.failed, class: "home_in_use", error.description)
    case .occupied, .system, .badAnswer: self.init(.failed, class: "control", error.description)
    }
  }
}
