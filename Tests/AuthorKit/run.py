#!/usr/bin/env python3
"""Tests of what an author of an engine gets: new plugins in every language, run by hand, traced and replayed.

    python3 Tests/AuthorKit/run.py [TEST...]

needs Python 3.10 or newer; runs the program of dist/, or of the directory that STOKER_TEST_DIST names, and skips a language
whose tools are not installed. The last line is the count; the exit status is 0 only when nothing failed.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIST = pathlib.Path(os.environ.get("STOKER_TEST_DIST") or ROOT / "dist").resolve()
PATIENCE = 240  # seconds for one command; the longest takes a few
TOOLS = {"python": "python3", "bash": "jq", "c": "make", "node": "node", "swift": "swift"}
TASKS = {
    "llm": ["--prompt", "good morning dear reader"],
    "tts": ["--text", "good morning dear reader", "-o", "speech.wav"],
    "image": ["--prompt", "a lighthouse", "-o", "image.png"],
    "video": ["--prompt", "waves", "--seconds", "1", "-o", "video.gif"],
    "stt": ["--file", "recording.wav"],
}
MAGIC = {"tts": b"RIFF", "image": b"\x89PNG\r\n\x1a\n", "video": b"GIF89a"}
# A language is tried by two kinds, except for Swift, whose build takes long: a kind by two languages.
PAIRS = [
    ("python", "llm"), ("python", "tts"), ("bash", "llm"), ("bash", "image"), ("c", "stt"), ("c", "video"),
    ("c", "image"), ("node", "tts"), ("node", "video"), ("node", "stt"),
]
TESTS = []


class Skip(Exception):
    """Why a test cannot run here."""


def test(function):
    TESTS.append((function.__name__.replace("_", " "), function))
    return function


def stoker(work, *words, status=0, environment=None, text=None):
    """Runs the program with a home of its own; the result, when its status is the expected one."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
    variables |= {"STOKER_HOME": str(work / "home")} | (environment or {})
    done = subprocess.run(
        [str(DIST / "bin" / "stoker"), *map(str, words)], cwd=work, env=variables, input=text, text=True,
        stdin=None if text is not None else subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}: {done.stdout[-3000:]}{done.stderr[-2000:]}"
    return done


