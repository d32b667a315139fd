"""Engines that die, in every way."""

import os
import signal

from matrix import case
from rig import eventually, now, outcomes

RESOLVED = 0.2  # seconds from a death to the end of what the engine had in hand
BACKOFF = 0.625  # seconds: the first backoff with its jitter


def expect_second_attempt(jobs):
    for job in jobs:
        done = job.done()
        assert outcomes(done) == ["lost", "succeeded"], done


@case("F1", one="with a job it is F2", eight="with jobs it is F2")
def killed_while_idle(v):
    pid = v.warm()
    os.kill(pid, signal.SIGKILL)
    killed = now()
    eventually("the death is noticed", lambda: pid not in [one.get("pid") for one in v.rig.plugin(v.chaos.name)["processes"]])
    v.measured("death noticed", now() - killed, 0.1)
    v.rig.engine(v.chaos.name, former=pid)
    v.measured("another one ready", now() - killed, 0.1 + BACKOFF, "100 ms + backoff of 375 to 625 ms")
    v.expect_log("SIGKILL")


@case("F2", idle="without a job it is F1")
def killed_in_the_middle(v):
    pid = v.warm()
    jobs = v.in_flight(mode="hang", litter=1)
    os.kill(pid, signal.SIGKILL)
    killed = now()
    v.measured("all attempts resolved", max(job.lost()[1] for job in jobs) - killed, RESOLVED)
    expect_second_attempt(jobs)
    v.expect_log("SIGKILL")
