import CLinux
import Glibc

/// Says when something in the plugin directories has changed, by inotify: costs nothing while nothing does.
///
/// Watches the search directories, each plugin's own directory and what is nested in it, within bounds: a file that
/// the manifest does not name may be what a version lacked. A search directory that does not exist yet is noticed when it is made, if its parent exists.
package struct PluginWatcher: Sendable {
  /// Quiet time after the last change before it counts: a directory that is being copied is not looked at half-way.
  static let settle: Duration = .milliseconds(200)
  /// Longest time that a stream of changes puts off the look.
  static let patience: Duration = .milliseconds(1500)

  /// Entries of one directory that are looked at.
  static let maxEntries = 10_000
  /// Directories that are watched inside one plugin's, and how deep. The kernel allows a user some thousands in all.
  static let maxNested = 64
  static let maxDepth = 4

  private let directories: [String]
  private let log: HostLog

  package init(directories: [String], log: HostLog) {
    self.directories = directories
    self.log = log
  }

  /// Calls `changed` after each burst of changes, until the task is cancelled.
  package func run(_ changed: @escaping @Sendable () async -> Void) async {
    let wake = Nap()
    let descriptor = linux_inotify()
    guard descriptor >= 0 else {
      log.write(
        .warn, "host",
        "plugin directories cannot be watched (\(errorText(-descriptor))): restart the worker after a change")
      return
    }
    let stop = linux_eventfd(1)
    let directories = directories
    // Without `stop` no thread: it could not be ended, and would go on with descriptors that are closed here.
    let status =
      stop < 0
      ? -stop
      : DetachedThread.start(named: "plugins") {
        PluginWatcher.watch(descriptor, stop: stop, directories) { wake.wake() }
      }
    guard status == 0 else {
      close(descriptor)
      if stop >= 0 { close(stop) }
      log.write(.warn, "host", "plugin directories cannot be watched: restart the worker after a change")
      return
    }
    while !Task.isCancelled {
      await wake.rest(nil)
      if Task.isCancelled { break }
      await settle(wake)
      if Task.isCancelled { break }
      await changed()
    }
    // The thread closes both descriptors when it sees the signal.
    _ = linux_eventfd_signal(stop)
  }

  /// Waits until nothing has changed for a moment.
  private func settle(_ wake: Nap) async {
    let clock = ContinuousClock()
    let limit = clock.now.advanced(by: PluginWatcher.patience)
    while clock.now < limit, !Task.isCancelled {
      let before = clock.now
      await wake.rest(PluginWatcher.settle)
      if before.duration(to: clock.now) >= PluginWatcher.settle { return }
    }
  }

  private static func watch(_ descriptor: Int32, stop: Int32, _ directories: [String], _ changed: () -> Void) {
    defer {
      close(descriptor)
      close(stop)
    }
    var buffer = [UInt8](repeating: 0, count: 16384)
    addWatches(descriptor, directories)
    changed()  // What came between the first look at the directories and the watches was seen by neither.
    while true {
      var ready = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&ready, 2, -1) > 0 else { continue }
      if ready[1].revents != 0 { return }
      _ = read(descriptor, &buffer, buffer.count)
      // New directories need watches of their own; adding a watch that is there already changes nothing.
      addWatches(descriptor, directories)
      changed()
    }
  }

  private static func addWatches(_ descriptor: Int32, _ directories: [String]) {
    for directory in directories {
      if linux_inotify_watch(descriptor, directory) < 0 {
        _ = linux_inotify_watch(descriptor, FilePath.parent(directory))
        continue
      }
      for name in names(in: directory) {
        var left = PluginWatcher.maxNested
        addNested(descriptor, FilePath.join(directory, name), depth: 0, &left)
      }
    }
  }

  private static func addNested(_ descriptor: Int32, _ path: String, depth: Int, _ left: inout Int) {
    guard depth <= maxDepth, left > 0, linux_inotify_watch(descriptor, path) >= 0 else { return }
    left -= 1
    for name in names(in: path) where name != "__pycache__" {
      addNested(descriptor, FilePath.join(path, name), depth: depth + 1, &left)
    }
  }

  /// What may be directories; asking for a watch tells.
  private static func names(in directory: String) -> [String] {
    guard let handle = opendir(directory) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle), names.count < maxEntries {
      guard
        entry.pointee.d_type == UInt8(DT_DIR) || entry.pointee.d_type == UInt8(DT_UNKNOWN)
          || entry.pointee.d_type == UInt8(DT_LNK)
      else { continue }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
}
