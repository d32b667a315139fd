import Glibc
import PluginProtocol
import WhisperCore

/// A WAV file, read in pieces, mixed to one channel and brought to whisper's rate.
final class WAVSource: AudioSource {
  /// Bytes read at a time.
  private static let pieceBytes = 1 << 18

  private let file: OpenFile
  private let layout: WAVLayout
  private let job: EngineJob
  private var framesRead = 0
  private var resampler: Resampler?
  private var piece: [UInt8]
  private var mono: [Float] = []
  private var hasEnded = false

  init(_ file: OpenFile, _ layout: WAVLayout, job: EngineJob) {
    self.file = file
    self.layout = layout
    self.job = job
    let frames = max(1, Self.pieceBytes / layout.frameBytes)
    piece = [UInt8](repeating: 0, count: frames * layout.frameBytes)
    resampler = layout.sampleRate == whisperRate ? nil : Resampler(from: layout.sampleRate, to: whisperRate)
  }

  var expectedSeconds: Double? { layout.seconds }
  var secondsRead: Double { Double(framesRead) / Double(layout.sampleRate) }

  func fill(_ buffer: inout [Float], to count: Int) throws -> Bool {
    while buffer.count < count, !hasEnded {
      try job.checkCancelled()
      try readPiece(into: &buffer)
    }
    return !hasEnded
  }

  private func readPiece(into buffer: inout [Float]) throws {
    let wanted = min(piece.count, (layout.frames - framesRead) * layout.frameBytes)
    let count = try piece.withUnsafeMutableBytes { bytes in
      try file.read(
        into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted]),
        at: layout.dataOffset + framesRead * layout.frameBytes)
    }
    guard count == wanted else {
      throw EngineError(.badInput, "The WAV file became shorter while it was read: send it again.")
    }
    framesRead += wanted / layout.frameBytes
    hasEnded = framesRead == layout.frames
    if resampler == nil {
      piece.withUnsafeBytes { bytes in
        layout.format.appendMono(
          UnsafeRawBufferPointer(rebasing: bytes[..<wanted]), channels: layout.channels, to: &buffer)
      }
      return
    }
    mono.removeAll(keepingCapacity: true)
    piece.withUnsafeBytes { bytes in
      layout.format.appendMono(UnsafeRawBufferPointer(rebasing: bytes[..<wanted]), channels: layout.channels, to: &mono)
    }
    mono.withUnsafeBufferPointer { resampler?.feed($0, into: &buffer) }
    if hasEnded { resampler?.finish(into: &buffer) }
  }

  func close() {}
}
