import Glibc
import Testing

@testable import Host

@Suite struct SandboxRulesTests {
  /// A directory that is gone with the test.
  private final class Scratch {
    let path: String

    init() throws {
      var template = Array("/tmp/stoker-rules.XXXXXX".utf8CString)
      try #require(mkdtemp(&template) != nil)
      path = try FilePath.resolve(String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
        .get()
    }

    deinit { FileTree.remove(path) }

    func make(_ directories: String...) throws {
      for directory in directories {
        var whole = path
        for part in directory.split(separator: "/") {
          whole += "/\(part)"
          try #require(mkdir(whole, 0o700) == 0 || errno == EEXIST)
        }
      }
    }
  }

  private func rules(
    _ scratch: Scratch, sandbox: PluginSandbox = PluginSandbox(),
    configuration: SandboxConfiguration = SandboxConfiguration(), mode: SandboxConfiguration.Mode = .enforce,
    searchPath: [String] = ["/usr/bin"], devices: DeviceKind = .cpu, guarded: [String] = []
  ) -> SandboxRules {
    let path = scratch.path
    return SandboxRules(
      places: SandboxRules.Places(
        plugin: "\(path)/plugins/p", work: "\(path)/home/data/work/p", own: ["\(path)/home/cache/engines/p/home"],
        models: ["\(path)/home/models"], searchPath: searchPath, userHome: "\(path)/user",
        guarded: guarded.isEmpty ? ["\(path)/home"] : guarded),
      sandbox: sandbox, configuration: configuration, mode: mode, devices: devices)
  }

  private func scratch() throws -> Scratch {
    let scratch = try Scratch()
    try scratch.make(
      "plugins/p", "home/data/work/p", "home/cache/engines/p/home", "home/models/m", "home/state", "user/bin",
      "user/.local/bin", "user/.local/lib", "user/.local/share", "user/.pyenv/shims", "user/.ssh")
    return scratch
  }

  @Test func nothingIsReachedButOwnThingsAndTheSystem() throws {
    let scratch = try scratch()
    let process = try #require(try rules(scratch).make())
    let own = process.read.filter { $0.hasPrefix(scratch.path) }
    #expect(own == ["\(scratch.path)/plugins/p", "\(scratch.path)/home/models"])
    #expect(process.write == ["\(scratch.path)/home/cache/engines/p/home", "\(scratch.path)/home/data/work/p"])
    #expect(!process.allowsNetwork && !process.isRequired)
    for path in ["/", "/etc", "/root", "/home", "/var", "/run", "/tmp", "/dev", "/sys", "/etc/shadow"] {
      #expect(!process.read.contains(path), "\(path)")
    }
    #expect(!process.read.contains("/etc/resolv.conf") && process.devices.contains("/dev/null"))
  }

  @Test func aManifestCannotGiveItselfModelsToChange() throws {
    let scratch = try scratch()
    var sandbox = PluginSandbox()
    sandbox.write = [.models, .work]
    let process = try #require(try rules(scratch, sandbox: sandbox).make())
    #expect(process.read.contains("\(scratch.path)/home/models"))
    #expect(!process.write.contains("\(scratch.path)/home/models"))
  }

  @Test func theNetworkNeedsBoth() throws {
    let scratch = try scratch()
    for (asks, grants) in [(false, false), (false, true), (true, false), (true, true)] {
      var sandbox = PluginSandbox()
      if asks { sandbox.network = .any }
      var configuration = SandboxConfiguration()
      if grants { configuration.network = .allow }
      let process = try #require(try rules(scratch, sandbox: sandbox, configuration: configuration).make())
      #expect(process.allowsNetwork == (asks && grants))
      #expect(process.launchArguments.contains("--network") == (asks && grants))
    }
  }

  @Test func programsOfPathBringWhatLiesBesideThem() throws {
    let scratch = try scratch()
    let user = "\(scratch.path)/user"
    let path = ["/usr/bin", "\(user)/.local/bin", "\(user)/.pyenv/shims", user, scratch.path, "relative", "/"]
    let process = try #require(try rules(scratch, searchPath: path).make())
    let found = process.read.filter { $0.hasPrefix(user) }
    // Not the user's home, which a mistake has put into PATH, and not the user's data beside the programs.
    #expect(found == ["\(user)/.local/bin", "\(user)/.local/lib", "\(user)/.pyenv"])
    #expect(!process.read.contains(scratch.path) && !process.read.contains("/"))
  }

  @Test func whatIsGuardedIsCutOutOfWhatLiesAround() throws {
    let scratch = try scratch()
    let path = scratch.path
    try scratch.make("tools/bin/deep", "tools/lib/stoker/data", "tools/lib/other")
    let guarded = ["\(path)/tools/lib/stoker/data", "\(path)/home"]
    let process = try #require(try rules(scratch, searchPath: ["\(path)/tools/bin"], guarded: guarded).make())
    let found = process.read.filter { $0.hasPrefix("\(path)/tools") }
    #expect(found == ["\(path)/tools/bin", "\(path)/tools/lib/other"])
  }

  @Test func aGrantMustExist() throws {
    let scratch = try scratch()
    var configuration = SandboxConfiguration()
    configuration.read = ["\(scratch.path)/user", "\(scratch.path)/nowhere"]
    #expect(throws: SandboxRefusal.self) { try rules(scratch, configuration: configuration).make() }
    configuration.read = ["\(scratch.path)/user"]
    #expect(try rules(scratch, configuration: configuration).make()?.read.last == "\(scratch.path)/user")
  }

  @Test func onlyTheOperatorSwitchesItOff() throws {
    let scratch = try scratch()
    #expect(try rules(scratch, mode: .off).make() == nil)
    var sandbox = PluginSandbox()
    sandbox.isRequired = true
    #expect(try rules(scratch, sandbox: sandbox).make()?.isRequired == true)
    #expect(try rules(scratch, mode: .required).make()?.isRequired == true)
  }

  @Test func nodesOfCardsAreThoseOfTheKind() {
    let names = ["null", "nvidia0", "nvidiactl", "dri", "kfd", "sda", "mem"]
    #expect(SystemPlaces.nodes(of: .cuda, among: names) == ["/dev/nvidia0", "/dev/nvidiactl"])
    #expect(SystemPlaces.nodes(of: .rocm, among: names) == ["/dev/dri", "/dev/kfd"])
    #expect(SystemPlaces.nodes(of: .cpu, among: names).isEmpty)
  }

  @Test func whatIsMissingIsNamedWithTheKernelThatHasIt() throws {
    var parser = ProcessStatusParser()
    let records = try parser.append("sandbox 4 files,network,calls,capabilities\n".utf8)
    guard case .sandbox(let inForce)? = records.first else {
      Issue.record("no record of a sandbox in \(records)")
      return
    }
    #expect(inForce.landlock == 4 && inForce.missing(allowsNetwork: false) == [.devices, .signals])
    #expect(inForce.text(allowsNetwork: false).contains("signals (needs Landlock 6 (Linux 6.12))"))
    #expect(throws: ProcessStatusParser.Malformed.self) { try parser.append("sandbox 1 nonsense\n".utf8) }
  }
}
