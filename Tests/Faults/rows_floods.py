"""Engines that say more than anybody can take, and hosts whose listeners do not listen."""

import json
import re
import socket
import time

import census
from matrix import case
from rig import eventually, now

FLAT = 20 * census.MIB  # bytes that the host may grow by while a flood goes on
HELD = 2  # seconds that a stopped listener is watched; nothing changes in them, nor would in sixty
FLOOD_MS = 2400  # of a flood, shared by the jobs of a variant
ERRORS = 1 << 30  # bytes to stderr
RATES = {"lines": "with line ends", "none": "without any line end", "cr": "with carriage returns only"}


class Growth:
    """How much the host's memory peaks above what it was."""

    def __init__(self, host):
        self.host, self.before = host, census.resident(host)
        census.reset_peak(host)

    def check(self, v, what):
        grown = max(0, census.peak(self.host) - self.before)
        assert grown <= FLAT, f"the host has grown by {grown // census.MIB} MiB"
        v.figure(what, f"{grown / census.MIB:.1f} MiB of the host's memory")


class Deaf:
    """A client that watches a job's chunks and reads nothing until it is told to."""

    def __init__(self, rig, job):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(str(rig.home / "run" / "stoker.sock"))
        request = {"jsonrpc": "2.0", "id": 1, "method": "jobs/watch", "params": {"id": job.id, "chunks": True}}
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def hear_all(self):
        """Reads until the job's end; returns the numbers of the chunks and the job."""
        numbers = []
        with self.socket, self.socket.makefile("rb") as lines:
            self.socket.settimeout(30)
            for line in lines:
                message = json.loads(line)
                if "result" in message:
                    return numbers, message["result"]["job"]
                event = message["params"]["event"]
                if event["type"] == "chunk":
                    numbers.append(event["seq"])
        raise AssertionError("the worker hung up on a slow listener")


def written(pid):
    """Bytes that a process has written so far."""
    return int(re.search(rb"wchar: (\d+)", census.read(f"/proc/{pid}/io")).group(1))


@case("F31", idle="without a job there are no chunks", quiet=True)
def listener_stops(v):
    chunks = 12000 // v.count
    pid = v.warm()
    growth = Growth(v.rig.host)
    jobs = [v.submit(chunks=chunks) for _ in range(v.count)]
    listeners = [Deaf(v.rig, job) for job in jobs]

    def stands():
        before = written(pid)
        time.sleep(0.3)
        return written(pid) == before

    eventually("the engine waits for credit", stands)
    sent, begin = written(pid), now()
    time.sleep(HELD)
    assert written(pid) == sent, "the engine went on"
    assert all(job.look()["state"] == "running" for job in jobs), [job.look() for job in jobs]
    v.figure(f"the engine stands for {HELD} s with its listener, and the host holds", f"{sent / 1e6:.1f} MB of {v.count * chunks / 1e3:.0f} MB")
    growth.check(v, "meanwhile")
    resumed = now()
    for listener in listeners:
        numbers, job = listener.hear_all()
        assert numbers == list(range(1, chunks + 1)), f"{len(numbers)} chunks of {chunks}"
        assert job["state"] == "succeeded" and len(job["attempts"]) == 1, job
    assert now() - begin > HELD
    v.measured("all chunks heard after the listener goes on", now() - resumed, 20)


def counted(v, name, least):
    """What the worker has counted of the engine, which is added up when that ends."""
    v.rig.retire(v.chaos.name)
    eventually(
        lambda: f"{name}: {v.rig.counters(v.chaos.name)}", lambda: v.rig.counters(v.chaos.name)[name] >= least, step=0.05)


