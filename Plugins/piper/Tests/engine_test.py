#!/usr/bin/env python3
"""Drives a built piper engine over its pipes with a real voice, the way a host does.

    engine_test.py PLUGIN_DIRECTORY VOICE.onnx [TEST...]

Results are read back with Python's wave and, where it is installed, ffprobe. Standard library only. Prints one line a
test and ends with "N passed, N failed[, N skipped]"; exits 1 when one failed.
"""

import array
import base64
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import wave

PATIENCE = 120  # seconds until an answer counts as missing; nothing here should take more than a few
SPOKEN = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell."


class Failure(Exception):
    """An error response of the engine."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.message, self.kind = error["message"], (error.get("data") or {}).get("class")


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why."""


class Engine:
    """One engine process, and what it has said so far."""

    def __init__(self, directory, config=None, environment=None):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [os.path.join(directory, "run")],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
        )
        self.messages = queue.Queue()
        self.last = 0
        self.pieces, self.progress, self.reports, self.work = [], [], [], None
        threading.Thread(target=self._read, daemon=True).start()
        settings = {"maxCharacters": 100_000, **(config or {})}
        self.hello = self.call(
            "initialize",
            {
                "protocolVersions": [1],
                "host": {"name": "test", "version": "0"},
                "config": settings,
                "features": ["chunks", "progress", "model-residency", "content-files"],
                "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
                "resources": {"cpuThreads": 2, "devices": []},
            },
        )

    def _read(self):
        for line in self.process.stdout:
            self.messages.put((time.monotonic(), line))
        self.messages.put((time.monotonic(), None))

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.last += 1
        self.send({"id": self.last, "method": method, "params": params})
        return self.last

    def next(self):
        self.when, line = self.messages.get(timeout=PATIENCE)
        if line is None:
            raise AssertionError(f"the engine is gone: {self.stderr()}")
        return json.loads(line.decode("utf-8"))

    def answer(self, wanted, on_progress=None):
        while True:
            message = self.next()
            if message.get("id") == wanted and "method" not in message:
                if "error" in message:
                    raise Failure(message["error"])
                return message["result"]
            if message.get("method") == "job/chunk":
                self.pieces.append(message["params"])
            elif message.get("method") == "job/progress":
                self.progress.append(message["params"])
                if on_progress:
                    on_progress()
            elif message.get("method") == "model/progress":
                self.reports.append(message["params"])

    def call(self, method, params):
        return self.answer(self.request(method, params))

    def load(self, path, name="voice", config=None):
        files = [{"role": "model", "path": path}] + ([{"role": "config", "path": config}] if config else [])
        return self.call("model/load", {"model": {"id": name, "files": files, "options": {}}})

    def start(self, scratch, task, name="voice", credit=1 << 20, **extra):
        """Sends a job in a work directory of its own."""
        self.work = tempfile.mkdtemp(dir=scratch)
        self.pieces, self.progress = [], []
        content = {} if "taskFile" in extra else {"task": task}
        return self.request(
            "job/run",
            {
                "jobId": f"job-{self.last}",
                "attempt": 1,
                "kind": "audio_tts",
                "workDirectory": self.work,
                "credit": credit,
                **({"model": {"id": name}} if name else {}),
                **content,
                **extra,
            },
        )

    def run(self, scratch, task, **extra):
        """Runs one job; returns its output and the path of its artifact."""
        result = self.answer(self.start(scratch, task, **extra))
        assert [piece["seq"] for piece in self.pieces] == list(range(1, len(self.pieces) + 1)), "chunks out of sequence"
        (artifact,) = result["artifacts"]
        path = os.path.join(self.work, artifact["name"])
        assert os.path.getsize(path) == artifact["bytes"]
        assert os.listdir(self.work) == [artifact["name"]], os.listdir(self.work)
        return result["output"], path, artifact["contentType"]

    def samples(self):
        """What the chunks of the last job hold."""
        return b"".join(base64.b64decode(piece["data"], validate=True) for piece in self.pieces)

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def children(self):
        """The ids of its child processes."""
        found, tasks = [], f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/children", encoding="ascii") as file:
                    found += file.read().split()
            except (FileNotFoundError, ProcessLookupError):
                pass  # the thread has ended meanwhile
        return found

    def close(self):
        self.process.kill()
        self.process.wait()


def read_wav(path):
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050), file.getparams()
        return file.readframes(file.getnframes())


def refused(kind, call, *parts):
    try:
        call()
    except Failure as failure:
        assert failure.kind == kind, f"class {failure.kind}, not {kind}: {failure.message}"
        for part in parts:
            assert part in failure.message, f"{part!r} is not in {failure.message!r}"
        return
    raise AssertionError("it was accepted")


TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def a_load_says_what_it_took(engine, voice, scratch):
    assert engine.hello["features"] == ["chunks", "progress", "model-residency", "content-files"], engine.hello
    assert 40 << 20 < engine.loaded["memoryBytes"] < 400 << 20, engine.loaded
    assert engine.reports[-1]["fraction"] == 1.0, engine.reports


@test
def texts_are_cut_where_one_pauses(engine, voice, scratch):
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.dirname(engine.process.args[0]))
    import speechtext

    text = speechtext.clean(
        "One\x00two. " * 100 + "a" * 1000 + "\u202e, [[b]] " + "Yes! Or no; so? " * 90 + "\ud800\n\nEnd"
    )
    parts = list(speechtext.blocks(text))
    assert "".join(" ".join(parts).split()) == "".join(text.split()), parts
    assert all(len(part) <= 400 for part in parts) and parts[-1] == "End" and "[[" not in text and "\ud800" not in text
    assert parts[0].endswith("two. ") and parts[-2].endswith("so?"), parts
    began = time.monotonic()
    assert len(list(speechtext.blocks("a" * 300_000))) == 750 and not list(speechtext.blocks(" \n\n " * 100_000))
    assert time.monotonic() - began < 10
    phonemes = list("hello wide world " * 40 + "x" * 700)
    parts = speechtext.shorten(phonemes, 300)
    assert sum(parts, []) == phonemes and max(map(len, parts)) <= 300 and parts[0][-1] == " "


@test
def speech_is_a_wav_and_the_chunks_are_the_same(engine, voice, scratch):
    output, path, kind = engine.run(scratch, {"text": SPOKEN})
    frames = read_wav(path)
    seconds = len(frames) / 2 / 22050
    assert kind == "audio/wav" and 4 < seconds < 12, seconds
    assert output == {"ext": "wav", "duration": round(seconds, 3), "sampleRate": 22050, "channels": 1}, output
    assert engine.samples() == frames and len(engine.pieces) >= 3
    samples = array.array("h", frames)
    assert (
        max(samples) > 20_000 and sum(abs(sample) for sample in samples[::7]) / len(samples[::7]) > 300
    ), "it is silent"
    fractions = [report["fraction"] for report in engine.progress]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and engine.progress[-1]["step"] == 3, engine.progress


@test
def speed_changes_the_duration(engine, voice, scratch):
    def seconds(speed):
        output, path, _ = engine.run(scratch, {"text": "The birch canoe slid on the smooth planks.", "speed": speed})
        assert abs(len(read_wav(path)) / 2 / 22050 - output["duration"]) < 0.001
        return output["duration"]

    normal, fast, slow = seconds(1), seconds(2.0), seconds(0.5)
    # Not exactly: a sound has a least length, and the voice varies it a little from run to run.
    assert 0.4 < fast / normal < 0.75 and 1.5 < slow / normal < 2.4, (normal, fast, slow)


@test
def other_formats_come_from_ffmpeg(engine, voice, scratch):
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        raise Skip("ffmpeg is not installed")
    for ext, codec, rate, kind in (
        ("mp3", "mp3", 22050, "audio/mpeg"),
        ("ogg", "opus", 48000, "audio/ogg"),
        ("opus", "opus", 48000, "audio/ogg"),
        ("flac", "flac", 22050, "audio/flac"),
    ):
        output, path, found = engine.run(scratch, {"text": "One small step for a test.", "ext": ext})
        probed = json.loads(
            subprocess.run(
                ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", path],
                capture_output=True,
                check=True,
            ).stdout
        )
        (stream,) = probed["streams"]
        assert (stream["codec_name"], int(stream["sample_rate"]), stream["channels"], found) == (
            codec,
            rate,
            1,
            kind,
        ), stream
        assert output["sampleRate"] == rate and output["ext"] == ext
        assert abs(float(probed["format"]["duration"]) - output["duration"]) < 0.15, (probed["format"], output)
        if ext == "flac":
            decoded = subprocess.run(
                ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"], capture_output=True, check=True
            )
            assert decoded.stdout == engine.samples()


@test
def without_ffmpeg_there_is_wav(engine, voice, scratch):
    empty = os.path.join(scratch, "bin")
    os.mkdir(empty)
    os.symlink(shutil.which("python3"), os.path.join(empty, "python3"))
    other = Engine(
        os.path.dirname(engine.process.args[0]), environment={"PATH": empty, "HOME": os.environ.get("HOME", "/")}
    )
    try:
        other.load(voice)
        refused("unsupported", lambda: other.run(scratch, {"text": "Hi.", "ext": "mp3"}), "install ffmpeg", "wav")
        refused("bad_input", lambda: other.run(scratch, {"text": "Hi.", "ext": "exe"}), "task.ext")
        assert other.run(scratch, {"text": "Hi."})[0]["ext"] == "wav"
    finally:
        other.close()


