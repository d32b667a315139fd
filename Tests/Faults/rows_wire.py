"""Engines that speak wrongly."""

import census
from control import Refused
from matrix import case
from rig import eventually, now, outcomes
from rows_death import NO_ENGINE, expect_second_attempt

NO_JOB = "it is a fault of a job"
CAP = 16 << 20
MIB = 1 << 20


def kept(v, pid):
    """The engine has not been killed."""
    assert v.rig.engine(v.chaos.name) == pid, f"the engine was killed: {v.rig.tail()}"


def with_fault(v, **task):
    """The variant's jobs, of which the first misbehaves; all must end well at once. Returns the first, ended."""
    jobs = [v.submit(**task), *[v.submit() for _ in range(v.count - 1)]]
    done = [job.done() for job in jobs]
    for job in done:
        assert outcomes(job) == ["succeeded"], job
    return done[0]


def counted(v, name, at_least):
    counters = v.rig.counters(v.chaos.name)
    assert counters[name] >= at_least, f"{name} is {counters[name]}, and {at_least} belong there: {counters}"


def retired(v):
    """Ends the engine, so that its counters are added to the plugin's."""
    pid = v.rig.engine(v.chaos.name)
    v.rig.call("plugins/restart", name=v.chaos.name)
    eventually("the engine ends", lambda: not census.is_alive(pid))
    eventually("it is forgotten", lambda: pid not in [one.get("pid") for one in v.rig.plugin(v.chaos.name)["processes"]])


@case("F13", idle=NO_ENGINE, batch="wire", plugin={"arguments": ["--noise"]})
def talks_first(v):
    with_fault(v)
    v.expect_log("did you print to stdout?")
    v.expect_log("Loading, please wait...")
    retired(v)
    counted(v, "noise", 3)


@case("F14", idle=NO_JOB, batch="wire")
def garbage(v):
    pid = v.warm()
    with_fault(v, mode="garbage", count=12)
    kept(v, pid)
    v.expect_log("protocol error")
    # Beyond the budget of 16 a minute the process goes, with the bytes shown.
    jobs = v.in_flight(count=v.count - 1, mode="hang")
    jobs.append(v.submit(mode="garbage", count=12, ms=5000))
    for job in jobs:
        job.lost()
    expect_second_attempt(jobs)
    v.expect_log("more than 16 protocol errors a minute")
    retired(v)
    counted(v, "protocolErrors", 17)


@case("F15", idle=NO_JOB, batch="wire")
def stray_prints(v):
    pid = v.warm()
    with_fault(v, mode="stray")
    kept(v, pid)
    v.expect_log("Epoch 1/3 done")
    v.expect_log("protocol error")
    retired(v)
    counted(v, "noise", 2)
    assert v.rig.counters(v.chaos.name)["protocolErrors"] == 1, v.rig.counters(v.chaos.name)


@case("F16", idle=NO_JOB, batch="wire")
def stray_json(v):
    pid = v.warm()
    with_fault(v, mode="stray-json")
    kept(v, pid)
    v.expect_log("loss")
    retired(v)
    counted(v, "noise", 3)
    counted(v, "protocolErrors", 1)


@case("F17", idle="the line is an answer", plugin={"arguments": ["--line-bytes", CAP]})
def a_gigabyte_in_a_line(v):
    pid = v.warm()
    before = census.resident(v.rig.host)
    exact = census.reset_peak(v.rig.host)
    jobs = [v.submit(mode="long-line", bytes=1 << 30), *[v.submit() for _ in range(v.count - 1)]]
    begin = now()
    done = [job.done() for job in jobs]
    grown = max(0, census.peak(v.rig.host) - before) if exact else 0
    assert outcomes(done[0]) == ["failed", "succeeded"], done[0]
    assert "over the cap of 16777216" in done[0]["attempts"][0]["error"]["message"], done[0]
    for job in done[1:]:
        assert outcomes(job) == ["succeeded"], job
    kept(v, pid)
    # The rest is what the host does for the healthy engine meanwhile.
    assert grown <= 2 * CAP + 2 * MIB, f"the host took {grown >> 20} MiB for a line over a cap of 16 MiB"
    v.figure("1 GiB drained in", f"{now() - begin:.1f} s with {grown / MIB:.1f} MiB more in the host (bound 2 × 16 MiB)")
    v.expect_log("is over the cap")


