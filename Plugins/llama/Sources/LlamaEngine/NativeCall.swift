import CLlama
import PluginProtocol

/// Runs one call of the native side and turns its status into an `EngineError`.
func native(_ call: (UnsafeMutablePointer<sllama_error>) -> sllama_status) throws(EngineError) {
  var error = sllama_error()
  let status = call(&error)
  guard status != SLLAMA_OK else { return }
  let message = withUnsafeBytes(of: &error.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  let failure: FailureClass =
    switch status {
    case SLLAMA_BAD_INPUT: .badInput
    case SLLAMA_UNSUPPORTED: .unsupported
    case SLLAMA_RESOURCE: .resource
    case SLLAMA_CANCELLED: .cancelled
    default: .engineFault
    }
  throw EngineError(failure, message)
}
