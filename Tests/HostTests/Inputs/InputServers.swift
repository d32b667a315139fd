import Testing

/// A server in Python on a port of its own, for what the fault server has no words for; gone with this object.
final class InputServer: Sendable {
  let port: Int
  private let process: HelperProcess

  /// - Parameter serve: Python that defines `serve(c, head)`: `c` is the connection, `head` the bytes of its request.
  init(_ serve: String) throws {
    process = try HelperProcess(["python3", "-c", Self.beginning + serve + Self.end])
    port = try #require(Int(process.firstLine()))
  }

  private static let beginning = """
    import socket, sys, threading, time

    """

  private static let end = """

    def take(c):
        head = b""
        while b"\\r\\n\\r\\n" not in head: head += c.recv(4096)
        try: serve(c, head)
        except OSError: pass
        finally: c.close()
    def listen():
        while True: threading.Thread(target=take, args=(server.accept()[0],), daemon=True).start()
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    threading.Thread(target=listen, daemon=True).start()
    sys.stdin.read()
    """

  /// Sends a little every 20 ms and never ends: in the head, between heads, or in the body, as the path says. `steady`
  /// sends what counts as progress every 100 ms, and less than that at the end.
  static func drip() throws -> InputServer {
    try InputServer(
      """
      def serve(c, head):
          path = head.split()[1].decode()
          if path == "/steady":
              c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % (30 * 65536 + 100))
              for _ in range(30):
                  c.sendall(bytes(65536))
                  time.sleep(0.1)
              c.sendall(bytes(100))
              return
          if path != "/hints": c.sendall(b"HTTP/1.1 200 OK\\r\\n")
          if path == "/body": c.sendall(b"Content-Length: 200000\\r\\n\\r\\n")
          while True:
              c.sendall({"/head": b"X: y\\r\\n", "/hints": b"HTTP/1.1 103 Early Hints\\r\\n\\r\\n", "/body": b"x"}[path])
              time.sleep(0.02)
      """)
  }

  /// An HTTP proxy: connects whoever asks with whomever they name.
  static func proxy() throws -> InputServer {
    try InputServer(
      """
      def pump(a, b):
          try:
              while (data := a.recv(65536)): b.sendall(data)
              b.shutdown(socket.SHUT_WR)
          except OSError: pass
      def serve(c, head):
          assert head.startswith(b"CONNECT ")
          host, port = head.split()[1].decode().rsplit(":", 1)
          up = socket.create_connection((host.strip("[]"), int(port)))
          c.sendall(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
          threading.Thread(target=pump, args=(c, up), daemon=True).start()
          pump(up, c)
      """)
  }
}
