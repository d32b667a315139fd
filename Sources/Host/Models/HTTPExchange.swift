import CCurlShim
import Glibc

/// One request and its answer, over libcurl. Redirects are not followed here, because each needs a decision.
///
/// Used by one thread; every call on it blocks.
final class HTTPExchange {
  struct Request {
    var url: RemoteURL
    var headers: [String]
    /// Time without any byte after which the exchange fails.
    var stallTimeout: Duration
    /// A PEM file of certificate authorities to trust instead of the system's.
    var certificateAuthorities: String?
  }

  /// Thread-safe, once for the process.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  private let request: Request
  private let onHead: (HTTPHead) throws -> Bool
  private let onBody: (UnsafeRawBufferPointer) throws -> Void
  private var head = HTTPHead()
  /// The caller wants no body: the connection is dropped at its first byte.
  private var isBodyUnwanted = false
  private var failure: (any Error)?
  private var lastActivity = ContinuousClock.now

  /// - Parameters:
  ///   - onHead: Called once with the final answer's head; returns whether the body is wanted.
  ///   - onBody: Called with each piece of a wanted body.
  init(
    _ request: Request, onHead: @escaping (HTTPHead) throws -> Bool,
    onBody: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) {
    self.request = request
    self.onHead = onHead
    self.onBody = onBody
  }

  /// Runs the exchange to its end.
  ///
  /// - Throws: What the closures throw, `CancellationError`, or `ModelError` of kind `network` or `stalled`.
  func perform(cancel: CancelSignal) throws -> HTTPHead {
    guard Self.isReady, let easy = curl_easy_init() else { throw broken(RemoteURL.noLibrary) }
    defer { curl_easy_cleanup(easy) }
    guard let multi = curl_multi_init() else { throw broken(RemoteURL.noLibrary) }
    defer { curl_multi_cleanup(multi) }
    var headers: UnsafeMutablePointer<curl_slist>?
    defer { curl_slist_free_all(headers) }
    for header in request.headers { headers = curl_slist_append(headers, header) ?? headers }
    var reason = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
    return try reason.withUnsafeMutableBufferPointer { reason in
      try configure(easy, headers: headers, reason: reason.baseAddress)
      guard curl_multi_add_handle(multi, easy) == CURLM_OK else { throw broken(RemoteURL.noLibrary) }
      defer { curl_multi_remove_handle(multi, easy) }
      let code = try drive(multi, cancel: cancel)
      if let failure { throw failure }
      if code != CURLE_OK, !(code == CURLE_WRITE_ERROR && isBodyUnwanted) {
        let text = reason.baseAddress.map { String(cString: $0) } ?? ""
        throw broken(text.isEmpty ? String(cString: curl_easy_strerror(code)) : text)
      }
      return head
    }
  }

  private func broken(_ reason: String) -> ModelError {
    ModelError(.network, "cannot download \(request.url.redacted): \(reason)")
  }

  private func configure(
    _ easy: UnsafeMutableRawPointer, headers: UnsafeMutablePointer<curl_slist>?, reason: UnsafeMutablePointer<CChar>?
  ) throws {
    let context = Unmanaged.passUnretained(self).toOpaque()
    var codes = [
      stoker_curl_set_text(easy, CURLOPT_URL, request.url.text),
      stoker_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, request.url.scheme.rawValue),
      stoker_curl_set_text(easy, CURLOPT_USERAGENT, "stoker"),
      stoker_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0),
      stoker_curl_set_long(easy, CURLOPT_NOSIGNAL, 1),
      stoker_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT, 30),
      stoker_curl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1),
      stoker_curl_set_long(easy, CURLOPT_NETRC, 0),
      stoker_curl_set_long(easy, CURLOPT_BUFFERSIZE, 262_144),
      stoker_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, reason),
      stoker_curl_set_headers(easy, headers),
      stoker_curl_on_header(easy, Self.headerArrived, context),
      stoker_curl_on_body(easy, Self.bodyArrived, context),
    ]
    if request.url.scheme == .http {
      // Plain text stays on this machine whatever a name resolves to, and never passes a proxy.
      codes.append(stoker_curl_set_text(easy, CURLOPT_PROXY, ""))
      codes.append(stoker_curl_on_socket(easy, Self.openLoopbackSocket, context))
    } else if let authorities = request.certificateAuthorities {
      codes.append(stoker_curl_set_text(easy, CURLOPT_CAINFO, authorities))
    }
    guard codes.allSatisfy({ $0 == CURLE_OK }) else { throw broken("this libcurl lacks an option that is needed") }
  }

  /// Turns the transfer's crank until it ends, stalls, or is cancelled.
  private func drive(_ multi: UnsafeMutableRawPointer, cancel: CancelSignal) throws -> CURLcode {
    lastActivity = .now
    while true {
      var running: Int32 = 0
      let code = curl_multi_perform(multi, &running)
      guard code == CURLM_OK else { throw broken(String(cString: curl_multi_strerror(code))) }
      if running == 0 { break }
      try cancel.check()
      let left = request.stallTimeout - (.now - lastActivity)
      guard left > .zero else {
        throw ModelError(
          .stalled,
          "\(request.url.redacted) sent nothing for \(request.stallTimeout); run the pull again to resume it")
      }
      var wake = curl_waitfd(fd: cancel.descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)
      let milliseconds = min(1000, left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000)
      _ = curl_multi_poll(multi, &wake, 1, Int32(max(1, milliseconds)), nil)
    }
    var remaining: Int32 = 0
    guard let message = curl_multi_info_read(multi, &remaining), message.pointee.msg == CURLMSG_DONE else {
      throw broken("the transfer ended without a result")
    }
    return message.pointee.data.result
  }

  private func header(_ bytes: UnsafeRawBufferPointer) -> Bool {
    lastActivity = .now
    switch head.take(bytes) {
    case .goOn: return true
    case .tooLong:
      failure = ModelError(.badResponse, "\(request.url.redacted) answered with more than 64 KiB of headers")
      return false
    case .complete:
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
    lastActivity = .now
    guard !isBodyUnwanted, failure == nil else { return false }
    do {
      try onBody(bytes)
      return true
    } catch {
      failure = error
      return false
    }
  }

  private static let headerArrived: curl_write_callback = { bytes, size, count, context in
    guard let context, let bytes else { return 0 }
    let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.header(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
  }

  private static let bodyArrived: curl_write_callback = { bytes, size, count, context in
    guard let context, let bytes else { return 0 }
    let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.body(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
  }

  private static let openLoopbackSocket: curl_opensocket_callback = { context, _, address in
    guard let context, let address else { return curl_socket_t(-1) }
    let isLoopback = withUnsafePointer(to: &address.pointee.addr) {
      RemoteURL.isLoopback(address: $0, length: Int(address.pointee.addrlen))
    }
    guard isLoopback else {
      let exchange = Unmanaged<HTTPExchange>.fromOpaque(context).takeUnretainedValue()
      exchange.failure = ModelError(
        .refusedURL, "\(exchange.request.url.redacted) does not resolve to this machine; use https")
      return curl_socket_t(-1)
    }
    return socket(
      address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
  }
}
