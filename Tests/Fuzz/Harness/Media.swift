import PluginProtocol

@testable import FFmpegTasks
@testable import ImageTask
@testable import WhisperCore

/// Files that users send to the engines and that the engines' own code reads: sound, pictures, fonts, models.
func fuzzMedia(_ input: [UInt8]) {
  var steering = Steering(input)
  let reader = steering.byte()
  let bytes = steering.payload
  switch reader % 5 {
  case 0: fuzzWAV(bytes)
  case 1: fuzzImage(bytes)
  case 2: fuzzFont(bytes)
  case 3: fuzzSafetensors(bytes)
  default: fuzzProbe(bytes)
  }
}

/// Reads as a file does: fewer bytes at its end, none behind it.
private func reading(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> [UInt8] {
  require(offset >= 0 && (0...(1 << 20)).contains(count), "\(count) bytes are asked for at \(offset)")
  guard offset < bytes.count else { return [] }
  return Array(bytes[offset..<min(bytes.count, offset + count)])
}

private func fuzzWAV(_ bytes: [UInt8]) {
  let finding = try? WAVLayout.find(fileBytes: bytes.count) { reading(bytes, $0, $1) }
  guard case .layout(let layout)? = finding else { return }
  require(layout.frameBytes > 0 && layout.frames >= 0 && layout.dataOffset <= bytes.count, "\(layout)")
  require(layout.dataOffset + layout.frames * layout.frameBytes <= bytes.count, "frames beyond the file: \(layout)")
  require(layout.seconds.isFinite, "\(layout)")
  var samples: [Float] = []
  bytes[layout.dataOffset...].withUnsafeBytes {
    layout.format.appendMono($0, channels: layout.channels, to: &samples)
  }
  require(samples.count <= bytes.count && samples.allSatisfy(\.isFinite), "samples that are none")
}

private func fuzzImage(_ bytes: [UInt8]) {
  var reads = 0
  for format in MediaFormat.allCases where format.isImage {
    let size = try? ImageHeader.size(format) { offset, count in
      reads += 1
      guard offset <= UInt64(Int32.max) else { return [] }
      return reading(bytes, Int(offset), count)
    }
    if let size { require(size.width > 0 && size.height > 0, "\(size)") }
  }
  require(reads <= 2000, "\(reads) looks at one picture")
  _ = MediaFormat(prefix: Array(bytes.prefix(MediaFormat.prefixBytes)))
}

private func fuzzFont(_ bytes: [UInt8]) {
  guard let font = FontMetrics(bytes) else { return }
  require(font.missingWidth.isFinite && font.missingWidth >= 0, "a width of \(font.missingWidth)")
  for scalar in "aZ \u{E9}\u{4E2D}\u{1F600}\u{10FFFF}".unicodeScalars {
    if let width = font.width(scalar) { require(width.isFinite && width >= 0, "a width of \(width)") }
  }
  if let layout = try? TextLayout(
    "Some words, one of them verylongindeed\n\u{1F600}", in: PixelSize(64, 48), font: font)
  {
    require(layout.lines.count <= 64 && layout.fontSize > 0, "\(layout)")
  }
}

private func fuzzSafetensors(_ bytes: [UInt8]) {
  guard let length = SafetensorsHeader.length(start: bytes) else { return }
  require((2...SafetensorsHeader.maximumBytes).contains(length), "a header of \(length) bytes")
  let header = bytes.dropFirst(8).prefix(Int(clamping: length))
  if let whole = SafetensorsHeader.fileBytes(header: header, length: length) {
    require(whole >= 8 + length, "a file shorter than its header")
  }
}

private func fuzzProbe(_ bytes: [UInt8]) {
  guard let json = try? JSONValue(parsing: bytes), let probe = try? Probe(json) else { return }
  if let video = probe.video {
    require((1...65_536).contains(video.size.width) && (1...65_536).contains(video.size.height), "\(video)")
    if let rate = video.rate { require(rate.value >= 1 && rate.value <= 1000, "\(rate)") }
  }
  if let seconds = probe.seconds { require(seconds.isFinite && seconds > 0, "\(seconds) s") }
}
