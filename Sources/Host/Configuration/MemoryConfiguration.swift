/// `memory`: how much of the machine models may hold.
package struct MemoryConfiguration: Sendable, Equatable {
  /// Main memory that all engines together may hold: a size, or a part of what there is. Default: 90%.
  package var limit = MemoryLimit.percent(90)
  /// Bytes of main memory that a load leaves free, whoever else uses the machine. Default: 512MiB.
  package var reserve: Int64 = 512 << 20
  /// Bytes of device memory that one model may take at most; a model that needs more is refused. Default: nil, what
  /// the device has.
  package var vramThreshold: Int64?
  /// How long a load waits for memory that is about to be given back before the job fails for want of it. Default: 30s.
  package var waitForRoom = Duration.seconds(30)
}

/// A bound of memory.
package enum MemoryLimit: Sendable, Hashable {
  case bytes(Int64)
  /// Of what the machine has, 1 to 100.
  case percent(Int)

  /// The bound in bytes on a machine with that many; never more than it has.
  package func bytes(of machine: UInt64) -> UInt64 {
    switch self {
    case .bytes(let bytes): min(machine, UInt64(max(0, bytes)))
    case .percent(let percent): machine / 100 * UInt64(percent) + machine % 100 * UInt64(percent) / 100
    }
  }

  /// Reads `75%`, or a size such as `8GiB`; nil for anything else.
  package init?(_ text: String) {
    if text.hasSuffix("%") {
      guard let percent = Int(text.dropLast()), (1...100).contains(percent), text.utf8.first != UInt8(ascii: "+") else {
        return nil
      }
      self = .percent(percent)
    } else {
      guard let bytes = ByteSize.parse(text) else { return nil }
      self = .bytes(bytes)
    }
  }

  package var text: String {
    switch self {
    case .bytes(let bytes): ByteSize.text(bytes)
    case .percent(let percent): "\(percent)%"
    }
  }
}

/// `fairness`: what jobs whose model is loaded may do to the others.
package struct FairnessConfiguration: Sendable, Equatable {
  /// How long a job may be passed by jobs whose model is loaded already. Default: 30s.
  package var maxWait = Duration.seconds(30)
}

/// `residency.PATTERN`: how long the models of a pattern stay loaded, and how many copies.
package struct ResidencyConfiguration: Sendable, Equatable {
  /// How long a model stays loaded after its last job.
  package enum KeepAlive: Sendable, Hashable {
    /// Unloaded after this; zero: as soon as no job waits for it.
    case after(Duration)
    /// Until the memory is needed for another model, or the operator unloads it.
    case forever
  }
  /// Never unloaded to make room for another model, nor for being idle. Default: false.
  package var pin = false
  /// Loaded when the host starts. A glob loads nothing: only an id says which model is meant. Default: false.
  package var preload = false
  /// Default: nil, until its engine ends for being idle.
  package var keepAlive: KeepAlive?
  /// Copies of a model at a time, over all processes. Default: nil (`auto`), any number that the processes and the memory allow.
  package var maxResident: Int?

  /// The settings of a model: those of its id, else of the narrowest glob that matches it (the one with the most
  /// characters that stand for themselves; of equals the first by name), else the defaults. They are never mixed.
  package static func find(
    _ model: String, in all: [ModelPattern: ResidencyConfiguration]
  ) -> ResidencyConfiguration {
    if let own = all[ModelPattern(model)] { return own }
    let globs = all.filter { !$0.key.isExact && $0.key.matches(model) }
    let narrowest = globs.min { left, right in
      (right.key.literals, left.key.text) < (left.key.literals, right.key.text)
    }
    return narrowest?.value ?? ResidencyConfiguration()
  }
}

extension ModelPattern {
  /// Characters that stand for themselves.
  fileprivate var literals: Int { text.unicodeScalars.count { $0 != "*" && $0 != "?" } }
}

/// `inputs`: what jobs may bring with them.
package struct InputsConfiguration: Sendable, Equatable {
  /// Bytes of one input file at most. Default: 2GiB.
  package var maxBytes: Int64 = 2 << 30
  /// Whether inputs may be fetched from addresses inside the private network. Default: false, public ones only.
  package var allowPrivateAddresses = false
}
