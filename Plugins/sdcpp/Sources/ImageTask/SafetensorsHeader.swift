import PluginProtocol

/// The start of a safetensors file: eight bytes that say how long the JSON text after them is, then that text, which
/// says where each tensor lies in the rest.
public enum SafetensorsHeader {
  /// Longer headers are not the work of any exporter.
  public static let maximumBytes: UInt64 = 64 << 20

  /// The length of the JSON text, or nil if these cannot be the first bytes of such a file.
  public static func length(start: some Collection<UInt8>) -> UInt64? {
    guard start.count >= 9, start.dropFirst(8).first == UInt8(ascii: "{") else { return nil }
    let length = start.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return (2...maximumBytes).contains(length) ? length : nil
  }

  /// How long the whole file must be, or nil if the JSON text is not a header.
  public static func fileBytes(header: some Sequence<UInt8>, length: UInt64) -> UInt64? {
    guard let json = try? JSONValue(parsing: header, limits: JSONLimits(depth: 8, values: 4_000_000)),
      let tensors = json.object
    else { return nil }
    var end: UInt64 = 0
    for (name, tensor) in tensors where name != "__metadata__" {
      guard let offsets = tensor["data_offsets"]?.array, offsets.count == 2, let first = offsets[0].uint,
        let last = offsets[1].uint, first <= last, last <= UInt64(Int64.max)
      else { return nil }
      end = max(end, last)
    }
    return end + 8 + length
  }
}
