import Glibc

/// What one target does with an input: feeds it to the code under test and checks what must hold for every input.
typealias Fuzzer = @Sendable ([UInt8]) -> Void

/// The targets by name. `FUZZ_TARGET` chooses; libFuzzer gives one function to a program.
private let fuzzers: [String: Fuzzer] = [
  "archive": fuzzArchive,
  "framer": fuzzFramer,
  "json": fuzzJSON,
  "config": fuzzConfiguration,
  "http": fuzzHTTP,
  "control": fuzzControl,
  "reports": fuzzReports,
  "media": fuzzMedia,
]

private let chosen: Fuzzer = {
  let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let fuzzer = fuzzers[name] else {
    say("FUZZ_TARGET is not one of: \(fuzzers.keys.sorted().joined(separator: " "))")
    exit(2)
  }
  return fuzzer
}()

/// What libFuzzer calls.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  chosen(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}

/// Something holds for every input; where it does not, the input is kept as a crash.
func require(_ holds: @autoclosure () -> Bool, _ what: @autoclosure () -> String) {
  guard !holds() else { return }
  say("PROPERTY BROKEN: \(what())")
  abort()
}

private func say(_ line: String) {
  _ = (Array(line.utf8) + [0x0A]).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// Takes numbers off the front of an input, by which it is steered.
struct Steering {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  /// The next byte; 0 when there is none.
  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  /// What is left. Where it begins with 0xFE twice, the pattern behind it stands for as many copies as fill 64 KiB, so
  /// that a small input can show what takes more time or memory than its length allows.
  var payload: [UInt8] {
    guard rest.starts(with: [0xFE, 0xFE]), rest.count > 2 else { return Array(rest) }
    let pattern = Array(rest.dropFirst(2))
    var whole: [UInt8] = []
    whole.reserveCapacity(64 << 10)
    while whole.count + pattern.count <= 64 << 10 { whole += pattern }
    return whole
  }
}

/// The bytes in pieces whose lengths depend on `seed`: 1 to 16 bytes, and now and then none or many.
func pieces(_ bytes: [UInt8], seed: UInt8) -> [[UInt8]] {
  var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
  var pieces: [[UInt8]] = []
  var at = 0
  while at < bytes.count {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    let choice = Int(state >> 33)
    let length = choice % 7 == 0 ? choice % 5000 : choice % 17
    pieces.append(Array(bytes[at..<min(bytes.count, at + length)]))
    at += length
  }
  return pieces
}
