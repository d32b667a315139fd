/// Status line and headers of one answer, fed line by line as libcurl hands them over. Pure.
struct HTTPHead: Sendable {
  /// What a line has made of the head.
  enum Step: Equatable, Sendable {
    /// More lines belong to it, or the line came after its end and was a trailer, which nobody reads.
    case goOn
    /// The line has ended the head of the final answer. Given once.
    case complete
    /// The head has more than `longest` bytes.
    case tooLong
  }

  /// Bytes of all heads of one exchange together: answers with a status of 1xx have one each before the real one.
  static let longest = 65_536

  /// 0 until a status line with a number came.
  private(set) var status = 0
  /// Names in lower case; of repeated ones the last counts. Without blanks around the values.
  private(set) var headers: [String: String] = [:]
  private var bytes = 0
  private var isComplete = false

  init() {}

  /// Takes the next line, its line end included.
  mutating func take(_ line: UnsafeRawBufferPointer) -> Step {
    guard !isComplete else { return .goOn }
    bytes += line.count
    guard bytes <= Self.longest else { return .tooLong }
    let text = String(decoding: line, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      headers = [:]
      status = Int(text.split(separator: " ").dropFirst().first?.prefix(3) ?? "") ?? 0
    } else if text == "\r\n" || text == "\n" {
      // 1xx answers come before the real one.
      guard status >= 200 else { return .goOn }
      isComplete = true
      return .complete
    } else if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
      headers[text[..<colon].lowercased()] = Self.trimmed(text[text.utf8.index(after: colon)...])
    }
    return .goOn
  }

  /// Without spaces, tabs and line ends at both ends.
  private static func trimmed(_ value: Substring) -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r\n" || $0 == "\n" || $0 == "\r" }
    var text = value.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return String(text)
  }
}
