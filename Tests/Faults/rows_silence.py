"""Engines that live and do not what they should."""

import collections
import os
import signal
import time

import census
from matrix import Slow, case
from rig import eventually, now, outcomes
from rows_death import NO_ENGINE, expect_second_attempt

NO_JOB = "it is a fault of a job"
STALL = {"timeouts": {"jobStall": "1s"}}
RESIDENT = {"features": ["chunks", "model-residency"]}


@case("F6", batch="stall", plugin=STALL)
def stopped(v):
    pid = v.warm()
    jobs = v.in_flight(mode="hang")
    os.kill(pid, signal.SIGSTOP)
    begin = now()
    if not jobs:
        # Nobody can tell that an idle engine is stopped: the next job does.
        jobs = [v.submit()]
    at = max(job.lost()[1] for job in jobs)
    v.measured("stall noticed", at - begin, 2, "stall of 1 s + 1 s")
    eventually("the stopped process ends", lambda: not census.is_alive(pid))
    v.measured("killed", now() - begin, 2, "stall of 1 s + 1 s")
    expect_second_attempt(jobs)
    v.expect_log("made no progress for 1 s")


@case("F7", idle=NO_JOB, batch="stall", plugin=STALL)
def never_moves(v):
    pid = v.warm()
    jobs = v.in_flight(mode="hang")
    begin = min(job.submitted for job in jobs)
    v.measured("stall noticed", max(job.lost()[1] for job in jobs) - begin, 2, "stall of 1 s + 1 s")
    eventually("the process ends", lambda: not census.is_alive(pid))
    expect_second_attempt(jobs)
    v.expect_log("made no progress for 1 s")


@case("F8", "the same progress", idle=NO_JOB, batch="stall", plugin=STALL)
def same_progress(v):
    v.warm()
    jobs = v.in_flight(mode="same-progress")
    begin = min(job.submitted for job in jobs)
    v.measured("stall noticed", max(job.lost()[1] for job in jobs) - begin, 2, "stall of 1 s + 1 s")
    expect_second_attempt(jobs)
    v.expect_log("made no progress for 1 s")


@case("F8", "fake progress", idle=NO_JOB, batch="stall", plugin={"timeouts": {"jobStall": "1s", "job": "1500ms"}})
def fake_progress(v):
    pid = v.warm()
    jobs = v.in_flight(mode="fake-progress")
    begin = min(job.submitted for job in jobs)
    v.measured("hard maximum kept", max(job.lost()[1] for job in jobs) - begin, 2.5, "maximum of 1.5 s + 1 s")
    expect_second_attempt(jobs, "failed")
    assert v.rig.engine(v.chaos.name) == pid, "an engine that obeys the cancel was killed"
    assert v.rig.logged("scheduler", f"job {jobs[0].id} goes back into line: the job ran longer than its maximum of 1.5 s")
    v.has_log = True


@case("F9", idle=NO_ENGINE, batch="stall",
      plugin={"arguments": ["--fault", "mute", "--starts", "1"], "timeouts": {"initialize": "500ms"}})
def silent_start(v):
    begin = now()
    jobs = [v.submit() for _ in range(v.count)]
    pid = eventually("the engine starts", lambda: v.rig.engines(v.chaos.name))[0]
    eventually("the start is given up", lambda: not census.is_alive(pid))
    v.measured("start given up", now() - begin, 1.5, "clock of 0.5 s + 1 s")
    for job in jobs:
        assert outcomes(job.done()) == ["succeeded"]
    v.expect_log("did not answer initialize within 500 ms")


@case("F10", "silent", idle=NO_ENGINE, batch="stall",
      plugin={"arguments": ["--resident", "--fault", "load-silent", "--starts", "1"], "timeouts": {"loadStall": "500ms"},
              "more": RESIDENT})
def silent_load(v):
    begin = now()
    jobs = [v.submit() for _ in range(v.count)]
    v.expect_log("stood still for 500 ms")
    v.measured("load given up", now() - begin, 1.5, "clock of 0.5 s + 1 s")
    for job in jobs:
        job.done()


@case("F10", "with progress", idle=NO_ENGINE, batch="stall", quiet=True,
      plugin={"arguments": ["--resident", "--fault", "load-lively"], "timeouts": {"loadStall": "500ms"}, "more": RESIDENT})
def lively_load(v):
    begin = now()
    jobs = [v.submit() for _ in range(v.count)]
    for job in jobs:
        assert outcomes(job.done()) == ["succeeded"]
    took = now() - begin
    assert took > 1, f"the load took {took:.3f} s"
    v.figure("a load of 1.2 s goes on", "beyond the stall clock of 0.5 s")


@case("F18", idle="the line is a job's", batch="stall", plugin={"timeouts": {"partialLine": "1s"}})
def endless_line(v):
    pid = v.warm()
    jobs = v.in_flight(count=v.count - 1, mode="hang")
    jobs.append(v.submit(mode="drip", period=100))
    begin = now()
    v.measured("line given up", max(job.lost()[1] for job in jobs) - begin, 2, "clock of 1 s + 1 s")
    eventually("the process ends", lambda: not census.is_alive(pid))
    expect_second_attempt(jobs)
    v.expect_log("a line on stdout stayed without its end for 1 s")


@case("F30", idle="nothing is sent to an idle engine",
      plugin={"concurrency": 100, "arguments": ["--fault", "unread", "--starts", "1"],
              "timeouts": {"unreadInput": "4s", "initialize": "1m"}})
def stops_reading(v):
    # All of it is in line before the engine comes, so that it is sent at once.
    jobs = [v.submit(text="x" * 900_000) for _ in range(1 if v.count == 1 else 80)]
    pid = eventually("the engine starts", lambda: v.rig.engines(v.chaos.name))[0]
    before = census.resident(v.rig.host)
    (v.rig.home / "cache" / "engines" / v.chaos.name / "home" / "go").touch()
    begin, grown = now(), 0
    if v.count > 1:
        # To hand in and to queue 72 MB is the clients' load; the engine's fault is what comes after.
        full = "the engine does not read: too much is queued"
        eventually("the queue is full", lambda: v.rig.logged("scheduler", full) or not census.is_alive(pid))
        if not census.is_alive(pid):
            raise Slow("the queue was not filled before the clock")
        time.sleep(0.2)
        v.judge_from()
    while census.is_alive(pid):
        grown = max(grown, census.resident(v.rig.host) - before)
        assert now() < begin + 10, "the process is not killed"
        time.sleep(0.05)
    v.judge_until()
    v.measured("killed", now() - begin, 10)
    # Not asked of the worker: to show a job with a task of 900 kB again and again is work.
    eventually("the jobs end well", lambda: not v.rig.stored_problems([job.id for job in jobs]), step=0.1)
    v.expect_log("did not read its stdin for 4 s")
    shown = [job.done() for job in jobs]
    if v.count > 1:
        errors = collections.Counter((job["attempts"][0].get("error") or {}).get("message", "") for job in shown)
        full = sum(count for text, count in errors.items() if "too much is queued" in text)
        assert 0 < full < 20 and grown < 256 << 20, errors
        v.figure("72 MB for an engine that does not read:",
                 f"{full} of 80 jobs refused at 64 MiB and tried again, {grown >> 20} MiB more in the host")