def flood(v, kind):
    count = max(v.count, 1)
    growth = Growth(v.rig.host)
    more = {"after": 1} if v.count == 0 else {}
    v.warm()
    begin = now()
    jobs = [v.submit(mode="flood", what=kind, ms=FLOOD_MS // count, **more) for _ in range(count)]
    done = [job.done() for job in jobs]
    if v.count == 0:
        # The engine floods on after its answer: the next job has to wait until it reads again.
        v.submit().done()
    took = now() - begin
    assert all(len(job["attempts"]) == 1 for job in done), done
    if v.count:
        total = sum(job["result"]["bytes"] for job in done)
        v.figure(f"{kind} taken in", f"{total / took / 1e6:.0f} MB/s")
    growth.check(v, f"{kind}: meanwhile")


@case("F32", "progress", quiet=True)
def progress_flood(v):
    flood(v, "progress")
    counted(v, "droppedProgress" if v.count else "lateMessages", 1000)


@case("F32", "logs")
def log_flood(v):
    flood(v, "log")
    v.expect_log("came too fast and were dropped")
    passed = [line for line in v.rig.logged(v.chaos.name, "line ")]
    # Ten a second for each job and for the engine.
    assert len(passed) < 400, len(passed)
    counted(v, "droppedLogs", 1000)


@case("F32", "unknown", quiet=True)
def unknown_flood(v):
    flood(v, "unknown")
    counted(v, "unknownMessages", 1000)


def errors(v, form):
    size = ERRORS // (16 if v.count != 1 else 4 if form == "lines" else 1)
    growth = Growth(v.rig.host)
    v.warm()
    begin = now()
    if v.count == 0:
        v.submit(mode="errors", form=form, bytes=size, after=1).done()
        v.submit().done(seconds=120)
    else:
        jobs = [v.submit(mode="errors", form=form, bytes=size // v.count) for _ in range(v.count)]
        for job in jobs:
            assert len(job.done(seconds=120)["attempts"]) == 1
    took = now() - begin
    v.figure(f"{size >> 20} MiB {RATES[form]} in {took:.1f} s,", f"{size / took / 1e6:.0f} MB/s")
    growth.check(v, f"{form}: meanwhile")
    v.rig.retire(v.chaos.name)

    def last():
        return v.rig.inspect(v.chaos.name)["stderr"]

    # What was not passed on is there for diagnosis once the engine has ended.
    eventually(lambda: f"the last line: {last()[-3:]}", lambda: last()[-1] == "the flood is over", step=0.05)
    tail = last()
    assert max(map(len, tail)) < 4400, max(map(len, tail))


@case("F33", "lines", long=True)
def stderr_lines(v):
    errors(v, "lines")
    v.expect_log("writes more than 6000 lines a minute to stderr")


@case("F33", "no line end", idle="as with carriage returns only", eight="as with one: the bytes are the same", quiet=True)
def stderr_without_ends(v):
    errors(v, "none")


@case("F33", "carriage returns", eight="as with one: the bytes are the same", quiet=True)
def stderr_carriage_returns(v):
    errors(v, "cr")


def expect_killed(v, jobs, begin, evidence):
    if jobs:
        ends = [job.lost() for job in jobs]
        v.measured("its jobs are resolved", max(at for _, at in ends) - begin, 1)
    else:
        gone = eventually("the engine is killed", lambda: evidence in v.rig.log().split(v.chaos.name, 1)[-1] and now())
        v.measured("it is killed", gone - begin, 1)
    v.expect_log(evidence)
    for job in jobs:
        assert job.done()["attempts"][-1]["outcome"] == "succeeded"


def closed(v, descriptor):
    v.warm()
    count = max(v.count, 1)
    # The last job closes it, so that all of them are in hand.
    jobs = v.in_flight(count=count - 1, mode="hang") if v.count > 1 else []
    begin = now()
    if v.count == 0:
        v.submit(mode="closes", descriptor=descriptor, after=1).done()
        return [], begin
    return [*jobs, v.submit(mode="closes", descriptor=descriptor)], begin


@case("F34", "stdout")
def closes_stdout(v):
    expect_killed(v, *closed(v, 1), "closed its stdout")


@case("F34", "stdin")
def closes_stdin(v):
    expect_killed(v, *closed(v, 0), "closed its stdin")


@case("F34", "stderr", quiet=True)
def closes_stderr(v):
    pid = v.warm()
    for job in [v.submit(mode="closes", descriptor=2, answer=1) for _ in range(max(v.count, 1))]:
        assert len(job.done()["attempts"]) == 1
    v.submit().done()
    assert v.rig.engine(v.chaos.name) == pid, "it was killed for a stderr that it does not need"


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) +([A-Za-z0-9._-]+): ")


@case("F54", idle="an engine that is idle has been asked nothing, and says the same")
def log_injection(v):
    jobs = [v.submit(mode="inject").done("failed") for _ in range(v.count)]
    v.expect_log("red\\u{d}2026-01-01T00:00:00.000Z error   host: all jobs are lost")
    v.expect_log("forged in a message")
    for line in v.rig.log().splitlines():
        found = RECORD.match(line)
        assert found, f"no record of the log: {line[:200]!r}"
        assert not CONTROL.search(line), f"control characters in {line[:200]!r}"
        assert len(line) < 9000, f"a record of {len(line)} characters"
        if "forged" in line or "all jobs are lost" in line:
            assert found.group(2) != "host", f"a forged record: {line[:200]!r}"
    shown = v.rig.inspect(v.chaos.name)
    for text in [*shown["stderr"], *(event["detail"] for event in shown["history"])]:
        assert not CONTROL.search(text), repr(text[:200])
    # What the job's owner reads is for the client to neutralise; the worker passes on what it was told, in bounds.
    assert all(len(job["error"]["message"]) < 4096 for job in jobs)
    v.figure("records of the log, each on a line of its own and without control characters", str(len(v.rig.log().splitlines())))
