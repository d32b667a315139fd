import PluginProtocol

/// Decides what the end of an engine process means for a job that the process had in hand: a value without clocks or I/O.
///
/// A process that dies with several jobs in hand says nothing about any one of them: all of them become suspects, which are
/// tried again alone in their process and pay nothing for it. A death with the job alone is proof. Two deaths, the last of
/// them proven, are poison. What the host did itself, and what the kernel did for want of memory, is no death.
package struct Blame: Sendable {
  /// Processes that a job may end, the last one while it was alone, before it is not tried again.
  package static let poisonous = 2

  /// How a job came to lose its process.
  package enum Circumstance: Sendable, Equatable {
    /// The host ended the process, or it was killed for another job's sake, or never saw the job.
    case hosts
    /// The process died, or had to be killed for how it behaved, with this many jobs and loads in hand.
    case died(inHand: Int)
    /// The process was killed because this very job stood still.
    case stalled
    /// The kernel killed the process for want of memory.
    case outOfMemory(inHand: Int)
  }

  /// What becomes of the job.
  package enum Ruling: Sendable, Equatable {
    /// Back into line as it was.
    case unblamed
    /// Back into line, to be tried alone; costs no attempt.
    case suspect
    /// Back into line, to be tried alone; the attempt counts.
    case guilty
    /// It is not tried again.
    case poison
  }

  private struct Record {
    var deaths = 0
    /// What is known of each death.
    var stories: [JobFailure] = []
  }
  private var records: [JobID: Record] = [:]

  package init() {}

  /// Jobs that something is held against.
  package var count: Int { records.count }

  /// Whether the job has to be alone in its process when it is tried next.
  package func isSuspect(_ id: JobID) -> Bool { records[id] != nil }

  /// Judges one loss.
  ///
  /// - Parameter story: what is known of it; kept until the job has ended.
  package mutating func rule(_ id: JobID, _ circumstance: Circumstance, story: JobFailure) -> Ruling {
    switch circumstance {
    case .hosts: return .unblamed
    case .outOfMemory(let inHand):
      records[id, default: Record()].stories.append(story)
      return inHand > 1 ? .suspect : .guilty
    case .died(let inHand): return died(id, isProven: inHand <= 1, story)
    case .stalled: return died(id, isProven: true, story)
    }
  }

  private mutating func died(_ id: JobID, isProven: Bool, _ story: JobFailure) -> Ruling {
    var record = records[id] ?? Record()
    record.deaths += 1
    record.stories.append(story)
    records[id] = record
    guard isProven else {
      // One that was to be alone and was not (a model was loaded beside it by hand) must come to an end some time.
      return record.deaths < Blame.poisonous ? .suspect : .guilty
    }
    return record.deaths < Blame.poisonous ? .guilty : .poison
  }

  /// What is known of each process that ended with the job, oldest first.
  package func stories(_ id: JobID) -> [JobFailure] { records[id]?.stories ?? [] }

  /// The job has ended.
  package mutating func forget(_ id: JobID) { records[id] = nil }

  /// Takes up what the attempts of a former life of the host say.
  package mutating func restore(_ id: JobID, _ attempts: [JobAttempt]) {
    var record = Record()
    for attempt in attempts {
      guard let story = attempt.error, let mark = story.evidence?[BlameMark.key]?.string.flatMap(BlameMark.init)
      else { continue }
      record.stories.append(story)
      if mark != .memory { record.deaths += 1 }
    }
    if !record.stories.isEmpty { records[id] = record }
  }
}

/// How a lost attempt is marked in its evidence, for people and for the next life of the host.
package enum BlameMark: String, Sendable {
  /// The job was the only thing that the process had in hand.
  case alone
  /// The process had others in hand, too.
  case shared
  /// The job itself stood still.
  case stalled
  /// Memory ran out.
  case memory

  static let key = "blame"

  init?(_ circumstance: Blame.Circumstance) {
    switch circumstance {
    case .hosts: return nil
    case .died(let inHand): self = inHand > 1 ? .shared : .alone
    case .stalled: self = .stalled
    case .outOfMemory: self = .memory
    }
  }
}
