import Glibc
import Synchronization

/// An advisory lock (`flock`) on a file, between processes and between tasks of one; gone with its holder.
package final class FileLock: Sendable {
  private let descriptor: Mutex<Int32>

  private init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }

  deinit { release() }

  /// Gives the lock back; a second time does nothing.
  package func release() {
    let held = descriptor.withLock { held in
      defer { held = -1 }
      return held
    }
    if held >= 0 { close(held) }
  }

  enum Attempt {
    case taken(FileLock)
    /// Somebody writes: the lock is held exclusively.
    case busy
    /// Somebody reads: the lock is held shared.
    case shared
  }

  /// Tries once to hold the file with others.
  static func tryShared(_ path: String, create: Bool) throws(ModelError) -> Attempt {
    while true {
      let descriptor = try opened(path, create: create)
      if flock(descriptor, LOCK_SH | LOCK_NB) != 0 {
        close(descriptor)
        return .busy
      }
      if isCurrent(descriptor, path) { return .taken(FileLock(descriptor)) }
      close(descriptor)
    }
  }

  /// Tries once to hold the file alone.
  static func tryExclusive(_ path: String, create: Bool) throws(ModelError) -> Attempt {
    while true {
      let descriptor = try opened(path, create: create)
      if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) == 0 ? .shared : .busy
      }
      if isCurrent(descriptor, path) { return .taken(FileLock(descriptor)) }
      close(descriptor)
    }
  }

  /// Readers seen this often in a row, a tenth of a second apart, stay; one that merely looked is gone by then.
  private static let patience = 5

  /// Holds the file alone, waiting while somebody writes.
  ///
  /// - Parameter onWait: Called before each wait.
  /// - Returns: nil when readers hold the file.
  static func exclusive(
    _ path: String, create: Bool, waitsForWriters: Bool, cancel: CancelSignal, onWait: () -> Void
  ) throws -> FileLock? {
    var readersSeen = 0
    var writersSeen = 0
    while true {
      switch try tryExclusive(path, create: create) {
      case .taken(let lock): return lock
      case .shared: readersSeen += 1
      case .busy:
        readersSeen = 0
        writersSeen += 1
        onWait()
      }
      if readersSeen >= patience || (!waitsForWriters && writersSeen >= patience) { return nil }
      try cancel.pause(milliseconds: 100)
    }
  }

  private static func opened(_ path: String, create: Bool) throws(ModelError) -> Int32 {
    let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    let descriptor = create ? open(path, flags | O_CREAT, 0o644) : open(path, flags)
    guard descriptor >= 0 else { throw FileFault.error("lock", path) }
    return descriptor
  }

  /// False when the file was removed or replaced between opening and locking it.
  private static func isCurrent(_ descriptor: Int32, _ path: String) -> Bool {
    var held = stat()
    var named = stat()
    return fstat(descriptor, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino
      && held.st_dev == named.st_dev
  }
}
