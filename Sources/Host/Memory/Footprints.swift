import PluginProtocol
import Synchronization

/// What models took when they were loaded, by engine: the better estimate for the next load. Kept between lives.
///
/// These are hints. A file that is lost, old or damaged costs a worse estimate and nothing else.
package final class Footprints: Sendable {
  /// What a measurement holds for.
  package struct Subject: Hashable, Sendable {
    package var plugin: String
    package var model: String
    /// Bytes of the model's files: other files, other footprint.
    package var fileBytes: Int64
    /// Whether the model is kept on a device.
    package var isOnDevice: Bool

    package init(plugin: String, model: String, fileBytes: Int64, isOnDevice: Bool) {
      self.plugin = plugin
      self.model = model
      self.fileBytes = fileBytes
      self.isOnDevice = isOnDevice
    }
  }

  /// Bytes, as the next load may be expected to take them.
  package struct Footprint: Equatable, Sendable {
    package var machineBytes: Int64
    package var deviceBytes: Int64

    package init(machineBytes: Int64, deviceBytes: Int64) {
      self.machineBytes = machineBytes
      self.deviceBytes = deviceBytes
    }
  }

  /// Subjects kept; the ones not seen for longest go first.
  static let kept = 1000
  /// What a model takes besides its files when nothing is known: caches and buffers for computing.
  static let overhead: (share: Int64, bytes: Int64) = (10, 64 << 20)
  /// What a model on a device takes of the machine's memory when nothing is known.
  static let hostShare: Int64 = 256 << 20

  private struct State {
    var known: [Subject: Footprint] = [:]
    /// Oldest first.
    var order: [Subject] = []
  }
  private let path: String?
  private let state: Mutex<State>

  /// - Parameter path: the file that keeps them; nil for none.
  package init(path: String?) {
    self.path = path
    var initial = State()
    if let path, let bytes = try? SafeFile.read(path, maxBytes: 4 << 20).bytes,
      let list = (try? JSONValue(parsing: bytes))?["footprints"]?.array
    {
      for item in list.suffix(Footprints.kept) {
        guard let plugin = item["plugin"]?.string, let model = item["model"]?.string,
          let files = item["fileBytes"]?.int, let machine = item["machineBytes"]?.int,
          let device = item["deviceBytes"]?.int, let isOnDevice = item["onDevice"]?.bool, machine >= 0, device >= 0
        else { continue }
        let subject = Subject(plugin: plugin, model: model, fileBytes: files, isOnDevice: isOnDevice)
        if initial.known.updateValue(Footprint(machineBytes: machine, deviceBytes: device), forKey: subject) == nil {
          initial.order.append(subject)
        }
      }
    }
    state = Mutex(initial)
  }

  /// What a load is expected to take: what it took before, else what the manifest says, else the files and a margin.
  package func estimate(_ subject: Subject, declared: PluginDevicePreference.ModelMemory) -> Footprint {
    if let known = state.withLock({ $0.known[subject] }) { return known }
    let whole: Int64
    switch declared {
    case .bytes(let bytes): whole = bytes
    case .estimate:
      guard subject.fileBytes > 0 else { return Footprint(machineBytes: 0, deviceBytes: 0) }
      whole = subject.fileBytes.addingWithoutOverflow(
        subject.fileBytes / Footprints.overhead.share + Footprints.overhead.bytes)
    }
    return subject.isOnDevice
      ? Footprint(machineBytes: min(Footprints.hostShare, whole), deviceBytes: whole)
      : Footprint(machineBytes: whole, deviceBytes: 0)
  }

  /// Whether a load has been measured before.
  package func isMeasured(_ subject: Subject) -> Bool { state.withLock { $0.known[subject] != nil } }

  /// Remembers what a load took. More than before counts at once, less only by half: the next one may take more again.
  package func learn(_ subject: Subject, _ taken: Footprint) {
    let text: [UInt8]? = state.withLock { state in
      func settled(_ old: Int64, _ new: Int64) -> Int64 { new >= old ? new : new + (old - new) / 2 }
      let old = state.known[subject]
      let next =
        old.map {
          Footprint(
            machineBytes: settled($0.machineBytes, taken.machineBytes),
            deviceBytes: settled($0.deviceBytes, taken.deviceBytes))
        } ?? taken
      guard next != old else { return nil }
      state.known[subject] = next
      state.order.removeAll { $0 == subject }
      state.order.append(subject)
      while state.order.count > Footprints.kept { state.known[state.order.removeFirst()] = nil }
      return Footprints.text(state.order, state.known)
    }
    // Not forced to the disk, and no word when it fails: nothing is lost with it.
    if let text, let path { try? SmallFile.write(text, to: path, mode: 0o600) }
  }

  private static func text(_ order: [Subject], _ known: [Subject: Footprint]) -> [UInt8] {
    let list: [JSONValue] = order.compactMap { subject in
      guard let footprint = known[subject] else { return nil }
      return [
        "plugin": .string(subject.plugin), "model": .string(subject.model), "fileBytes": .int(subject.fileBytes),
        "onDevice": .bool(subject.isOnDevice), "machineBytes": .int(footprint.machineBytes),
        "deviceBytes": .int(footprint.deviceBytes),
      ]
    }
    return Array((JSONValue.object(["footprints": .array(list)]).prettyText + "\n").utf8)
  }
}
