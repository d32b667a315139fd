import CWhisper
import PluginProtocol

/// Runs one call of the native side and turns its status into an `EngineError`.
func native(_ call: (UnsafeMutablePointer<swhisper_error>) -> swhisper_status) throws(EngineError) {
  var error = swhisper_error()
  let status = call(&error)
  guard status != SWHISPER_OK else { return }
  let message = withUnsafeBytes(of: &error.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  let failure: FailureClass =
    switch status {
    case SWHISPER_BAD_INPUT: .badInput
    case SWHISPER_UNSUPPORTED: .unsupported
    case SWHISPER_RESOURCE: .resource
    case SWHISPER_CANCELLED: .cancelled
    default: .engineFault
    }
  throw EngineError(failure, message)
}