@test
def a_full_disk_is_no_fault_of_the_engine(engine, voice, scratch):
    exts = ("wav", "mp3", "ogg", "flac") if shutil.which("ffmpeg") else ("wav",)
    for ext in exts:
        work = tempfile.mkdtemp(dir=scratch)
        os.symlink("/dev/full", os.path.join(work, f"speech.{ext}"))
        request = engine.start(scratch, {"text": SPOKEN, "ext": ext}, workDirectory=work)
        refused("resource", lambda: engine.answer(request), "room")
    assert not engine.children(), "a child is left"


@test
def a_cancel_takes_effect_at_once(engine, voice, scratch):
    for ext, speed in (("wav", 1), ("flac", 4)) if shutil.which("ffmpeg") else (("wav", 1),):
        # No punctuation: one sentence of 40,000 characters.
        text = "seven old men walk along the river " * 1150
        request = engine.start(scratch, {"text": text, "ext": ext, "speed": speed})
        sent = []

        def cancel():  # its first part is spoken, and it computes the second
            if not sent:
                sent.append(time.monotonic())
                engine.send({"method": "job/cancel", "params": {"jobId": "job-%d" % (request - 1)}})

        refused("cancelled", lambda: engine.answer(request, cancel))
        assert engine.when - sent[0] < 1, engine.when - sent[0]
        assert engine.pieces, "nothing was spoken"
    assert not engine.children(), "a child is left"
    assert engine.run(scratch, {"text": "Still here."})[0]["duration"] > 0.3


@test
def a_slow_consumer_slows_the_engine(engine, voice, scratch):
    request = engine.start(scratch, {"text": SPOKEN}, credit=1)
    while engine.next().get("method") != "job/chunk":
        pass
    ping = engine.request("ping", {})
    while (message := engine.next()).get("id") != ping:
        assert message.get("method") == "job/progress", message
    engine.send({"method": "job/credit", "params": {"jobId": "job-%d" % (request - 1), "through": 1000}})
    assert engine.answer(request)["output"]["duration"] > 4


@test
def hostile_text_is_spoken_or_refused_in_bounded_memory(engine, voice, scratch):
    for text in (
        "nul \0 and \x1b[31mred\x07 \u202eturned\ufeff \x85",
        "[[ˈaɪ]] [[[[ nothing ]]",
        "<speak>&amp;</speak> %s {} $(id)",
        "😀 日本語 العربية Ωμέγα",
        "9" * 500,
        "a" * 700,
        "!?" * 50,
        "Dr. Smith, 3.14, e.g. 50% -- (ok)?\n\n\nYes",
    ):
        output, path, _ = engine.run(scratch, {"text": text, "speed": 4})
        assert output["duration"] > 0.1 and len(read_wav(path)) > 4000, text[:40]
    for text in ("", " \n\t ", "...", "\0\x01\u200b"):
        refused("bad_input", lambda: engine.run(scratch, {"text": text}), "task.text")
    refused("bad_input", lambda: engine.run(scratch, {"text": "word " * 20_001}), "100005", "100000", "maxCharacters")
    assert engine.peak() < 700 << 20, engine.peak() >> 20
    work = tempfile.mkdtemp(dir=scratch)
    with open(os.path.join(work, "task.json"), "w", encoding="utf-8") as file:
        json.dump({"text": "ten megabytes " * 750_000}, file)
    refused(
        "bad_input",
        lambda: engine.answer(engine.start(scratch, None, taskFile="task.json", workDirectory=work)),
        "10500000",
    )
    assert engine.peak() < 700 << 20, engine.peak() >> 20


@test
def long_texts_leave_memory_flat(engine, voice, scratch):
    engine.run(scratch, {"text": SPOKEN, "speed": 4})
    before = engine.rss()
    output, path, _ = engine.run(scratch, {"text": SPOKEN * 8, "speed": 4})
    assert output["duration"] > 8 and engine.samples() == read_wav(path)
    assert engine.rss() < before + (60 << 20), (before >> 20, engine.rss() >> 20)


