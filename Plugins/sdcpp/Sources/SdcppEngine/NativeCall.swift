import CImageFiles
import CStableDiffusion
import PluginProtocol

/// Runs one call of the native side and turns its status into an `EngineError`.
func native(_ call: (UnsafeMutablePointer<ssd_error>) -> ssd_status) throws(EngineError) {
  var error = ssd_error()
  let status = call(&error)
  guard status != SSD_OK else { return }
  let message = withUnsafeBytes(of: &error.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  let failure: FailureClass =
    switch status {
    case SSD_BAD_INPUT: .badInput
    case SSD_UNSUPPORTED: .unsupported
    case SSD_RESOURCE: .resource
    case SSD_CANCELLED: .cancelled
    default: .engineFault
    }
  throw EngineError(failure, message)
}

/// The names of the library's samplers.
let samplerNames: [String] = {
  var names: [String] = []
  while let name = ssd_sampler(names.count) { names.append(String(cString: name)) }
  return names
}()

/// Memory of the C side that is given back with this value. Keep it alive while its pointer is in use.
final class ImageBuffer {
  private var buffer = image_file_buffer()

  init(_ fill: (UnsafeMutablePointer<image_file_buffer>) throws -> Void) rethrows { try fill(&buffer) }

  deinit { image_file_free(&buffer) }

  var pointer: UnsafePointer<UInt8>? { UnsafePointer(buffer.bytes) }
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: buffer.bytes, count: buffer.count) }
}
