"""The control socket of a worker, spoken directly: many requests at a time on one connection."""

import itertools
import json
import socket
import threading


class Refused(Exception):
    """The worker said no: `kind` is the class of its error."""

    def __init__(self, error):
        super().__init__(error.get("message", ""))
        self.kind = (error.get("data") or {}).get("class", "")


class Gone(Exception):
    """The connection ended before the answer."""


class Call:
    """A request under way. `events` are what came before the answer, each a pair of a monotonic time and the event."""

    def __init__(self, method):
        self.method, self.events, self.reply, self.ended = method, [], None, threading.Event()

    def result(self, timeout=30):
        assert self.ended.wait(timeout), f"no answer to {self.method} within {timeout} s"
        if self.reply is None:
            raise Gone(f"the worker hung up before it answered {self.method}")
        if "error" in self.reply:
            raise Refused(self.reply["error"])
        return self.reply["result"]


class Control:
    """One connection."""

    def __init__(self, path, clock):
        self.clock = clock
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.ids = itertools.count(1)
        self.calls, self.lock, self.is_open = {}, threading.Lock(), True
        threading.Thread(target=self._read, daemon=True).start()

    def begin(self, method, params=None):
        """Sends a request; returns the `Call`."""
        call = Call(method)
        with self.lock:
            if not self.is_open:
                raise Gone("the worker has hung up")
            number = next(self.ids)
            self.calls[number] = call
            frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
            self.socket.sendall(json.dumps(frame).encode() + b"\n")
        return call

    def call(self, method, timeout=30, **params):
        """Sends a request and waits for its answer."""
        return self.begin(method, params).result(timeout)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _read(self):
        try:
            for line in self.socket.makefile("rb"):
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass
        with self.lock:
            self.is_open = False
            left, self.calls = list(self.calls.values()), {}
        for call in left:
            call.ended.set()

    def _take(self, message):
        if message.get("method") == "event":
            params = message["params"]
            call = self.calls.get(params.get("requestId"))
            if call is not None:
                call.events.append((self.clock(), params.get("event") or {}))
            return
        with self.lock:
            call = self.calls.pop(message.get("id"), None)
        if call is not None:
            call.reply = message
            call.ended.set()
