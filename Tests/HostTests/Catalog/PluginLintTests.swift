import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite struct PluginLintTests {
  private let searchPath = ["/usr/bin", "/bin"]

  @Test func aTidyPluginHasNoRemarks() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("tidy", manifest: ScratchPlugins.manifest("tidy", "summary: S\nlicense: MIT"))
    try scratch.write("# tidy\n", to: directory + "/README.md")
    let report = PluginLint.lint(directory, searchPath: searchPath)
    #expect(report.isUsable && report.diagnostics == [])
    #expect(report.json["usable"] == true)
  }

  @Test func theVerdictIsTheCatalogs() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("bad", manifest: ScratchPlugins.manifest("bad", "sumary: x\nfoo: 1"))
    let report = PluginLint.lint(directory, searchPath: searchPath)
    guard case .disabled(let diagnostics)? = scratch.scan().entries.first?.state else {
      Issue.record("the catalogue accepts it")
      return
    }
    #expect(report.diagnostics == diagnostics && !report.isUsable && diagnostics.count == 2)
  }

  @Test(arguments: [
    ("#!/no/such/sh\n", "needs the interpreter '/no/such/sh', which does not exist; install it"),
    ("#!/usr/bin/env no-such-python\n", "needs the interpreter 'no-such-python', which is not in PATH; install it"),
    ("#!/bin/sh\r\n", "is a script with Windows line ends; convert it with dos2unix"), ("", "is empty"),
    ("hello", "is neither a program for Linux nor a script that begins with #!"),
  ]) func programsThatCannotStartAreExplained(_ program: String, _ message: String) throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("p", program: program)
    #expect(ExecutableInspection.problem(directory + "/engine", searchPath: searchPath) == message)
    let report = PluginLint.lint(directory, searchPath: searchPath)
    #expect(report.isUsable)
    #expect(report.diagnostics.contains { $0.severity == .warning && $0.message.hasSuffix(message) })
  }

  @Test func aProgramForAnotherMachineIsNamed() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("p")
    var header = [UInt8](repeating: 0, count: 64)
    header.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
    header[18] = 243
    try Data(header).write(to: URL(fileURLWithPath: directory + "/engine"))
    let problem = try #require(ExecutableInspection.problem(directory + "/engine", searchPath: searchPath))
    #expect(problem.hasPrefix("is a program for RISC-V"))
    let own = try FilePath.resolve("/bin/sh").get()
    #expect(ExecutableInspection.problem(own, searchPath: searchPath) == nil)
  }

  @Test func missingPermissionIsNamed() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("p")
    #expect(chmod(directory + "/engine", 0o644) == 0)
    let message = "has no permission to execute; run chmod +x on it"
    #expect(ExecutableInspection.problem(directory + "/engine", searchPath: searchPath) == message)
  }

  @Test func whatIsNoPluginIsSaid() throws {
    let scratch = try ScratchPlugins()
    try scratch.write("x", to: scratch.path + "/file")
    #expect(PluginLint.lint(scratch.path + "/none", searchPath: []).diagnostics.map(\.message) == ["it does not exist"])
    #expect(
      PluginLint.lint(scratch.path + "/file", searchPath: []).diagnostics.first?.message.contains("directory") == true)
    #expect(!PluginLint.lint(scratch.path, searchPath: []).isUsable)
  }
}
