/// How well a place is prepared for the jobs of a lane.
package enum LaneRank: Sendable, Equatable {
  /// From the best to the worst.
  package enum Readiness: Int, Comparable, Sendable {
    /// The model is loaded there, or the engine needs none.
    case loaded
    /// It has to be loaded, and there is room for it.
    case room
    /// Idle models have to leave first.
    case swap
    /// It is loaded in another process already: a second copy would be loaded.
    case copy
    /// It cannot be loaded there: whoever takes it hears why. Any other place is better.
    case hopeless

    package static func < (left: Readiness, right: Readiness) -> Bool { left.rawValue < right.rawValue }
  }

  /// A job may begin. `pools` is the memory that its model takes.
  case ready(Readiness, pools: Set<MemoryPool>)
  /// Models in use hold the memory.
  case blocked(pools: Set<MemoryPool>)
}
