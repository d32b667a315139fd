"""A worker with plugins of the test's own, and ways to make them, good and bad."""

import io
import json
import pathlib
import shutil
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Kinds"))
sys.path.insert(0, str(ROOT / "Tests" / "ProtocolDocs"))

from worker import Worker  # noqa: E402

SOON = 30  # seconds for what takes a moment
STEP = 0.02  # seconds between two looks


def eventually(what, look, seconds=SOON):
    """Looks until there is something; returns it, and how many seconds that took."""
    begun = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(STEP)
    return found, time.monotonic() - begun


def make(place, name, version, *, broken=None, model=None):
    """A plugin's directory. `broken` is a line of Python that its engine dies of when it starts."""
    place = pathlib.Path(place)
    (place / "lib").mkdir(parents=True)
    manifest = {
        "manifest": 1, "name": name, "version": version, "command": ["python3", "-B", "engine.py"],
        "serves": [{"kind": "llm", "models": [model or f"{name}-model"]}], "concurrency": 4,
        "timeouts": {"initialize": "5s", "shutdown": "1s"},
    }
    (place / "plugin.yaml").write_text(json.dumps(manifest))
    (place / "lib" / "part.py").write_text(f"VERSION = {version!r}\n")
    engine = (HERE / "engine.py").read_text()
    (place / "engine.py").write_text(f"{broken}\n{engine}" if broken else engine)
    return place


def pack(directory, archive, mode="w:gz"):
    """The directory as an archive."""
    with tarfile.open(archive, mode) as tar:
        tar.add(directory, arcname=directory.name)
    return archive


def evil(archive, *entries):
    """An archive of these entries: (name, type, contents or target)."""
    with tarfile.open(archive, "w:gz") as tar:
        for name, kind, value in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(value)
                tar.addfile(info, io.BytesIO(value))
            else:
                info.linkname = value
                tar.addfile(info)
    return archive


class Live(Worker):
    """A worker whose home's plugins directory is changed while it runs."""

    def __init__(self, dist, configuration=""):
        self.bench = pathlib.Path(tempfile.mkdtemp(prefix="stoker-plugins."))
        self.files = 0
        # Engines tell here what they do; but for that they are confined.
        grants = {name: {"sandbox": {"write": [str(self.bench)]}} for name in ("demo", "alpha", "beta")}
        super().__init__(dist, self.bench / "models", f"plugins: {json.dumps(grants)}\n{configuration}")

    def __enter__(self):
        super().__enter__()
        self.plugins = self.home / "plugins"
        self.plugins.mkdir(exist_ok=True)
        return self

    def __exit__(self, *problem):
        if (status := self.process.poll()) is not None:
            print(f"      the worker has ended by itself with status {status}:\n{self.tail()}")
        super().__exit__(*problem)
        shutil.rmtree(self.bench, ignore_errors=True)

    def path(self, name):
        return self.bench / name

    # Plugins

    def drop(self, name, version, **options):
        """Moves a plugin in, or in the place of the one that is there; returns its directory."""
        self.files += 1
        made = make(self.path(f"made-{self.files}"), name, version, **options)
        place = self.plugins / name
        if place.exists():
            place.rename(self.path(f"old-{self.files}"))
        made.rename(place)
        return place

    def plugin(self, name):
        """What `plugins list` says of a plugin; None when it is not there."""
        found = [one for one in self.json("plugins", "list")["plugins"] if one["name"] == name]
        return found[0] if found else None

    def serves(self, name, version):
        """Whether that version takes jobs, and nothing is on trial beside it."""
        one = self.plugin(name)
        return one if one and one["version"] == version and one["state"] in (
            "idle", "ready", "busy", "starting") and "candidate" not in one else None

    def in_service(self, name, version):
        """Waits until that version takes jobs; returns how many seconds that took."""
        return eventually(
            lambda: f"{name} {version} is in service: {self.plugin(name)}\n{self.tail()}",
            lambda: self.serves(name, version))[1]

    def turned_down(self, name):
        """Waits until the version in the directory has been turned down; returns the plugin and the seconds."""
        def look():
            one = self.plugin(name)
            return one if one and one.get("candidate", {}).get("state") == "failed" else None

        return eventually(lambda: f"{name} is turned down: {self.plugin(name)}\n{self.tail()}", look)

    # Jobs

    def hand_in(self, model, **task):
        """Hands in a job; returns its id."""
        self.files += 1
        file = self.path(f"job-{self.files}.json")
        task = {"messages": [{"role": "user", "content": "Who are you?"}], **task}
        file.write_text(json.dumps({"kind": "llm", "model": model, "task": task}))
        return self.submit("--job", file)

    def hold(self, model, name):
        """Hands in a job that runs until `release(name)`; returns its id once it runs."""
        job = self.hand_in(model, begun=str(self.path(f"{name}.begun")), until=str(self.path(name)))
        eventually(lambda: f"{name} runs: {self.job(job)}\n{self.tail()}", self.path(f"{name}.begun").exists)
        return job

    def release(self, name):
        self.path(name).touch()

    def told(self, job):
        """Waits for a job's good end; returns what its engine said of itself."""
        return json.loads(self.done(job)["result"]["choices"][0]["message"]["content"])

    def ask(self, model):
        """Runs a job; returns what its engine said of itself."""
        return self.told(self.hand_in(model))

    def logged(self, text):
        """The lines of the log with that text."""
        self.log.flush()
        return [line for line in self.log_path.read_text(errors="replace").splitlines() if text in line]
