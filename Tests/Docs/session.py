"""Runs the commands of one document in order, as its reader would: one user's home, one terminal for the worker."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from runner import Skip

PATIENCE = 120  # seconds for one command
READY = 20  # seconds for a worker
ASSIGNMENT = re.compile(r"^(\w+)=\$\((.*)\)$")
NOTE = re.compile(
    r"^run: (?:(?P<skip>skip \(.+\))|(?P<rest>(?:(?:exit \d+|within \d+ s|model|same output)(?:, )?)+))$")


class Session:
    """A scratch home, the variables that the commands set, and the worker that one of them started."""

    def __init__(self, suite, root, dist, name):
        self.suite, self.root, self.dist, self.name = suite, root, dist, name

    def __enter__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="stoker-docs."))
        self.user = self.scratch / "user"
        self.user.mkdir()
        for entry in ("Examples", "Plugins", "Docs"):
            (self.scratch / entry).symlink_to(self.root / entry)
        self.worker = None
        # Nothing of the surroundings: no home of another worker, no runtime directory of the session.
        self.environment = {
            "PATH": f"{self.dist / 'bin'}:{os.environ['PATH']}", "HOME": str(self.user), "LANG": "C.UTF-8"}
        for key, value in os.environ.items():
            if key.lower().startswith(("pip_", "http_proxy", "https_proxy", "no_proxy", "ssl_cert")):
                self.environment[key] = value
        return self

    def __exit__(self, *_):
        try:
            if self.worker:
                self.suite.check(f"{self.name}: the worker stops when it is told to", self.stop)
        finally:
            if self.worker and self.worker.poll() is None:
                self.worker.kill()
                self.worker.wait()
            shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, blocks):
        for block in blocks:
            if block.note in ("config", "models"):
                self.suite.check(f"{self.name}:{block.line}: {block.note} file", lambda: self.check_yaml(block))
            elif block.is_shown_use:
                for command in block.commands():
                    self.suite.check(
                        f"{self.name}:{command.line}: {command.text}", lambda: self.check_command(block, command))

    def require_program(self):
        if not (self.dist / "bin" / "stoker").exists():
            raise Skip(f"{self.dist}/bin/stoker is not built")

    def check_yaml(self, block):
        """The configuration is usable; the models are known, in a home of their own."""
        self.require_program()
        home = self.scratch / f"{block.note}-{block.line}"
        home.mkdir()
        file = home / ("config.yaml" if block.note == "config" else "models.yaml")
        file.write_text("\n".join(block.lines) + "\n")
        check = ["config", "check"] if block.note == "config" else ["models", "list"]
        shown = self.call(shlex.join(["stoker", *check, "--home", str(home)]))
        assert shown.returncode == 0, shown.stdout + shown.stderr
        if block.note == "models":
            for name in re.findall(r"id: (\S+)", file.read_text()):
                assert name in shown.stdout, f"{name} is not listed: {shown.stdout}"

    def check_command(self, block, command):
        note = NOTE.match(block.note) if block.note.startswith("run:") else None
        assert note or not block.note.startswith("run:"), f"unknown comment before line {block.line}: {block.note}"
        if note and note["skip"]:
            raise Skip(note["skip"][6:-1])
        rest = (note["rest"] if note else "") or ""
        self.require_program()
        if "model" in rest.split(", "):
            self.bring_model()
        if re.match(r"stoker run\b", command.text):
            return self.start(command.text)
        status = int(found[1]) if (found := re.search(r"exit (\d+)", rest)) else 0
        until = time.monotonic() + (int(found[1]) if (found := re.search(r"within (\d+) s", rest)) else 0)
        assignment = ASSIGNMENT.match(command.text)
        while True:
            done = self.call(assignment[2] if assignment else command.text)
            if done.returncode == status or time.monotonic() > until:
                break
            time.sleep(0.1)
        assert done.returncode == status, f"exit status {done.returncode}, not {status}: {done.stdout}{done.stderr}"
        if assignment:
            self.environment[assignment[1]] = done.stdout.strip()
        if "same output" in rest and command.output:
            shown = "\n".join(command.output)
            assert done.stdout.rstrip("\n") == shown, f"it prints {done.stdout!r}, the document shows {shown!r}"

    def call(self, text):
        return subprocess.run(
            ["bash", "-c", text], cwd=self.scratch, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE)

    def start(self, text):
        """Starts the worker and waits until it answers."""
        assert self.worker is None, "the document starts two workers"
        log = open(self.scratch / "worker.log", "w+")
        self.worker = subprocess.Popen(
            ["bash", "-c", f"exec {text}"], cwd=self.scratch, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True)
        home = re.search(r"--home (\S+)", text)
        if home:  # the same home for those who look at it
            self.environment["STOKER_HOME"] = home[1].replace("~", str(self.user), 1)
        until = time.monotonic() + READY
        while self.call("stoker status --json").returncode != 0:
            log.flush()
            said = (self.scratch / "worker.log").read_text()
            assert self.worker.poll() is None, f"the worker ended: {said}"
            assert time.monotonic() < until, f"the worker is not ready after {READY} s: {said}"
            time.sleep(0.05)

    def stop(self):
        self.worker.send_signal(signal.SIGTERM)
        assert self.worker.wait(timeout=30) == 0, f"exit status {self.worker.returncode}"

    def bring_model(self):
        """The models that were fetched before, so that a pull finds them right."""
        given = os.environ.get("STOKER_TEST_HOME")
        models = pathlib.Path(given) / "models" if given else None
        if not models or not models.is_dir():
            raise Skip("STOKER_TEST_HOME has no models")
        target = self.user / ".local/share/stoker/models"
        for model in models.iterdir():
            if model.is_dir() and not (target / model.name).exists():
                shutil.copytree(model, target / model.name, symlinks=True)
