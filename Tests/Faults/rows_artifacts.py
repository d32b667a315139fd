"""Files that are not what an engine says, and disks that are full."""

import os
import pathlib

from matrix import case
from places import Whole, disk, ends_in_order, worker_on
from rig import Plugin, eventually, now

NO_JOB = "only a job's answer declares files"
RESOLVED = 1  # seconds from the answer to the job's end
BAD = {
    "missing": "no such file", "symlink": "symbolic link", "fifo": "not a regular file", "directory": "not a regular file",
    "empty": "0 bytes and 3 were declared", "growing": "bytes", "dotdot": "begins with a dot", "absolute": "slash", "nul": "control character",
    "longname": "4096 bytes", "socket": "not a regular file", "replaced": "replaced",
}
FILES = 100_000


def expect_bad(done, evidence, kind="bad_artifact"):
    error = done["error"]
    assert error["class"] == kind and evidence in error["message"], error
    assert not done.get("artifacts") and done.get("result") is None, done


@case("F44", "what it is not", idle=NO_JOB, quiet=True)
def not_a_file(v):
    slowest = 0
    for name, evidence in BAD.items():
        jobs = [v.submit(mode=f"artifact-{name}") for _ in range(v.count)]
        for job in jobs:
            # Where the engine is confined it cannot even make a link, a FIFO or a socket: then there is no file.
            error = job.done("failed")["error"]
            expect_bad(job.look(), "no such file" if "no such file" in error["message"] else evidence)
        slowest = max(slowest, (now() - jobs[0].submitted) / v.count)
    v.measured(f"the slowest of {len(BAD)} kinds, from the submission to the job's end", slowest, RESOLVED)
    assert not list((v.rig.home / "data" / "work").rglob("escaped*"))


@case("F44", "another's file", idle=NO_JOB, quiet=True)
def hard_link(v):
    for target in (v.rig.home / "data" / "jobs.sqlite", v.rig.home / "plugins" / v.chaos.name / "plugin.yaml"):
        before = (os.stat(target).st_ino, os.stat(target).st_mode)
        for job in [v.submit(mode="artifact-hardlink", target=str(target)) for _ in range(v.count)]:
            # Where the engine may not even make the link, there is no file to be taken.
            error = job.done("failed")["error"]
            assert error["class"] == "bad_artifact", error
        assert (os.stat(target).st_ino, os.stat(target).st_mode, os.stat(target).st_nlink) == (*before, 1)


@case("F44", "too many files", idle=NO_JOB, eight="as with one: the files are the same", plugin=False, quiet=True, long=True)
def many_files(v):
    # On a disk in memory, where that many files are made soon.
    with disk(256) as place, worker_on(v, place, load=0.02) as rig:
        plugin = Plugin("many")
        rig.install(plugin)
        rig.submit(plugin).done()
        whole = Whole(rig, plugin)
        job = rig.submit(plugin, mode="artifact-many", count=FILES)
        work = rig.home / "data" / "work" / "many" / f"{job.id}-1"
        eventually("the last file", (work / f"f{FILES - 1}").exists, 60)
        begin = now()
        expect_bad(job.done("failed", 60), "more than the 1000 files")
        v.measured(f"refused, {FILES} files in its work directory", now() - begin, RESOLVED)
        eventually("all of them are gone", lambda: not work.exists(), 60)
        v.measured("all of them are gone", now() - begin, 30)
        # A declaration that is too long a list.
        expect_bad(rig.submit(plugin, mode="artifact-many", count=10, all=1).done("failed"), "12000 files; 1000 are allowed")
        bad = [verdict for _, _, verdict in rig.samples if verdict != "ok"]
        assert rig.samples and not bad, bad[:3]
        rig.stop_load()
        whole.check(plugin)
        ends_in_order(rig)


@case("F44", "no space", idle=NO_JOB, plugin=False, quiet=True, long=True)
def no_space(v):
    with disk(24) as place, worker_on(v, place, load=None) as rig:
        plugin = Plugin("full", concurrency=v.count)
        rig.install(plugin)
        # One that says so: its job is tried again once there is room, which its own end makes.
        whole, begin = Whole(rig), now()
        jobs = [rig.submit(plugin, mode="artifact-nospace") for _ in range(v.count)]
        for job in jobs:
            done = job.done(seconds=60)
            assert done["attempts"][0]["outcome"] in ("failed", "succeeded"), done
        assert any(job.look()["attempts"][0]["error"]["class"] == "resource" for job in jobs if len(job.look()["attempts"]) > 1)
        v.measured("said by the engine: tried again, and done", now() - begin, 30)
        # One that hands over what has filled the disk: then the result cannot be stored.
        begin = now()
        done = rig.submit(plugin, mode="artifact-nospace", silent=1).done("failed", 60)
        assert done["error"]["class"] == "resource" and "disk is full" in done["error"]["message"], done
        v.measured("handed over by the engine: failed with class resource", now() - begin, 20)
        assert rig.submit(plugin).done()["state"] == "succeeded"
        assert rig.logged("scheduler", "is full"), rig.tail()
        whole.check(plugin)
        ends_in_order(rig)


@case("F45", idle=NO_JOB, quiet=True)
def truncated(v):
    ends = {"succeeded": 0, "failed": 0}
    for pause in (0, 100, 500, 2000, 5000, 20000):
        jobs = [v.submit(mode="artifact-truncated", bytes=4 << 20, pauseUs=pause) for _ in range(v.count)]
        for job in jobs:
            if job.watch is None:
                job.watch = v.rig.watcher().begin("jobs/watch", {"id": job.id})
            done = job.watch.result(30)["job"]
            ends[done["state"]] += 1
            if done["state"] == "failed":
                expect_bad(done, "")
            else:
                # Cut after it was taken: its owner is told what it was, and can see that it is not that any more.
                (artifact,) = done["artifacts"]
                assert artifact["bytes"] == 4 << 20 and len(artifact["sha256"]) == 64, artifact
                assert pathlib.Path(artifact["path"]).stat().st_nlink == 1
    v.figure("refused while the host read them, and cut after they were taken:", f"{ends['failed']} and {ends['succeeded']}")
