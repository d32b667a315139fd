"""The host's own end, clocks that jump, disks that are full, devices that are not free."""

import contextlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess

import census
from matrix import case
from places import Whole, disk, ends_in_order
from rig import HERE, Job, Plugin, eventually, now, outcomes

DAY = 86400
GPU = "GPU-00000000-0000-0000-0000-00000000fa17"
MODEL = 600  # MiB that a model takes on the device, of 1000


@case("F40", plugin=False, quiet=True)
def host_is_killed(v):
    with v.worker(load=None) as rig:
        plugins = [Plugin(name, concurrency=max(v.count, 1)) for name in ("first", "second", "third", "fourth")]
        rig.install(*plugins)
        jobs = []
        for number, plugin in enumerate(plugins):
            rig.submit(plugin).done()
            # The last one's engine has a descendant that hides.
            mode = "family" if number == 3 else "hang"
            jobs += [rig.submit(plugin, mode=mode, litter=1) for _ in range(max(1, v.count // 4) if v.count else 0)]
        for job in jobs:
            job.running()
        family = census.Census(rig.host, rig.home).family
        assert len(family) >= 10, family
        os.kill(rig.host, signal.SIGKILL)
        begin = now()
        rig.process.wait()
        eventually("the engines are gone", lambda: not any(census.is_alive(pid) for pid in family), 10)
        v.measured(f"all {len(family)} processes below it are gone", now() - begin, 2)
        rig.disconnect()
        begin = now()
        rig.start()
        v.measured("the next life takes jobs", now() - begin, 10)
        for job in jobs:
            job.watch = None
            done = job.done()
            assert outcomes(done) == ["lost", "succeeded"], done
        assert rig.stored_problems() == [], rig.stored_problems()
        work = rig.home / "data" / "work"
        assert not [name for plugin in census.entries(work) for name in census.entries(work / plugin)]
        ends_in_order(rig)


@case("F41", "with engines that will not go", plugin=False, quiet=True)
def told_to_stop(v):
    with v.worker(load=None) as rig:
        plugin = Plugin("linger", concurrency=max(v.count, 1), arguments=["--linger"], timeouts={"shutdown": "5s"})
        rig.install(plugin)
        rig.submit(plugin).done()
        jobs = [rig.submit(plugin, mode="deaf") for _ in range(v.count)]
        for job in jobs:
            job.running()
        family = census.Census(rig.host, rig.home).family
        begin = now()
        rig.process.send_signal(signal.SIGTERM)
        assert rig.process.wait(timeout=30) == 0, rig.tail()
        v.measured("stopped", now() - begin, 10)
        assert not [pid for pid in family if census.is_alive(pid)]
        rig.disconnect()
        with contextlib.closing(rig.database()) as database:
            states = dict(database.execute("SELECT id, state FROM jobs"))
        assert all(states[job.id] == "queued" for job in jobs), "the jobs were not handed back"


@case("F48", plugin=False, quiet=True, long=True)
def clock_jumps(v):
    library, offset = v.rig.scratch / f"clock-{v.count}.so", v.rig.scratch / f"clock-{v.count}"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(HERE / "clock.c"), "-ldl"], check=True)
    offset.write_bytes(struct.pack("q", 0))

    def jump(seconds):
        # In place: the worker has the file mapped.
        with open(offset, "r+b") as file:
            file.write(struct.pack("q", seconds))

    environment = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(offset)}
    with v.worker(load=0.02, environment=environment) as rig:
        plugin = Plugin("clock", concurrency=max(v.count, 1), timeouts={"jobStall": "8s", "job": "20s", "idleExit": "30s"})
        rig.install(plugin)
        rig.submit(plugin).done()
        pid, first = rig.engine("clock"), rig.submit(plugin).done()

        def limited(seconds, **task):
            answer = rig.call("jobs/submit", kind="llm", model=plugin.model, task=task, deadlineSeconds=seconds)
            return Job(rig, answer["job"]["id"], now())

        for step, seconds in enumerate((DAY, -DAY, 2 * DAY, 0)):
            running = [limited(15, ms=900) for _ in range(v.count)]
            for job in running:
                job.running()
            jump(seconds)
            for job in running:
                done = job.done()
                assert len(done["attempts"]) == 1, done
            assert rig.submit(plugin).done()["state"] == "succeeded"
            if step == 0:
                later = rig.submit(plugin).done()
                assert later["createdAt"][:10] > first["createdAt"][:10], "the clock has not moved"
        # A deadline is a time that passes, not one that a clock shows.
        if v.count:
            begin = now()
            job = limited(1, mode="hang")
            job.running()
            jump(-30 * DAY)
            error = job.done("failed")["error"]
            assert error["class"] == "deadline", error
            v.measured("a deadline of 1 s, with the clock set back a month", now() - begin, 2.5)
        assert rig.engine("clock") == pid, "the engine was ended"
        bad = [verdict for _, _, verdict in rig.samples if verdict != "ok"]
        assert rig.samples and not bad, bad[:3]
        assert rig.stored_problems([first["id"]]) == []
        v.figure("jumps of a day and more, and jobs that they ended:", "5, none")
        rig.stop_load()
        ends_in_order(rig)


def records(rig):
    call = rig.control.begin("logs", {"lines": 2000})
    call.result()
    return [record["message"] for _, record in call.events]


