"""Engines that die, in every way, or never come to life."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from matrix import Skip, case
from rig import eventually, now, outcomes

RESOLVED = 0.2  # seconds from a death to the end of what the engine had in hand
BACKOFF = 0.625  # seconds: the first backoff with its jitter
GROUPS = pathlib.Path("/sys/fs/cgroup/memory")
NO_ENGINE = "without a job no engine is started"


def expect_second_attempt(jobs, first="lost"):
    for job in jobs:
        done = job.done()
        assert outcomes(done) == [first, "succeeded"], done


def since(path):
    """Seconds since an engine wrote to a file, which it does just before the fault."""
    return time.time() - os.stat(path).st_mtime


def resolved(v, jobs, log):
    """The time from the fault to the end of all attempts."""
    for job in jobs:
        job.lost()
    return since(log)


def no_longer(v, pid):
    return lambda: pid not in [one.get("pid") for one in (v.rig.plugin(v.chaos.name) or {"processes": []})["processes"]]


@case("F1", one="with a job it is F2", eight="with jobs it is F2")
def killed_while_idle(v):
    pid = v.warm()
    os.kill(pid, signal.SIGKILL)
    killed = now()
    eventually("the death is noticed", no_longer(v, pid), step=0.002)
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


def deadly(v, mode, name):
    pid = v.warm()
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], core
    if v.count == 0:
        os.kill(pid, getattr(signal, name))
        killed = now()
        eventually("the death is noticed", no_longer(v, pid), step=0.002)
        v.measured("death noticed", now() - killed, RESOLVED)
    else:
        log = v.rig.scratch / f"{v.name}.log"
        jobs = v.in_flight(count=v.count - 1, mode="hang")
        jobs.append(v.submit(mode=mode, litter=1, log=str(log)))
        v.measured("all attempts resolved", max(0, resolved(v, jobs, log)), RESOLVED)
        assert name in jobs[-1].look()["attempts"][0]["error"]["message"], jobs[-1].look()
        expect_second_attempt(jobs)
    cores = [str(path) for path in (v.rig.home / "plugins" / v.chaos.name).glob("*core*")]
    assert not cores, cores
    v.expect_log(name)


@case("F3", "SIGSEGV", batch="F3")
def segmentation_fault(v):
    deadly(v, "segv", "SIGSEGV")


@case("F3", "SIGBUS", batch="F3")
def bus_error(v):
    deadly(v, "bus", "SIGBUS")


@case("F3", "SIGABRT", batch="F3")
def abort(v):
    deadly(v, "abort", "SIGABRT")


@case("F4", "killed by the kernel", idle="an engine that does nothing takes no memory", batch="memory")
def killed_for_memory(v):
    group = GROUPS / f"stoker-{os.getpid()}-{v.name}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(32 << 20))
    except OSError as problem:
        raise Skip(f"no memory control group can be made here ({problem})") from None
    try:
        v.warm()
        # More deaths than would quarantine a plugin, were they the engine's fault.
        log = v.rig.scratch / f"{v.name}.log"
        jobs = v.in_flight(count=v.count - 1, mode="hang")
        jobs.append(v.submit(mode="memory", group=str(group), log=str(log)))
        v.measured("all attempts resolved, the time to fill 32 MiB included", resolved(v, jobs, log), 1)
        first = jobs[-1].look()["attempts"][0]
        assert first["error"]["class"] == "resource" and "memory ran out" in first["error"]["message"], first
        expect_second_attempt(jobs)
        assert v.rig.plugin(v.chaos.name)["state"] != "quarantined"
        v.expect_log("memory ran out")
        if v.count == 1:
            for _ in range(5):
                v.submit(mode="memory", group=str(group)).lost()
            eventually("six deaths are counted", lambda: v.rig.counters(v.chaos.name)["crashes"] >= 6, 5)
            assert v.rig.plugin(v.chaos.name)["state"] != "quarantined", v.rig.plugin(v.chaos.name)
            for job in v.jobs:
                job.done()
    finally:
        eventually("the control group is empty", lambda: remove_group(group), 5)


def remove_group(group):
    try:
        group.rmdir()
        return True
    except OSError:
        return False


@case("F4", "limit of the address space", idle="an engine that does nothing takes no memory", batch="memory",
      plugin={"more": {"limits": {"addressSpace": "64MiB"}}})
def out_of_address_space(v):
    pid = v.warm()
    jobs = [v.submit(mode="full" if number == 0 else "ok") for number in range(v.count)]
    job, at = jobs[0].lost()
    v.measured("told to be out of memory", at - jobs[0].submitted, 1)
    assert job["attempts"][0]["error"]["class"] == "resource", job
    for one in jobs:
        one.done()
    assert v.rig.engine(v.chaos.name) == pid, "the engine was blamed"
    v.has_log = bool(v.rig.logged("scheduler", f"job {jobs[0].id} goes back into line: no memory is left"))


@case("F5", idle="without a job it is F1", batch="exit")
def exit_zero_in_the_middle(v):
    lost_by_exit(v, "exit0")


@case("F19", idle="the line is a job's", batch="exit")
def part_of_a_line(v):
    lost_by_exit(v, "partial")


def lost_by_exit(v, mode):
    v.warm()
    log = v.rig.scratch / f"{v.name}.log"
    jobs = v.in_flight(count=v.count - 1, mode="hang")
    jobs.append(v.submit(mode=mode, log=str(log)))
    v.measured("all attempts resolved", resolved(v, jobs, log), RESOLVED)
    assert "status 0" in jobs[-1].look()["attempts"][0]["error"]["message"], jobs[-1].look()
    expect_second_attempt(jobs)
    v.expect_log("exit status 0")


@case("F11", idle=NO_ENGINE, plugin={"arguments": ["--litter", "--fault", "early", "--starts", "2"]})
def exits_at_once(v):
    begin = now()
    jobs = [v.submit() for _ in range(v.count)]
    v.expect_log("status 7")
    v.measured("diagnosed", now() - begin, 1)
    v.expect_log("chaos: no licence for this machine")
    for job in jobs:
        assert outcomes(job.done()) == ["succeeded"]
    # Two starts failed: 0.5 s and 1 s between the three, a quarter less at the least.
    waited = now() - begin
    assert waited >= 1.125, f"there was no backoff: {waited:.3f} s"
    v.measured("served by the third start", waited, 1 + 1.875, "backoffs of 0.375 to 0.625 s and 0.75 to 1.25 s")


def refused(v, suffix, expected, *, files, while_starting=None):
    """A plugin that cannot be started: its job fails, or the plugin is out of service, and the text says why."""
    plugin = v.make(suffix, files=files)
    begin = now()
    v.install(plugin)
    with contextlib.ExitStack() as held:
        if while_starting:
            held.enter_context(while_starting(plugin))
        shown = v.rig.plugin(plugin.name)
        text = " ".join(map(str, shown["problems"]))
        if shown["state"] != "invalid":
            begin = now()
            v.submit(plugin)
            eventually(
                lambda: f"{suffix} is named: {v.rig.tail()}", lambda: v.rig.logged(plugin.name, expected), 5)
            text = v.rig.logged(plugin.name, expected)[0]
    assert expected in text, f"{suffix}: {text}"
    v.has_log = True
    v.measured(f"{suffix} named", now() - begin, 1)
    for job in v.jobs:
        job.cancel()


@case("F12", idle=NO_ENGINE, eight="nothing ever runs, however many jobs wait", plugin=False)
def cannot_be_executed(v):
    program = v.runner.engines[0]
    bytes_of = program.read_bytes()
    foreign = bytearray(bytes_of)
    foreign[18:20] = (183 if foreign[18] == 62 else 62).to_bytes(2, "little")  # e_machine: the other of x86-64 and AArch64
    refused(v, "arch", "was built for", files={"engine": bytes(foreign)})
    refused(v, "interpreter", "/no/such/python", files={"engine": "#!/no/such/python\n"})
    refused(v, "library", "libchaosgone.so", files={"engine": without_library(v)})
    place = lambda plugin: v.rig.home / "plugins" / plugin.name / "engine"  # noqa: E731
    refused(v, "busy", "is being written", files={"engine": bytes_of}, while_starting=lambda p: open(place(p), "r+b"))
    plain = v.rig.scratch / f"{v.name}-plain"
    plain.write_bytes(bytes_of)
    plain.chmod(0o644)
    refused(v, "permission", "not executable", files={"engine": plain})
    plugin = v.make("gone", files={"engine": bytes_of})
    v.install(plugin)
    v.rig.remove(plugin.name)
    begin = now()
    job = v.submit(plugin)
    v.expect_log("working directory", plugin)
    v.measured("missing working directory named", now() - begin, 1)
    job.cancel()


def without_library(v):
    """A program whose shared library is not where it was."""
    place = v.rig.scratch / v.name
    place.mkdir()
    (place / "lib.c").write_text("int gone(void) { return 1; }\n")
    (place / "main.c").write_text("int gone(void);\nint main(void) { return gone(); }\n")
    for words in (["-shared", "-fPIC", "-o", "libchaosgone.so", "lib.c"], ["-o", "main", "main.c", "-L.", "-lchaosgone"]):
        subprocess.run(["cc", *words], cwd=place, check=True)
    return (place / "main").read_bytes()

