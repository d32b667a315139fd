import Dispatch
import Glibc

/// How much of the disk one plugin's engine may take, counted while it runs. The kernel has no such limit for a directory;
/// it bounds each single file (RLIMIT_FSIZE), and this counts the rest every few seconds.
package struct DiskQuota: Sendable {
  package var bytes: Int64
  /// What counts, with all that is below.
  package var directories: [String]
  /// Of these, the ones that outlive the process and hold nothing that cannot be made again.
  package var disposable: [String]

  /// Between two counts: the first while what was counted changes.
  private static let periods = Duration.seconds(2) ... .seconds(5)
  /// Every so many counts, open files without a name are counted, too: they take a look at all processes.
  private static let fullEvery = 4

  package init(bytes: Int64, directories: [String], disposable: [String]) {
    self.bytes = bytes
    self.directories = directories
    self.disposable = disposable
  }

  /// Counts until the task is cancelled, and ends the engine when it has taken too much.
  func watch(_ engine: EngineProcess) async {
    var (count, last, period) = (0, Int64(0), DiskQuota.periods.lowerBound)
    while !Task.isCancelled {
      count += 1
      let pid = count % DiskQuota.fullEvery == 0 ? engine.pid : nil
      let used = await onQueue { self.used(pid) }
      if used > bytes {
        engine.submit { core, _ in core.session.abort(.diskQuota(used: used, limit: bytes)) }
        return
      }
      period = used == last ? min(period * 2, DiskQuota.periods.upperBound) : DiskQuota.periods.lowerBound
      last = used
      try? await Task.sleep(for: period)
    }
  }

  /// After a kill for its sake: without this the next process would be killed at once for what it finds.
  func dispose() async {
    await onQueue { () -> Void in
      for directory in disposable {
        // The engine may have closed it; the name is one that it cannot give to another.
        chmod(directory, 0o700)
        for name in FileTree.names(in: directory) { FileTree.remove(FilePath.join(directory, name)) }
      }
    }
  }

  /// Bytes in the directories, and in files that the process, if one is given, or a descendant of it holds open without
  /// a name.
  func used(_ pid: Int32?) -> Int64 {
    var used: Int64 = 0
    for directory in directories {
      used += FileTree.usedBytes(directory, enough: bytes - used)
      if used > bytes { return used }
    }
    // Its orphans are its monitor's children.
    guard let pid, let monitor = ProcessTable.entry(pid)?.parent, monitor > 1 else { return used }
    var seen: Set<UInt64> = []
    for process in ProcessTable.descendants(of: monitor).map(\.pid) {
      for name in FileTree.names(in: "/proc/\(process)/fd") {
        var status = stat()
        // Follows the link to the open file itself, which may have no name any more.
        guard stat("/proc/\(process)/fd/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG,
          status.st_nlink == 0, seen.insert(UInt64(status.st_ino)).inserted
        else { continue }
        used += Int64(status.st_blocks) * 512
      }
    }
    return used
  }

  /// Walking a directory blocks: not on the threads that all tasks share.
  private func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { waiter in
      DiskQuota.queue.async { waiter.resume(returning: body()) }
    }
  }

  private static let queue = DispatchQueue(label: "stoker.quota")
}
