"""A real worker with a healthy engine under load, and plugins on the chaos engine that come and go."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import census
from control import Control, Gone, Refused

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHAOS = ROOT / "Tests" / "Fixtures" / "ChaosEngine"
TERMINAL = ("succeeded", "failed", "cancelled")
SOON = 30  # seconds for what takes a moment
now = time.monotonic


def eventually(what, look, seconds=SOON, step=0.003):
    """Looks until there is something; returns it. The longer it takes the less often it looks: that costs the host, too."""
    begin = now()
    while not (found := look()):
        waited = now() - begin
        if waited > seconds:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(max(step, min(0.02, waited / 20)))
    return found


def build(directory):
    """Compiles the engines; returns the paths of the chaos engine and of the healthy one."""
    chaos, healthy = directory / "chaos-engine", directory / "healthy-engine"
    options = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    both = [
        subprocess.Popen([*options, "-o", str(chaos), *map(str, sorted(CHAOS.glob("*.c")))]),
        subprocess.Popen([*options, "-o", str(healthy), str(HERE / "healthy.c")]),
    ]
    assert [one.wait() for one in both] == [0, 0], "the engines do not compile"
    return chaos, healthy


@dataclasses.dataclass
class Plugin:
    """A plugin on the chaos engine. `more` are further keys of its manifest, which win."""

    name: str
    arguments: list = dataclasses.field(default_factory=list)
    timeouts: dict = dataclasses.field(default_factory=dict)
    concurrency: int = 1
    more: dict = dataclasses.field(default_factory=dict)
    #: Files beside the manifest: name to path (linked) or text (written); None leaves the engine out.
    files: dict = dataclasses.field(default_factory=dict)

    @property
    def model(self):
        return f"{self.name}-m"

    def manifest(self):
        words = [str(word) for word in self.arguments]
        if self.concurrency > 1:
            words += ["--concurrency", str(self.concurrency)]
        return {
            "manifest": 1, "name": self.name, "version": "1", "command": ["./engine", *words],
            "serves": [{"kind": "llm", "models": [f"{self.name}-*"]}], "features": ["chunks", "progress"],
            "concurrency": self.concurrency, "timeouts": {"shutdown": "500ms", **self.timeouts}, **self.more,
        }


class Job:
    """A job that was handed in."""

    def __init__(self, rig, name, submitted):
        self.rig, self.id, self.submitted = rig, name, submitted
        self.watch = None

    def look(self):
        """The job as the worker shows it."""
        return self.rig.call("jobs/get", id=self.id)["job"]

    def seen(self, what, holds, seconds=SOON):
        """Looks until the job satisfies a condition; returns the job and the monotonic time."""
        found = {}

        def look():
            found["job"] = self.look()
            return holds(found["job"])

        eventually(lambda: f"{what}: {json.dumps(found['job'])}\n{self.rig.tail()}", look, seconds)
        return found["job"], now()

    def running(self):
        """Waits until an attempt is under way."""
        return self.seen("the job runs", lambda job: job["state"] == "running")[0]

    def lost(self, attempt=1):
        """Waits until an attempt is over without being the end of the job; returns the job and the monotonic time."""
        return self.seen(
            f"attempt {attempt} is over",
            lambda job: len(job["attempts"]) >= attempt and job["attempts"][attempt - 1].get("outcome"))

    def done(self, state="succeeded", seconds=SOON):
        """Waits for the job's end, which must be `state`; returns the job."""
        if self.watch is None:
            self.watch = self.rig.watcher().begin("jobs/watch", {"id": self.id})
        try:
            job = self.watch.result(seconds)["job"]
        except AssertionError:
            raise AssertionError(
                f"job {self.id} does not end: {json.dumps(self.look())}\n{self.rig.tail()}") from None
        assert job["state"] == state, f"{json.dumps(job)}\n{self.rig.tail()}"
        return job

    def cancel(self):
        return self.rig.call("jobs/cancel", id=self.id)["outcome"]


def outcomes(job):
    return [attempt.get("outcome") for attempt in job["attempts"]]


