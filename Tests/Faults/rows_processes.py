"""Processes that hide, multiply or cannot be killed, descriptors, restarts, blame, secrets."""

import contextlib
import os
import pathlib
import secrets
import subprocess

import census
from matrix import Skip, case
from places import Whole, ends_in_order
from rig import Plugin, eventually, now, outcomes

BOMB = 10_000  # processes
CYCLES = 1000  # crashes
FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")
AT_ONCE = {"restart": {"firstDelay": "1ms", "maxDelay": "1ms", "quarantineFailures": 1000, "quarantineWindow": "1s"}}


def lost_once(v, mode, bound, **task):
    pid = v.warm()
    begin = now()
    jobs = [v.submit(mode=mode, **task) for _ in range(max(v.count, 1))]
    if v.count <= 1:
        _, at = jobs[0].lost()
        v.measured("submitted, dead, resolved", at - begin, bound)
    for job in jobs:
        done = job.done(seconds=60)
        assert set(outcomes(done)[:-1]) <= {"lost"} and done["state"] == "succeeded", done
    assert v.rig.engine(v.chaos.name) != pid


@case("F35", idle="it takes a job to start it", eight="one grandchild holds the pipes of all eight as it does of one")
def grandchild_holds_the_pipes(v):
    lost_once(v, "holder", 0.6)
    v.expect_log("status 3")


@case("F36", "the engine dies", idle="it takes a job to start it", eight="as with one")
def descendant_hides(v):
    lost_once(v, "escape", 10)
    v.expect_log("status 4")


@case("F36", "the engine lives", plugin={"timeouts": {"jobStall": "700ms"}})
def descendant_hides_from_a_living_engine(v):
    v.warm()
    count = max(v.count, 1)
    # The first attempt hangs with a descendant that hides, and is ended by the stall clock.
    jobs = [v.submit(mode="family") for _ in range(count)]
    begin = now()
    for job in jobs:
        job.lost()
    v.measured("the family is ended", now() - begin, 0.7 + 10, "stall + 10 s")
    for job in jobs:
        job.done()
    v.expect_log("no progress")


