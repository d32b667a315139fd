import FFmpegTasks
import PluginProtocol

@testable import Host

/// What programs print that the host or an engine reads: the monitor's records, `nvidia-smi`, ffmpeg's progress; and
/// the first bytes of a program.
func fuzzReports(_ input: [UInt8]) {
  var steering = Steering(input)
  let reader = steering.byte()
  let bytes = steering.payload
  switch reader % 5 {
  case 0: fuzzStatus(bytes, seed: reader)
  case 1: fuzzNVIDIA(String(decoding: bytes, as: UTF8.self))
  case 2: fuzzExecutable(bytes)
  case 3: fuzzProgress(bytes, seed: reader)
  default: fuzzOverlongLine(bytes)
  }
}

/// The same records and the same refusals in any pieces.
private func fuzzStatus(_ bytes: [UInt8], seed: UInt8) {
  func read(_ pieces: [[UInt8]]) -> (records: [ProcessStatusRecord], refused: Int) {
    var parser = ProcessStatusParser()
    var records: [ProcessStatusRecord] = []
    var refused = 0
    for piece in pieces {
      do throws(ProcessStatusParser.Malformed) {
        records += try parser.append(piece)
      } catch {
        refused += 1
        require(error.line.utf8.count <= 3 * 128, "a line of \(error.line.utf8.count) bytes is kept")
      }
    }
    return (records, refused)
  }
  let single = read(bytes.map { [$0] })
  let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast().count
  require(single.records.count + single.refused == lines, "\(lines) lines are not as many records and refusals")
  let whole = read([bytes])
  require(whole.refused == min(1, single.refused), "refused in one way of reading only")
  if single.refused == 0 {
    require(read(pieces(bytes, seed: seed)).records == single.records, "the records differ by the pieces")
  }
  for case .started(let pid, _) in single.records { require(pid > 0, "a process \(pid)") }
}

private func fuzzNVIDIA(_ text: String) {
  for gpu in NVIDIAReport.gpus(text) {
    require(DeviceID.indices.contains(gpu.index), "a GPU \(gpu.index)")
    require(gpu.uuid.map(NVIDIAReport.isUUID) ?? true, "an id that is none")
    if let total = gpu.totalBytes, let free = gpu.freeBytes { require(free <= total, "more is free than there is") }
    require(gpu.name.count <= 128 && isPlain(gpu.name), "a name that is none: \(gpu.name)")
  }
  for process in NVIDIAReport.processes(text) { require(process.pid > 0, "a process \(process.pid)") }
  for part in NVIDIAReport.partitions(text) {
    require(NVIDIAReport.isUUID(part.uuid), "an id that is none")
    require(DeviceID.indices.contains(part.gpu), "a slice of GPU \(part.gpu)")
  }
}

private func fuzzExecutable(_ bytes: [UInt8]) {
  switch ExecutableFormat(head: bytes) {
  case .elf(let machine, let bits, let interpreter):
    _ = ExecutableFormat.machineName(machine, bits: bits)
    require((interpreter?.utf8.count ?? 0) <= 3 * 4096, "a loader's name without end")
  case .script(let interpreter, _): require(!interpreter.isEmpty, "a script without an interpreter")
  case .foreign, .empty, .unknown: break
  }
}

private func fuzzProgress(_ bytes: [UInt8], seed: UInt8) {
  var whole = ProgressParser()
  var chunked = ProgressParser()
  let last = whole.feed(bytes)
  var latest: ToolProgress?
  for piece in pieces(bytes, seed: seed) { latest = chunked.feed(piece) ?? latest }
  // Not a number is not equal to itself.
  require(latest.map { "\($0)" } == last.map { "\($0)" }, "the progress differs by the pieces")
  _ = FrameRate(printed: String(decoding: bytes, as: UTF8.self), maximum: 1000)
}
