import CLinux
import PluginProtocol

/// What `status` and `plugins inspect` say about confinement.
package enum SandboxReport {
  /// What this kernel has for it: `status.sandbox`.
  package static var kernel: JSONValue {
    ["landlock": JSONValue(Int(linux_landlock_version())), "seccomp": .bool(linux_has_seccomp() == 1)]
  }

  /// What holds one process: `processes[].sandbox`.
  /// - Parameter isOff: the operator has switched it off.
  package static func process(_ inForce: SandboxInForce?, allowsNetwork: Bool, isOff: Bool) -> JSONValue {
    guard let inForce else { return isOff ? "off" : .null }
    return .string(inForce.text(allowsNetwork: allowsNetwork))
  }

  /// What a plugin's processes may reach, path by path: `plugins inspect`.
  package static func rules(_ rules: SandboxRules) -> JSONValue {
    let mode = rules.mode == .enforce && rules.sandbox.isRequired ? SandboxConfiguration.Mode.required : rules.mode
    do {
      guard let process = try rules.make() else { return ["mode": .string(mode.rawValue)] }
      return [
        "mode": .string(mode.rawValue), "network": .string(process.allowsNetwork ? "any" : "none"),
        "networkAsked": .bool(rules.sandbox.network == .any), "read": JSONValue(process.read),
        "write": JSONValue(process.write), "devices": JSONValue(process.devices),
      ]
    } catch {
      return ["mode": .string(mode.rawValue), "problem": .string("\(error)")]
    }
  }
}