def bomb(v, rig, plugin, **task):
    begin = now()
    jobs = [rig.submit(plugin, mode="bomb", count=BOMB // max(v.count, 1), **task) for _ in range(max(v.count, 1))]
    if "answer" in task:
        for job in jobs:
            job.done(seconds=60)
    return jobs, begin


def family(rig):
    """How many processes came from the worker, those that fled to their monitors with them."""
    return len(census.descendants(rig.host, census.processes()))


@case("F37", eight="eight bombs are one of eight times the fuse: as with one", plugin=False, quiet=True, long=True, heavy=True)
def fork_bomb(v):
    needed = BOMB + 2000
    if int(census.read("/proc/sys/kernel/pid_max")) < needed or int(census.read("/proc/sys/kernel/threads-max")) < needed:
        raise Skip(f"the machine allows fewer than {needed} processes")
    with v.worker(load=0.01) as rig:
        # Idle: as many as it wants, and the sweep has to end them. With a job: the limit that holds without a word.
        more = {"concurrency": 1, "limits": {"processes": needed}} if v.count == 0 else {"concurrency": 1}
        plugin = Plugin("bomb", timeouts={"jobStall": "60s"}, more=more)
        rig.install(plugin)
        rig.submit(plugin).done()
        whole = Whole(rig, plugin)
        if v.count == 0:
            bomb(v, rig, plugin, answer=1, sessions=1)
            begin = now()
            rig.retire("bomb")
        else:
            (job,), begin = bomb(v, rig, plugin)
            job.lost()
            v.measured("its job is resolved", now() - begin, 5)
            error = job.look()["attempts"][0]["error"]
            assert error["class"] == "resource" and "limits.processes" in error["message"], error
        there = now()
        assert rig.submit(Plugin("healthy")).done(seconds=15)
        v.measured("a job of the healthy engine meanwhile", now() - there, 5)
        eventually("all processes are gone", lambda: family(rig) <= (4 if v.count else 2), 30, 0.05)
        v.measured("all of them are gone", now() - begin, 15)
        bad = [verdict for _, _, verdict in rig.samples if verdict != "ok"]
        assert not bad, bad[:3]
        if v.count:
            assert job.done(seconds=30)["state"] == "succeeded"
        rig.stop_load()
        whole.check(plugin)
        ends_in_order(rig)


@case("F38", "the engine leaks", idle="it takes a job to leak", quiet=True, plugin={"more": {"limits": {"openFiles": 256}}})
def descriptor_leak(v):
    v.warm()
    before = len(os.listdir(f"/proc/{v.rig.host}/fd"))
    jobs = [v.submit(mode="leak") for _ in range(v.count)]
    for job in jobs:
        job.seen("the first attempt is over", lambda one: one["attempts"] and one["attempts"][0].get("outcome"))
        error = job.look()["attempts"][0]["error"]
        assert error["class"] == "resource" and "Too many open files" in error["message"], error
        assert int(error["message"].split("after ")[1].split(":")[0]) <= 256, error
    assert len(os.listdir(f"/proc/{v.rig.host}/fd")) <= before + 10
    v.figure("descriptors that the engine could have:", "256, as its manifest says")
    for job in jobs:
        job.done(seconds=60)


@case("F38", "1,000 crash cycles", idle="it takes jobs to crash", eight="crashes of one plugin follow each other", plugin=False, quiet=True, long=True)
def crash_cycles(v):
    with v.worker(config=AT_ONCE, load=None) as rig:
        plugin = Plugin("cycle", more={"processes": 4})
        rig.install(plugin)

        def crash(count):
            jobs = [rig.submit(plugin, mode="abort") for _ in range(count)]
            for job in jobs:
                done = job.done(seconds=120)
                assert outcomes(done) == ["lost", "succeeded"], done

        crash(40)  # what is opened when first needed
        whole = Whole(rig, plugin)
        begin = now()
        for _ in range(CYCLES // 100):
            crash(100)
        took = now() - begin
        starts = rig.counters("cycle")["crashes"]
        assert starts >= CYCLES, starts
        v.figure(f"{CYCLES} crashes and restarts in {took:.0f} s,", f"{took / CYCLES * 1000:.0f} ms each")
        after = census.resident(rig.host)
        v.figure("the host's memory before and after", f"{whole.before.resident / census.MIB:.0f} and {after / census.MIB:.0f} MiB")
        whole.check(plugin)
        ends_in_order(rig)


def holders(inode, pids):
    """The processes that have a pipe open."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == inode:
                        found.add(pid)
    return found


@case("F39", one="the engines are idle when their stdin ends", plugin=False, quiet=True)
def end_of_input(v):
    count = 8
    # Each ignores everything but the end of its input, which must come when the host closes it: nobody else has it open.
    plugins = [v.make(f"{number}", concurrency=1, timeouts={"shutdown": "100ms"}) for number in range(count)]
    v.rig.install(*plugins)
    for plugin in plugins:
        v.warm(plugin)
    pids = {plugin.name: v.rig.engine(plugin.name) for plugin in plugins}
    jobs = [v.submit(plugin, ms=1000) for plugin in plugins] if v.count else []
    everyone = set(census.descendants(v.rig.host, census.processes())) | {v.rig.host}
    for name, pid in pids.items():
        for descriptor in (0, 1, 2):
            pipe = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            assert holders(pipe, everyone) == {pid, v.rig.host}, (name, descriptor, holders(pipe, everyone))
    v.figure(f"processes that hold one of the {3 * count} pipes of {count} engines, beside the host:", "the engine alone")
    for job in jobs:
        job.done()


@case("F42", "at once", one="it never takes a job", plugin=False, quiet=True)
def crash_at_start(v):
    with v.worker(config={"restart": {"firstDelay": "50ms", "maxDelay": "1s"}}, load=None) as rig:
        plugin = Plugin("loop", arguments=["--fault", "early", "--starts", "1000"])
        rig.install(plugin)
        whole, begin = Whole(rig), now()
        jobs = [rig.submit(plugin) for _ in range(max(v.count, 1))]
        for job in jobs:
            done = job.done("failed", 60)
            assert "quarantined" in done["error"]["message"], done
        v.measured("quarantined, and its jobs refused with the reason", now() - begin, 5)
        starts = lambda: len(census.read(rig.home / "cache" / "engines" / "loop" / "home" / "starts"))
        assert starts() == 5, starts()
        assert rig.plugin("loop")["state"] == "quarantined"
        v.figure("starts before the quarantine:", "5")
        rig.logged("loop", "quarantined")
        whole.check(plugin)
        ends_in_order(rig)


@case("F42", "after one job", idle="it takes a job", plugin=False, quiet=True)
def crash_after_each_job(v):
    with v.worker(config={"restart": {"firstDelay": "50ms", "maxDelay": "1s"}}, load=None) as rig:
        plugin = Plugin("loop")
        rig.install(plugin)
        whole, begin = Whole(rig), now()
        good = []
        if v.count == 1:
            for _ in range(5):
                good.append(rig.submit(plugin, mode="last"))
                good[-1].done(seconds=30)
        else:
            jobs = [rig.submit(plugin, mode="last", times=9) for _ in range(v.count)]
            ends = [job.rig.watcher().begin("jobs/watch", {"id": job.id}).result(60)["job"] for job in jobs]
            good = [end for end in ends if end["state"] == "succeeded"]
            assert all("quarantined" in end["error"]["message"] for end in ends if end["state"] == "failed"), ends
        assert len(good) == 5, len(good)
        eventually("the quarantine", lambda: rig.plugin("loop")["state"] == "quarantined")
        v.measured("quarantined after five jobs well done and five deaths", now() - begin, 10)
        assert rig.logged("loop", "that was the last one"), rig.tail()
        whole.check(plugin)
        ends_in_order(rig)


@case("F43", idle="it takes a job", plugin={"concurrency": 9})
def poison(v):
    v.warm()
    good = [v.submit(ms=700) for _ in range(v.count if v.count > 1 else 0)]
    bad = v.submit(mode="abort", times=99)
    done = bad.done("failed", 60)
    assert done["error"]["class"] == "engine_fault", done
    evidence = str(done["error"].get("evidence"))
    assert evidence.count("chaos: assertion failed") >= 2, done["error"]
    for job in good:
        job.done(seconds=60)
    v.figure("attempts at the poison", str(len(done["attempts"])))
    v.figure("the good jobs beside it:", f"{len(good)} of {len(good)} succeeded")
    assert v.rig.plugin(v.chaos.name)["state"] not in ("quarantined", "invalid")
    v.submit().done()
    v.expect_log("SIGABRT")


@case("F50", one="the sweep comes before any job", eight="the sweep comes before any job", plugin=False, quiet=True)
def reused_pid(v):
    boot = census.read("/proc/sys/kernel/random/boot_id").decode().strip()
    strangers = [subprocess.Popen(["sleep", "300"], start_new_session=True) for _ in range(3)]
    try:
        with v.worker(load=None) as rig:
            assert rig.stop() == 0
            records = rig.home / "state" / "engines"
            start = [census.stat(stranger.pid)["start"] for stranger in strangers]
            # The number of a monitor, by now a stranger's: it started at another time, or under another boot.
            (records / f"{strangers[0].pid}.{start[0] - 1}.{boot}").touch()
            (records / f"{strangers[1].pid}.{start[1]}.{boot[::-1]}").touch()
            (records / f"{strangers[2].pid}.0.{boot}").touch()
            for name in ("1.1.x", "-1.2.x", "99999999999.1.x", "nonsense", f"0.0.{boot}"):
                (records / name).touch()
            rig.start()
            assert all(census.is_alive(one.pid) for one in strangers), "a stranger was killed"
            assert rig.submit(Plugin("healthy")).done()
            for stranger in strangers:
                assert not list(records.glob(f"{stranger.pid}.*")), "a stale record was kept"
            ends_in_order(rig)
            assert all(census.is_alive(one.pid) for one in strangers), "a stranger was killed"
    finally:
        for stranger in strangers:
            stranger.kill()
            stranger.wait()


@contextlib.contextmanager
def frozen():
    """A control group whose processes do not move, and so do not die: as if they hung in a driver."""
    group = FREEZER / f"stoker-{secrets.token_hex(4)}"
    try:
        group.mkdir()
        (group / "cgroup.procs").read_text()
    except OSError as problem:
        raise Skip(f"no process can be frozen here: {problem}") from None
    try:
        yield group
    finally:
        (group / "freezer.state").write_text("THAWED")
        eventually("the group is empty", lambda: not (group / "cgroup.procs").read_text(), 15)
        group.rmdir()


@case("F52", plugin=False, quiet=True, long=True)
def cannot_be_killed(v):
    with v.worker(load=0.01) as rig:
        plugin = Plugin("stuck", concurrency=max(v.count, 1), timeouts={"jobStall": "1s"})
        rig.install(plugin)
        rig.submit(plugin).done()
        pid = rig.engine("stuck")
        with frozen() as group:
            jobs = [rig.submit(plugin, mode="hang") for _ in range(v.count)]
            for job in jobs:
                job.running()
            (group / "cgroup.procs").write_text(f"{pid}\n")
            (group / "freezer.state").write_text("FROZEN")
            eventually("it is frozen", lambda: "FROZEN" in (group / "freezer.state").read_text(), 5)
            begin = now()
            if not jobs:
                rig.retire("stuck")
            eventually(lambda: f"it is given up: {rig.tail()}", lambda: rig.logged("stuck", "cannot be killed"), 25)
            v.measured("given up, with an alarm", now() - begin, (1 if jobs else 0) + 10.5, "10 s" + (" after the stall" if jobs else ""))
            assert census.is_alive(pid), "it was not unkillable"
            beside = [one for one in rig.samples if one[0] >= begin]
            assert beside and all(verdict == "ok" for _, _, verdict in beside), beside[:3]
            if jobs:
                # The only slot is retired: nothing is started in its place, and the jobs are refused with the reason.
                for job in jobs:
                    error = job.done("failed")["error"]
                    assert "cannot be killed" in error["message"], error
                assert rig.engines("stuck") == [pid]
        eventually("it dies when it can", lambda: not census.is_alive(pid), 5)
        rig.stop_load()
        ends_in_order(rig)


@case("F53", idle="an engine that is not asked does not look: what it would see is the same", plugin=False, quiet=True)
def secrets_are_nowhere(v):
    secret = "S3cr3t" + secrets.token_hex(12)
    config = {"sandbox": {"mode": "enforce"}, "plugins": {"spy": {"config": {"token": secret}}}}
    variables = {"AWS_SECRET_ACCESS_KEY": secret, "STOKER_TOKEN": secret, "LD_LIBRARY_PATH": f"/nowhere/{secret}"}
    with v.worker(config=config, environment=variables, load=None) as rig:
        spy = Plugin("spy", concurrency=v.count, more={"config": {"token": {"type": "string", "description": "x"}}})
        rig.install(spy)
        assert secret.encode() in census.read(f"/proc/{rig.host}/environ"), "the host does not have the secret"
        ends = [rig.submit(spy, mode="search", deddih=secret[::-1]).done()["result"] for _ in range(v.count)]
        own = {str(pid) for pid in census.descendants(rig.host, census.processes())}
        for end in ends:
            assert end["own"] == 2, end  # its own environment and arguments, at least, could be read
            found = [place for place in end["found"].split() if place.split("/")[2] in own]
            assert not found, f"a secret lies in {found}"
        v.figure("environments and command lines that an engine could read, with a secret in none of the engines' or monitors':", str(ends[0]["readable"]))
        host = [place for place in ends[0]["found"].split() if place.split("/")[2] == str(rig.host)]
        assert not host, f"the engine reads the host's own environment: {host}"
        ends_in_order(rig)
