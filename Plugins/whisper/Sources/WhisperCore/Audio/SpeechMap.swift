/// Where the pieces of a recording come from of which only the speech was kept: leads times of the shortened audio back
/// to times of the recording. Counted in samples.
public struct SpeechMap: Sendable {
  private struct Piece {
    var start: Int
    var original: Int
    var length: Int
  }

  private var pieces: [Piece] = []

  public init() {}

  /// Adds a piece; both positions rise from piece to piece.
  public mutating func append(at start: Int, original: Int, length: Int) {
    pieces.append(Piece(start: start, original: original, length: length))
  }

  /// The sample of the recording for a sample of the shortened audio.
  ///
  /// - Parameter isStart: between two pieces, something begins with the next and ends with the one before.
  public func original(of sample: Int, isStart: Bool) -> Int {
    var low = 0
    var high = pieces.count
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].start <= sample { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return pieces.first?.original ?? sample }
    let piece = pieces[low - 1]
    let into = sample - piece.start
    if into >= piece.length, isStart, low < pieces.count { return pieces[low].original }
    return piece.original + min(into, piece.length)
  }
}
