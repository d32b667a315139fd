/// Who is in which engine process, for jobs that have to be alone in theirs. A value without clocks or I/O.
///
/// A suspect goes to a process that has nothing in hand, and while it is there nobody joins it. When its turn comes and no
/// such process waits, one process is emptied for it: that one takes nothing new until the suspect has run. One process is
/// emptied for one suspect at a time, the others go on with what stands behind it in line.
package struct Solitude: Sendable {
  typealias Place = Dispatcher.Place

  private var inHand: [Place: Int] = [:]
  /// Places where a suspect runs.
  private var lone: Set<Place> = []
  /// Places that take nothing new until this job has run there.
  private var emptying: [Place: JobID] = [:]

  /// Whether a suspect has the process to itself.
  func isTaken(_ place: Place) -> Bool { lone.contains(place) }

  /// Whether the process has something in hand.
  func isOccupied(_ place: Place) -> Bool { (inHand[place] ?? 0) > 0 }

  /// Whether a place has to look at a job at all: not at a suspect for which another process is being emptied, unless
  /// this one is empty already.
  func mayConsider(_ job: WaitingJob, at place: Place) -> Bool {
    guard job.isAlone, isOccupied(place) else { return true }
    return !emptying.contains { $0.value == job.id && $0.key != place }
  }

  /// The place's best job is a suspect and others are still there. Returns whether that is news.
  mutating func empty(_ place: Place, for id: JobID) -> Bool {
    // Another place may have come first since this one looked.
    guard emptying[place] != id, !emptying.contains(where: { $0.value == id }) else { return false }
    emptying[place] = id
    return true
  }

  /// The place has something better to do than to wait for a suspect. Returns whether it had waited.
  @discardableResult
  mutating func stopEmptying(_ place: Place) -> Bool { emptying.removeValue(forKey: place) != nil }

  /// A job goes to a place.
  mutating func begin(_ job: WaitingJob, at place: Place) {
    inHand[place, default: 0] += 1
    if job.isAlone { lone.insert(place) }
    emptying[place] = nil
    drop(job.id)
  }

  /// A job has left a place. Returns whether others may have waited for that.
  mutating func end(at place: Place) -> Bool {
    let left = max(0, (inHand[place] ?? 0) - 1)
    inHand[place] = left > 0 ? left : nil
    guard left == 0 else { return false }
    return lone.remove(place) != nil || emptying[place] != nil
  }

  /// The job waits no longer.
  mutating func drop(_ id: JobID) { emptying = emptying.filter { $0.value != id } }

  /// The place takes no more jobs. What it has in hand leaves it by `end`.
  mutating func retire(_ place: Place) { emptying[place] = nil }
}
