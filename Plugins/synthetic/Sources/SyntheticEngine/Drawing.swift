import PluginProtocol

/// The picture of a task: always 512 by 512, as WEBP or PNG, the same pixels in both.
struct Drawing: Sendable {
  static let size = 512
  /// Members of the task that the pixels do not follow from.
  static let unseen: Set<String> = ["kind", "ext", "delaySeconds"]

  private let pattern: Pattern
  private let isPNG: Bool

  init(_ fields: FieldReader) throws {
    _ = try fields.requiredString("prompt")
    isPNG = try Format.read(fields, known: ["webp", "png"]) == "png"
    pattern = Pattern(Fingerprint(task: fields.value, kind: "image", without: Drawing.unseen))
  }

  func result(in directory: String) throws -> JobRunResult {
    let pixels = pattern.pixels(size: Drawing.size)
    let ext = isPNG ? "png" : "webp"
    let bytes = try isPNG ? ImageCodec.png(pixels, size: Drawing.size) : ImageCodec.webp(pixels, size: Drawing.size)
    let artifact = try ArtifactFile.write(
      bytes, name: "image.\(ext)", contentType: "image/\(ext)", in: directory)
    return JobRunResult(
      output: ["ext": .string(ext), "width": JSONValue(Drawing.size), "height": JSONValue(Drawing.size)],
      artifacts: [artifact])
  }
}
