"""An engine process at the end of its pipes, as a host sees it. Every wait has a deadline; nothing is left behind."""

import json
import queue
import subprocess
import tempfile
import threading

DEADLINE = 30  # seconds until something counts as missing; nothing here takes more than one or two
OFFERS = ["chunks", "progress", "model-residency", "content-files"]


class Wire:
    """Speaks lines with a command. Whatever it writes to its stdout has to be one JSON object a line."""

    def __init__(self, command, directory, **options):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            **options,
        )
        self.lines, self.last, self.seen = queue.Queue(), 0, []
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            file.close()

    def _read(self):
        pending = b""
        while chunk := self.process.stdout.read(1 << 20):
            *whole, pending = (pending + chunk).split(b"\n")
            for line in whole:
                self.lines.put(line)
        self.lines.put(pending or None)

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def notify(self, method, **params):
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def request(self, method, params=None):
        self.last += 1
        self.write(
            json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params or {}}).encode() + b"\n"
        )
        return self.last

    def next(self):
        """The next message; None at the end of the stream."""
        line = self.lines.get(timeout=DEADLINE)
        if line is None:
            return None
        message = json.loads(line.decode("utf-8"))
        assert message["jsonrpc"] == "2.0", message
        self.seen.append(message)
        return message

    def until(self, wanted):
        while (message := self.next()) is not None:
            if wanted(message):
                return message
        raise AssertionError(f"the engine has ended: {self.stderr()}")

    def answer(self, request):
        return self.until(lambda message: message.get("id") == request and "method" not in message)

    def call(self, method, params=None):
        """The result; an error is raised as AssertionError with its text."""
        answer = self.answer(self.request(method, params))
        assert "result" in answer, answer
        return answer["result"]

    def greet(self, config=None, features=OFFERS, line=None):
        limits = {"limits": {"lineBytes": line}} if line else {}
        return self.call(
            "initialize",
            {
                "protocolVersions": [1, 7],
                "host": {"name": "test", "version": "0"},
                "features": features,
                "config": config or {},
                "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
                "resources": {"cpuThreads": 2, "devices": []},
                **limits,
            },
        )

    def job(self, work, task, job="job", credit=64, **extra):
        """Sends a job and returns its request."""
        content = {} if "taskFile" in extra else {"task": task}
        return self.request(
            "job/run",
            {"jobId": job, "attempt": 1, "kind": "llm", "workDirectory": work, "credit": credit, **content, **extra},
        )

    def run(self, work, task, **extra):
        return self.answer(self.job(work, task, **extra))

    def of(self, method):
        """The params of the notifications of a method that were seen since the last call."""
        found = [message["params"] for message in self.seen if message.get("method") == method]
        self.seen.clear()
        return found

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def end(self):
        """Closes stdin; returns the exit status."""
        self.process.stdin.close()
        while self.next() is not None:
            pass
        return self.process.wait(timeout=DEADLINE)
