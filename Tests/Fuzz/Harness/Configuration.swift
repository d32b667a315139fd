import Glibc
import PluginProtocol

@testable import Host

/// What people and strangers write as YAML: manifests, the configuration, the list of models, and `config set`.
func fuzzConfiguration(_ input: [UInt8]) {
  var steering = Steering(input)
  let reader = steering.byte()
  let bytes = steering.payload
  switch reader % 5 {
  case 0: fuzzYAML(bytes)
  case 1: fuzzManifest(bytes)
  case 2: fuzzHostConfiguration(bytes)
  case 3: fuzzModelList(bytes)
  default: fuzzEditor(bytes)
  }
}

private func fuzzYAML(_ bytes: [UInt8]) {
  do {
    let node = try YAMLNode(parsing: bytes, file: "fuzz", limits: .manifest)
    require(node.depth <= YAMLLimits.manifest.depth, "nested deeper than the limit: \(node.depth)")
    let json = node.json
    for text in [json.yamlText, json.yamlFlowText] {
      require((try? YAMLNode(parsing: Array(text.utf8), file: "again"))?.json == json, "not read again: \(text)")
    }
  } catch {
    require(error.line >= 0 && error.column >= 0, "the error lies nowhere: \(error)")
    require(!error.description.utf8.contains(where: { $0 < 0x20 && $0 != 0x0A }), "a control character: \(error)")
  }
}

private func fuzzManifest(_ bytes: [UInt8]) {
  do {
    let manifest = try PluginManifest.decode(bytes, file: "plugin.yaml", directoryName: "fuzz").manifest
    let text = manifest.json.yamlText
    let again = try PluginManifest.decode(Array(text.utf8), file: "again", directoryName: "fuzz").manifest
    // The options' order is the file's; JSON sorts them.
    require(again.json == manifest.json, "the manifest is another when it is read again:\n\(text)")
  } catch {
    check(error)
    require(!error.all.contains { $0.file == "again" }, "the manifest is not read again: \(error)")
  }
}

private func fuzzHostConfiguration(_ bytes: [UInt8]) {
  do {
    let configuration = try HostConfiguration.decode(bytes, file: "config.yaml").configuration
    let text = configuration.json.yamlText
    let again = try HostConfiguration.decode(Array(text.utf8), file: "again").configuration
    // Places in the file are part of a plugin's settings: the values are compared.
    require(again.json == configuration.json, "the configuration is another when it is read again:\n\(text)")
  } catch {
    check(error)
    require(!error.all.contains { $0.file == "again" }, "the configuration is not read again: \(error)")
  }
}

private func check(_ error: SourceDiagnostics) {
  require(!error.all.isEmpty && error.all.count <= 101, "\(error.all.count) diagnostics")
  require(error.all.contains { $0.severity == .error }, "refused without an error")
  require(!error.description.utf8.contains(where: { $0 < 0x20 && $0 != 0x0A }), "a control character: \(error)")
}

/// The list of models is read from a file only.
private let modelList: String = {
  let path = "/dev/shm/stoker-fuzz-\(getpid()).yaml"
  atexit { unlink("/dev/shm/stoker-fuzz-\(getpid()).yaml") }
  return path
}()

private func fuzzModelList(_ bytes: [UInt8]) {
  guard let file = fopen(modelList, "w") else { return require(false, "cannot write \(modelList)") }
  _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
  fclose(file)
  guard let catalogue = try? ModelCatalogue.load(operatorFile: modelList, environment: ["HOME": "/home"]) else {
    return
  }
  for entry in catalogue.entries {
    require(ModelNames.problem(with: entry) == nil, "an entry that cannot be used: \(entry.id)")
    require(isBelow(ModelNames.onDisk(entry.id)), "an entry leaves the store: \(entry.id)")
    for file in entry.files {
      require(isBelow(ModelNames.onDisk(file.filename)), "a file leaves its model: \(file.filename)")
    }
  }
}

/// Whether a path stays in the directory that it is relative to.
private func isBelow(_ path: String) -> Bool {
  // In bytes: to Swift a slash with a combining mark behind it is another character.
  !path.utf8.contains(0)
    && !path.utf8.split(separator: 0x2F, omittingEmptySubsequences: false).contains {
      $0.isEmpty || $0.elementsEqual([0x2E]) || $0.elementsEqual([0x2E, 0x2E])
    }
}

/// `KEY NUL VALUE NUL FILE`: the editor's own promise is that exactly the wanted value changes, which it checks itself.
private func fuzzEditor(_ bytes: [UInt8]) {
  let parts = bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map {
    String(decoding: $0, as: UTF8.self)
  }
  guard parts.count == 3,
    let edited = try? ConfigurationEditor.set(parts[0], to: parts[1], in: parts[2], file: "config.yaml")
  else { return }
  guard let again = try? ConfigurationEditor.set(parts[0], to: parts[1], in: edited, file: "config.yaml") else {
    return require(false, "what was set cannot be set again: \(parts)")
  }
  let values = [edited, again].map { try? YAMLNode(parsing: Array($0.utf8), file: "config.yaml").json }
  require(values[0] != nil && values[0] == values[1], "setting it again changes something: \(parts)")
}

extension YAMLNode {
  fileprivate var depth: Int {
    switch content {
    case .scalar: 0
    case .sequence(let nodes): 1 + (nodes.map(\.depth).max() ?? 0)
    case .mapping(let entries): 1 + (entries.map(\.value.depth).max() ?? 0)
    }
  }
}