def made(work, language, kind, name="probe"):
    """A new plugin, built."""
    if not shutil.which(TOOLS[language]):
        raise Skip(f"{TOOLS[language]} is not installed")
    stoker(work, "plugins", "new", name, "--language", language, "--kind", kind)
    if language in ("c", "swift"):
        done = subprocess.run(["make", "-C", work / name], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "warning" not in done.stderr, done.stderr
    if kind == "stt":
        with wave.open(str(work / "recording.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(20000))
    return work / name


def frames(text):
    return [json.loads(line) for line in text.splitlines() if line]


def works(work, language, kind):
    """The plugin passes lint and test; a job of it runs, its messages are shown and its file is one."""
    plugin = made(work, language, kind)
    stoker(work, "plugins", "lint", plugin)
    tested = stoker(work, "plugins", "test", plugin, "--json")
    report = json.loads(tested.stdout)
    failed = [check for check in report["checks"] if check.get("verdict", check.get("result")) == "failed"]
    assert not failed, failed
    shown = stoker(work, "plugins", "run", plugin, *TASKS[kind]).stdout
    assert re.search(r'^ +\d+\.\d{3} -> \{.*"initialize"', shown, re.MULTILINE), shown
    assert re.search(r"^ +\d+\.\d{3} <- \{.*\"result\"", shown, re.MULTILINE), shown
    assert "\x1b" not in shown
    if kind in ("llm", "tts", "stt"):
        assert "job/chunk" in shown, shown
    if kind in MAGIC:
        assert (work / TASKS[kind][-1]).read_bytes().startswith(MAGIC[kind])
    else:
        last = shown.strip().splitlines()[-1].strip()
        assert last == {"llm": "GOOD MORNING DEAR READER", "stt": "second 1, second 2"}[kind], last


for pair in PAIRS:
    def one(work, pair=pair):
        works(work, *pair)
    TESTS.append((f"a new plugin in {pair[0]} of the kind {pair[1]} works at once", one))


@test
def a_new_plugin_in_swift_builds_outside_of_the_checkout_and_works(work):
    works(work, "swift", "llm")


@test
def names_and_places_are_checked(work):
    for name in ("Shout", "a_b", "", "x" * 41, "a/b", "..", "é"):
        done = stoker(work, "plugins", "new", name, "--language", "bash", "--kind", "llm", status=2)
        assert "1 to 40" in done.stderr, done.stderr
    stoker(work, "plugins", "new", "x", "--language", "cobol", "--kind", "llm", status=2)
    stoker(work, "plugins", "new", "x", "--language", "bash", "--kind", "smell", status=2)
    stoker(work, "plugins", "new", "x" * 40, "--language", "bash", "--kind", "llm", "--directory", "deep/er")
    plugin = work / "deep" / "er" / ("x" * 40)
    assert plugin.joinpath("plugin.yaml").exists() and "__" not in plugin.joinpath("README.md").read_text()
    (plugin / "engine.sh").write_text("mine")
    (plugin / "other").write_text("mine")
    refused = stoker(
        work, "plugins", "new", "x" * 40, "--language", "bash", "--kind", "llm", "--directory", "deep/er", status=1)
    assert "--force" in refused.stderr and (plugin / "engine.sh").read_text() == "mine"
    again = stoker(
        work, "plugins", "new", "x" * 40, "--language", "bash", "--kind", "llm", "--directory", "deep/er", "--force",
        "--json")
    assert "engine.sh" in json.loads(again.stdout)["files"]
    assert (plugin / "engine.sh").read_text() != "mine" and (plugin / "other").read_text() == "mine"


@test
def every_template_is_filled_in(work):
    for language in TOOLS:
        for kind in TASKS:
            name = f"{language}-{kind}"
            stoker(work, "plugins", "new", name, "--language", language, "--kind", kind)
            for file in (work / name).rglob("*"):
                if file.is_file() and "StokerKit" not in file.parts and not file.name.startswith("stoker_"):
                    assert not re.search(r"__[A-Z]+__", file.read_text()), file
            if language not in ("c", "swift") and shutil.which(TOOLS[language]):
                stoker(work, "plugins", "lint", name)


@test
def a_job_comes_from_a_file_or_from_stdin_and_json_is_one_object_a_line(work):
    plugin = made(work, "python", "llm")
    job = {"kind": "llm", "task": {"messages": [{"role": "user", "content": "one two"}]}}
    (work / "job.json").write_text(json.dumps(job))
    for words, text in ((["--job", "job.json"], None), (["--job", "-"], json.dumps(job))):
        seen = frames(stoker(work, "plugins", "run", plugin, *words, "--json", text=text).stdout)
        assert seen[-1]["type"] == "result" and seen[-1]["job"]["state"] == "succeeded", seen[-1]
        methods = [record["frame"].get("method") for record in seen[:-1] if "frame" in record]
        assert methods[0] == "initialize" and methods.count("job/chunk") == 2 and "job/run" in methods, methods
        assert [record["at"] for record in seen[:-1]] == sorted(record["at"] for record in seen[:-1])
    stoker(work, "plugins", "run", plugin, "tts", "--text", "x", status=4)
    stoker(work, "plugins", "run", "nowhere", "--prompt", "x", status=2)
    (plugin / "plugin.yaml").write_text("manifest: 2\n")
    assert "manifest" in stoker(work, "plugins", "run", plugin, "--prompt", "x", status=1).stderr


@test
def a_failure_shows_the_engine_s_own_words(work):
    plugin = made(work, "python", "llm")
    engine = plugin / "engine.py"
    engine.write_text(engine.read_text().replace("    def run(self, job):\n", '    def run(self, job):\n        print("so far"); raise SystemExit(7)\n'))
    done = stoker(work, "plugins", "run", plugin, "--prompt", "x", status=1)
    assert re.search(r"!! so far", done.stdout) and done.stdout.count('"job/run"') == 1, done.stdout


@test
def ctrl_c_cancels_the_job(work):
    plugin = made(work, "python", "llm")
    variables = os.environ | {"STOKER_HOME": str(work / "home")}
    process = subprocess.Popen(
        [DIST / "bin" / "stoker", "plugins", "run", plugin, "--prompt", "word " * 2000], cwd=work, env=variables,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "job/chunk" in line:
            process.send_signal(signal.SIGINT)
            break
    seen += process.stdout.readlines()
    assert process.wait(timeout=PATIENCE) == 130, "".join(seen[-5:])
    assert any("job/cancel" in line for line in seen) and any("-32800" in line for line in seen), "".join(seen[-8:])


@test
def a_trace_is_private_and_without_secrets_and_replays(work):
    plugin = made(work, "python", "llm")
    manifest = plugin / "plugin.yaml"
    manifest.write_text(manifest.read_text() + "  apiKey: {type: string, default: hunter2}\n")
    traces = work / "traces"
    long = "word " * 200
    stoker(work, "plugins", "run", plugin, "--prompt", long, environment={"STOKER_TRACE_DIR": str(traces)})
    [trace] = traces.iterdir()
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600 and stat.S_IMODE(traces.stat().st_mode) == 0o700
    text = trace.read_text()
    assert "hunter2" not in text and "[redacted]" in text and long not in text and "[1000 bytes]" in text
    records = frames(text)
    assert records[0]["trace"] == 1 and records[0]["plugin"] == "probe" and records[0]["full"] is False
    assert records[-1]["event"] == "died" or records[-1]["direction"] in ("process", "fromEngine"), records[-1]
    sent = [record for record in records if record.get("direction") == "toEngine"]
    assert [one["frame"]["method"] for one in sent if one["frame"]["method"] != "job/credit"] == [
        "initialize", "job/run", "shutdown"], sent
    again = stoker(work, "plugins", "replay", trace, plugin)
    assert "no differences" in again.stdout and "not compared" in again.stderr, again.stdout + again.stderr
    # Whole texts, when they are wanted; secrets never.
    full = work / "full"
    stoker(work, "plugins", "run", plugin, "--prompt", long,
           environment={"STOKER_TRACE_DIR": str(full), "STOKER_TRACE_FULL": "1"})
    [trace] = full.iterdir()
    assert long.strip() in trace.read_text() and "hunter2" not in trace.read_text()
    stoker(work, "plugins", "replay", trace, plugin)


@test
def a_replay_shows_what_has_changed(work):
    plugin = made(work, "node", "llm")
    traces = work / "traces"
    stoker(work, "plugins", "run", plugin, "--prompt", "one two", environment={"STOKER_TRACE_DIR": str(traces)})
    [trace] = traces.iterdir()
    stoker(work, "plugins", "replay", trace, plugin)
    engine = plugin / "engine.mjs"
    good = engine.read_text()
    engine.write_text(good.replace("toUpperCase()", "toLowerCase()"))
    changed = stoker(work, "plugins", "replay", trace, plugin, status=1)
    assert "ONE TWO" in changed.stdout and "one two" in changed.stdout, changed.stdout
    stoker(work, "plugins", "replay", trace, plugin, "--ignore-texts")
    engine.write_text(good.replace("async function run(job) {", "async function run(job) {\n  throw new BadInput('no')"))
    report = json.loads(stoker(work, "plugins", "replay", trace, plugin, "--json", "--ignore-texts", status=1).stdout)
    assert not report["same"] and any("-32001" in one["replayed"] for one in report["differences"]), report
    (work / "nothing.jsonl").write_text("{}\n")
    assert "no trace" in stoker(work, "plugins", "replay", "nothing.jsonl", plugin, status=2).stderr


@test
def a_trace_that_cannot_be_written_costs_no_job(work):
    plugin = made(work, "python", "llm")
    done = stoker(work, "plugins", "run", plugin, "--prompt", "x", environment={"STOKER_TRACE_DIR": "/dev/null/x"})
    assert done.stdout.strip().endswith("X")
    if os.path.exists("/dev/full"):
        stoker(work, "plugins", "run", plugin, "--prompt", "x", environment={"STOKER_TRACE_DIR": "/proc"})


@test
def the_suite_and_exec_leave_traces_too(work):
    plugin = made(work, "python", "tts")
    traces = work / "traces"
    stoker(work, "plugins", "test", plugin, "--only", "handshake", environment={"STOKER_TRACE_DIR": str(traces)})
    assert any("initialize" in file.read_text() for file in traces.iterdir())
    for file in traces.iterdir():
        file.unlink()
    (work / "plugins").mkdir()
    shutil.move(plugin, work / "plugins")
    stoker(work, "exec", "--plugins", work / "plugins", "tts", "--model", "probe", "--text", "hi", "-o", "a.wav",
           environment={"STOKER_TRACE_DIR": str(traces)})
    assert any("speech.wav" in file.read_text() for file in traces.iterdir())


def main():
    wanted = sys.argv[1:]
    passed = failed = skipped = 0
    for name, body in TESTS:
        if wanted and not any(word in name for word in wanted):
            continue
        with tempfile.TemporaryDirectory(prefix="stoker-author-") as scratch:
            try:
                if not (DIST / "bin" / "stoker").exists():
                    raise Skip(f"{DIST}/bin/stoker is not built")
                body(pathlib.Path(scratch))
                passed += 1
                print(f"ok    {name}", flush=True)
            except Skip as reason:
                skipped += 1
                print(f"skip  {name}: {reason}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if failed == 0 and passed else 1


if __name__ == "__main__":
    sys.exit(main())
