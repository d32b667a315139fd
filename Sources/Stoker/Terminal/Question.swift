import Glibc

extension Console {
  /// Asks on the terminal; only a clear yes counts. False, unasked, where there is no terminal to ask on.
  func asks(_ question: String) -> Bool {
    guard isErrorTerminal, isatty(STDIN_FILENO) == 1 else { return false }
    writeError(TerminalText.sanitise(question, keepsLines: false) + " [y/N] ")
    return ["y", "yes"].contains((readLine() ?? "").lowercased())
  }
}
