#!/usr/bin/env python3
"""A worker under mixed load while its engines are killed and swapped: nothing may grow, nothing may be lost.

  soak.py [--minutes N] [--seed N] [--engines a,b,...]     `make soak MINUTES=10` runs it

Jobs of all kinds on all engines that are built, cancels and deadlines at random, an engine killed every second or so, a plugin
swapped for another version every ten seconds, a client that reads nothing. Looked at every second: descriptors, threads,
zombies, processes, memory, disk. At the end every job must have one terminal state, by the socket and by the database, results
must be right, and the slopes flat. Then the host is killed under load, and must leave nothing behind.

  STOKER_TEST_DIST        the built tree; dist/ of this one when it is not set
  STOKER_TEST_HOME        a home whose models are used
  STOKER_TEST_CHECKPOINT  the random-weight image checkpoint
  STOKER_TEST_SPEECH      jfk.wav of whisper.cpp's samples
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Kinds"))
sys.path.insert(0, str(HERE))

from load import TERMINAL, Book, Submitter, Tasks  # noqa: E402
from watch import Samples, descendants, family, verdicts  # noqa: E402
from wire import Client, Gone, Refused  # noqa: E402
from worker import Worker, environment  # noqa: E402

SUBMITTERS = 10
GONE = 2  # seconds after a host's death in which everything of it must be gone
SETTLE = 180  # seconds for the last jobs to end
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)

# Kills from outside are not the engines' fault: no quarantine. Little memory of restarts, so that engines are back at once.
CONFIGURATION = """
resources: {cpuThreads: 1}
restart: {firstDelay: 50ms, maxDelay: 500ms, resetAfter: 1s, quarantineFailures: 1000}
jobs: {retention: {maxCount: 1000000}}
log: {level: warning}
"""
MODELS = """models:
  - {id: noise-sd1, kind: image, engine: sd-cpp, license: none, files: [{role: model, path: "%s", filename: noise.safetensors}]}
