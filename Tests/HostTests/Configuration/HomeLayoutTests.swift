import Foundation
import Testing

@testable import Host

private func around(
  home: String? = nil, plugins: [String] = [], _ environment: [String: String],
  executable: String = "/opt/stoker/bin/stoker"
) -> HomeLayout.Surroundings {
  HomeLayout.Surroundings(
    home: home, plugins: plugins, environment: environment, workingDirectory: "/some dir", executable: executable)
}

@Suite struct HomeLayoutTests {
  @Test func oneDirectoryHoldsEverything() throws {
    let layout = try HomeLayout.find(
      around(home: "h/../rig", plugins: ["p", "/q"], ["STOKER_HOME": "/other", "HOME": "/root"]))
    #expect(layout.home == "/some dir/rig")
    #expect(layout.configFile == "/some dir/rig/config.yaml" && layout.modelsFile == "/some dir/rig/models.yaml")
    #expect(
      layout.databaseFile == "/some dir/rig/data/jobs.sqlite" && layout.socketPath == "/some dir/rig/run/stoker.sock")
    #expect(
      layout.pluginDirectories == [
        PluginDirectory(path: "/some dir/p", origin: .commandLine), PluginDirectory(path: "/q", origin: .commandLine),
        PluginDirectory(path: "/some dir/rig/plugins", origin: .home),
        PluginDirectory(path: "/opt/stoker/share/stoker/plugins", origin: .installed),
      ])
    #expect(layout.launcher == "/opt/stoker/libexec/stoker/launch")
    #expect(try HomeLayout.find(around(["STOKER_HOME": "/other"])).home == "/other")
  }

  @Test func xdgDirectoriesAreUsedOtherwise() throws {
    let plain = try HomeLayout.find(around(["HOME": "/home/a", "STOKER_HOME": ""]))
    #expect(plain.configFile == "/home/a/.config/stoker/config.yaml" && plain.home == nil)
    #expect(plain.dataDirectory == "/home/a/.local/share/stoker")
    #expect(plain.socketPath == "/home/a/.local/state/stoker/run/stoker.sock")
    #expect(plain.userPluginDirectory == "/home/a/.local/share/stoker/plugins")
    let set = try HomeLayout.find(
      around([
        "HOME": "/home/a", "XDG_CONFIG_HOME": "/c", "XDG_RUNTIME_DIR": "/run/user/1", "XDG_DATA_HOME": "relative",
      ]))
    #expect(set.configFile == "/c/stoker/config.yaml" && set.runtimeDirectory == "/run/user/1/stoker")
    #expect(set.dataDirectory == "/home/a/.local/share/stoker")
    #expect(throws: HomeError.self) { try HomeLayout.find(around([:])) }
  }

  @Test func installedFilesAreFoundBesideTheProgram() throws {
    let scratch = try ScratchPlugins()
    let program = scratch.path + "/bin/stoker"
    try scratch.write("", to: scratch.path + "/plugins/x")
    try scratch.write("", to: scratch.path + "/bin/launch")
    let build = try HomeLayout.find(around(home: "/h", [:], executable: program))
    #expect(build.pluginDirectories.last?.path == scratch.path + "/plugins")
    #expect(build.launcher == scratch.path + "/bin/launch")
    try scratch.write("", to: scratch.path + "/libexec/stoker/launch")
    #expect(
      try HomeLayout.find(around(home: "/h", [:], executable: program)).launcher == scratch.path
        + "/libexec/stoker/launch")
    #expect(
      try HomeLayout.find(around(home: "/h", ["STOKER_LAUNCH": "l"], executable: program)).launcher == "/some dir/l")
  }

  @Test func theConfigurationMovesPaths() throws {
    var configuration = HostConfiguration()
    configuration.models.directory = "~/models"
    configuration.models.file = "mine.yaml"
    configuration.log.file = "/var/log/stoker.log"
    configuration.pluginDirectories = ["/extra", "near"]
    let layout = try HomeLayout.find(around(home: "/h", ["HOME": "/home/a"])).applying(
      configuration, userHome: "/home/a")
    #expect(layout.modelsDirectory == "/home/a/models" && layout.modelsFile == "/h/mine.yaml")
    #expect(layout.logFile == "/var/log/stoker.log")
    #expect(
      layout.pluginDirectories.map(\.path) == ["/h/plugins", "/extra", "/h/near", "/opt/stoker/share/stoker/plugins"])
  }

  @Test func directoriesAreCreatedForThisUserAlone() throws {
    let scratch = try ScratchPlugins()
    let layout = try HomeLayout.find(around(home: scratch.path + "/a/home", [:]))
    try FileManager.default.createDirectory(atPath: layout.runtimeDirectory, withIntermediateDirectories: true)
    #expect(chmod(layout.runtimeDirectory, 0o777) == 0)
    try layout.prepare()
    try layout.prepare()
    for path in [layout.dataDirectory, layout.jobsDirectory, layout.runtimeDirectory, layout.stateDirectory] {
      #expect(FilePath.identity(path)?.identity.mode == 0o700, "\(path)")
    }
    #expect(FilePath.kind(layout.userPluginDirectory) == .directory)
    #expect(FilePath.kind(layout.modelsDirectory) == .directory)
  }

  @Test func longSocketPathsAreRefusedBeforehand() throws {
    let layout = try HomeLayout.find(around(home: "/" + String(repeating: "x", count: 100), [:]))
    let error = #expect(throws: HomeError.self) { try layout.prepare() }
    #expect(error?.description.contains("has 117 bytes and the system allows 107") == true)
    let fits = try HomeLayout.find(around(home: "/" + String(repeating: "x", count: 90), [:]))
    #expect(try fits.checkedSocketPath().utf8.count == 107)
  }

  @Test func aHomeThatCannotBeUsedIsExplained() throws {
    let scratch = try ScratchPlugins()
    try scratch.write("", to: scratch.path + "/file")
    let below = #expect(throws: HomeError.self) {
      try HomeLayout.find(around(home: scratch.path + "/file/h", [:])).prepare()
    }
    #expect(below?.description.contains("is in the way") == true)
    // Not even root can create directories in /proc.
    let readOnly = #expect(throws: HomeError.self) { try HomeLayout.find(around(home: "/proc/stoker", [:])).prepare() }
    #expect(readOnly?.description.hasPrefix("cannot create /proc/stoker: ") == true)
    #expect(readOnly?.description.contains("--home DIR") == true)
  }
}
