import ArgumentParser
import Glibc
import Host
import PluginProtocol

/// `stoker plugins install`.
struct PluginsInstallCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "install", abstract: "Put a plugin into the home's plugins directory.",
    discussion: """
      From a directory, a .tar or .tar.gz archive, or an archive's https URL. The archive is checked before and while it is \
      unpacked, the plugin as `stoker plugins lint` does; nothing of it is executed. It appears in one step, or nothing is left. \
      A running worker takes it up at once; when a version that replaces a running one does not start there, the old one is put back.

      --sha256 and --signature prove the archive; install.require in the configuration makes one of them a duty. A signature is \
      Ed25519 over the archive's bytes, made by a key of install.keys.

      Exit status 1 when the plugin is refused or does not start, 2 when the arguments cannot be meant.

      EXAMPLES
        stoker plugins install ./my-plugin
        stoker plugins install my-plugin-1.2.0.tar.gz --sha256 3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b
        stoker plugins install https://engines.example.org/my-plugin.tar.gz --signature my-plugin.tar.gz.sig --replace
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(
    help: ArgumentHelp("A plugin's directory, its archive, or the archive's URL.", valueName: "source"),
    completion: .file())
  var source: String
  @Option(help: ArgumentHelp("The SHA-256 that the archive must have.", valueName: "hex")) var sha256: String?
  @Option(
    help: ArgumentHelp("The archive's Ed25519 signature: a file or an https URL.", valueName: "file"),
    completion: .file())
  var signature: String?
  @Flag(help: "Replace an installed plugin of the same name.") var replace = false
  @Flag(name: .shortAndLong, help: "Do not ask; implies --replace.") var yes = false

  func run() async throws {
    let located = try global.located()
    let (layout, loaded) = try located.configured()
    let configuration = loaded.configuration
    var request = PluginInstaller.Request(source: source)
    request.sha256 = sha256
    request.signature = signature
    request.replaces = replace || yes
    let installed = try await install(request, layout, configuration)
    for warning in installed.warnings where !global.quiet { global.console.note("stoker: \(warning)") }
    try await takeUp(installed, layout, configuration)
  }

  private func install(
    _ wanted: PluginInstaller.Request, _ layout: HomeLayout, _ configuration: HostConfiguration
  ) async throws -> PluginInstaller.Installed {
    var request = wanted
    while true {
      do {
        return try await attempt(request, layout, configuration)
      } catch let error as InstallError where error.kind == .exists && !request.replaces {
        guard error.description.contains("--replace"), !global.json,
          global.console.asks("\(error.description.split(separator: ";")[0]). Replace it?")
        else { throw error }
        request.replaces = true
      }
    }
  }

  private func attempt(
    _ request: PluginInstaller.Request, _ layout: HomeLayout, _ configuration: HostConfiguration
  ) async throws -> PluginInstaller.Installed {
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    let source = source
    return try await endedByInterrupt {
      try await PluginsInstaller.run(
        layout, configuration,
        progress: { bytes, total in
          let fraction = total.flatMap { $0 > 0 ? Double(bytes) / Double($0) : nil }
          line.show(ProgressBar(label: source, fraction: fraction, detail: Human.bytes(bytes)))
        }
      ) { try $0.install(request) }
    }
  }

  /// Waits until a running worker serves it, or says why not.
  private func takeUp(
    _ installed: PluginInstaller.Installed, _ layout: HomeLayout, _ configuration: HostConfiguration
  ) async throws {
    let answer: JSONValue
    do {
      answer = try await global.worker().call("plugins/look", ["name": .string(installed.name)])
    } catch let error as ControlError where CLIError(error).status == .noWorker {
      if let trash = installed.trash {
        try await PluginsInstaller.run(layout, configuration) { $0.discard(trash) }
      }
      return try report(installed, nil, "installed; no worker is running")
    }
    let plugin = answer["plugin"] ?? .null
    if plugin["candidate"]?["state"]?.string == "failed" {
      let reason = plugin["candidate"]?["reason"]?.string ?? "it did not start"
      guard installed.trash != nil else { throw CLIError.failed("\(installed.name) \(installed.version): \(reason)") }
      try await PluginsInstaller.run(layout, configuration) { try $0.undo(installed) }
      _ = try await global.worker().call("plugins/look", ["name": .string(installed.name)])
      throw CLIError(
        .failed, class: "not_started",
        "\(installed.name) \(installed.version) was not installed, \(installed.replaced ?? "the old version") serves on: "
          + "it did not start: \(reason)")
    }
    let problems = PluginScreen.strings(plugin["problems"])
    let state = plugin["state"]?.string ?? "?"
    guard !["invalid", "disabled", "quarantined", "?"].contains(state) else {
      try report(installed, plugin, "installed, and not in service: \(problems.first ?? state)")
      var failure = CLIError(.failed, class: "not_in_service", "")
      failure.isReported = true
      throw failure
    }
    if let trash = installed.trash, answer["leaving"]?.int == 0 {
      try await PluginsInstaller.run(layout, configuration) { $0.discard(trash) }
    }
    try report(installed, plugin, "is in service (\(serves(plugin)))")
  }

  private func serves(_ plugin: JSONValue) -> String {
    (plugin["serves"]?.array ?? []).map { service in
      "\(service["kind"]?.string ?? "?"): \(PluginScreen.strings(service["models"]).joined(separator: ", "))"
    }.joined(separator: "; ")
  }

  private func report(_ installed: PluginInstaller.Installed, _ plugin: JSONValue?, _ text: String) throws {
    if global.json {
      return try global.console.json(
        .compact([
          "name": .string(installed.name), "version": .string(installed.version), "path": .string(installed.path),
          "replaced": JSONValue(installed.replaced), "warnings": JSONValue(installed.warnings),
          "plugin": plugin ?? .null,
        ]))
    }
    guard !global.quiet else { return }
    let instead = installed.replaced.map { ", in place of \($0)" } ?? ""
    try global.console.line(global.console.shown("\(installed.name) \(installed.version) \(text)\(instead)"))
  }
}

/// Runs the installer off the cooperative pool.
enum PluginsInstaller {
  static func run<Value: Sendable>(
    _ layout: HomeLayout, _ configuration: HostConfiguration,
    progress: @escaping @Sendable (Int64, Int64?) -> Void = { _, _ in },
    _ body: @escaping @Sendable (PluginInstaller) throws -> Value
  ) async throws -> Value {
    let searchPath = PluginCatalog.searchPath(Environment.value("PATH"))
    return try await onBlockingThread { cancel in
      var downloads = InputSettings()
      downloads.certificateAuthorities = Environment.value("CURL_CA_BUNDLE") ?? Environment.value("SSL_CERT_FILE")
      return try body(
        PluginInstaller(
          layout: layout, configuration: configuration, searchPath: searchPath, downloads: downloads, cancel: cancel,
          progress: progress))
    }
  }
}
