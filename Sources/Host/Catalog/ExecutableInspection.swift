import Glibc

/// Tells, without running it, why a file could not be executed here: to the linter beforehand, and in the diagnosis of
/// a failed start afterwards.
package enum ExecutableInspection {
  /// The reason the system will refuse to execute the file, with the remedy, or nil when none can be seen.
  /// - Parameter searchPath: where `#!/usr/bin/env NAME` looks for NAME.
  package static func problem(_ path: String, searchPath: [String]) -> String? {
    guard let head = head(of: path) else { return "cannot be read" }
    guard FilePath.isExecutable(path) else { return "has no permission to execute; run chmod +x on it" }
    if head.isEmpty { return "is empty" }
    if head.starts(with: [0x7F, 0x45, 0x4C, 0x46]) { return elfProblem(head) }
    if head.starts(with: Array("#!".utf8)) { return scriptProblem(head, searchPath) }
    return "is neither a program for Linux nor a script that begins with #!"
  }

  /// The first bytes of a regular file; nil when there are none to be had.
  private static func head(of path: String) -> [UInt8]? {
    guard FilePath.kind(path) == .file else { return nil }
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count < 0 ? nil : Array(bytes[..<count])
  }

  /// Offsets and numbers from the ELF specification: class at 4, byte order at 5, `e_machine` at 18.
  private static func elfProblem(_ head: [UInt8]) -> String? {
    guard head.count >= 20 else { return "is a truncated program" }
    let isLittleEndian = head[5] == 1
    let machine = isLittleEndian ? Int(head[18]) | Int(head[19]) << 8 : Int(head[19]) | Int(head[18]) << 8
    #if arch(x86_64)
      let (own, ownName) = (62, "x86-64")
    #elseif arch(arm64)
      let (own, ownName) = (183, "ARM64")
    #else
      let (own, ownName) = (machine, "this machine")
    #endif
    guard machine != own || !isLittleEndian else { return nil }
    let names = [
      3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "ARM64", 243: "RISC-V", 21: "PowerPC", 22: "S390",
    ]
    return "is a program for \(names[machine] ?? "machine type \(machine)"), and this machine is \(ownName); "
      + "build it for \(ownName)"
  }

  private static func scriptProblem(_ head: [UInt8], _ searchPath: [String]) -> String? {
    let line = head.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
    if line.last == UInt8(ascii: "\r") { return "is a script with Windows line ends; convert it with dos2unix" }
    let words = String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\t" }.map(String.init)
    guard let interpreter = words.first else { return "is a script whose #! line names no interpreter" }
    guard FilePath.kind(interpreter) == .file else {
      return "needs the interpreter \(interpreter.quotedForMessage), which does not exist; install it"
    }
    guard FilePath.name(interpreter) == "env" else { return nil }
    guard let program = words.dropFirst().first(where: { !$0.hasPrefix("-") && !$0.contains("=") }) else { return nil }
    let isFound = searchPath.contains { FilePath.isExecutable(FilePath.join($0, program)) }
    return isFound ? nil : "needs the interpreter \(program.quotedForMessage), which is not in PATH; install it"
  }
}
