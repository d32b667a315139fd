import PluginProtocol

extension PluginManifest {
  /// A decoded manifest with the remarks that do not make it unusable.
  package struct Decoded: Sendable {
    package let manifest: PluginManifest
    package let warnings: [SourceDiagnostic]
    /// Where `command` stands, for errors about the executable.
    package let commandMark: YAMLMark
  }

  /// Decodes a manifest's bytes.
  ///
  /// - Parameters:
  ///   - file: the manifest's path, as errors name it.
  ///   - directoryName: name of the directory the manifest lies in; `name` must be equal to it.
  /// - Throws: everything that is wrong, as far as one pass can tell.
  package static func decode(
    _ bytes: [UInt8], file: String, directoryName: String
  ) throws(SourceDiagnostics) -> Decoded {
    let node: YAMLNode
    do {
      node = try YAMLNode(parsing: bytes, file: file, limits: .manifest)
    } catch {
      throw SourceDiagnostics([SourceDiagnostic(error)])
    }
    let collector = DiagnosticCollector(file: file)
    let manifest = collector.fields(node, path: "") { fields in decode(fields, directoryName: directoryName) }
    let warnings = try collector.finish()
    guard let manifest, let manifest else {
      throw SourceDiagnostics([SourceDiagnostic(.error, file: file, message: "the manifest is empty")])
    }
    return Decoded(
      manifest: manifest, warnings: warnings,
      commandMark: node["command"]?.sequence?.first?.mark ?? node.mark)
  }

  /// Nil only after an error was reported.
  private static func decode(_ fields: YAMLFields, directoryName: String) -> PluginManifest? {
    fields.require("manifest", "1")
    if let format = fields.int("manifest", in: 1...Int.max), format != formatVersion {
      fields.error(
        "manifest", "format \(format) is not known to this host, which reads format \(formatVersion); update the host")
    }
    fields.require("name", directoryName)
    let name = fields.string("name")
    if let name { checkName(name, directoryName, fields) }
    fields.require("version", "1.0.0")
    let version = fields.line("version", maxLength: 64)
    fields.require("command", "[./engine]")
    let command = fields.node("command").flatMap { decodeCommand($0, fields) }
    fields.require("serves", "[{kind: llm, models: [\"*\"]}]")
    let serves = fields.mappings("serves", decodeService)
    if fields.node("serves")?.sequence?.isEmpty == true {
      fields.error("serves", "name at least one kind and its models")
    }

    var manifest = PluginManifest(
      name: name ?? directoryName, version: version ?? "", command: command ?? [],
      serves: (serves ?? []).compactMap { $0 })
    manifest.summary = fields.line("summary", maxLength: 200) ?? manifest.summary
    manifest.license = fields.line("license", maxLength: 100)
    manifest.protocolVersions = fields.ints("protocol", in: 1...1_000_000) ?? manifest.protocolVersions
    manifest.checkProtocol(fields)
    manifest.features = decodeFeatures(fields) ?? manifest.features
    manifest.concurrency = fields.int("concurrency", in: 1...256) ?? manifest.concurrency
    manifest.processes = fields.int("processes", in: 1...64) ?? manifest.processes
    manifest.residentModels = fields.int("residentModels", in: 1...1024) ?? manifest.residentModels
    manifest.device = fields.mapping("device", decodeDevice) ?? manifest.device
    manifest.cpuThreads = fields.autoOrInt("cpuThreads", in: 1...1024)
    manifest.timeouts = fields.mapping("timeouts", decodeTimeouts) ?? manifest.timeouts
    manifest.environmentAllow =
      (fields.mapping("environment") { $0.environmentNames("allow") } ?? nil) ?? manifest.environmentAllow
    manifest.sandbox = fields.mapping("sandbox", decodeSandbox) ?? manifest.sandbox
    manifest.options = fields.entries("config").map { PluginOption.decode($0, fields.collector) } ?? manifest.options
    manifest.limits = fields.mapping("limits", decodeLimits) ?? manifest.limits
    manifest.sha256 = fields.string("sha256")
    if let sha256 = manifest.sha256, !isSHA256(sha256) {
      fields.error("sha256", "expected 64 lower-case hex digits; print them with sha256sum")
    }
    return manifest
  }

