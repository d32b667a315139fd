"""A host in small: talks to one ffmpeg engine over its pipes."""

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

PATIENCE = 120  # Seconds until an answer counts as missing; nothing here should take more than a few.


class Failure(Exception):
    """An error response of the engine."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.message = error["message"]
        self.code = error["code"]
        self.kind = (error.get("data") or {}).get("class")
        self.evidence = (error.get("data") or {}).get("evidence") or ""


class Job:
    """One job in flight: its work directory, what was put there, and the messages about it."""

    def __init__(self, engine, name, directory):
        self.engine = engine
        self.name = name
        self.directory = directory
        self.given = set(os.listdir(directory))
        self.progress = []
        self.logs = []
        self.request = None

    def wait(self):
        """The result, with the artifact's path as `path`; nothing else may be left in the work directory."""
        result = None
        try:
            result = self.engine.answer(self.request)
        finally:
            made = {artifact["name"] for artifact in (result or {}).get("artifacts", [])}
            left = set(os.listdir(self.directory)) - self.given
            assert left == made, f"left behind: {left - made}"
        artifact = result["artifacts"][0]
        result["path"] = os.path.join(self.directory, artifact["name"])
        assert os.path.getsize(result["path"]) == artifact["bytes"]
        assert os.stat(result["path"]).st_nlink == 1
        return result

    def cancel(self):
        self.engine.send({"method": "job/cancel", "params": {"jobId": self.name}})

    def wait_for_progress(self):
        self.engine.pump(lambda: any(report.get("step", 0) > 0 for report in self.progress))


class Engine:
    """One engine process. Messages are read by a thread and sorted out by whoever waits."""

    def __init__(self, directory, scratch, config=None, threads=2, environment=None):
        self.scratch = tempfile.mkdtemp(dir=scratch)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [os.path.join(directory, "ffmpeg-engine")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=environment)
        self.messages = queue.Queue()
        self.answers = {}
        self.jobs = {}
        self.last = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.hello = self.call("initialize", {
            "protocolVersions": [1], "host": {"name": "test", "version": "0"}, "features": ["chunks", "progress", "content-files"],
            "config": config or {}, "directories": {"models": "/tmp", "cache": "/tmp", "work": self.scratch},
            "resources": {"cpuThreads": threads, "devices": []}, "limits": {"lineBytes": 16 << 20}})

    def _read(self):
        for line in self.process.stdout:
            self.messages.put(line)
        self.messages.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.last += 1
        self.send({"id": self.last, "method": method, "params": params})
        return self.last

    def pump(self, done):
        """Sorts messages until `done()`."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            line = self.messages.get(timeout=max(0.1, deadline - time.monotonic()))
            if line is None:
                raise AssertionError(f"the engine is gone: {self.stderr()}")
            message = json.loads(line.decode("utf-8"))
            params = message.get("params", {})
            job = self.jobs.get(params.get("jobId"))
            if "method" not in message:
                self.answers[message["id"]] = message
            elif message["method"] == "job/progress":
                job.progress.append(params)
            elif message["method"] == "log" and job:
                job.logs.append(params["message"])

    def answer(self, wanted):
        self.pump(lambda: wanted in self.answers)
        message = self.answers.pop(wanted)
        if "error" in message:
            raise Failure(message["error"])
        return message["result"]

    def call(self, method, params):
        return self.answer(self.request(method, params))

    def start(self, model, task, inputs=None, kind="video"):
        """Starts a job. `inputs`: names in the work directory, with bytes or a file to copy; `task` names them as
        `@NAME`."""
        name = f"job-{time.monotonic_ns()}"
        directory = os.path.join(self.scratch, name)
        os.mkdir(directory, 0o700)
        for file, content in (inputs or {}).items():
            path = os.path.join(directory, file)
            if isinstance(content, bytes):
                with open(path, "wb") as handle:
                    handle.write(content)
            else:
                shutil.copyfile(content, path)

        def url(value):
            if isinstance(value, list):
                return [url(entry) for entry in value]
            if isinstance(value, str) and value.startswith("@"):
                return "file://" + urllib.parse.quote(os.path.join(directory, value[1:]))
            return value

        job = Job(self, name, directory)
        self.jobs[name] = job
        params = {"jobId": name, "attempt": 1, "kind": kind, "workDirectory": directory,
                  "task": {key: url(value) if "Url" in key else value for key, value in task.items()}}
        if model:
            params["model"] = {"id": f"ffmpeg:{model}" if ":" not in model else model}
        job.request = self.request("job/run", params)
        return job

    def run(self, model, task, inputs=None, kind="video"):
        job = self.start(model, task, inputs, kind)
        result = job.wait()
        result["job"] = job
        return result

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def tools(self):
        """Pids of ffmpeg and ffprobe processes whose working directory is one of this engine's jobs."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                where = os.readlink(f"/proc/{pid}/cwd")
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                    dead = stat.read().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if where.startswith(self.scratch) and not dead:
                found.append(int(pid))
        return found

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def eventually(condition, seconds=10):
    """Waits until `condition()`; a deadline, not a measurement."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def refused(kind, call, *parts):
    try:
        call()
    except Failure as failure:
        assert failure.kind == kind, f"class {failure.kind}, not {kind}: {failure.message} {failure.evidence}"
        for part in parts:
            assert part in failure.message, f"{part!r} is not in {failure.message!r}"
        return failure
    raise AssertionError("it was accepted")
