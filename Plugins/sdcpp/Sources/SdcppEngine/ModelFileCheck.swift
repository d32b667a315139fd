import ImageTask
import PluginProtocol

/// Decides what a model file is before the library sees it, whose own answer to a wrong one is a log line.
enum ModelFileCheck {
  /// - Throws: `EngineError` of class `bad_input` that names the file and what is wrong with it.
  static func run(_ path: String) throws(EngineError) {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let file = try RegularFile(path, name: "The model file \(name)")
    guard file.bytes > 0 else {
      throw EngineError(.badInput, "The model file \(name) is empty: download it again.")
    }
    let start = try file.read(32)
    if let length = SafetensorsHeader.length(start: start) {
      return try checkSafetensors(file, name, length)
    }
    // GGUF, and checkpoints of PyTorch: an archive, or a stream as it was before.
    for magic: [UInt8] in [Array("GGUF".utf8), [0x50, 0x4B, 3, 4], [0x80, 2]] where start.starts(with: magic) { return }
    throw EngineError(
      .badInput,
      "The model file \(name) is neither safetensors nor GGUF nor a PyTorch checkpoint but \(guess(start)).")
  }

  private static func checkSafetensors(
    _ file: borrowing RegularFile, _ name: String, _ length: UInt64
  ) throws(EngineError) {
    let header = length + 8 <= file.bytes ? try file.read(Int(length), at: 8) : []
    guard !header.isEmpty, let needed = SafetensorsHeader.fileBytes(header: header, length: length) else {
      throw EngineError(
        .badInput, "The safetensors header of \(name) is truncated or damaged: download the file again.")
    }
    guard needed <= file.bytes else {
      throw EngineError(
        .badInput,
        "The model file \(name) is truncated: it has \(file.bytes) bytes of \(needed); download it again.")
    }
  }

  private static func guess(_ start: [UInt8]) -> String {
    let text = String(decoding: start, as: UTF8.self).lowercased()
    if text.hasPrefix("version https://git-lfs") {
      return "a Git LFS pointer, not the model itself: fetch the real file"
    }
    if text.hasPrefix("<!doctype") || text.hasPrefix("<html") {
      return "a web page: the download saved an error page instead of the model"
    }
    if text.hasPrefix("{") { return "a JSON text" }
    let hex = start.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    return "unknown (it begins with \(hex))"
  }
}
