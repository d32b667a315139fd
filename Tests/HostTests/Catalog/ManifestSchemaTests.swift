import Foundation
import PluginProtocol
import Testing

@testable import Host

/// The published schema and the host's own decoder must give one verdict.
@Suite struct ManifestSchemaTests {
  /// Lines added to the shortest manifest, and whether the whole is acceptable.
  private static let cases: [(line: String, isGood: Bool)] = [
    ("", true), ("x-mine: [1]", true), ("summary: A plugin", true), ("summary: ''", false), ("sumary: x", false),
    ("summary: 5", false), ("summary:", false), ("license: MIT", true), ("protocol: [1, 2]", true),
    ("protocol: [2]", false), ("protocol: 1", false), ("protocol: []", false), ("protocol: [1, 1]", false),
    ("features: [chunks, novel]", true), ("features: [Chunks]", false), ("features: chunks", false),
    ("concurrency: 256", true), ("concurrency: 257", false), ("concurrency: '1'", false), ("concurrency: 1.5", false),
    ("processes: 64", true), ("processes: 0", false), ("device: {}", true), ("device: {prefer: [cpu]}", true),
    ("device: {prefer: []}", false), ("device: {prefer: [gpu]}", false), ("device: {memory: {perModel: 2GiB}}", true),
    ("device: {memory: {perModel: estimate}}", true), ("device: {memory: {perModel: 1024}}", true),
    ("device: {memory: {perModel: many}}", false), ("device: {memory: {perModel: 2gb}}", false),
    ("cpuThreads: auto", true), ("cpuThreads: 8", true), ("cpuThreads: 0", false), ("cpuThreads: all", false),
    ("timeouts: {job: 2h, cancelGrace: 500ms}", true), ("timeouts: {job: 2}", false), ("timeouts: {job: 2 h}", false),
    ("timeouts: {jobs: 2h}", false), ("environment: {allow: [CUDA_VISIBLE_DEVICES]}", true),
    ("environment: {allow: [PATH]}", false), ("environment: {allow: [1A]}", false), ("environment: [A]", false),
    ("sandbox: {}", true), ("sandbox: {network: none, read: [models], write: [work]}", true),
    ("sandbox: {required: true}", true), ("sandbox: {required: maybe}", false), ("sandbox: {network: some}", false),
    ("sandbox: {read: [home]}", false), ("config: {}", true),
    ("config: {a: {type: string, default: x}}", true), ("config: {a: {type: string, default: 1}}", false),
    ("config: {a: {type: integer, default: 5, minimum: 1, maximum: 9}}", true),
    ("config: {a: {type: integer, default: x}}", false), ("config: {a: {type: number, default: 0.5}}", true),
    ("config: {a: {type: boolean, default: true}}", true), ("config: {a: {type: boolean, default: 'true'}}", false),
    ("config: {a: {type: boolean, minimum: 1}}", false),
    ("config: {a: {type: enum, values: [x, y], default: x}}", true),
    ("config: {a: {type: enum}}", false), ("config: {a: {type: string, values: [x]}}", false),
    ("config: {a: {}}", false), ("config: {a: {type: text}}", false), ("config: {1a: {type: string}}", false),
    ("config: {x-a: 1}", true), ("limits: {openFiles: 64, addressSpace: 8GiB, processes: 10}", true),
    ("limits: {openFiles: 1}", false), ("limits: {memory: 1GiB}", false), ("sha256: abc", false),
    ("sha256: \(String(repeating: "a", count: 64))", true),
  ]

  /// Whole manifests.
  private static let documents: [(text: String, isGood: Bool)] = [
    ("{}", false), ("[]", false), ("manifest: 1", false),
    (ScratchPlugins.manifest("p").replacing("manifest: 1", with: "manifest: 2"), false),
    (ScratchPlugins.manifest("p").replacing("version: 1.0.0", with: "version: 1.0"), false),
    (ScratchPlugins.manifest("p", command: "[python3, engine.py]"), true),
    (ScratchPlugins.manifest("p", command: "[/bin/sh]"), false), (ScratchPlugins.manifest("p", command: "[]"), false),
    (ScratchPlugins.manifest("p", command: "./engine"), false),
    (ScratchPlugins.manifest("p").replacing("kind: llm", with: "kind: text"), false),
    (ScratchPlugins.manifest("p").replacing("[\"*.gguf\"]", with: "[]"), false),
    (ScratchPlugins.manifest("p").replacing("[\"*.gguf\"]", with: "['a b']"), false),
    (ScratchPlugins.manifest("p").replacing("kind: llm, ", with: ""), false),
  ]

  private static var all: [(text: String, isGood: Bool)] {
    cases.map { (ScratchPlugins.manifest("p", $0.line), $0.isGood) } + documents
  }

  @Test func theDecoderGivesTheExpectedVerdict() throws {
    let scratch = try ScratchPlugins()
    let pin = String(repeating: "a", count: 64)
    for (text, isGood) in ManifestSchemaTests.all where !text.contains(pin) {
      try scratch.add("p", manifest: text)
      try scratch.write("", to: scratch.path + "/p/engine.py")
      let isUsable = PluginLint.lint(scratch.path + "/p", searchPath: ["/usr/bin", "/bin"]).isUsable
      // A machine without Python cannot run that one, which is no matter of the manifest's form.
      if text.contains("python3"), FilePath.kind("/usr/bin/python3") == nil { continue }
      #expect(isUsable == isGood, "\(text)")
    }
  }

  @Test(.enabled(if: PythonValidator.isPresent, "needs Python with the package jsonschema"))
  func theSchemaGivesTheExpectedVerdict() throws {
    let documents = try ManifestSchemaTests.all.map { try YAMLNode(parsing: Array($0.text.utf8), file: "p").json }
    let verdicts = try PythonValidator.verdicts(schema: "plugin.schema.json", documents: documents)
    for ((text, isGood), verdict) in zip(ManifestSchemaTests.all, verdicts) { #expect(verdict == isGood, "\(text)") }
    #expect(verdicts.count == documents.count)
  }
}
