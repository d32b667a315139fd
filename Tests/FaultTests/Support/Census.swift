import Foundation
import Glibc
import Host

/// What the system says about a host and everything that came from it. Nothing here asks the host.
struct Census: Sendable, CustomStringConvertible {
  /// Engines, monitors, and whatever engines started: found by the home's path in their environment, wherever they fled to.
  var family: [Int32]
  /// Dead and not reaped, below the host.
  var zombies: [Int32]
  /// Threads of the host that serve an engine.
  var engineThreads: Int
  var threads: Int
  var descriptors: Int
  var residentBytes: UInt64
  var litter: [String]
  var monitorRecords: Int

  /// Descriptors that the host holds for one living engine: five pipes, the monitor's pidfd, a counter and a timer.
  static let descriptorsPerEngine = 8

  var description: String {
    "family \(family), zombies \(zombies), engine threads \(engineThreads), threads \(threads), "
      + "descriptors \(descriptors), litter \(litter), monitor records \(monitorRecords)"
  }

  init(host: Int32, home: TestHome) {
    family = Census.family(of: home)
    zombies = ProcessTable.descendants(of: host).filter { !$0.isAlive }.map(\.pid)
    let tasks = home.entries("/proc/\(host)/task")
    threads = tasks.count
    engineThreads = tasks.count {
      (try? String(contentsOfFile: "/proc/\(host)/task/\($0)/comm", encoding: .utf8)) == "engine\n"
    }
    descriptors = home.entries("/proc/\(host)/fd").count
    residentBytes = ProcessTable.residentBytes(host) ?? 0
    litter = home.litter
    monitorRecords = home.monitorRecords.count
  }

  /// Every living process whose environment names the home.
  static func family(of home: TestHome) -> [Int32] {
    let mark = Array(home.path.utf8)
    return ProcessTable.all().filter(\.isAlive).map(\.pid).filter { pid in
      guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
      return environment.firstRange(of: mark) != nil
    }
  }

  /// What is left that should not be, compared with a census of before; empty when all is well.
  func leftovers(since before: Census, engines: Int) -> [String] {
    var left: [String] = []
    let grown = engines - before.engineThreads
    // Each engine is two processes: its monitor and itself.
    if family.count != 2 * engines { left.append("processes \(family), where \(engines) engines with monitors belong") }
    if !zombies.isEmpty { left.append("zombies \(zombies)") }
    if engineThreads != engines { left.append("\(engineThreads) engine threads for \(engines) engines") }
    if monitorRecords != engines { left.append("\(monitorRecords) monitor records for \(engines) engines") }
    let allowed = before.descriptors + grown * Census.descriptorsPerEngine
    if descriptors > allowed { left.append("\(descriptors) descriptors, \(allowed) allowed") }
    // The pools of the runtime come and go by a few threads.
    if threads > before.threads + grown + 6 { left.append("\(threads) threads, were \(before.threads)") }
    if !litter.isEmpty { left.append("files \(litter)") }
    let limit = before.residentBytes + (20 << 20)
    if residentBytes > limit { left.append("resident \(residentBytes >> 20) MiB, were \(before.residentBytes >> 20)") }
    return left
  }
}