@test
def wrong_fields_are_named(engine, voice, scratch):
    for bad, part in (
        ({"text": None}, "task.text"),
        ({"text": 5}, "task.text"),
        ({"speed": 0.1}, "task.speed"),
        ({"speed": 5}, "task.speed"),
        ({"speed": "2"}, "task.speed"),
        ({"ext": "exe"}, "task.ext"),
        ({"ext": "../x"}, "task.ext"),
        ({"language": "de"}, "en_US"),
        ({"language": "en-GB"}, "en_US"),
        ({"voice": "alloy"}, "task.voice"),
        ({"speaker": 1}, "task.speaker"),
        ({"speaker": "ann"}, "task.speaker"),
        ({"speaker": "9" * 9000}, "task.speaker"),
        ({"speaker": -1}, "task.speaker"),
        ({"voice": 7}, "task.voice"),
    ):
        refused("bad_input", lambda: engine.run(scratch, {"text": "Hi.", **bad}), part)
    for good in (
        {"language": "en"},
        {"language": "en-us"},
        {"language": "en_US"},
        {"voice": "joe"},
        {"voice": "default"},
        {"speaker": 0},
        {"voice": None, "ext": None, "speed": None, "language": None},
    ):
        assert engine.run(scratch, {"text": "Hi.", **good})[0]["duration"] > 0.1
    refused("unsupported", lambda: engine.run(scratch, {"messages": []}, kind="llm"), "audio_tts")
    refused("engine_fault", lambda: engine.run(scratch, {"text": "Hi."}, name="nobody"), "not loaded")


@test
def bad_voices_are_named_and_unload_gives_memory_back(engine, voice, scratch):
    before = engine.rss()
    assert engine.call("model/unload", {"model": {"id": "voice"}}) == {}
    until = time.monotonic() + 10  # threads that have computed give back their own share as they end
    while engine.rss() >= before - engine.loaded["memoryBytes"] // 2:
        assert time.monotonic() < until, (before >> 20, engine.rss() >> 20)

    def file(name, content):
        path = os.path.join(scratch, name)
        with open(path, "wb") as handle:
            handle.write(content)
        return path

    with open(voice, "rb") as handle:
        head = handle.read(1 << 20)
    with open(voice + ".json", "rb") as handle:
        config = json.load(handle)
    refused("bad_input", lambda: engine.load(os.path.join(scratch, "missing.onnx"), "bad"), "missing.onnx")
    refused("bad_input", lambda: engine.load(scratch, "bad"), "regular file")
    refused("bad_input", lambda: engine.load(file("cut.onnx", head), "bad", voice + ".json"), "cut.onnx")
    refused("bad_input", lambda: engine.load(file("empty.onnx", b""), "bad", voice + ".json"), "empty.onnx")
    refused("bad_input", lambda: engine.load(file("alone.onnx", head), "bad"), "alone.onnx.json")
    refused("bad_input", lambda: engine.load(voice, "bad", file("a.json", b"[]")), "a.json")
    refused("bad_input", lambda: engine.load(voice, "bad", file("b.json", b"\xff{")), "b.json")
    refused("bad_input", lambda: engine.load(voice, "bad", file("c.json", b" " * (5 << 20))), "c.json")
    many = {**config, "num_speakers": 4}
    refused("bad_input", lambda: engine.load(voice, "bad", file("d.json", json.dumps(many).encode())), "configuration")
    thai = {**config, "phoneme_type": "thai"}
    refused("unsupported", lambda: engine.load(voice, "bad", file("e.json", json.dumps(thai).encode())), "Thai")
    engine.load(voice, config=voice + ".json")
    assert engine.run(scratch, {"text": "Back again."})[0]["duration"] > 0.3


@test
def shutdown_answers_and_exits(engine, voice, scratch):
    assert engine.call("shutdown", {}) == {}
    assert engine.process.wait(timeout=PATIENCE) == 0


def main():
    directory, voice = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    wanted, passed, failed, skipped = sys.argv[3:], 0, 0, 0
    scratch = tempfile.mkdtemp(prefix="piper-engine-test.")
    engine = Engine(directory)
    engine.loaded = engine.load(voice)
    try:
        for function in TESTS:
            if wanted and function.__name__ not in wanted:
                continue
            began, verdict, detail = time.monotonic(), "ok", ""
            try:
                function(engine, voice, scratch)
                passed += 1
            except Skip as reason:
                skipped += 1
                verdict, detail = "skip", f": {reason}"
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                verdict, detail = "not ok", f": {type(error).__name__} {error}"
            print(
                f"{verdict} - {function.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s){detail}",
                flush=True,
            )
    finally:
        engine.close()
        shutil.rmtree(scratch)
    if failed:
        print(engine.stderr(), file=sys.stderr)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main())
