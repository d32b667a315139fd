/// A store of memory that models compete for.
package enum MemoryPool: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The machine's own memory.
  case machine
  /// A device's memory, by the device's name: `cuda:0`.
  case device(String)

  package var description: String {
    switch self {
    case .machine: "memory"
    case .device(let name): name
    }
  }

  package static func < (left: MemoryPool, right: MemoryPool) -> Bool { left.description < right.description }
}

/// Bytes by pool. Pools that are not named hold nothing.
package struct MemoryAmounts: Sendable, Equatable {
  package private(set) var bytes: [MemoryPool: Int64]

  package init(_ bytes: [MemoryPool: Int64] = [:]) { self.bytes = bytes.filter { $0.value > 0 } }

  package subscript(_ pool: MemoryPool) -> Int64 {
    get { bytes[pool] ?? 0 }
    set { bytes[pool] = newValue > 0 ? newValue : nil }
  }

  /// Pools that hold something, in order.
  package var pools: [MemoryPool] { bytes.keys.sorted() }
  package var total: Int64 { bytes.values.reduce(0) { $0.addingWithoutOverflow($1) } }

  package static func + (left: MemoryAmounts, right: MemoryAmounts) -> MemoryAmounts {
    MemoryAmounts(left.bytes.merging(right.bytes) { $0.addingWithoutOverflow($1) })
  }
}

extension Int64 {
  /// The sum, or the greatest number: sizes come from files and engines, and are not to be trusted.
  func addingWithoutOverflow(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
