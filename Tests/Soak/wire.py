"""The control socket from Python: one connection, one request at a time."""

import json
import socket


class Refused(Exception):
    """The worker answered with an error."""

    def __init__(self, error):
        super().__init__(error.get("message"))
        self.kind = (error.get("data") or {}).get("class")


class Gone(Exception):
    """There is no worker at the other end any more."""


class Client:
    """A connection to a worker; closed at the end of a `with`."""

    def __init__(self, path, timeout=120):
        self.last = 0
        try:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(str(path))
            self.lines = self.socket.makefile("rb")
        except OSError as error:
            self.socket.close()
            raise Gone(str(error)) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def send(self, method, params):
        """Sends a request and reads nothing."""
        self.last += 1
        try:
            self.socket.sendall(json.dumps(
                {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}).encode() + b"\n")
        except OSError as error:
            raise Gone(str(error)) from error

    def call(self, method, params=None, on_event=None):
        """The answer to a request; its events go to `on_event`."""
        self.send(method, params or {})
        while True:
            try:
                line = self.lines.readline()
            except OSError as error:
                raise Gone(str(error)) from error
            if not line:
                raise Gone("the worker hung up")
            message = json.loads(line)
            if message.get("method") == "event":
                if on_event:
                    on_event(message["params"]["event"])
            elif "error" in message:
                raise Refused(message["error"])
            else:
                return message["result"]