"""
MANIFEST = """manifest: 1
name: chaos
version: 1.0.%d
command: [./engine, --concurrency, "4"]
serves: [{kind: llm, models: ["chaos-*"]}]
features: [chunks]
concurrency: 4
timeouts: {cancelGrace: 300ms, jobStall: 5s, shutdown: 1s}
"""


class Soak:
    """One worker, and all that is done to it."""

    def __init__(self, worker, book, parts, arguments, bench):
        self.worker, self.book, self.parts, self.bench = worker, book, parts, bench
        self.speech = environment("STOKER_TEST_SPEECH") or ROOT / ".engines" / "whisper" / "samples" / "jfk.wav"
        self.rng = random.Random(arguments.seed)
        self.seconds = arguments.minutes * 60
        self.over = threading.Event()
        self.kills, self.swaps, self.version = 0, 0, 0

    @property
    def socket(self):
        return next((self.worker.home / "run").glob("*.sock"), self.worker.home / "run" / "stoker.sock")

    def load(self, seconds, disturbed):
        """Load for so long; returns the threads' problems in the book."""
        self.over.clear()
        submitters = [
            Submitter(self.socket, self.book, Tasks(self.book, self.parts, self.speech, random.Random(self.rng.random())),
                      self.rng.random(), 0.15)
            for _ in range(SUBMITTERS)]
        trouble = [threading.Thread(target=self.guarded, args=(what,), daemon=True)
                   for what in ((self.kill, self.swap, self.stall) if disturbed else ())]
        for thread in submitters + trouble:
            thread.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.worker.process.poll() is None:
            time.sleep(0.1)
        return submitters, trouble

    def rest(self, submitters, trouble):
        """Ends the load, and waits for the last jobs."""
        self.over.set()
        for thread in submitters:
            thread.over.set()
        until = time.monotonic() + SETTLE
        for thread in trouble + submitters:
            thread.join(max(0.1, until - time.monotonic()))
            if thread.is_alive():
                self.book.problem(f"{type(thread).__name__} is not through after {SETTLE} s: {sorted(self.book.open)[:5]}")

    def guarded(self, what):
        """Does something again and again; the worker may refuse it, and may be gone at the end."""
        while not self.over.is_set():
            try:
                what()
            except (Refused, Gone, ProcessLookupError):
                self.over.wait(0.2)

    def kill(self):
        self.over.wait(self.rng.uniform(0.5, 1.5))
        with Client(self.socket) as client:
            plugins = client.call("plugins/list")["plugins"]
        pids = [process["pid"] for plugin in plugins for process in plugin["processes"] if process.get("pid")]
        if pids and not self.over.is_set():
            os.kill(self.rng.choice(pids), self.rng.choice(SIGNALS))
            self.kills += 1

    def place(self):
        """The next version of the chaos plugin, beside its place."""
        self.version += 1
        new = self.bench / f"chaos-{self.version}"
        new.mkdir()
        shutil.copy(self.bench / "engine", new / "engine")
        (new / "plugin.yaml").write_text(MANIFEST % self.version)
        return new

    def swap(self):
        if self.over.wait(10):
            return
        new, place = self.place(), self.worker.home / "plugins" / "chaos"
        old = self.bench / f"old-{self.version}"
        place.rename(old)
        new.rename(place)
        shutil.rmtree(old)
        self.swaps += 1

    def stall(self):
        """Follows the log and a job that streams, and reads nothing of either."""
        with Client(self.socket) as log, Client(self.socket) as job:
            log.send("logs", {"follow": True, "lines": 2000})
            found = job.call("jobs/submit", {"kind": "llm", "model": "chaos-model", "task": {"chunks": 2000, "ms": 100}})
            self.book.began(found["job"]["id"])
            job.send("jobs/watch", {"id": found["job"]["id"], "chunks": True})
            self.over.wait(5)
        with Client(self.socket) as client:
            done = client.call("jobs/watch", {"id": found["job"]["id"]})["job"]
        self.book.ended(done["id"], done["state"])

    # What must hold afterwards

    def check_jobs(self):
        """Each job by the socket and by the database: one terminal state, the same in both."""
        counts = dict.fromkeys(TERMINAL, 0)
        with Client(self.socket) as client:
            for job, state in self.book.ends.items():
                found = client.call("jobs/get", {"id": job})["job"]
                counts[found["state"]] = counts.get(found["state"], 0) + 1
                if found["state"] != state:
                    self.book.problem(f"{job} ended as {state} and is {found['state']}")
                good = sum(attempt["outcome"] == "succeeded" for attempt in found["attempts"])
                if good != (state == "succeeded"):
                    self.book.problem(f"{job} is {state} with {good} good attempts")
        with sqlite3.connect(f"file:{self.worker.home}/data/jobs.sqlite?mode=ro", uri=True) as database:
            stored = dict(database.execute("SELECT id, state FROM jobs"))
            open_attempts = database.execute(
                "SELECT count(*) FROM attempts JOIN jobs ON job = seq WHERE outcome IS NULL AND state NOT IN "
                "('queued', 'running')").fetchone()[0]
        if stored != self.book.ends:
            wrong = {job for job in stored.keys() | self.book.ends.keys() if stored.get(job) != self.book.ends.get(job)}
            self.book.problem(f"the database and the clients differ about {len(wrong)} jobs: {sorted(wrong)[:3]}")
        if open_attempts:
            self.book.problem(f"{open_attempts} attempts of finished jobs have no end")
        return counts

    def check_kill(self):
        """Kills the host under load: nothing of it may be left, and the next start finishes what was begun."""
        load = self.load(min(5, self.seconds / 4), disturbed=False)
        self.over.set()
        for thread in load[0]:
            thread.over.set()
        self.worker.process.kill()
        self.worker.process.wait()
        start = time.monotonic()
        while left := family(self.worker.home):
            if time.monotonic() - start > 30:
                break
            time.sleep(0.01)
        gone = time.monotonic() - start
        if left or gone > GONE:
            self.book.problem(f"{gone:.1f} s after the host's death there were still {left or 'processes'}")
        for thread in load[0]:
            thread.dropped.set()
        for thread in load[0]:
            thread.join(60)
        begun = sorted(self.book.open)
        self.worker.restart()
        with Client(self.socket) as client:
            for job in begun:
                end = client.call("jobs/watch", {"id": job})["job"]
                self.book.ended(job, end["state"])
        return gone, len(begun)

    def check_end(self):
        """An ordinary end: nothing runs, nothing lies about."""
        self.worker.process.send_signal(signal.SIGTERM)
        self.worker.process.wait(timeout=30)
        time.sleep(0.1)
        if left := family(self.worker.home):
            self.book.problem(f"processes are left: {left}")
        home = self.worker.home
        litter = [path for place in ("run", "data/work", "cache/tmp", "state/running") for path in (home / place).glob("**/*")
                  if (path.is_file() or path.is_socket()) and path.suffix != ".lock"]
        if litter:
            self.book.problem(f"files are left: {[str(path.relative_to(home)) for path in litter[:5]]}")


