"""An engine process at the end of two pipes, as a host sees it. Every wait has a deadline."""

import json
import queue
import subprocess
import threading
import time

from document import parse_strictly

DEADLINE = 20.0  # seconds: generous, for busy machines


class EngineProcess:
    """Starts a command and speaks messages with it. Use it as a context manager: it leaves no process behind.

    `check` is called with each message that arrives, and raises when the message is not valid.
    """

    def __init__(self, command, directory, check):
        self.check = check
        self.last_id = 0
        self.seen = []
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.errors = []
        self.threads = [threading.Thread(target=self._read), threading.Thread(target=self._drain)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def _read(self):
        pending = b""
        while chunk := self.process.stdout.read(65536):
            *complete, pending = (pending + chunk).split(b"\n")
            for line in complete:
                self.lines.put(line)
        self.lines.put(None if not pending else AssertionError(f"a last line without LF: {pending!r}"))

    def _drain(self):
        self.errors.append(self.process.stderr.read().decode(errors="replace"))

    def write(self, data):
        """Writes bytes, all of them."""
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def notify(self, method, **params):
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def request(self, method, **params):
        """Sends a request and returns its id."""
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")
        return self.last_id

    def receive(self):
        """The next message, or None at the end of the stream."""
        try:
            line = self.lines.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"nothing came within {DEADLINE:.0f} s; so far: {self.seen[-3:]}") from None
        if isinstance(line, AssertionError):
            raise line
        if line is None:
            return None
        message = parse_strictly(line.decode())
        self.check(message)
        self.seen.append(message)
        return message

    def answer(self, request):
        """The answer to a request, and the messages that came before it."""
        before = []
        while True:
            message = self.receive()
            assert message is not None, f"the engine ended without answering request {request}: {self.errors}"
            if message.get("id") == request and "method" not in message:
                return message, before
            before.append(message)

    def until(self, wanted):
        """Messages up to and including the first for which `wanted` holds."""
        before = []
        while True:
            message = self.receive()
            assert message is not None, "the engine ended too early"
            before.append(message)
            if wanted(message):
                return before

    def finish(self):
        """Waits for the end of the stream and of the process; returns the messages that were left, and the exit status."""
        rest = []
        while (message := self.receive()) is not None:
            rest.append(message)
        return rest, self.process.wait(timeout=DEADLINE)

    def elapsed(self, act):
        """Runs `act` and returns its result with the seconds it took."""
        began = time.monotonic()
        result = act()
        return result, time.monotonic() - began
