import Glibc

/// Which proxy an https request goes through, by the variables that users set for it. Decided here and not by the library,
/// because what comes through a proxy may come from anywhere.
enum InputProxy {
  /// The proxy for a host; nil for none.
  ///
  /// `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY`: the first that is not empty. `no_proxy` or `NO_PROXY` lists
  /// names whose hosts, and all hosts below them, need none; `*` means all.
  static func choose(for host: String, _ variable: (String) -> String?) -> String? {
    func first(_ names: [String]) -> String? {
      for name in names { if let value = variable(name), !value.isEmpty { return value } }
      return nil
    }
    guard let proxy = first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else { return nil }
    let bare = plain(host)
    let exceptions = (first(["no_proxy", "NO_PROXY"]) ?? "").split { $0 == "," || $0.isWhitespace }
    for exception in exceptions {
      if exception == "*" { return nil }
      let name = plain(String(exception))
      if !name.isEmpty, bare == name || bare.hasSuffix("." + name) { return nil }
    }
    return proxy
  }

  static func choose(for host: String, _ environment: [String: String]?) -> String? {
    choose(for: host) { name in
      guard let environment else { return getenv(name).map { String(cString: $0) } }
      return environment[name]
    }
  }

  /// A host's name without brackets, and without dots at its ends.
  private static func plain(_ host: String) -> String {
    var name = host.lowercased()[...]
    if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
    if name.hasPrefix(".") { name = name.dropFirst() }
    if name.hasSuffix(".") { name = name.dropLast() }
    return String(name)
  }
}
