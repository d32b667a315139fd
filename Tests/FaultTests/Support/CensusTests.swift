import CLinux
import Foundation
import Glibc
import Host
import Testing

extension FaultMatrix {
  /// The look at the system must be able to find fault, or no row shows anything.
  @Suite struct CensusFindsFault {
    @Test func straysAndLitterAreSeen() async throws {
      try await withTestHome { home in
        try home.install(FaultRow.healthy)
        let host = try await HostUnderTest.start(home)
        #expect(try await host.finished(try await host.submit(FaultRow.healthy)).state == "succeeded")
        let before = try await settled(host, since: nil, engines: 1)
        #expect(before.leftovers(since: before, engines: 1).isEmpty)
        #expect(!before.leftovers(since: before, engines: 2).isEmpty, "a missing engine is not seen")

        let engine = try #require(try await host.engine("healthy"))
        let stray = try startStray(mark: home.path)
        #expect(host.census.leftovers(since: before, engines: 1).count == 1, "a stray process is not seen")
        kill(stray, SIGKILL)
        waitpid(stray, nil, 0)

        let file = home.data + "/work/forgotten"
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
        #expect(host.census.leftovers(since: before, engines: 1).count == 1, "a forgotten file is not seen")
        try FileManager.default.removeItem(atPath: file)

        // The monitor is stopped, so that it cannot reap: the dead engine is a zombie.
        let monitor = try #require(ProcessTable.entry(engine)).parent
        kill(monitor, SIGSTOP)
        kill(engine, SIGKILL)
        try await until("the zombie") { host.census.zombies == [engine] }
        kill(monitor, SIGCONT)
        try await settled(host, since: before, engines: 1)
        try await stopInOrder(host)
      }
    }

    private func startStray(mark: String) throws -> Int32 {
      var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
      var environment: [UnsafeMutablePointer<CChar>?] = [strdup("HOME=\(mark)"), nil]
      defer { for word in words + environment { free(word) } }
      let null = open("/dev/null", O_RDWR | O_CLOEXEC)
      defer { close(null) }
      let pid = linux_spawn("/bin/sleep", &words, &environment, [null, null, null], 3)
      try #require(pid > 0)
      return pid
    }
  }
}
