#!/usr/bin/env python3
"""Proof of the conformance suite: a good engine passes, each seeded bug is found by the check that stands for it, the other
checks blame nobody, and the real plugins pass.

  STOKER_TEST_DIST   the built tree; dist/ of this one when it is not set
  STOKER_TEST_HOME   a home whose models the plugins may use; without it they are tested without jobs
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "ProtocolDocs"))
sys.path.insert(0, str(HERE))

from runner import Skip, Suite  # noqa: E402
from seeds import SEEDS  # noqa: E402

DIST = pathlib.Path(os.environ.get("STOKER_TEST_DIST", ROOT / "dist"))
STOKER = os.environ.get("STOKER_TEST_PROGRAM", str(DIST / "bin" / "stoker"))
AT_ONCE = 4
# The models of the demo home that real engines are tested with. None: they need none.
REAL = {"synthetic": None, "ffmpeg": None, "piper": "piper-en_US-joe-medium", "llama": "smollm2-135m-instruct",
        "whisper": "whisper-tiny.en", "sdcpp": "noise-sd1"}


def stoker(*arguments, home, **more):
    return subprocess.run(
        [STOKER, "plugins", "test", *map(str, arguments), "--home", str(home)], capture_output=True, text=True, timeout=180, **more)


def verdict(directory, home, *arguments):
    """The report, and the names of the checks that failed."""
    done = stoker(directory, "--json", *arguments, home=home)
    try:
        report = json.loads(done.stdout)
        failed = {check["name"]: check["fault"] for check in report["checks"] if check["result"] == "failed"}
    except (ValueError, KeyError) as error:
        raise AssertionError(f"no report ({error!r}), exit status {done.returncode}: {done.stdout}{done.stderr}") from None
    assert done.returncode == (1 if failed else 0), f"exit status {done.returncode} with {sorted(failed)}"
    return report, failed


def told(failed):
    return "; ".join(f"{name}: expected {fault['expected']}; got {fault['got']}" for name, fault in failed.items())


class Proof:
    def __init__(self, suite, scratch):
        self.suite, self.scratch = suite, scratch
        self.home = scratch / "home"
        self.home.mkdir()
        self.lock = threading.Lock()

    def copy(self, name):
        directory = self.scratch / name / "good"
        shutil.copytree(HERE / "good", directory)
        return directory

    def good(self):
        report, failed = verdict(self.copy("itself"), self.home)
        assert not failed, told(failed)
        skipped = [check["name"] for check in report["checks"] if check["result"] == "skipped"]
        assert skipped == ["job-without-features"] and not report["warnings"], f"skipped {skipped}, {report['warnings']} warnings"
        assert report["conforms"] and report["passed"] == len(report["checks"]) - 1 >= 40, report["passed"]
        assert report["seconds"] < 60, report["seconds"]

    def seeded(self, seed, number):
        directory = self.copy(f"seed-{number}")
        for file, old, new in seed.changes:
            path = directory / file
            source = path.read_text()
            assert source.count(old) == 1, f"{file} has {old!r} {source.count(old)} times: the seed no longer fits"
            path.write_text(source.replace(old, new))
        report, failed = verdict(directory, self.home)
        assert seed.check in failed, f"{seed.check} did not find it; failed: {told(failed) or 'nothing'}"
        strangers = {name: fault for name, fault in failed.items() if name != seed.check and name not in seed.also}
        assert not strangers, f"others were blamed: {told(strangers)}"
        fault = failed[seed.check]
        assert all(fault[member] for member in ("expected", "got", "advice")), fault
        assert report["seconds"] < 60, report["seconds"]

    def real(self, name, directory, model, home):
        if not (directory / "plugin.yaml").is_file():
            raise Skip(f"{directory} is not built")
        if name == "ffmpeg" and not shutil.which("ffmpeg"):
            raise Skip("this machine has no ffmpeg")
        arguments = []
        if model is not None:
            if home is None:
                raise Skip("STOKER_TEST_HOME names no home with models")
            listed = subprocess.run([STOKER, "models", "list", "--json", "--home", str(home)], capture_output=True, text=True)
            states = {entry["id"]: entry["state"] for entry in json.loads(listed.stdout)["models"]}
            if states.get(model) not in ("ready", "unverified"):
                raise Skip(f"the model {model} is not in {home}")
            # Real models share few processors with whatever else is tested: one at a time, with patience.
            arguments = ["--model", model, "--timeout", "150s"]
        with self.lock if model else contextlib.nullcontext():
            report, failed = verdict(directory, home or self.home, *arguments)
        assert not failed, told(failed)
        assert any(check["name"] == "job" and check["result"] == "passed" for check in report["checks"]), "no job was run"

    def sdcpp_home(self, home):
        """A home with a model of random weights, for the engine that has none to be fetched."""
        checkpoint = os.environ.get("STOKER_TEST_CHECKPOINT", "")
        if not os.path.isfile(checkpoint):
            raise Skip("STOKER_TEST_CHECKPOINT names no file")
        made = self.scratch / "image-home"
        made.mkdir()
        (made / "models.yaml").write_text(
            "models:\n  - id: noise-sd1\n    kind: image\n    engine: sd-cpp\n    license: none\n"
            f'    files: [{{role: model, path: "{checkpoint}", filename: noise-sd1.safetensors}}]\n')
        return made

    def beside(self, jobs):
        """Runs checks a few at a time, and tells of each as soon as it has ended."""
        def one(name, body):
            try:
                body()
                return name, None
            except BaseException as problem:
                return name, problem

        def ended(name, problem):
            def outcome():
                if problem is not None:
                    raise problem
            self.suite.check(name, outcome)

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for future in concurrent.futures.as_completed([pool.submit(one, *job) for job in jobs]):
                ended(*future.result())

    # The command itself.

    def tap(self):
        directory = self.copy("tap")
        engine = directory / "engine.py"
        engine.write_text(engine.read_text().replace("max(common)", "99"))
        done = stoker(directory, "--only", "version", "--only", "credit-stop", home=self.home)
        assert done.returncode == 1, done
        lines = done.stdout.splitlines()
        assert lines[0] == "TAP version 14" and re.fullmatch(r"1\.\.\d+", lines[1]), lines[:2]
        points = [line for line in lines if re.match(r"(not )?ok \d+ - ", line)]
        assert len(points) == int(lines[1][3:]), (lines[1], points)
        assert [int(re.search(r"\d+", line)[0]) for line in points] == list(range(1, len(points) + 1)), points
        failing = next(at for at, line in enumerate(lines) if line.startswith("not ok") and line.endswith(" version"))
        assert lines[failing + 1] == "  ---", lines[failing:]
        members = dict(line.strip().split(": ", 1) for line in lines[failing + 2:lines.index("  ...", failing)])
        assert {"expected", "got", "advice", "section"} <= members.keys(), members
        assert "99" in json.loads(members["got"]), members
        assert json.loads(members["section"]) == "Docs/Protocol.md#initialize", members
        assert points[0] == "ok 1 - manifest" and any(line.endswith("- credit-stop") for line in points), points

    def usage(self):
        directory = self.copy("usage")
        for arguments in (["--only", "credit-stp"], ["--timeout", "soon"], ["--job", "missing.json"]):
            done = stoker(directory, *arguments, home=self.home)
            assert done.returncode == 2 and done.stderr and not done.stdout, (arguments, done)
        assert "credit-stop" in stoker(directory, "--only", "credit-stp", home=self.home).stderr
        assert stoker(self.scratch / "nowhere", home=self.home).returncode == 2

    def own_job(self):
        """The author's job is the one that is run, with its input copied; a timeout ends the suite and says so."""
        directory = self.copy("own-job")
        engine = directory / "engine.py"
        engine.write_text(engine.read_text().replace(TEXT_LINE, TEXT_LINE + EXPECT_INPUT))
        picture = self.scratch / "picture.png"
        picture.write_bytes(b"a picture")
        job = self.scratch / "job.json"
        job.write_text(json.dumps({"kind": "llm", "model": "good", "task": {
            "messages": [{"role": "user", "content": "a b c d e"}], "pictureUrl": str(picture)}}))
        _, failed = verdict(directory, self.home, "--only", "job", "--job", job)
        assert not failed, told(failed)
        _, failed = verdict(directory, self.home, "--only", "job")
        assert set(failed) == {"job"}, told(failed)
        started = time.monotonic()
        engine.write_text(engine.read_text().replace("def greet(request, params):\n", "def greet(request, params):\n    return\n"))
        report, failed = verdict(directory, self.home, "--timeout", "1s")
        assert set(failed) == {"handshake"} and time.monotonic() - started < 30, told(failed)

    def nothing_is_left(self):
        """After Ctrl-C neither a process nor a directory of the suite is left."""
        directory = self.copy("interrupted")
        engine = directory / "engine.py"
        engine.write_text(engine.read_text().replace(
            "def greet(request, params):\n", "def greet(request, params):\n    import os; open(os.environ['TMPDIR'] + '/started', 'w').close()\n    return\n"))
        temporary = self.scratch / "tmp"
        temporary.mkdir()
        process = subprocess.Popen(
            [STOKER, "plugins", "test", str(directory), "--home", str(self.home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(temporary)})
        deadline = time.monotonic() + 30
        while not list(temporary.rglob("started")) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert list(temporary.rglob("started")), "the engine was not started"
        process.send_signal(2)
        process.communicate(timeout=30)
        assert process.returncode == 130, process.returncode
        assert not list(temporary.iterdir()), list(temporary.iterdir())
        own = str(directory).encode()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    assert pathlib.Path(os.readlink(entry / "cwd")) != directory, (entry / "cmdline").read_bytes() + own
                except OSError:
                    pass

    def document(self):
        """Docs/Conformance.md has exactly the checks of the code, in their order, with their sentences and sections."""
        report, _ = verdict(self.copy("document"), self.home)
        text = (ROOT / "Docs" / "Conformance.md").read_text()
        rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| \[(.*?)\]\(Protocol\.md#([a-z-]+)\) \|$", text, re.M)
        documented = [(name, demand, f"Docs/Protocol.md#{anchor}") for name, demand, _, anchor in rows]
        coded = [(check["name"], check["demands"], check["section"]) for check in report["checks"]]
        assert documented == coded, next((pair for pair in zip(documented, coded) if pair[0] != pair[1]), (len(documented), len(coded)))
        protocol = (ROOT / "Docs" / "Protocol.md").read_text()
        headings = {re.sub(r"[^a-z0-9 _-]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in protocol.splitlines() if line.startswith("#")}
        lost = {section for _, _, section in coded if section.partition("#")[2] not in headings}
        assert not lost, f"no such sections: {lost}"
        assert {seed.check for seed in SEEDS} <= {name for name, _, _ in coded}, "a seed names no check"


TEXT_LINE = '    messages = task.get("messages")\n'
EXPECT_INPUT = """    url = task.get("pictureUrl") or ""
    if open(url[7:] or "/dev/null", "rb").read() != b"a picture" or os.path.dirname(url[7:]) != job["directory"]:
        raise bad("task.pictureUrl must be a picture in the work directory.")
"""


def main():
    suite = Suite()
    home = os.environ.get("STOKER_TEST_HOME")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stoker-conformance-test-") as scratch:
        proof = Proof(suite, pathlib.Path(scratch))
        suite.check("the good engine passes every check", proof.good)
        wanted = sys.argv[1:]
        jobs = [
            ("TAP 14 with expected, got, advice and section", proof.tap), ("wrong usage is exit status 2", proof.usage),
            ("the author's own job, and a timeout", proof.own_job), ("nothing is left after Ctrl-C", proof.nothing_is_left),
            ("Docs/Conformance.md is the list of checks", proof.document)]
        for number, seed in enumerate(SEEDS):
            jobs.append((f"found: {seed.name}", lambda seed=seed, number=number: proof.seeded(seed, number)))
        for name, model in REAL.items():
            def real(name=name, model=model):
                place = proof.sdcpp_home(home) if name == "sdcpp" else home
                proof.real(name, DIST / "plugins" / name, model, place)
            jobs.append((f"passes: {name}", real))
        jobs.append(("passes: python-wordcount", lambda: proof.real(
            "python-wordcount", ROOT / "Examples" / "python-wordcount", None, home)))
        # The long ones first, so that none is left over at the end.
        jobs.sort(key=lambda job: not job[0].startswith("passes"))
        proof.beside([job for job in jobs if not wanted or any(word in job[0] for word in wanted)])
    print(f"{len(SEEDS)} seeded bugs, {time.monotonic() - started:.0f} s")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
