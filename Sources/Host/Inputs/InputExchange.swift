import CCurlShim
import Glibc
import PluginProtocol

/// One request for an input and its answer, over libcurl. Redirects are not followed here: each needs a decision.
///
/// The address is judged when the socket is made for it, after all name resolution: a name that leads somewhere else
/// a moment later gains nothing. Used by one thread; every call on it blocks.
final class InputExchange {
  struct Request {
    var url: RemoteURL
    /// Whether the connection may go to an address that is not public.
    var allowsPrivate: Bool
    /// When all must be over.
    var deadline: ContinuousClock.Instant
    var settings: InputSettings
  }

  /// Bytes of a body that count as progress: whoever sends less in the time of a stall holds an engine up for nothing.
  private static let progressBytes = 65_536
  /// How often a cancellation is looked for, at least.
  private static let pollMilliseconds: Int32 = 100
  /// Thread-safe, once for the process.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  private let request: Request
  private let onHead: (HTTPHead) throws -> Bool
  private let onBody: (UnsafeRawBufferPointer) throws -> Void
  private var head = HTTPHead()
  /// The caller wants no body: the connection is dropped at its first byte.
  private var isBodyUnwanted = false
  private var failure: (any Error)?
  private var refusedAddress = false
  private var lastProgress = ContinuousClock.now
  /// Bytes of the body since then.
  private var bytesSince = 0
  /// The proxy that the answer comes through.
  private let proxy: String?
  private var triedPublicAddress = false

  /// Whether the answer may have come from a public address. Behind a proxy nobody knows.
  var mayBePublic: Bool { triedPublicAddress || proxy != nil }

  init(
    _ request: Request, onHead: @escaping (HTTPHead) throws -> Bool,
    onBody: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) {
    self.request = request
    // A proxy hides the address, so that none is used where addresses are judged. Plain text stays on this machine.
    let usesProxy = request.url.scheme == .https && request.allowsPrivate
    proxy = usesProxy ? InputProxy.choose(for: request.url.host, request.settings.environment) : nil
    self.onHead = onHead
    self.onBody = onBody
  }

  /// Runs the exchange to its end.
  ///
  /// - Throws: What the closures throw, or `InputFailure`.
  func perform(cancel: () throws -> Void) throws -> HTTPHead {
    guard Self.isReady, let easy = curl_easy_init() else { throw InputFailure(.resource, RemoteURL.noLibrary) }
    defer { curl_easy_cleanup(easy) }
    guard let multi = curl_multi_init() else { throw InputFailure(.resource, RemoteURL.noLibrary) }
    defer { curl_multi_cleanup(multi) }
    var headers: UnsafeMutablePointer<curl_slist>?
    defer { curl_slist_free_all(headers) }
    for header in ["Accept-Encoding: identity", "Accept: */*"] {
      headers = curl_slist_append(headers, header) ?? headers
    }
    var reason = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
    return try reason.withUnsafeMutableBufferPointer { reason in
      try configure(easy, headers: headers, reason: reason.baseAddress)
      guard curl_multi_add_handle(multi, easy) == CURLM_OK else { throw InputFailure(.resource, RemoteURL.noLibrary) }
      defer { curl_multi_remove_handle(multi, easy) }
      let code = try drive(multi, cancel: cancel)
      if let failure { throw failure }
      if code != CURLE_OK, !(code == CURLE_WRITE_ERROR && isBodyUnwanted) {
        if refusedAddress { throw refusal }
        let text = reason.baseAddress.map { String(cString: $0) } ?? ""
        throw broken(code, text.isEmpty ? String(cString: curl_easy_strerror(code)) : text)
      }
      return head
    }
  }

  private var refusal: InputFailure {
    InputFailure(
      .badInput,
      request.url.scheme == .http
        ? "\(request.url.redacted) does not resolve to this machine: use https"
        : "\(request.url.redacted) leads to an address that is not public, where no input may come from")
  }

  private func broken(_ code: CURLcode, _ reason: String) -> InputFailure {
    switch code {
    // What another try will not change: the certificate, the URL, an answer that is not HTTP.
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
      InputFailure(.badInput, "\(request.url.redacted) cannot be fetched: \(reason)")
    case CURLE_OUT_OF_MEMORY: InputFailure(.resource, "\(request.url.redacted) cannot be fetched: \(reason)")
    default: InputFailure(.transient, "\(request.url.redacted) cannot be fetched: \(reason)\(proxyHint)")
    }
  }

  /// Why a machine that reaches others by its proxy alone had no success.
  private var proxyHint: String {
    let isLeftOut = request.url.scheme == .https && !request.allowsPrivate
    guard isLeftOut, InputProxy.choose(for: request.url.host, request.settings.environment) != nil else { return "" }
    return " (tried without the proxy, which would hide the address)"
  }

