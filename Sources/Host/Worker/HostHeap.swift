import CLinux

/// The host's own memory.
enum HostHeap {
  /// Has what a long line or a full queue took given back when it is over, rather than kept for the next one. Holds for the
  /// whole process: for a program that is the worker and nothing else.
  static func giveBack() { _ = linux_return_memory() }
}
