import Glibc
import PluginProtocol
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct ControlSocketTests {
  @Test func socketAndDirectoryArePrivateAndGoAway() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      try await withServer(ProbeHandler(), at: path) {
        #expect(mode(path) == 0o600)
        #expect(mode(directory + "/run") == 0o700)
      }
      #expect(mode(path) == nil)
    }
  }

  @Test func anOpenDirectoryIsClosedToOthers() async throws {
    try await withTemporaryDirectory { directory in
      mkdir(directory + "/run", 0o700)
      chmod(directory + "/run", 0o755)
      try await withServer(ProbeHandler(), at: directory + "/run/control.sock") {
        #expect(mode(directory + "/run") == 0o700)
      }
    }
  }

  @Test func aStaleSocketIsReplaced() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      mkdir(directory + "/run", 0o700)
      let old = try ControlSocketPath.socket(path)
      let bound = try ControlSocketPath.with(path) { bind(old, $0, $1) }
      #expect(bound == 0)
      close(old)
      #expect(mode(path) != nil)
      try await withServer(ProbeHandler(), at: path) {
        let answer = try await SocketConnection(path: path).call("echo", ["a": 1])
        #expect(answer == ["a": 1])
      }
    }
  }

  @Test func aLiveWorkerIsLeftAlone() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      try await withServer(ProbeHandler(), at: path) {
        await #expect(throws: ControlError.homeInUse(path: path)) {
          try await ControlServer(path: path, handler: ProbeHandler()).run()
        }
        let answer = try await SocketConnection(path: path).call("echo")
        #expect(answer == .object([:]))
      }
    }
  }

  @Test func aForeignListenerIsLeftAlone() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      mkdir(directory + "/run", 0o700)
      let other = try ControlSocketPath.socket(path)
      defer { close(other) }
      let bound = try ControlSocketPath.with(path) { bind(other, $0, $1) }
      #expect(bound == 0)
      listen(other, 1)
      await #expect(throws: ControlError.homeInUse(path: path)) {
        try await ControlServer(path: path, handler: ProbeHandler()).run()
      }
      #expect(mode(path) != nil)
    }
  }

  @Test func aFileInItsPlaceIsNotRemoved() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      mkdir(directory + "/run", 0o700)
      close(open(path, O_CREAT | O_WRONLY, 0o600))
      await #expect(throws: ControlError.occupied(path: path, reason: "is not a socket")) {
        try await ControlServer(path: path, handler: ProbeHandler()).run()
      }
      #expect(mode(path) != nil)
    }
  }

  @Test func aLongPathIsRefusedWithItsLimit() async throws {
    let path = "/tmp/" + String(repeating: "d", count: 200) + "/control.sock"
    await #expect(throws: ControlError.pathTooLong(path: path, limit: 107)) {
      try await ControlServer(path: path, handler: ProbeHandler()).run()
    }
    await #expect(throws: ControlError.pathTooLong(path: path, limit: 107)) {
      try await SocketConnection(path: path).call("echo")
    }
  }

  private func mode(_ path: String) -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }
}