  private func configure(
    _ easy: UnsafeMutableRawPointer, headers: UnsafeMutablePointer<curl_slist>?, reason: UnsafeMutablePointer<CChar>?
  ) throws {
    let context = Unmanaged.passUnretained(self).toOpaque()
    let left = min(request.settings.connectTimeout, max(.milliseconds(1), request.deadline - .now))
    var codes = [
      stoker_curl_set_text(easy, CURLOPT_URL, request.url.text),
      stoker_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, request.url.scheme.rawValue),
      stoker_curl_set_text(easy, CURLOPT_USERAGENT, "stoker"),
      stoker_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0),
      stoker_curl_set_long(easy, CURLOPT_NOSIGNAL, 1),
      stoker_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(left.pollMilliseconds)),
      stoker_curl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1),
      stoker_curl_set_long(easy, CURLOPT_NETRC, 0),
      stoker_curl_set_long(easy, CURLOPT_FRESH_CONNECT, 1),
      // An empty text, and not none, keeps the library from choosing one by itself.
      stoker_curl_set_text(easy, CURLOPT_PROXY, proxy ?? ""),
      stoker_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, reason),
      stoker_curl_set_headers(easy, headers),
      stoker_curl_on_header(easy, Self.headerArrived, context),
      stoker_curl_on_body(easy, Self.bodyArrived, context),
      stoker_curl_on_socket(easy, Self.openSocket, context),
    ]
    if request.url.scheme == .https, let authorities = request.settings.certificateAuthorities {
      codes.append(stoker_curl_set_text(easy, CURLOPT_CAINFO, authorities))
    }
    guard codes.allSatisfy({ $0 == CURLE_OK }) else {
      throw InputFailure(.resource, "this libcurl lacks an option that is needed to fetch inputs: update it")
    }
  }

  /// Turns the transfer's crank until it ends, stalls, or is cancelled.
  private func drive(_ multi: UnsafeMutableRawPointer, cancel: () throws -> Void) throws -> CURLcode {
    lastProgress = .now
    while true {
      var running: Int32 = 0
      let code = curl_multi_perform(multi, &running)
      guard code == CURLM_OK else { throw InputFailure(.transient, String(cString: curl_multi_strerror(code))) }
      if running == 0 { break }
      try cancel()
      guard .now - lastProgress < request.settings.stallTimeout else {
        let sent = bytesSince == 0 ? "sent nothing for" : "sent less than 64 KiB in"
        throw InputFailure(.transient, "\(request.url.redacted) \(sent) \(request.settings.stallTimeout.short)")
      }
      guard ContinuousClock.now < request.deadline else {
        throw InputFailure(.transient, "\(request.url.redacted) took longer than an input may take")
      }
      _ = curl_multi_poll(multi, nil, 0, Self.pollMilliseconds, nil)
    }
    var remaining: Int32 = 0
    guard let message = curl_multi_info_read(multi, &remaining), message.pointee.msg == CURLMSG_DONE else {
      throw InputFailure(.transient, "\(request.url.redacted) ended without a result")
    }
    return message.pointee.data.result
  }

  private func header(_ bytes: UnsafeRawBufferPointer) -> Bool {
    switch head.take(bytes) {
    case .goOn: return true
    case .tooLong:
      failure = InputFailure(.badInput, "\(request.url.redacted) answered with more than 64 KiB of headers")
      return false
    case .complete:
      lastProgress = .now
      do {
        isBodyUnwanted = try !onHead(head)
        return true
      } catch {
        failure = error
        return false
      }
    }
  }

  private func body(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard !isBodyUnwanted, failure == nil else { return false }
    bytesSince += bytes.count
    if bytesSince >= Self.progressBytes {
      bytesSince = 0
      lastProgress = .now
    }
    do {
      try onBody(bytes)
      return true
    } catch {
      failure = error
      return false
    }
  }

  /// Whether a socket may be made for this address.
  private func permits(_ address: UnsafePointer<sockaddr>, length: Int) -> Bool {
    if request.url.scheme == .http {
      // Plain text stays on this machine, whatever a name resolves to.
      guard request.allowsPrivate, RemoteURL.isLoopback(address: address, length: length) else { return false }
      return true
    }
    let isPublic = request.settings.isPublicAddress(address, length)
    if isPublic { triedPublicAddress = true }
    return isPublic || request.allowsPrivate
  }

  private static let headerArrived: curl_write_callback = { bytes, size, count, context in
    guard let context, let bytes else { return 0 }
    let exchange = Unmanaged<InputExchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.header(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
  }

  private static let bodyArrived: curl_write_callback = { bytes, size, count, context in
    guard let context, let bytes else { return 0 }
    let exchange = Unmanaged<InputExchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.body(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
  }

  private static let openSocket: curl_opensocket_callback = { context, _, address in
    guard let context, let address else { return curl_socket_t(-1) }
    let exchange = Unmanaged<InputExchange>.fromOpaque(context).takeUnretainedValue()
    let isPermitted = withUnsafePointer(to: &address.pointee.addr) {
      exchange.permits($0, length: Int(address.pointee.addrlen))
    }
    guard isPermitted else {
      exchange.refusedAddress = true
      return curl_socket_t(-1)
    }
    return socket(
      address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
  }
}
