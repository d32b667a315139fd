"""One real worker for the tests: started in a home of its own, with the models of another home, and driven by `stoker`."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 300  # seconds for one command
READY = 30  # seconds for the worker


class Worker:
    """`stoker run` with all plugins of `dist`, and a directory for files."""

    def __init__(self, dist, models, configuration=""):
        self.stoker = str(dist / "bin" / "stoker")
        self.models = models
        self.configuration = configuration
        self.extra = ""  # models.yaml of the home

    def __enter__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="stoker-kinds."))
        self.home = self.scratch / "home"
        self.home.mkdir()
        (self.home / "config.yaml").write_text(
            f"models: {{directory: {json.dumps(str(self.models))}}}\n{self.configuration}")
        if self.extra:
            (self.home / "models.yaml").write_text(self.extra)
        self.log_path = self.scratch / "worker.log"
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen(
            [self.stoker, "run", "--home", str(self.home)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        until = time.monotonic() + READY
        while self.call("status", check=False).returncode != 0:
            assert self.process.poll() is None, f"the worker ended: {self.log_path.read_text()}"
            assert time.monotonic() < until, "the worker does not answer"
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=READY)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def call(self, *words, check=True):
        """`stoker WORDS`; its exit status must be 0 unless `check` is off."""
        done = subprocess.run(
            [self.stoker, *map(str, words), "--home", str(self.home)], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE, check=False)
        assert not check or done.returncode == 0, (
            f"stoker {' '.join(map(str, words))} exits {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def json(self, *words):
        """What `stoker WORDS --json` prints."""
        return json.loads(self.call(*words, "--json").stdout)

    def submit(self, *words):
        """Hands in a job; returns its id."""
        return self.call("submit", *words).stdout.strip()

    def job(self, name):
        """The job as it stands."""
        shown = self.json("jobs", name)
        return shown.get("job", shown)

    def wait(self, name):
        """Waits for a job's end; returns the job."""
        until = time.monotonic() + PATIENCE
        while True:
            job = self.job(name)
            if job["state"] in ("succeeded", "failed", "cancelled"):
                return job
            assert time.monotonic() < until, f"job {name} is still {job['state']}: {self.tail()}"
            time.sleep(0.1)

    def done(self, name):
        """Waits for a job's good end; returns the job."""
        job = self.wait(name)
        assert job["state"] == "succeeded", f"job {name} is {job['state']}: {job.get('error')}\n{self.tail()}"
        return job

    def tail(self):
        """The end of the worker's log."""
        self.log.flush()
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:])

    def engine(self, plugin):
        """The pid of a plugin's process, or None."""
        for member in self.json("plugins", "list")["plugins"]:
            if member["name"] == plugin:
                for process in member["processes"]:
                    return process.get("pid")
        return None


def output(*command):
    """What a command prints."""
    return subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True,
        timeout=PATIENCE).stdout


def probe(path):
    """What ffprobe says of a media file: the format, and the first stream of each kind."""
    found = json.loads(output(
        "ffprobe", "-v", "error", "-print_format", "json", "-show_format", "-show_streams", "-count_frames", path))
    found["by"] = {stream["codec_type"]: stream for stream in reversed(found["streams"])}
    return found


def digest(path):
    """The SHA-256 of a file, by sha256sum."""
    return output("sha256sum", path).split()[0]


def words(text):
    """The words of a text, for comparing what was said with what was heard."""
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter.isspace()).split()


def environment(name):
    """A path from the environment that the test runner sets."""
    value = os.environ.get(name)
    return pathlib.Path(value) if value else None
