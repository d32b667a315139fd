/// Joins the model's tokens to words.
///
/// A token that begins with a space begins a word; one that is only punctuation joins the word before it, or the one
/// after it when it stands behind a space. Text without spaces (Chinese, Japanese, Thai) is cut where characters are
/// whole: there a word is what the model wrote at a time.
public struct WordAssembler: Sendable {
  /// A token with its time in seconds. The bytes may begin and end inside a character.
  public struct Token: Sendable {
    public var bytes: [UInt8]
    public var start: Double
    public var end: Double
    public var probability: Double

    public init(bytes: [UInt8], start: Double, end: Double, probability: Double) {
      self.bytes = bytes
      self.start = start
      self.end = end
      self.probability = probability
    }
  }

  /// Languages that are written without spaces between words.
  private static let unspaced: Set<String> = ["zh", "ja", "th", "lo", "my", "yue", "km", "bo"]

  private struct Draft {
    var bytes: [UInt8] = []
    var start: Double
    var end: Double
    var probabilities: [Double] = []

    mutating func append(_ token: Token) {
      bytes += token.bytes
      end = max(end, token.end)
      probabilities.append(token.probability)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Letters and digits: more than marks that cling to a word.
    var isSpoken: Bool {
      text.unicodeScalars.contains { $0.properties.isAlphabetic || $0.properties.numericType != nil }
    }

    var word: TranscribedWord {
      TranscribedWord(
        start: start, end: end, text: Transcript.trimmed(text),
        probability: probabilities.reduce(0, +) / Double(max(1, probabilities.count)))
    }
  }

  /// The words of one segment. Their times rise and lie inside `bounds`.
  public static func words(_ tokens: [Token], language: String, bounds: ClosedRange<Double>) -> [TranscribedWord] {
    let drafts = joinMarks(cut(tokens, isSpaced: !unspaced.contains(language)))
    var floor = bounds.lowerBound
    return drafts.compactMap { draft in
      var word = draft.word
      guard !word.text.isEmpty else { return nil }
      word.start = min(max(word.start, floor), bounds.upperBound)
      word.end = min(max(word.end, word.start), bounds.upperBound)
      floor = word.end
      return word
    }
  }

  private static func cut(_ tokens: [Token], isSpaced: Bool) -> [Draft] {
    var drafts: [Draft] = []
    for token in tokens where !token.bytes.isEmpty {
      let begins: Bool =
        if let last = drafts.last {
          isSpaced
            ? token.bytes[0] == UInt8(ascii: " ") : String(validating: last.bytes, as: UTF8.self) != nil
        } else { true }
      if begins { drafts.append(Draft(start: token.start, end: token.end)) }
      drafts[drafts.count - 1].append(token)
    }
    return drafts
  }

  /// Gives marks that stand alone to their neighbour: opening ones, which follow a space, to the next word.
  private static func joinMarks(_ drafts: [Draft]) -> [Draft] {
    var joined: [Draft] = []
    var opening: Draft?
    for var draft in drafts {
      if let held = opening.take() {
        draft.bytes = held.bytes + draft.bytes.drop { $0 == UInt8(ascii: " ") }
        draft.probabilities.insert(contentsOf: held.probabilities, at: 0)
      }
      if draft.isSpoken {
        joined.append(draft)
      } else if draft.bytes.first == UInt8(ascii: " ") || joined.isEmpty {
        opening = draft
      } else {
        joined[joined.count - 1].bytes += draft.bytes
        joined[joined.count - 1].end = max(joined[joined.count - 1].end, draft.end)
      }
    }
    if let opening {
      if joined.isEmpty { return [opening] }
      joined[joined.count - 1].bytes += opening.bytes
      joined[joined.count - 1].end = max(joined[joined.count - 1].end, opening.end)
    }
    return joined
  }
}