class Home(Worker):
    """A worker with the chaos plugin in its home, which can be started again."""

    def restart(self):
        self.process = subprocess.Popen(
            [self.stoker, "run", "--home", str(self.home)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        until = time.monotonic() + 60
        while self.call("status", check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < until, f"it does not start again: {self.tail()}"
            time.sleep(0.1)


def available(arguments, dist, home, checkpoint):
    """The engines that can be used here; says which are left out."""
    needs = {
        "chaos": [], "synthetic": [dist / "plugins/synthetic"], "ffmpeg": [dist / "plugins/ffmpeg"],
        "piper": [dist / "plugins/piper", home / "models/piper-en_US-joe-medium"],
        "llama": [dist / "plugins/llama", home / "models/smollm2-135m-instruct"],
        "whisper": [dist / "plugins/whisper", home / "models/whisper-tiny.en"],
        "sdcpp": [dist / "plugins/sdcpp", checkpoint]}
    parts = []
    for name, paths in needs.items():
        missing = [str(path) for path in paths if not path.exists()]
        if missing and name in arguments.engines:
            print(f"without {name}: {missing[0]} is not there")
        elif name in arguments.engines:
            parts.append(name)
    return parts


def table(rows):
    print(f"{'':16} {'mean':>10} {'greatest':>10} {'a minute':>10} {'+-':>8} {'bound':>8}")
    for name, mean, most, rise, half, bound, flat in rows:
        print(f"{name:16} {mean:10.1f} {most:10.1f} {rise:10.3f} {half:8.3f} {bound:8.1f}  {'flat' if flat else 'GROWS'}")


def soak(arguments):
    """Runs it all; returns what was wrong, and what was counted."""
    dist = environment("STOKER_TEST_DIST") or ROOT / "dist"
    models = environment("STOKER_TEST_HOME") or ROOT / ".demo"
    checkpoint = environment("STOKER_TEST_CHECKPOINT") or ROOT / ".engines" / "fixtures" / "sd-noise.safetensors"
    parts = available(arguments, dist, models, checkpoint)
    book = Book()
    worker = Home(dist, models / "models", CONFIGURATION)
    worker.extra = MODELS % checkpoint if checkpoint.exists() else ""
    with worker:
        bench = worker.scratch / "bench"
        bench.mkdir()
        subprocess.run(["cc", "-O1", "-o", str(bench / "engine"), *map(str, (ROOT / "Tests/Fixtures/ChaosEngine").glob("*.c"))],
                       check=True)
        run = Soak(worker, book, parts, arguments, bench)
        run.place().rename(worker.home / "plugins" / "chaos")
        until = time.monotonic() + 20
        while "chaos" not in [one["name"] for one in worker.json("plugins", "list")["plugins"]]:
            assert time.monotonic() < until, f"the chaos plugin is not seen: {worker.tail()}"
            time.sleep(0.1)
        samples = Samples(worker.process.pid, worker.home, book.finished)
        samples.start()
        started = time.monotonic()
        run.rest(*run.load(run.seconds, disturbed=True))
        samples.end()
        took = time.monotonic() - started
        if worker.process.poll() is not None:
            book.problem(f"the worker ended by itself with status {worker.process.returncode}: {worker.tail()}")
            return book.problems
        idle = len(descendants(worker.process.pid))
        counts = run.check_jobs()
        rows = verdicts(samples.rows)
        gone, again = run.check_kill()
        run.check_end()
        log = os.path.getsize(worker.log_path) >> 10
        if book.problems:
            print(worker.tail())
    print(f"\n{took:.0f} s on {', '.join(parts)}: {sum(counts.values())} jobs = "
          + " + ".join(f"{count} {state}" for state, count in counts.items())
          + f"; {run.kills} engines killed, {run.swaps} swaps, refused: {json.dumps(book.refused)}, {idle} processes at the end, "
          f"{log} KiB of log")
    table(rows)
    print(f"host killed under load: all of its processes gone after {gone * 1000:.0f} ms; {again} jobs finished by the next "
          "start\n")
    book.problems += [f"{row[0]} grows: {row[3]:.3f} +- {row[4]:.3f}, bound {row[5]}" for row in rows if not row[-1]]
    if sum(counts.values()) < run.seconds / 2:
        book.problem(f"only {sum(counts.values())} jobs ended: that is no load")
    return book.problems


def arguments_of(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engines", default="chaos,synthetic,ffmpeg,piper,llama,whisper,sdcpp")
    arguments = parser.parse_args(words)
    arguments.engines = arguments.engines.split(",")
    return arguments


def main():
    problems = soak(arguments_of(sys.argv[1:]))
    for problem in problems[:20]:
        print(f"not ok: {problem}")
    print(f"{len(problems)} problems" if problems else "nothing grows, nothing is lost")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
