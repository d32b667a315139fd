import Glibc
import PluginProtocol

/// Why an input, or a large task, could not be used. `message` is one sentence a user can act on.
struct InputFailure: Error, Equatable {
  var failure: FailureClass
  var message: String

  init(_ failure: FailureClass, _ message: String) {
    self.failure = failure
    self.message = message
  }

  /// For an `errno` of the worker's own files.
  init(_ code: Int32, doing what: String) {
    if code == ENOSPC || code == EDQUOT {
      self.init(.resource, "\(what) failed: the disk is full: make room and submit again")
    } else {
      self.init(.resource, "\(what) failed: \(String(cString: strerror(code)))")
    }
  }

  /// Any error of staging and fetching in these classes.
  init(_ error: any Error) {
    switch error {
    case let failure as InputFailure: self = failure
    case is CancellationError: self.init(.cancelled, "the job was cancelled while its inputs were prepared")
    case let error as EngineError: self.init(error.failure, error.message)
    case let error as JobStoreError: self.init(.resource, error.description)
    default: self.init(.resource, "\(error)")
    }
  }

  /// As `job/run` would have answered.
  var engineError: RPCError { RPCError(failure, message) }

  /// As the control socket answers.
  var controlError: RPCError {
    switch failure {
    case .badInput: RPCError(control: .badInput, message)
    case .resource, .cancelled: RPCError(failure, message)
    default: RPCError(control: .internal, message)
    }
  }
}