class Rig:
    """A worker in a home of its own. `healthy` engines are under load when `load` is given: seconds between two jobs."""

    def __init__(self, dist, engines, config=None, healthy=1, load=0.005, models=None, environment=None):
        self.dist, (self.chaos, self.healthy_engine) = dist, engines
        # Not confined: engines tell in files what they have done, and do themselves what the host has to bear.
        self.config = {"jobs": {"retention": {"maxCount": 1000000}}, "sandbox": {"mode": "off"}, **(config or {})}
        self.healthy = ["healthy", *(f"healthy-{number}" for number in range(2, healthy + 1))]
        self.pause, self.models, self.environment = load, models or [], environment or {}
        self.samples, self.loads, self.jobs, self.installed = [], [], [], []
        self.lock, self.trash, self.watchers = threading.Lock(), itertools.count(1), []

    def __enter__(self):
        # Short: a socket's path must fit.
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="stoker-f."))
        self.home = self.scratch / "h"
        (self.home / "plugins").mkdir(parents=True)
        (self.home / "config.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in self.config.items()))
        if self.models:
            (self.home / "models.yaml").write_text(json.dumps({"models": self.models}))
        self.log_path = self.scratch / "worker.log"
        self.install(*[Plugin(name) for name in self.healthy], engine=self.healthy_engine, wait=False)
        self.start()
        return self

    def start(self):
        """Starts the worker on the home, which may have had one before; returns when it takes jobs."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.dist / "bin" / "stoker"), "run", "--home", str(self.home)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, env={**os.environ, **self.environment})
        self.host = self.process.pid
        socket = self.home / "run" / "stoker.sock"

        def connect():
            assert self.process.poll() is None, f"the worker ended: {self.tail()}"
            with contextlib.suppress(OSError):
                return Control(socket, now)

        self.control = eventually("the worker's socket", connect)
        self.watchers = [Control(socket, now) for _ in range(6)]
        self.turn = itertools.cycle(self.watchers)
        for name in self.healthy:
            eventually(lambda: f"{name} is served: {self.tail()}", lambda: self._is_served(name))
            # Several at once, so that what is opened when first needed is there before anything is counted.
            for job in [self.submit(Plugin(name)) for _ in range(8)]:
                job.done()
        self.pids = {name: self.engine(name) for name in self.healthy}
        if self.pause is not None:
            self.loads = [self._start_load(socket, name) for name in self.healthy]
            eventually("the load has begun", lambda: len(self.samples) > 2 * len(self.healthy))

    def _start_load(self, socket, name):
        process = subprocess.Popen(
            [sys.executable, "-B", str(HERE / "load.py"), str(socket), f"{name}-m", str(self.pause)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def take():
            for line in process.stdout:
                begin, seconds, verdict = line.rstrip("\n").split(" ", 2)
                self.samples.append((float(begin), float(seconds), verdict))

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        return process, thread

    def stop_load(self):
        for process, thread in self.loads:
            process.stdin.close()
            process.wait(timeout=SOON)
            thread.join()
        self.loads = []

    def disconnect(self):
        for connection in [self.control, *self.watchers]:
            connection.close()

    def stop(self):
        """Ends the worker in order, with its load; returns its exit status."""
        self.stop_load()
        self.disconnect()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=SOON)

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.stop_load()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=SOON)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.disconnect()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # Talking

    def call(self, method, timeout=SOON, **params):
        return self.control.call(method, timeout, **params)

    def watcher(self):
        """A connection for a request that takes long; a connection takes 32 of them."""
        return next(self.turn)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def tail(self):
        return "\n".join(self.log().splitlines()[-25:])

    def logged(self, source, evidence):
        """The lines of the log of that plugin with that text."""
        return [line for line in self.log().splitlines() if f" {source}: " in line and evidence in line]

    # Plugins

    def install(self, *plugins, engine=None, wait=True):
        """Puts plugins in service the way an author should: made elsewhere, then moved into place."""
        for plugin in plugins:
            staging = self.scratch / f"staging-{next(self.trash)}"
            staging.mkdir()
            for name, content in {"engine": engine or self.chaos, **plugin.files}.items():
                if isinstance(content, pathlib.Path):
                    os.link(content, staging / name)
                elif content is not None:
                    (staging / name).write_bytes(content.encode() if isinstance(content, str) else content)
                    (staging / name).chmod(0o755)
            (staging / "plugin.yaml").write_text(json.dumps(plugin.manifest(), indent=1))
            staging.rename(self.home / "plugins" / plugin.name)
            self.installed.append(plugin.name)
        if wait:
            for plugin in plugins:
                self.advertised(plugin.name)

    def advertised(self, name, seconds=SOON):
        def look():
            found = self.plugin(name)
            # What was written a moment ago is not judged yet.
            return found if found and found["state"] != "settling" else None

        return eventually(lambda: f"plugin {name} is advertised: {self.tail()}", look, seconds, 0.01)

    def remove(self, *names):
        """Takes plugins out of service by moving them away."""
        for name in names:
            place = self.home / "plugins" / name
            if place.exists():
                place.rename(self.scratch / f"removed-{next(self.trash)}")

    def retire(self, name):
        """Ends a plugin's engine now, if the worker still has the plugin."""
        with contextlib.suppress(Refused):
            self.call("plugins/disable", name=name)

    def plugin(self, name):
        """A plugin as the worker shows it; None when it has none of that name."""
        return next((one for one in self.call("plugins/list")["plugins"] if one["name"] == name), None)

    def inspect(self, name):
        return self.call("plugins/inspect", name=name)

    def counters(self, name):
        return self.inspect(name)["counters"]

    def _is_served(self, name):
        found = self.plugin(name)
        return found and found["state"] != "invalid"

    def engines(self, name):
        """The pids of a plugin's engine processes, as the system has them."""
        directory = str(self.home / "plugins" / name) + "/"
        found = []
        for pid in census.entries("/proc"):
            if pid.isdigit():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/exe").startswith(directory) and census.is_alive(pid):
                        found.append(int(pid))
        return found

    def engine(self, name, former=None, seconds=SOON):
        """The engine process of a plugin, once it is ready; another one than `former`."""
        def look():
            for process in (self.plugin(name) or {}).get("processes", []):
                if process.get("pid") not in (None, former) and process["state"] in ("ready", "busy"):
                    return process["pid"]

        return eventually(lambda: f"an engine of {name}: {self.tail()}", look, seconds)

    # Jobs

    def submit(self, plugin, **task):
        """Hands in a job."""
        begin = now()
        answer = self.call("jobs/submit", kind="llm", model=plugin.model, task=task)
        job = Job(self, answer["job"]["id"], begin)
        with self.lock:
            self.jobs.append(job)
        return job

    def database(self):
        return sqlite3.connect(f"file:{self.home}/data/jobs.sqlite?mode=ro", uri=True, timeout=10)

    def stored_problems(self, names=None):
        """What is wrong in the database with these jobs, or with all of them: read behind the worker's back."""
        problems, where = [], ""
        if names is not None:
            if not names:
                return []
            where = " WHERE id IN (" + ", ".join(f"'{name}'" for name in names) + ")"
        with contextlib.closing(self.database()) as database:
            attempts = {}
            for job, number, outcome in database.execute(
                    f"SELECT job, number, outcome FROM attempts WHERE job IN (SELECT seq FROM jobs{where})"
                    " ORDER BY job, number"):
                attempts.setdefault(job, []).append((number, outcome))
            for seq, name, state, result, lease in database.execute(
                    f"SELECT seq, id, state, result, lease_owner FROM jobs{where}"):
                problems += [f"{name}: {text}" for text in job_problems(state, result, lease, attempts.get(seq, []))]
        return problems


def job_problems(state, result, lease, attempts):
    """What is wrong with a job as it is stored; empty when nothing is."""
    if state not in TERMINAL:
        yield f"it is {state}"
        return
    if lease is not None:
        yield f"a lease of {lease} is left"
    if [number for number, _ in attempts] != list(range(1, len(attempts) + 1)):
        yield f"its attempts are numbered {attempts}"
    if unended := [number for number, outcome in attempts if outcome is None]:
        yield f"attempts {unended} have no end"
    good = [number for number, outcome in attempts if outcome == "succeeded"]
    if len(good) != (1 if state == "succeeded" else 0):
        yield f"it is {state} with the attempts {attempts}"
    if state != "succeeded":
        if result is not None:
            yield f"it is {state} and shows a result"
        return
    shown = json.loads(result)
    if good and shown.get("attempt", good[0]) != good[0]:
        yield f"attempt {good[0]} succeeded, and the result is that of attempt {shown['attempt']}"
