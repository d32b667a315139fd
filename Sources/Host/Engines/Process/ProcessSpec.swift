/// What the host wants to run: one engine, behind one `launch` monitor.
package struct ProcessSpec: Sendable {
  /// Bounds that the kernel puts on the engine. `nil` leaves what the host itself has. Core files are always off.
  package struct Limits: Sendable, Equatable {
    /// Highest number of open descriptors.
    package var openFiles: UInt64?
    /// Bytes of address space. Engines that map device memory need far more than they use.
    package var addressSpaceBytes: UInt64?
    /// Processes that the engine and its descendants may be. The monitor counts them twice a second.
    package var processes: UInt64?
    /// Bytes of the largest file that the engine may write.
    package var fileSizeBytes: UInt64?

    package init(
      openFiles: UInt64? = nil, addressSpaceBytes: UInt64? = nil, processes: UInt64? = nil, fileSizeBytes: UInt64? = nil
    ) {
      self.openFiles = openFiles
      self.addressSpaceBytes = addressSpaceBytes
      self.processes = processes
      self.fileSizeBytes = fileSizeBytes
    }
  }

  /// Path of the `launch` program.
  package var launcher: String
  /// The program and its arguments. A program with a slash is a path, relative to `workingDirectory`; one without is looked up
  /// in the `PATH` of `environment`. No shell is involved.
  package var command: [String]
  /// All of the engine's environment: nothing is inherited.
  package var environment: [String: String]
  /// Where the engine starts; `nil` is the host's own working directory.
  package var workingDirectory: String?
  package var limits: Limits
  /// What the engine is confined to; nil lets it do what the host may.
  package var sandbox: ProcessSandbox?
  /// The file that the program must be, as it was when its digest was checked. Only with an absolute path.
  package var pinned: SafeFile.Identity?

  package init(
    launcher: String, command: [String], environment: [String: String], workingDirectory: String? = nil,
    limits: Limits = Limits(), sandbox: ProcessSandbox? = nil, pinned: SafeFile.Identity? = nil
  ) {
    self.launcher = launcher
    self.command = command
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.limits = limits
    self.sandbox = sandbox
    self.pinned = pinned
  }

  /// The arguments of `launch`, as documented in its header.
  func launchArguments(parent: Int32) -> [String] {
    var arguments = ["launch", "--parent", String(parent)]
    if let workingDirectory { arguments += ["--directory", workingDirectory] }
    let limits: [(String, UInt64?)] = [
      ("--open-files", limits.openFiles), ("--address-space", limits.addressSpaceBytes),
      ("--processes", limits.processes), ("--file-size", limits.fileSizeBytes),
    ]
    for case (let option, let value?) in limits { arguments += [option, String(value)] }
    if let sandbox { arguments += sandbox.launchArguments }
    if let pinned {
      let numbers = [
        pinned.device, pinned.inode, UInt64(pinned.size), UInt64(bitPattern: pinned.modified),
        UInt64(bitPattern: pinned.changed),
      ]
      arguments += ["--identity", numbers.map(String.init).joined(separator: ":")]
    }
    return arguments + ["--"] + command
  }

  /// The environment as `KEY=value` in a fixed order.
  var environmentEntries: [String] {
    environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
  }

  /// What would be cut off, or read as something else, on its way through the C interface.
  func validate() throws(SpawnError) {
    guard let program = command.first, !program.isEmpty else { throw .invalid("the command is empty") }
    guard !launcher.isEmpty else { throw .invalid("the path of the launch program is empty") }
    let texts = command + [launcher, workingDirectory ?? ""] + (sandbox?.launchArguments ?? [])
    for text in texts where text.utf8.contains(0) {
      throw .invalid("the command, the working directory or a path of the sandbox contains a NUL character")
    }
    for (key, value) in environment {
      guard !key.isEmpty, !key.utf8.contains(UInt8(ascii: "=")), !key.utf8.contains(0) else {
        throw .invalid("\"\(key)\" cannot be the name of an environment variable")
      }
      guard !value.utf8.contains(0) else { throw .invalid("environment variable \(key) contains a NUL character") }
    }
  }
}