@case("F20", "a byte at a time", idle=NO_JOB, quiet=True)
def a_byte_at_a_time(v):
    v.warm()
    begin = now()
    with_fault(v, mode="bytewise", chunks=20)
    v.figure("20 chunks of 1 kB and all that follows, a write for each byte:", f"{(now() - begin) * 1000:.0f} ms")


@case("F20", "10,000 messages in a write", idle=NO_JOB, quiet=True)
def a_burst(v):
    v.warm()
    took = []
    for count in (10_000, 40_000):
        begin = now()
        with_fault(v, mode="burst", count=count)
        took.append(now() - begin)
    assert took[1] < 20 * took[0] + 1, f"not linear: {took}"
    v.figure("10,000 and 40,000 messages in one write:", f"{took[0] * 1000:.0f} and {took[1] * 1000:.0f} ms")


@case("F21", idle=NO_JOB, plugin={"arguments": ["--line-bytes", CAP]})
def hostile_json(v):
    for shape, what in (("depth", "10⁶ levels"), ("keys", "10⁶ keys"), ("digits", "a number of 10 MB"), ("twin", "a key twice")):
        done = with_fault(v, mode="hostile", shape=shape)
        # Each shape costs a megabyte or more: only the end of the line counts, by when the host has had all of it.
        v.measured(f"{what}: answered again", done["result"]["answeredUs"] / 1e6, 0.05)
        v.rig.call("plugins/restart", name=v.chaos.name)
    v.expect_log("protocol error")
    v.rig.call("plugins/restart", name=v.chaos.name)
    counted(v, "protocolErrors", 3)


def version(v, fault, expected):
    plugin = v.make(fault, arguments=["--fault", f"version-{fault}"])
    v.install(plugin)
    begin = now()
    said = []
    for _ in range(v.count):
        try:
            said.append(v.submit(plugin).done("failed")["error"])
        except Refused as refusal:  # once the first one has shown it
            said.append({"class": refusal.kind, "message": str(refusal)})
    for error in said:
        assert error["class"] == "no_engine", said
        assert "the host speaks 1" in error["message"] and expected in error["message"], said
    v.measured(f"{fault}: out of service", now() - begin, 1)
    v.expect_log(expected, plugin)
    assert v.rig.counters(plugin.name)["starts"] == 1, "it was started again"


@case("F22", "in the handshake", idle=NO_ENGINE, plugin=False)
def no_common_version(v):
    version(v, "newer", "it chose version 99")
    version(v, "older", "it chose version 0")
    version(v, "none", "no version")
    version(v, "nonsense", "banana")
    version(v, "refused", "this engine speaks 2 and 3")


@case("F22", "in the manifest", one="nothing is ever started", eight="nothing is ever started", plugin=False, quiet=True)
def no_common_version_in_the_manifest(v):
    plugin = v.make(more={"protocol": [2, 3]})
    begin = now()
    v.install(plugin)
    shown = v.rig.plugin(plugin.name)
    assert shown["state"] == "invalid" and "[2, 3]" in str(shown["problems"]) and "[1]" in str(shown["problems"]), shown
    v.measured("out of service", now() - begin, 1)


@case("F23", idle=NO_JOB, batch="ids", quiet=True)
def unknown_methods(v):
    pid = v.warm()
    with_fault(v, mode="unknown")
    kept(v, pid)
    retired(v)
    counted(v, "unknownMessages", 2)
    assert v.rig.counters(v.chaos.name)["protocolErrors"] == 0


@case("F24", idle=NO_JOB, batch="ids")
def answers_twice(v):
    pid = v.warm()
    job = with_fault(v, mode="twice", same=1)
    assert job["result"]["answer"] == "first", job
    kept(v, pid)
    v.expect_log("an answer to no request that is open, dropped")
    v.expect_log("a chunk of a job that does not run, dropped")
    retired(v)
    counted(v, "lateMessages", 2)


@case("F25", idle=NO_JOB, batch="ids")
def two_results(v):
    pid = v.warm()
    job = with_fault(v, mode="twice")
    assert job["result"]["answer"] == "first", job
    kept(v, pid)
    v.expect_log("an answer to no request that is open, dropped")
    retired(v)
    counted(v, "lateMessages", 1)


@case("F26", idle=NO_JOB, batch="ids")
def foreign_ids(v):
    pid = v.warm()
    job = with_fault(v, mode="foreign")
    assert job["result"]["job"] == job["id"] and "answer" not in job["result"], job
    kept(v, pid)
    v.expect_log("an answer to no request that is open, dropped")
    retired(v)
    counted(v, "lateMessages", 5)
