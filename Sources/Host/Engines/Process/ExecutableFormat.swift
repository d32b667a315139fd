/// What the first bytes of a file say about how it would be executed. Pure; the bytes may be anything.
package enum ExecutableFormat: Sendable, Equatable {
  /// An ELF program. `interpreter` is the dynamic loader it asks for.
  case elf(machine: UInt16, bits: Int, interpreter: String?)
  /// A script. `interpreter` is the program of its `#!` line, `argument` the rest of that line.
  case script(interpreter: String, argument: String?)
  /// A program of another operating system.
  case foreign(system: String)
  case empty
  case unknown

  package init(head: [UInt8]) {
    if head.isEmpty {
      self = .empty
    } else if head.starts(with: [0x7F, 0x45, 0x4C, 0x46]) {
      self = Self.elf(head) ?? .unknown
    } else if head.starts(with: [0x23, 0x21]) {
      self = Self.script(head) ?? .unknown
    } else if head.starts(with: [0x4D, 0x5A]) {
      self = .foreign(system: "Windows")
    } else if [[0xCF, 0xFA, 0xED, 0xFE], [0xCE, 0xFA, 0xED, 0xFE], [0xCA, 0xFE, 0xBA, 0xBE]].contains(
      where: head.starts)
    {
      self = .foreign(system: "macOS")
    } else {
      self = .unknown
    }
  }

  private static func script(_ head: [UInt8]) -> ExecutableFormat? {
    let line = head.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
    // A carriage return is part of the name as the kernel sees it, and the usual reason why it is not found: kept.
    let words = line.split(maxSplits: 1) { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    guard let interpreter = words.first else { return nil }
    let argument = words.dropFirst().first.map { String(decoding: $0, as: UTF8.self) }
    return .script(interpreter: String(decoding: interpreter, as: UTF8.self), argument: argument)
  }

  // Offsets and sizes are those of elf(5).
  private static func elf(_ head: [UInt8]) -> ExecutableFormat? {
    let bytes = ByteView(bytes: head, bigEndian: head.count > 5 && head[5] == 2)
    guard head.count >= 20, let machine = bytes.integer(at: 18, size: 2) else { return nil }
    let wide = head[4] == 2
    var interpreter: String?
    if let table = bytes.integer(at: wide ? 32 : 28, size: wide ? 8 : 4),
      let entrySize = bytes.integer(at: wide ? 54 : 42, size: 2),
      let count = bytes.integer(at: wide ? 56 : 44, size: 2)
    {
      interpreter = bytes.interpreter(table: table, entrySize: entrySize, count: count, wide: wide)
    }
    return .elf(machine: UInt16(machine), bits: wide ? 64 : 32, interpreter: interpreter)
  }

  /// The name of an ELF machine number as packages use it.
  package static func machineName(_ machine: UInt16, bits: Int) -> String {
    switch machine {
    case 3: "i386"
    case 8: "mips"
    case 20, 21: bits == 64 ? "ppc64" : "powerpc"
    case 22: "s390x"
    case 40: "arm (32 bit)"
    case 62: bits == 64 ? "x86_64" : "x32"
    case 183: "aarch64"
    case 243: bits == 64 ? "riscv64" : "riscv32"
    case 258: "loongarch64"
    default: "machine type \(machine)"
    }
  }

  /// The ELF machine number that this host was built for.
  package static var hostMachine: UInt16 {
    #if arch(x86_64)
      62
    #elseif arch(arm64)
      183
    #elseif arch(riscv64)
      243
    #else
      0
    #endif
  }
}

private struct ByteView {
  let bytes: [UInt8]
  let bigEndian: Bool

  func integer(at offset: Int, size: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - size else { return nil }
    let field = bytes[offset..<(offset + size)]
    let value = (bigEndian ? Array(field) : field.reversed()).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Int(exactly: value)
  }

  func interpreter(table: Int, entrySize: Int, count: Int, wide: Bool) -> String? {
    let interpreterType = 3
    guard entrySize >= (wide ? 56 : 32), table <= bytes.count else { return nil }
    for index in 0..<min(count, 64) {
      let entry = table + index * entrySize
      guard integer(at: entry, size: 4) == interpreterType else { continue }
      guard let offset = integer(at: entry + (wide ? 8 : 4), size: wide ? 8 : 4),
        let size = integer(at: entry + (wide ? 32 : 16), size: wide ? 8 : 4), size > 1, size <= 4096,
        offset <= bytes.count - size
      else { return nil }
      return String(decoding: bytes[offset..<(offset + size)].prefix { $0 != 0 }, as: UTF8.self)
    }
    return nil
  }
}
