"""Workers of their own for rows that the worker of all rows could not live through, and the places they need."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import census
from matrix import Skip
from rig import Rig, eventually


@contextlib.contextmanager
def disk(mebibytes):
    """A disk that is soon full, mounted; where mounting is not possible the row is skipped."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="sd."))
    options = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)]
    try:
        if os.geteuid() != 0 or subprocess.run(options, capture_output=True, check=False).returncode != 0:
            raise Skip("a small disk cannot be mounted here: that needs root")
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)
    finally:
        place.rmdir()


@contextlib.contextmanager
def worker_on(v, place, **options):
    """A worker whose home and engines lie in that place."""
    engines = [pathlib.Path(shutil.copy2(one, place)) for one in v.runner.engines]
    former, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        rig = Rig(v.runner.dist, engines, **options)
        rig.__enter__()
    finally:
        tempfile.tempdir = former
    try:
        yield rig
    finally:
        rig.__exit__()


class Whole:
    """What a worker of its own must be like afterwards: nothing left of the fault, all jobs accounted for."""

    def __init__(self, rig, *running):
        """`running` plugins are ended first, and in service again afterwards."""
        for plugin in running:
            rig.retire(plugin.name)
            eventually(f"{plugin.name} has ended", lambda: not rig.engines(plugin.name), 15)
        eventually("its monitor has ended", lambda: len(census.entries(rig.home / "state" / "engines")) == len(rig.pids), 15)
        self.rig, self.before = rig, census.Census(rig.host, rig.home)
        for plugin in running:
            rig.call("plugins/enable", name=plugin.name)

    def check(self, *plugins):
        """The plugins are taken away; then nothing of them may be left."""
        self.rig.remove(*[plugin.name for plugin in plugins])
        found = []

        def clean():
            found[:] = census.Census(self.rig.host, self.rig.home).leftovers(self.before) + self.rig.stored_problems()
            return not found

        eventually(lambda: f"nothing is left: {found}\n{self.rig.tail()}", clean, 10, 0.05)


def ends_in_order(rig):
    """Tells a worker to end, and looks for what outlives it."""
    family = census.Census(rig.host, rig.home).family
    assert rig.stop() == 0, rig.tail()
    left = [pid for pid in family if census.is_alive(pid)]
    assert not left, f"{left} outlive the worker"
