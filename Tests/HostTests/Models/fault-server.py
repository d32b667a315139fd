"""An HTTP server that serves one file and misbehaves as its paths say. Prints its port; logs each request as JSON."""
import http.server
import json
import ssl
import sys
import threading
from urllib.parse import parse_qs, unquote, urlsplit

content = open(sys.argv[1], "rb").read()
log = open(sys.argv[2], "a", buffering=1)
lock = threading.Lock()
counts = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with lock:
            counts[url.path] = counts.get(url.path, 0) + 1
            number = counts[url.path]
            log.write(json.dumps({
                "path": url.path, "range": self.headers.get("Range"), "ifRange": self.headers.get("If-Range"),
                "authorization": self.headers.get("Authorization")}) + "\n")
        self.close_connection = True
        getattr(self, "serve_" + url.path.strip("/").split("/")[0])(query, number)

    def start(self):
        value = self.headers.get("Range")
        return int(value[len("bytes="):].rstrip("-")) if value else 0

    def answer(self, status, body, headers, cut=None):
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        headers.setdefault("Connection", "close")
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])

    def partial(self, etag='"one"', cut=None):
        start = self.start()
        wanted = self.headers.get("If-Range")
        if start and (wanted is None or wanted == etag):
            span = "bytes %d-%d/%d" % (start, len(content) - 1, len(content))
            self.answer(206, content[start:], {"Content-Range": span, "ETag": etag}, cut)
        else:
            self.answer(200, content, {"ETag": etag}, cut)

    def serve_file(self, query, number):
        self.partial()

    def serve_cut(self, query, number):
        self.partial(cut=int(query["after"]) if number <= int(query.get("times", 1)) else None)

    def serve_changed(self, query, number):
        self.partial(etag='"%d"' % number, cut=int(query["after"]) if number == 1 else None)

    def serve_weak(self, query, number):
        self.partial(etag='W/"one"', cut=int(query["after"]) if number == 1 else None)

    def serve_wrongrange(self, query, number):
        if self.start():
            span = "bytes %d-%d/%d" % (self.start() - 1, len(content) - 1, len(content))
            self.answer(206, content[self.start() - 1:], {"Content-Range": span})
        else:
            self.answer(200, content, {"ETag": '"one"'}, int(query["after"]) if number == 1 else None)

    def serve_unsatisfiable(self, query, number):
        if self.start():
            self.answer(416, b"", {"Content-Range": "bytes */%d" % len(content)})
        else:
            self.answer(200, content, {"ETag": '"one"'}, int(query["after"]) if number == 1 else None)

    def serve_norange(self, query, number):
        self.answer(200, content, {"ETag": '"one"'}, int(query["after"]) if number == 1 else None)

    def serve_stall(self, query, number):
        self.answer(200, content, {"ETag": '"one"'}, 1000)
        self.wfile.flush()
        self.rfile.read(1)

    def serve_silent(self, query, number):
        self.rfile.read(1)

    def serve_gate(self, query, number):
        """Sends half, then waits until the gate, a named pipe, is opened and closed."""
        self.answer(200, content, {"ETag": '"one"'}, len(content) // 2)
        self.wfile.flush()
        open(query["gate"], "rb").read()
        self.wfile.write(content[len(content) // 2:])

    def serve_longer(self, query, number):
        self.answer(200, content, {"Content-Length": str(len(content) + 10)})

    def serve_endless(self, query, number):
        self.answer(200, b"", {"Content-Length": None})
        while True:
            self.wfile.write(bytes(65536))

    def serve_chunked(self, query, number):
        self.answer(200, b"", {"Content-Length": None, "Transfer-Encoding": "chunked"})
        for at in range(0, len(content), 1000):
            piece = content[at:at + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def serve_gzip(self, query, number):
        self.answer(200, content, {"Content-Encoding": "gzip"})

    def serve_redirect(self, query, number):
        self.answer(302, b"moved", {"Location": unquote(query["to"])})

    def serve_status(self, query, number):
        self.answer(int(query["code"]), b"no", {})

    def serve_headers(self, query, number):
        self.send_response(200)
        for index in range(2000):
            self.send_header("X-Filler-%d" % index, "x" * 60)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
