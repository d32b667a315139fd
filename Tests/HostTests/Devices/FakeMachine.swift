import Foundation
import Testing

@testable import Host

/// A machine made of files: driver trees and a program in place of `nvidia-smi`. The formats are the real ones'.
final class FakeMachine {
  private let scratch: ScratchPlugins

  init() throws { scratch = try ScratchPlugins() }

  var path: String { scratch.path }
  var proc: String { scratch.path + "/proc" }
  var sys: String { scratch.path + "/sys" }

  func write(_ text: String, to file: String) throws { try scratch.write(text, to: path + "/" + file) }

  /// What it looks like from here; no tool unless one was made.
  func probes(tool: String? = nil, environment: [String: String] = [:]) -> DeviceProbes {
    var probes = DeviceProbes(nvidiaSMI: tool, environment: environment)
    probes.proc = proc
    probes.sys = sys
    return probes
  }

  /// A shell script in place of `nvidia-smi`, which notes each call in `calls`.
  func fakeSMI(script: String) throws -> String {
    let file = path + "/fake-nvidia-smi"
    try scratch.write("#!/bin/sh\necho \"$1\" >> '\(path)/calls'\n\(script)\n", to: file + ".text")
    // Installed by another process: had this one held it open for writing while another test started a program, that
    // program would hold it for a moment too, and a file that is being written cannot be executed.
    try #require(HelperProcess(["install", "-m", "755", file + ".text", file]).wait() == 0)
    return file
  }

  /// One that answers each of the three questions with a text; an answer can be changed while it is in use.
  func fakeSMI(gpus: String, listing: String = "", processes: String = "") throws -> String {
    try answer(gpus: gpus, listing: listing, processes: processes)
    return try fakeSMI(
      script: """
        case "$1" in
          --query-gpu=index,uuid,name,memory.total,memory.used,memory.free) cat '\(path)/gpus' ;;
          --query-compute-apps=pid,gpu_uuid,used_memory) cat '\(path)/processes' ;;
          -L) cat '\(path)/listing' ;;
          *) echo "Invalid combination of input arguments." ; exit 6 ;;
        esac
        case "$1" in -L) ;; *) [ "$2" = --format=csv,noheader,nounits ] || exit 2 ;; esac
        """)
  }

  func answer(gpus: String? = nil, listing: String? = nil, processes: String? = nil) throws {
    if let gpus { try write(gpus, to: "gpus") }
    if let listing { try write(listing, to: "listing") }
    if let processes { try write(processes, to: "processes") }
  }

  /// First arguments of the calls so far.
  func calls() -> [String] {
    ((try? String(contentsOfFile: path + "/calls", encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
  }

  func nvidiaDriver(_ bus: String, _ information: String) throws {
    try write(information, to: "proc/driver/nvidia/gpus/\(bus)/information")
  }

  func card(_ number: Int, vendor: String, files: [String: String]) throws {
    try write(vendor + "\n", to: "sys/class/drm/card\(number)/device/vendor")
    for (name, text) in files { try write(text + "\n", to: "sys/class/drm/card\(number)/device/\(name)") }
  }
}

extension DeviceProbes {
  /// What a look finds, on a thread that may block.
  func look() async throws -> Finding { try await onBlockingThread { look(cancel: $0) } }
}

/// Lines of a machine with that many GPUs of 80 GiB each.
func gpuLines(_ count: Int, used: Int = 1024) -> String {
  (0..<count).map { index in
    "\(index), GPU-0000000\(index)-1111-2222-3333-444444444444, NVIDIA H100 80GB HBM3, 81559, \(used), \(81079 - used)"
  }.joined(separator: "\n") + "\n"
}
