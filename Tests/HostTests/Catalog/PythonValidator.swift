import Foundation
import PluginProtocol

@testable import Host

/// Validation by somebody else's implementation of JSON Schema: Python's `jsonschema`, where it is installed.
enum PythonValidator {
  static let isPresent: Bool = {
    guard let (status, _) = try? run(["-c", "import jsonschema"], input: "") else { return false }
    return status == 0
  }()

  /// Whether each document conforms to a schema of `Docs/schema`.
  static func verdicts(schema: String, documents: [JSONValue]) throws -> [Bool] {
    let program = """
      import json, sys, jsonschema
      schema = json.load(open(sys.argv[1]))
      jsonschema.Draft202012Validator.check_schema(schema)
      validator = jsonschema.Draft202012Validator(schema)
      print(json.dumps([validator.is_valid(d) for d in json.load(sys.stdin)]))
      """
    // The test's own file is Tests/HostTests/Catalog/PythonValidator.swift.
    let here = try FilePath.resolve(#filePath).get()
    let root = (0..<4).reduce(here) { path, _ in FilePath.parent(path) }
    let (status, output) = try run(
      ["-c", program, "\(root)/Docs/schema/\(schema)"], input: JSONValue.array(documents).text)
    guard status == 0 else { throw ValidatorFailure(status: status) }
    return try JSONValue(parsing: output).array?.compactMap(\.bool) ?? []
  }

  private struct ValidatorFailure: Error { let status: Int32 }

  private static func run(_ arguments: [String], input: String) throws -> (Int32, String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    let inputPipe = Pipe()
    let outputPipe = Pipe()
    process.standardInput = inputPipe
    process.standardOutput = outputPipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    try inputPipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try inputPipe.fileHandleForWriting.close()
    let output = try outputPipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
