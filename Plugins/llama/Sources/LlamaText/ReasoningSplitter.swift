/// Takes a model's reasoning out of its text: a `<think>…</think>` block at the beginning, or whatever tags the
/// model's chat template uses.
///
/// The opening tag counts only before any other text, so that a model may write about `<think>`. White space around
/// the tags belongs to them.
public struct ReasoningSplitter: Sendable {
  /// Text by what it is.
  public struct Parts: Equatable, Sendable {
    public var reasoning: [UInt8] = []
    public var content: [UInt8] = []
  }

  private enum Mode {
    /// Nothing but white space so far. Next: `reasoning` or `content`.
    case beginning
    /// Inside the block. Next: `content`.
    case reasoning
    /// After the block, or there was none. Final.
    case content
  }

  private let startTag: [UInt8]
  private var ends: MarkerScanner
  private var mode: Mode
  private var held: [UInt8] = []
  /// White space is dropped until the first other byte.
  private var isTrimming: Bool

  /// - Parameters:
  ///   - startTag: what opens reasoning; empty when the model has none.
  ///   - endTags: what closes it.
  ///   - isOpen: the prompt has opened the block already.
  public init(startTag: String = "<think>", endTags: [String] = ["</think>"], isOpen: Bool = false) {
    self.startTag = Array(startTag.utf8)
    ends = MarkerScanner(endTags)
    mode = isOpen ? .reasoning : startTag.isEmpty ? .content : .beginning
    isTrimming = isOpen
  }

  /// True while the text is reasoning.
  public var isReasoning: Bool { mode == .reasoning }

  /// Takes the next piece of text.
  public mutating func feed(_ bytes: [UInt8]) -> Parts {
    switch mode {
    case .beginning:
      held.append(contentsOf: bytes)
      let text = held.drop(while: Self.isSpace)
      if text.starts(with: startTag) {
        let rest = Array(text.dropFirst(startTag.count))
        held = []
        mode = .reasoning
        isTrimming = true
        return feed(rest)
      }
      if startTag.starts(with: text) { return Parts() }
      mode = .content
      defer { held = [] }
      return Parts(content: held)
    case .reasoning:
      let step = ends.feed(bytes)
      var parts = Parts(reasoning: trimmed(step.clear))
      if let rest = step.rest {
        mode = .content
        isTrimming = true
        parts.content = trimmed(rest)
      }
      return parts
    case .content:
      return Parts(content: trimmed(bytes))
    }
  }

  /// The end of the text: what was held back was no tag after all.
  public mutating func finish() -> Parts {
    defer { held = [] }
    switch mode {
    case .beginning: return Parts(content: held)
    case .reasoning: return Parts(reasoning: trimmed(ends.finish()))
    case .content: return Parts()
    }
  }

  private mutating func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    guard isTrimming else { return bytes }
    let text = bytes.drop(while: Self.isSpace)
    if !text.isEmpty { isTrimming = false }
    return Array(text)
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
