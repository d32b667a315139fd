/// Ends a text at the first stop string and never lets a part of one out.
public struct StopFilter: Sendable {
  private var scanner: MarkerScanner
  /// True once a stop string was found; nothing comes out after that.
  public private(set) var hasStopped = false

  public init(_ stops: [String]) { scanner = MarkerScanner(stops) }

  /// Takes the next piece; returns what is certainly before any stop string.
  public mutating func feed(_ bytes: [UInt8]) -> [UInt8] {
    guard !hasStopped else { return [] }
    let step = scanner.feed(bytes)
    hasStopped = step.rest != nil
    return step.clear
  }

  /// The end of the text; returns what was held back.
  public mutating func finish() -> [UInt8] { hasStopped ? [] : scanner.finish() }
}
