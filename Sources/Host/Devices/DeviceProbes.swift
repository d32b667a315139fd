import Glibc

/// Where devices are looked for, and what is found there. Tests point it at trees and programs of their own.
package struct DeviceProbes: Sendable {
  /// The path of `nvidia-smi`; nil when there is none.
  package var nvidiaSMI: String?
  package var proc = "/proc"
  package var sys = "/sys"
  /// How long the tool may take. The first call after boot wakes the driver, which takes seconds for each GPU.
  package var timeout = Duration.seconds(20)
  /// The environment of this process: what its own user hides from it (`CUDA_VISIBLE_DEVICES`) is not handed out.
  package var environment: [String: String]

  package init(nvidiaSMI: String?, environment: [String: String] = [:]) {
    self.nvidiaSMI = nvidiaSMI
    self.environment = environment
  }

  /// This machine, with the `nvidia-smi` of the search path.
  package static func machine(environment: [String: String]) -> DeviceProbes {
    let directories = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map(String.init)
    // Where it lies on WSL, outside of every search path.
    let candidates = (directories.filter { $0.hasPrefix("/") } + ["/usr/bin", "/usr/lib/wsl/lib"])
      .map { FilePath.join($0, "nvidia-smi") }
    let tool = candidates.first { FilePath.kind($0) == .file && FilePath.isExecutable($0) }
    return DeviceProbes(nvidiaSMI: tool, environment: environment)
  }

  /// What was found, and what is to be said about it: one sentence each.
  struct Finding: Sendable, Equatable {
    var devices: [MachineDevice] = []
    var notices: [String] = []
  }

  /// Looks for devices of every kind. Blocks as long as ``timeout`` allows.
  func look(cancel: CancelSignal) -> Finding {
    var found = nvidia(cancel: cancel)
    for (index, card) in DriverFiles.amd(sys: sys).enumerated() where DeviceID.indices.contains(index) {
      found.add(card, as: DeviceID(.rocm, index))
    }
    found.devices.sort { $0.id < $1.id }
    return found
  }

  /// Free memory now, by device. Devices that do not tell are not in it.
  /// - Parameter devices: what was found before. Nothing is run when no NVIDIA device is among them.
  func free(_ devices: [MachineDevice], cancel: CancelSignal) -> (bytes: [DeviceID: UInt64], notices: [String]) {
    var free: [DeviceID: UInt64] = [:]
    var notices: [String] = []
    if let tool = nvidiaSMI, devices.contains(where: { $0.kind == .cuda }) {
      do throws(BoundedCommand.Failure) {
        for gpu in NVIDIAReport.gpus(try run(tool, NVIDIAReport.gpuQuery, cancel)) {
          // By name, because a GPU that fell off the bus shifts the numbers of the others.
          let device = devices.first { gpu.uuid == nil ? $0.id == DeviceID(.cuda, gpu.index) : $0.uuid == gpu.uuid }
          if let device { free[device.id] = gpu.freeBytes }
        }
      } catch { notices.append("the memory of NVIDIA GPUs cannot be measured: \(tool) \(error.text)") }
    }
    if devices.contains(where: { $0.kind == .rocm }) {
      for (index, card) in DriverFiles.amd(sys: sys).enumerated() { free[DeviceID(.rocm, index)] = card.freeBytes }
    }
    return (free, notices)
  }

  /// What computes on NVIDIA's devices now; nil when nobody can tell.
  func processes(cancel: CancelSignal) -> [NVIDIAReport.Process]? {
    guard let tool = nvidiaSMI else { return nil }
    return (try? run(tool, NVIDIAReport.processQuery, cancel)).map(NVIDIAReport.processes)
  }

  private func nvidia(cancel: CancelSignal) -> Finding {
    var found = Finding()
    if let tool = nvidiaSMI {
      do throws(BoundedCommand.Failure) {
        let gpus = NVIDIAReport.gpus(try run(tool, NVIDIAReport.gpuQuery, cancel))
        let slices = gpus.isEmpty ? [] : NVIDIAReport.partitions(try run(tool, NVIDIAReport.listing, cancel))
        return visible(assemble(gpus, slices))
      } catch { found.notices.append("NVIDIA GPUs: \(tool) \(error.text); looking at the driver's files instead") }
    }
    for (index, card) in DriverFiles.nvidia(proc: proc).enumerated() where DeviceID.indices.contains(index) {
      found.add(card, as: DeviceID(.cuda, index))
    }
    return visible(found)
  }

  /// GPUs as devices. Where one is divided, its slices take its place, and all are numbered anew.
  private func assemble(_ gpus: [NVIDIAReport.GPU], _ slices: [NVIDIAReport.Partition]) -> Finding {
    var found = Finding()
    var next = 0
    for gpu in gpus.sorted(by: { $0.index < $1.index }) {
      let own = slices.filter { $0.gpu == gpu.index }
      for slice in own where DeviceID.indices.contains(next) {
        found.devices.append(
          MachineDevice(
            id: DeviceID(.cuda, next), uuid: slice.uuid, name: "\(gpu.name) MIG \(slice.profile)",
            memoryBytes: slice.memoryBytes))
        next += 1
      }
      guard own.isEmpty else { continue }
      let index = slices.isEmpty ? gpu.index : next
      guard !found.devices.contains(where: { $0.index == index }), DeviceID.indices.contains(index) else { continue }
      found.add(
        DriverFiles.Card(name: gpu.name, uuid: gpu.uuid, totalBytes: gpu.totalBytes, freeBytes: gpu.freeBytes),
        as: DeviceID(.cuda, index))
      next += 1
    }
    return found
  }

  /// Leaves out what `CUDA_VISIBLE_DEVICES` of this process hides, by CUDA's own rule: numbers, or beginnings of
  /// uuids, up to the first that is none.
  private func visible(_ found: Finding) -> Finding {
    guard let list = environment["CUDA_VISIBLE_DEVICES"] else { return found }
    var kept: [MachineDevice] = []
    for word in list.split(separator: ",", omittingEmptySubsequences: false).map(\.withoutBlanks) {
      let device = found.devices.first { device in
        Int(word) == device.index || (word.utf8.count > 4 && device.uuid?.hasPrefix(word) == true)
      }
      guard let device, !kept.contains(device) else { break }
      kept.append(device)
    }
    let hidden = found.devices.count - kept.count
    guard hidden > 0 else { return found }
    let notice = "\(hidden) NVIDIA GPU\(hidden == 1 ? " is" : "s are") hidden by CUDA_VISIBLE_DEVICES of this process"
    return Finding(devices: kept, notices: found.notices + [notice])
  }

  private func run(_ tool: String, _ arguments: [String], _ cancel: CancelSignal) throws(BoundedCommand.Failure)
    -> String
  {
    var own = ["PATH": environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"]
    own["LD_LIBRARY_PATH"] = environment["LD_LIBRARY_PATH"]
    return try BoundedCommand.output(tool, arguments, environment: own, timeout: timeout, cancel: cancel)
  }
}

extension DeviceProbes.Finding {
  /// A card becomes a device when it is known how much memory it has.
  fileprivate mutating func add(_ card: DriverFiles.Card, as id: DeviceID) {
    guard let total = card.totalBytes else {
      notices.append(
        "\(id) (\(card.name)) does not tell how much memory it has, so it is not used; name it with its memory under "
          + "'devices' in the configuration to use it")
      return
    }
    devices.append(
      MachineDevice(id: id, uuid: card.uuid, name: card.name, memoryBytes: total, freeBytes: card.freeBytes))
  }
}