  /// Whether a text can be a plugin's name: `[a-z0-9-]{1,40}`.
  package static func isName(_ text: String) -> Bool {
    (1...40).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "-") }
  }

  private static func isSHA256(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  private static func checkName(_ name: String, _ directoryName: String, _ fields: YAMLFields) {
    if !isName(name) {
      fields.error("name", "\(name.quotedForMessage) is not a plugin name; use 1 to 40 of a-z, 0-9 and -")
    } else if name != directoryName {
      fields.error(
        "name", "'\(name)' differs from the directory's name \(directoryName.quotedForMessage); rename one of them")
    }
  }

  private static func decodeCommand(_ node: YAMLNode, _ fields: YAMLFields) -> [String]? {
    guard let nodes = node.sequence else {
      fields.collector.mismatch("command", expected: "a list of texts such as [./engine, --flag]", node)
      return nil
    }
    guard (1...64).contains(nodes.count) else {
      fields.error("command", nodes.isEmpty ? "name the program to run" : "more than 64 arguments")
      return nil
    }
    return nodes.enumerated().compactMap { index, node in
      guard case .string(let text)? = node.scalar else {
        fields.collector.mismatch("command", expected: "a text", node)
        return nil
      }
      guard text.utf8.count <= 4096, !text.utf8.contains(0), index > 0 || !text.isEmpty else {
        fields.collector.error(
          "command: an argument has at most 4096 bytes and no NUL, and the program is not empty", at: node.mark)
        return nil
      }
      return text
    }
  }

  private static func decodeService(_ fields: YAMLFields) -> PluginService? {
    fields.require("kind", "llm")
    let kind = fields.choice("kind", JobKind.self)
    fields.require("models", "[\"*\"]")
    let models = fields.list("models", of: "texts") { node -> ModelPattern? in
      guard case .string(let text)? = node.scalar else {
        fields.collector.mismatch(fields.place("models"), expected: "a text", node)
        return nil
      }
      guard (1...200).contains(text.utf8.count), !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
        fields.collector.error(
          "\(fields.place("models")): a model id or pattern has 1 to 200 bytes and no blanks", at: node.mark)
        return nil
      }
      return ModelPattern(text)
    }
    if fields.node("models")?.sequence?.isEmpty == true {
      fields.error("models", "name at least one model id or pattern")
    }
    let modelEngine = fields.line("modelEngine", maxLength: 64)
    guard let kind else { return nil }
    return PluginService(kind: kind, models: models ?? [], modelEngine: modelEngine)
  }

  private func checkProtocol(_ fields: YAMLFields) {
    let spoken = Method.protocolVersions
    guard !protocolVersions.contains(where: spoken.contains) else { return }
    let list = { (versions: [Int]) in versions.map(String.init).joined(separator: ", ") }
    fields.error(
      "protocol",
      "no common version: the plugin speaks [\(list(protocolVersions))], this host [\(list(spoken))]; "
        + "update the older one"
    )
  }

  private static func decodeFeatures(_ fields: YAMLFields) -> [String]? {
    fields.list("features", of: "names") { node -> String? in
      guard case .string(let text)? = node.scalar, isName(text) else {
        fields.collector.mismatch("features", expected: "a name of a-z, 0-9 and -", node)
        return nil
      }
      if Feature(rawValue: text) == nil {
        fields.collector.warning(
          NearestName.message(unknown: "feature", text, among: Feature.allCases.map(\.rawValue)), at: node.mark)
      }
      return text
    }
  }

  private static func decodeDevice(_ fields: YAMLFields) -> PluginDevicePreference {
    var device = PluginDevicePreference()
    if let prefer = fields.choices("prefer", DeviceKind.self), !prefer.isEmpty { device.prefer = prefer }
    if fields.node("prefer")?.sequence?.isEmpty == true {
      fields.error("prefer", "name at least one device, such as cpu")
    }
    _ = fields.mapping("memory") { memory in
      guard let node = memory.node("perModel") else { return }
      if node.scalar == .string("estimate") { return }
      if let bytes = memory.byteSize("perModel") { device.memoryPerModel = .bytes(bytes) }
    }
    return device
  }

  private static func decodeTimeouts(_ fields: YAMLFields) -> PluginTimeouts {
    var timeouts = PluginTimeouts()
    let atLeast = Duration.milliseconds(1) ... .seconds(30 * 86_400)
    timeouts.initialize = fields.duration("initialize", in: atLeast) ?? timeouts.initialize
    timeouts.loadStall = fields.duration("loadStall", in: atLeast) ?? timeouts.loadStall
    timeouts.jobStall = fields.duration("jobStall", in: atLeast) ?? timeouts.jobStall
    timeouts.job = fields.duration("job", in: atLeast) ?? timeouts.job
    timeouts.cancelGrace = fields.duration("cancelGrace", in: .zero ... .seconds(60)) ?? timeouts.cancelGrace
    timeouts.shutdown = fields.duration("shutdown", in: .zero ... .seconds(60)) ?? timeouts.shutdown
    timeouts.partialLine = fields.duration("partialLine", in: atLeast) ?? timeouts.partialLine
    timeouts.unreadInput = fields.duration("unreadInput", in: atLeast) ?? timeouts.unreadInput
    timeouts.idleExit = fields.duration("idleExit") ?? timeouts.idleExit
    return timeouts
  }

  private static func decodeSandbox(_ fields: YAMLFields) -> PluginSandbox {
    var sandbox = PluginSandbox()
    sandbox.network = fields.choice("network", PluginSandbox.Network.self) ?? sandbox.network
    sandbox.read = fields.choices("read", PluginSandbox.Place.self) ?? sandbox.read
    sandbox.write = fields.choices("write", PluginSandbox.Place.self) ?? sandbox.write
    sandbox.isRequired = fields.bool("required") ?? sandbox.isRequired
    return sandbox
  }

  private static func decodeLimits(_ fields: YAMLFields) -> PluginLimits {
    PluginLimits(
      openFiles: fields.int("openFiles", in: 16...1_048_576),
      addressSpace: fields.byteSize("addressSpace", in: (1 << 20)...(1 << 60)),
      processes: fields.int("processes", in: 1...1_048_576))
  }
}
