import Foundation
import Testing

@testable import Host

private func set(_ key: String, _ value: String, _ text: String) throws -> String {
  try ConfigurationEditor.set(key, to: value, in: text, file: "config.yaml")
}

private let commented = """
  # mine
  jobs:           # the queue
    maxQueued: 5  # few
    retention:
      maxAge: "7d"   # a week
      # more here
  # logs
  log: {level: info}

  plugins:
    # none yet
  """

@Suite struct ConfigurationEditorTests {
  @Test(arguments: [
    ("jobs.maxQueued", "12", "  maxQueued: 5  # few", "  maxQueued: 12  # few"),
    ("jobs.retention.maxAge", "3d", "    maxAge: \"7d\"   # a week", "    maxAge: 3d   # a week"),
    ("jobs.retention.maxCount", "9", "   # a week\n", "   # a week\n    maxCount: 9\n"),
    ("jobs.maxAttempts", "2", "   # a week\n", "   # a week\n  maxAttempts: 2\n"),
    ("log.level", "debug", "{level: info}", "{level: debug}"),
    ("log.format", "json", "{level: info}", "{format: json, level: info}"),
    ("plugins.llama.enabled", "false", "plugins:\n", "plugins:\n  llama:\n    enabled: false\n"),
  ]) func changesOneValueAndNothingElse(_ key: String, _ value: String, _ old: String, _ new: String) throws {
    #expect(try set(key, value, commented) == commented.replacingOccurrences(of: old, with: new))
  }

  @Test func addsSectionsAtTheEnd() throws {
    #expect(try set("jobs.maxQueued", "5", "") == "jobs:\n  maxQueued: 5\n")
    #expect(try set("jobs.maxQueued", "5", "# note") == "# note\njobs:\n  maxQueued: 5\n")
    #expect(try set("restart.maxDelay", "2m", "log: {level: info}") == "log: {level: info}\nrestart:\n  maxDelay: 2m\n")
    #expect(try set("jobs.maxQueued", "5", "{}\n") == "{jobs: {maxQueued: 5}}\n")
    #expect(try set("jobs.maxQueued", "5", "jobs:\n  maxQueued: # five\n") == "jobs:\n  maxQueued: 5 # five\n")
    let list = "pluginDirectories:\n  - /a\n  - /b # b\n"
    #expect(try set("log.level", "debug", list) == list + "log:\n  level: debug\n")
    #expect(try set("pluginDirectories", "[/a, \"/b c\"]", "") == "pluginDirectories: [/a, \"/b c\"]\n")
    #expect(try set("log.file", "a # b: c", "") == "log:\n  file: \"a # b: c\"\n")
  }

  @Test(arguments: [
    ("jobs.maxQueued", "many", "", "not set, because the file would be wrong"),
    ("jobs.maxQueud", "5", "", "did you mean 'maxQueued'?"),
    ("jobs", "5", "jobs:\n  maxQueued: 5\n", "edit it by hand"),
    ("jobs.maxQueued", "5", "jobs: ~\n", "edit it by hand"), ("jobs..x", "5", "", "is not a key"),
    ("", "5", "", "is not a key"),
    ("jobs.maxQueued", "5", "jobs: [1\n", "wrong already"), ("log.level.x", "5", "log: {level: info}", "not a mapping"),
    ("log.file", "a\nb", "", "control characters"),
  ]) func refusesWhatItCannotDoSafely(_ key: String, _ value: String, _ text: String, _ part: String) {
    let error = #expect(throws: ConfigurationEditor.EditError.self) { try set(key, value, text) }
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test func writesTheFileInPlace() throws {
    let scratch = try ScratchPlugins()
    let file = scratch.path + "/real.yaml"
    try ConfigurationEditor.set("jobs.maxQueued", to: "5", inFile: file)
    #expect(chmod(file, 0o640) == 0)
    try scratch.link("real.yaml", at: scratch.path + "/config.yaml")
    try ConfigurationEditor.set("jobs.maxQueued", to: "6", inFile: scratch.path + "/config.yaml")
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "jobs:\n  maxQueued: 6\n")
    let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
    #expect(mode == 0o640)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["config.yaml", "real.yaml"])
    #expect(throws: ConfigurationEditor.EditError.self) {
      try ConfigurationEditor.set("jobs.maxQueued", to: "x", inFile: file)
    }
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "jobs:\n  maxQueued: 6\n")
  }
}