@case("F49", "disk full for logs", plugin=False, quiet=True)
def log_disk_full(v):
    with disk(1) as place, v.worker(config={"log": {"file": str(place / "stoker.log")}}, load=None) as rig:
        plugin = Plugin("chatty", concurrency=max(v.count, 1))
        rig.install(plugin)
        rig.submit(plugin).done()
        whole = Whole(rig, plugin)
        fill = os.open(place / "fill", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(fill, b"x" * 4096)
        os.close(fill)
        jobs = [rig.submit(plugin, mode="abort", times=1) for _ in range(v.count)]
        if not jobs:
            for _ in range(8):
                rig.call("plugins/restart", name="chatty")
        for job in jobs:
            job.done(seconds=60)
        said = []
        for _ in range(200):
            rig.call("plugins/disable", name="chatty")
            rig.call("plugins/enable", name="chatty")
            said = [text for text in records(rig) if text.startswith("the log cannot be written")]
            if said:
                break
        assert len(said) == 1 and "No space left" in said[0], records(rig)[-20:]
        assert rig.submit(plugin).done()
        (place / "fill").unlink()
        rig.call("plugins/disable", name="chatty")
        lines = (place / "stoker.log").read_text().splitlines()
        assert any("the log can be written again" in line for line in lines), lines[-5:]
        assert all(line[:4].isdigit() for line in lines), [line for line in lines if not line[:4].isdigit()][:3]
        v.figure("said in memory, and in the file once there was room:", said[0].split(":")[0])
        whole.check(plugin)
        ends_in_order(rig)


@case("F49", "directories removed", plugin=False, quiet=True)
def directories_removed(v):
    with v.worker(load=None) as rig:
        plugin = Plugin("homeless", concurrency=max(v.count, 1))
        rig.install(plugin)
        rig.submit(plugin).done()
        jobs = [rig.submit(plugin, ms=1000) for _ in range(v.count)]
        for job in jobs:
            job.running()
        # TMPDIR, the private home and the cache of all engines; the work directories of running jobs with those of others.
        shutil.rmtree(rig.home / "cache")
        shutil.rmtree(rig.home / "data" / "work")
        for job in jobs:
            assert len(job.done()["attempts"]) == 1
        assert rig.submit(plugin).done()
        # A confined process knows only the directories that were there when it was started: files need the next one.
        os.kill(rig.engine("homeless"), signal.SIGKILL)
        assert rig.submit(plugin, artifact="out.txt", litter=1).done(seconds=30)["artifacts"]
        rig.remove("homeless")
        ends_in_order(rig)


def fake_device(directory):
    """What a driver says of its device: the numbers come from a file."""
    tool = directory / "nvidia-smi"
    tool.write_text(f"""#!/bin/sh
case "$*" in
  *query-gpu*) used=$(cat {directory}/used); echo "0, {GPU}, Fake, 1000, $used, $((1000 - used))" ;;
  *) ;;
esac
""")
    tool.chmod(0o755)

    def hold(mebibytes):
        (directory / "used.new").write_text(str(mebibytes))
        (directory / "used.new").rename(directory / "used")

    hold(0)
    return hold


@case("F51", idle="it is a job that wants the next load", plugin=False, quiet=True, long=True)
def device_memory_is_held(v):
    directory = pathlib.Path(v.rig.scratch / f"device-{v.count}")
    directory.mkdir()
    hold = fake_device(directory)
    path = {"PATH": f"{directory}:{os.environ['PATH']}"}
    with v.worker(load=None, environment=path, config={"memory": {"waitForRoom": "5s", "reserve": 0}}) as rig:
        device = {"prefer": ["cuda"], "memory": {"perModel": f"{MODEL}MiB"}}
        plugin = Plugin("gpu", concurrency=v.count, arguments=["--resident"], more={
            "features": ["chunks", "progress", "model-residency"], "device": device})
        rig.install(plugin)
        jobs = [rig.submit(plugin, mode="hang") for _ in range(v.count)]
        for job in jobs:
            job.seen("it runs", lambda one: one["state"] == "running" and rig.logged("gpu", "loaded"))
        assert len(rig.logged("gpu", "loads ")) == 1, rig.tail()
        # The process dies, and the driver goes on to hold what it had.
        hold(MODEL)
        killed = now()
        os.kill(rig.engine("gpu"), signal.SIGKILL)
        for job in jobs:
            job.lost()
        eventually("the next one is ready", lambda: len(rig.logged("gpu", "ready: ")) == 2, 10)
        while now() - killed < 2.5:
            assert len(rig.logged("gpu", "loads ")) == 1, f"loaded while the device was not free:\n{rig.tail()}"
        hold(0)
        freed = now()
        eventually(lambda: f"the next load: {rig.tail()}", lambda: len(rig.logged("gpu", "loads ")) == 2, 10)
        v.measured("the next load, after the device gave its memory back", now() - freed, 5)
        for job in jobs:
            assert outcomes(job.done())[-1] == "succeeded"
        # Never given back: the clock of the wait runs out, and the reason has the numbers.
        hold(MODEL)
        os.kill(rig.engine("gpu"), signal.SIGKILL)
        begin = now()
        job = rig.submit(plugin)
        done = job.seen("the load is given up", lambda one: one["state"] == "failed" or any(
            (each.get("error") or {}).get("class") == "resource" for each in one["attempts"]), 30)[0]
        v.measured("given up when it is not given back", now() - begin, 8, "5 s and the restart")
        error = next((each["error"] for each in done["attempts"] if each.get("error")), done.get("error"))
        assert "lacking" in error["message"] and "MiB" in error["message"], error
        hold(0)
        job.done(seconds=60)
        rig.remove("gpu")
        ends_in_order(rig)
