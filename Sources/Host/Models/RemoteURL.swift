import CCurlShim
import Glibc

/// A URL a model may be downloaded from, as libcurl itself reads it, so that the check and the transfer agree.
package struct RemoteURL: Sendable, Equatable {
  package enum Scheme: String, Sendable {
    case https
    case http
  }

  /// The whole URL, credentials and query included: never to be shown.
  package let text: String
  package let scheme: Scheme
  package let host: String
  /// The URL without user, password, query and fragment, for errors and logs.
  package let redacted: String
  /// True when the URL itself names a loopback host.
  package let isLoopback: Bool

  /// libcurl is loaded when it is first used.
  static let noLibrary = "libcurl.so.4 cannot be loaded: install libcurl4"

  /// Accepts `https` to anywhere and `http` to `localhost`, `127.0.0.0/8` or `::1`.
  ///
  /// - Throws: `ModelError` of kind `refusedURL`; its message shows no credentials.
  package init(_ text: String) throws(ModelError) {
    guard let handle = curl_url() else { throw ModelError(.network, RemoteURL.noLibrary) }
    defer { curl_url_cleanup(handle) }
    guard text.utf8.count <= 8192, curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK,
      let scheme = Self.part(handle, CURLUPART_SCHEME), let host = Self.part(handle, CURLUPART_HOST)
    else { throw ModelError(.refusedURL, "a model's url is not a complete http or https URL") }
    let port = Self.part(handle, CURLUPART_PORT).map { ":" + $0 } ?? ""
    let path = Self.part(handle, CURLUPART_PATH) ?? "/"
    let query = Self.part(handle, CURLUPART_QUERY) == nil ? "" : "?…"
    redacted = String("\(scheme)://\(host)\(port)\(path)\(query)".prefix(300))
    self.text = text
    self.host = host
    isLoopback = Self.isLoopback(host: host)
    switch Scheme(rawValue: scheme) {
    case .https: self.scheme = .https
    case .http where isLoopback: self.scheme = .http
    case .http:
      throw ModelError(.refusedURL, "\(redacted) is not encrypted; use https (http is for this machine only)")
    case nil: throw ModelError(.refusedURL, "\(redacted) has a scheme that is not supported; use https")
    }
  }

  /// The URL that a `Location` of this one's answer leads to; it may be relative.
  ///
  /// The target obeys the same rules, and a chain that has been encrypted stays so.
  package func redirected(to target: String) throws(ModelError) -> RemoteURL {
    let next: RemoteURL
    do {
      next = try RemoteURL(resolved(target))
    } catch {
      throw ModelError(.refusedURL, "\(redacted) redirects where it may not: \(error.message)")
    }
    if scheme == .https, next.scheme != .https {
      throw ModelError(.refusedURL, "\(redacted) redirects to the unencrypted \(next.redacted); that is not followed")
    }
    return next
  }

  private func resolved(_ target: String) throws(ModelError) -> String {
    guard let handle = curl_url() else { throw ModelError(.network, RemoteURL.noLibrary) }
    defer { curl_url_cleanup(handle) }
    guard target.utf8.count <= 8192, curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK,
      curl_url_set(handle, CURLUPART_URL, target, UInt32(CURLU_NON_SUPPORT_SCHEME)) == CURLUE_OK,
      let whole = Self.part(handle, CURLUPART_URL)
    else { throw ModelError(.refusedURL, "its target is not a URL") }
    return whole
  }

  /// True for `localhost` and for IP literals of the loopback networks.
  package static func isLoopback(host: String) -> Bool {
    if host.lowercased() == "localhost" { return true }
    var four = in_addr()
    if inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
    guard host.hasPrefix("["), host.hasSuffix("]") else { return false }
    var six = in6_addr()
    guard inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &six) == 1 else { return false }
    return withUnsafeBytes(of: &six) { bytes in bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 }
  }

  /// True when a socket address about to be connected to is a loopback one.
  package static func isLoopback(address: UnsafePointer<sockaddr>, length: Int) -> Bool {
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
      return UInt32(bigEndian: raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr) >> 24 == 127
    case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
      var six = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      return withUnsafeBytes(of: &six) { bytes in bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 }
    default: return false
    }
  }

  private static func part(_ handle: OpaquePointer, _ part: CURLUPart) -> String? {
    var text: UnsafeMutablePointer<CChar>?
    guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
    defer { curl_free(text) }
    return String(cString: text)
  }
}
