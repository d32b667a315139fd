"""What is promised as a number over many tries, rather than as a row of the matrix."""

import os
import signal
import threading

import census
from matrix import case, p99, short
from rig import Plugin, now, outcomes

KILLS, KILLED = 200, 4  # kills, and the plugins that they are shared among
TOO_MANY = "it has a load of its own"


def spread(seconds):
    ordered = sorted(seconds)
    return f"p50 {short(ordered[len(ordered) // 2])}, p99 {short(p99(ordered))}, longest {short(ordered[-1])}"


@case("200 kills", idle=TOO_MANY, one=TOO_MANY, plugin=False, quiet=True)
def kills_under_load(v):
    restart = {"firstDelay": "20ms", "maxDelay": "20ms", "quarantineFailures": 1000}
    with v.worker(config={"restart": restart}, healthy=2) as rig:
        plugins = [Plugin(f"victim-{number}") for number in range(1, KILLED + 1)]
        rig.install(*plugins)
        begin, resolved, jobs, problems = now(), [], [], []

        def kill_again_and_again(plugin):
            try:
                former = None
                for _ in range(KILLS // KILLED):
                    pid = former = rig.engine(plugin.name, former) if former else warm(rig, plugin)
                    job = rig.submit(plugin, mode="hang")
                    job.running()
                    os.kill(pid, signal.SIGKILL)
                    killed = now()
                    resolved.append(job.lost()[1] - killed)
                    jobs.append(job)
            except Exception as problem:  # told by the case
                problems.append(f"{plugin.name}: {problem!r}")

        threads = [threading.Thread(target=kill_again_and_again, args=(plugin,)) for plugin in plugins]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = now() - begin
        assert not problems, problems
        for job in jobs:
            # One that had been handed out and not begun was not lost.
            assert outcomes(job.done()) in (["lost", "succeeded"], ["superseded", "succeeded"]), job.look()
        beside = [one for one in rig.samples if one[0] >= begin]
        bad = [verdict for _, _, verdict in beside if verdict != "ok"]
        assert not bad and beside, f"{len(bad)} jobs of the healthy engines went wrong: {bad[:3]}"
        assert {name: rig.engine(name) for name in rig.healthy} == rig.pids, "a healthy engine was disturbed"
        v.measured(f"a job in flight is resolved after its engine's death, 99th percentile of {KILLS}", p99(resolved), 0.2)
        v.figure(f"the same, of {KILLS} kills in {took:.0f} s:", spread(resolved))
        v.figure("jobs of two healthy engines beside them, and how many failed:", f"{len(beside)}, none")
        assert rig.stored_problems([job.id for job in jobs]) == []
        assert rig.stop() == 0


def warm(rig, plugin):
    rig.submit(plugin).done()
    return rig.engine(plugin.name)


@case("cancel", "cooperative", idle=TOO_MANY, one=TOO_MANY, plugin={"concurrency": 8}, quiet=True)
def cancels_that_are_obeyed(v):
    pid = v.warm()
    took, tenants = [], v.in_flight(count=7, mode="hang")
    for _ in range(200):
        job = v.submit(mode="hang")
        job.running()
        begin = now()
        job.cancel()
        job.done("cancelled")
        took.append(now() - begin)
    shown = [job.look() for job in tenants]
    assert all(job["state"] == "running" and len(job["attempts"]) == 1 for job in shown), f"a wrong job was hit: {shown}"
    assert v.rig.engine(v.chaos.name) == pid
    for job in tenants:
        job.cancel()
        job.done("cancelled")
    v.measured("cancelled, 99th percentile of 200, beside seven others that went on", p99(took), 1)
    v.figure("the same:", spread(took))


@case("cancel", "forced", idle=TOO_MANY, one=TOO_MANY, plugin={"concurrency": 2, "timeouts": {"cancelGrace": "300ms"}})
def cancels_that_are_not(v):
    took, tenant = [], None
    for _ in range(20):
        job = v.submit(mode="deaf")
        job.running()
        tenant = v.submit(mode="hang")
        tenant.running()
        pid = v.rig.engine(v.chaos.name)
        begin = now()
        job.cancel()
        job.done("cancelled")
        took.append(now() - begin)
        # Its neighbour goes back into line, and is blamed for nothing.
        assert outcomes(tenant.done()) == ["lost", "succeeded"], tenant.look()
        assert not census.is_alive(pid)
    v.measured("cancelled by force, 99th percentile of 20", p99(took), 0.5, "grace of 300 ms + 200 ms")
    v.figure("the same:", spread(took))
    v.expect_log("did not stop job")
