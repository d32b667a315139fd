import Glibc

/// Removes what a killed monitor could not.
///
/// The host is the next subreaper above the monitors. When one of them is killed before it has swept, the engine's descendants
/// become children of the host. They are told from children that the host wants by two marks: no owner is registered
/// for them, and they are not in the host's session, which every monitor leaves before it starts anything.
package enum OrphanReaper {
  /// Longest time that one sweep may hold up the thread that starts engines.
  private static let sliceMilliseconds: Int64 = 200

  /// Kills and reaps orphans until none is left, for at most `limit`. Returns how many were reaped and how many are left.
  package static func sweep(within limit: Duration, clock: some HostClock = SystemHostClock()) async throws(SpawnError)
    -> (
      removed: Int, left: Int
    )
  {
    let deadline = clock.now().advanced(by: limit)
    var removed = 0
    while true {
      // On the spawning thread no child can be half made: started, but not yet registered.
      let slice = try await SpawnThread.shared.run { sweepSlice() }
      removed += slice.removed
      if slice.left == 0 || clock.now() >= deadline { return (removed, slice.left) }
    }
  }

  private static func sweepSlice() -> (removed: Int, left: Int) {
    ChildRegistry.reapAbandoned()
    var removed = 0
    let clock = SystemHostClock()
    // By the clock, not by counting: where there are thousands of processes, each look takes long.
    let end = clock.now().advanced(by: .milliseconds(sliceMilliseconds))
    while clock.now() < end {
      let orphans = orphans()
      if orphans.isEmpty { return (removed, 0) }
      orphans.forEach(kill)
      var reaped = 0
      for orphan in orphans where waitpid(orphan.pid, nil, WNOHANG) == orphan.pid { reaped += 1 }
      removed += reaped
      // Dying takes a moment; where some have died, their own children may have arrived already.
      if reaped == 0 { poll(nil, 0, 2) }
    }
    return (removed, orphans().count)
  }

  private static func orphans() -> [ProcessTable.Entry] {
    let session = getsid(0)
    return ProcessTable.children(of: getpid()).filter { $0.session != session && !ChildRegistry.contains($0.pid) }
  }

  // A child that only this thread reaps: neither its number nor its group's can have become a stranger's.
  private static func kill(_ orphan: ProcessTable.Entry) {
    let group = getpgid(orphan.pid)
    if group > 1 && group != getpgrp() { Glibc.kill(-group, SIGKILL) }
    Glibc.kill(orphan.pid, SIGKILL)
  }
}
