"""A worker with plugins and models of the test's own: small engines that hold real memory."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Kinds"))

from worker import Worker  # noqa: E402

MIB = 1 << 20
SOON = 20  # seconds for what takes a moment
STEP = 0.02  # seconds between two looks


def eventually(what, look, seconds=SOON):
    """Looks until there is something; returns it."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(STEP)
    return found


def plugin(name, *, lanes=1, processes=1, models=1, prefer=("cpu",), per_model=None, idle_exit="10m"):
    """A plugin on engine.py. `per_model` is what its manifest says that a model takes."""
    device = {"prefer": list(prefer)}
    if per_model is not None:
        device["memory"] = {"perModel": per_model}
    return {
        "manifest": 1, "name": name, "version": "1.0.0", "command": ["python3", "-B", "engine.py", str(lanes)],
        "serves": [{"kind": "llm", "models": [f"{name}-*"], "modelEngine": name}],
        "features": ["chunks", "progress", "model-residency"], "concurrency": lanes, "processes": processes,
        "residentModels": models, "device": device, "timeouts": {"idleExit": idle_exit},
    }


def model(name, size, *, file_bytes=1024, **options):
    """A model of the plugin that its name begins with. Its file has a hole of that size and takes no disk."""
    options = {"bytes": size, **options}
    return {"id": name, "engine": name.partition("-")[0], "file_bytes": file_bytes, "options": options}


class Rig(Worker):
    """A worker with these plugins and models. `config` is what `config.yaml` says besides where the plugins are."""

    def __init__(self, dist, plugins, models, config):
        self.bench = pathlib.Path(tempfile.mkdtemp(prefix="stoker-memory."))
        self.stored = 0
        for manifest in plugins:
            place = self.bench / "plugins" / manifest["name"]
            place.mkdir(parents=True)
            (place / "plugin.yaml").write_text(json.dumps(manifest))
            shutil.copy(HERE / "engine.py", place)
            shutil.copy(ROOT / "SDKs" / "python" / "stoker_engine.py", place)
        config = {"memory": {"reserve": 0}, "pluginDirectories": [str(self.bench / "plugins")], **config}
        # Its engines and the tests talk through files beside the plugins.
        settings = config.setdefault("plugins", {})
        for manifest in plugins:
            grants = {"sandbox": {"write": [str(self.bench)]}}
            settings[manifest["name"]] = {**settings.get(manifest["name"], {}), **grants}
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in config.items()]
        super().__init__(dist, self.bench / "models", "".join(lines))
        self.extra = json.dumps({"models": [self._entry(**one) for one in models]})

    def _entry(self, id, engine, file_bytes, options):
        path = self.bench / f"{id}.bin"
        with open(path, "wb") as file:
            file.truncate(file_bytes)
        options = {name: str(self.bench / value) if name == "until" else value for name, value in options.items()}
        return {"id": id, "kind": "llm", "engine": engine, "license": "none", "options": options,
                "files": [{"role": "model", "path": str(path)}]}

    def __exit__(self, *problem):
        if (status := self.process.poll()) is not None:
            print(f"      the worker has ended by itself with status {status}:\n{self.tail()}")
        super().__exit__(*problem)
        shutil.rmtree(self.bench, ignore_errors=True)

    # Jobs

    def path(self, name):
        """A file that jobs and loads wait for, or make."""
        return self.bench / name

    def hand_in(self, model, **task):
        """Hands in a job; returns its id."""
        return self.submit("--job", self._written(model, task))

    def follow(self, model, **task):
        """Hands in a job and follows what becomes of it."""
        return Follow(self, self._written(model, task))

    def _written(self, model, task):
        self.stored += 1
        file = self.bench / f"job-{self.stored}.json"
        task = {"messages": [{"role": "user", "content": "What do you see?"}], **task}
        file.write_text(json.dumps({"kind": "llm", "model": model, "task": task}))
        return file

    def hold(self, model, name):
        """Hands in a job that runs until `release(name)`; returns its id once it runs."""
        job = self.hand_in(model, begun=str(self.path(f"{name}.begun")), until=str(self.path(name)))
        eventually(lambda: f"{name} runs: {self.job(job)}\n{self.tail()}", self.path(f"{name}.begun").exists)
        return job

    def release(self, name):
        self.path(name).touch()

    def wait(self, job):
        """Waits for a job's end; returns the job."""
        def ended():
            found = self.job(job)
            return found if found["state"] in ("succeeded", "failed", "cancelled") else None

        return eventually(lambda: f"job {job} ends: {self.job(job)}\n{self.tail()}", ended)

    def facts(self, job):
        """Waits for a job's good end; returns what it has seen."""
        return json.loads(self.done(job)["result"]["choices"][0]["message"]["content"])

    def see(self, model):
        """Runs a job; returns what it has seen."""
        return self.facts(self.hand_in(model))

    # Memory

    def residents(self):
        """What is in memory, as `stoker models list` says: each model's copies."""
        listed = self.json("models", "list")["models"]
        return {one["id"]: one["residency"] for one in listed if one.get("residency")}

    def loaded(self):
        """The models that are loaded, in order of their names."""
        return sorted(name for name, copies in self.residents().items() if copies[0]["state"] == "loaded")

    def pool(self, name="memory"):
        return next(pool for pool in self.json("status")["memory"]["pools"] if pool["pool"] == name)

    def loads(self):
        """How many loads the host has counted."""
        return self.json("status")["memory"]["loads"]

    def logged(self, text):
        """The lines of the log with that text."""
        self.log.flush()
        return [line for line in self.log_path.read_text(errors="replace").splitlines() if text in line]


class Follow:
    """`stoker submit --stream --json`: the job's events as they come."""

    def __init__(self, rig, file):
        self.path = file.with_suffix(".events")
        with open(self.path, "w") as events:
            self.process = subprocess.Popen(
                [rig.stoker, "submit", "--job", str(file), "--stream", "--json", "--home", str(rig.home)],
                stdin=subprocess.DEVNULL, stdout=events)

    def events(self):
        """The events so far."""
        whole, _, _ = self.path.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def end(self):
        """Waits for its end; returns the exit status."""
        return self.process.wait(timeout=SOON)


def held(pid):
    """Bytes that a process holds by the kernel's account; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}")


class Watch(threading.Thread):
    """Asks a worker again and again what it says that its engines hold, and the kernel what they do."""

    def __init__(self, rig):
        super().__init__(daemon=True)
        self.rig, self.samples, self.ended = rig, [], threading.Event()

    def run(self):
        while not self.ended.wait(STEP):
            status = self.rig.json("status")
            pool = next(pool for pool in status["memory"]["pools"] if pool["pool"] == "memory")
            pids = [process["pid"] for one in status["plugins"] for process in one["processes"] if "pid" in process]
            self.samples.append((pool["heldBytes"], pool["limitBytes"], sum(map(held, pids))))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
