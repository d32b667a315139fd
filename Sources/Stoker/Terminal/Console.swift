import Glibc
import PluginProtocol

/// Where output goes, and what the terminal is like. Tests give their own.
struct Console: Sendable {
  var isOutputTerminal: Bool
  var isErrorTerminal: Bool
  /// Columns of the terminal; nil when stdout is none, and nothing is cut.
  var width: Int?
  var usesColour: Bool
  var write: @Sendable (String) throws -> Void
  var writeError: @Sendable (String) -> Void

  /// The process's own stdout and stderr.
  static func standard() -> Console {
    let output = isatty(STDOUT_FILENO) == 1
    let error = isatty(STDERR_FILENO) == 1
    // https://no-color.org: any value that is not empty.
    let plain = !(Environment.value("NO_COLOR") ?? "").isEmpty || Environment.value("TERM") == "dumb"
    return Console(
      isOutputTerminal: output, isErrorTerminal: error, width: output ? columns() : nil,
      usesColour: output && !plain, write: { try Console.write($0, to: STDOUT_FILENO) },
      writeError: { try? Console.write($0, to: STDERR_FILENO) })
  }

  /// Prints a line on stdout.
  func line(_ text: String) throws { try write(text.hasSuffix("\n") ? text : text + "\n") }
  /// Prints JSON on stdout, for people to read too.
  func json(_ value: JSONValue) throws { try write(value.prettyText + "\n") }
  /// Prints one event of a stream on stdout, as one line.
  func jsonLine(_ value: JSONValue) throws { try write(value.text + "\n") }
  /// Prints a line on stderr; sanitised when that is a terminal.
  func note(_ text: String) {
    writeError((isErrorTerminal ? TerminalText.sanitise(text, keepsLines: true) : text) + "\n")
  }

  /// Text from elsewhere as stdout may have it: harmless on a terminal, untouched in a pipe.
  func shown(_ text: String) -> String { isOutputTerminal ? TerminalText.sanitise(text, keepsLines: true) : text }

  /// The text in a colour, where colours are wanted.
  func paint(_ text: String, _ colour: Colour?) -> String {
    guard usesColour, let colour else { return text }
    return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
  }

  /// SGR codes.
  enum Colour: Int, Sendable {
    case bold = 1
    case dim = 2
    case red = 31
    case green = 32
    case yellow = 33
    case cyan = 36
  }

  private static func columns() -> Int? {
    var size = winsize()
    if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
    return Environment.value("COLUMNS").flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
  }

  private static func write(_ text: String, to descriptor: CInt) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        bytes = bytes.dropFirst(count)
      } else if errno == EAGAIN {
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&ready, 1, -1)
      } else if errno != EINTR {
        throw CLIError(.failed, class: "output", "cannot write the output: \(String(cString: strerror(errno)))")
      }
    }
  }
}
