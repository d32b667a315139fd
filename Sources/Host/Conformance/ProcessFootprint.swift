import Glibc

/// What a process holds: descriptors, child processes, threads.
struct ProcessFootprint: CustomStringConvertible {
  let descriptors: Int
  let children: Int
  let threads: Int

  init(of pid: Int32) {
    descriptors = FileTree.names(in: "/proc/\(pid)/fd").count
    threads = FileTree.names(in: "/proc/\(pid)/task").count
    children = ProcessTable.descendants(of: pid).count
  }

  var description: String { "\(descriptors) descriptors, \(children) child processes" }

  /// Whether nothing has grown. Three descriptors are allowed: what is opened once may be opened late.
  func isWithin(_ other: ProcessFootprint) -> Bool {
    descriptors <= other.descriptors + 3 && children <= other.children
  }
}
