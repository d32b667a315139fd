#!/usr/bin/env python3
"""All five kinds of job on real engines and models, in one worker, through `stoker` alone.

Results are read back by others than those who made them: ffprobe, whisper for speech, sha256sum.

  STOKER_TEST_DIST   the built tree; dist/ of this one when it is not set
  STOKER_TEST_HOME   a home whose models are used: SmolLM2, Whisper tiny.en, the Piper voice
  STOKER_TEST_CHECKPOINT   the random-weight image checkpoint of Tools/models/sd-fixture.py
  STOKER_TEST_SPEECH       jfk.wav of whisper.cpp's samples
"""

import os
import pathlib
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "ProtocolDocs"))

from runner import Suite  # noqa: E402
from worker import Worker, digest, environment, output, probe, words  # noqa: E402

SENTENCE = (
    "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.")
SPOKEN = "Good morning. The weather is very nice today, and we will walk to the park."
PROMPT = "Name three colours."

CONFIGURATION = """
# Several engines on few processors: one thread each. Threads that wait for each other in a spin stand still together.
resources: {cpuThreads: 1}
"""
MODELS = """models:
  - id: noise-sd1
    kind: image
    engine: sd-cpp
    license: none
    files: [{role: model, path: "%s", filename: noise-sd1.safetensors}]
"""


class Kinds:
    """The checks, on one worker."""

    def __init__(self, suite, worker, speech):
        self.suite, self.worker, self.speech = suite, worker, speech
        self.files = worker.scratch

    def run(self):
        for name in ("speech_is_written_down", "what_is_said_is_heard", "an_image_is_made",
                     "a_picture_becomes_a_film", "a_text_is_answered", "models_are_listed_where_they_are",
                     "all_five_at_once_while_one_engine_dies"):
            self.suite.check(name.replace("_", " "), getattr(self, name))

    def stt(self, path, *more):
        return ("stt", "--model", "whisper-tiny.en", "--file", path, *more)

    def speech_is_written_down(self):
        job = self.worker.done(self.worker.submit(*self.stt(self.speech)))
        result = job["result"]
        # The small model hears every word and not every comma.
        assert words(result["text"]) == words(SENTENCE), result["text"]
        assert abs(result["duration"] - 11.0) < 0.1, result["duration"]
        assert result["language"] == "en" and result["segments"], result
        subtitles = self.files / "jfk.srt"
        self.worker.call("submit", *self.stt(self.speech, "--format", "srt"), "-o", subtitles)
        lines = subtitles.read_text().splitlines()
        assert lines[0] == "1" and " --> " in lines[1] and "fellow Americans" in subtitles.read_text(), lines

    def what_is_said_is_heard(self):
        # The voice never says a thing twice alike, and the smallest model mishears an ending now and then.
        for take in range(3):
            spoken = self.files / f"spoken-{take}.wav"
            self.worker.call("submit", "tts", "--model", "piper-en_US-joe-medium", "--text", SPOKEN, "-o", spoken)
            stream = probe(spoken)["by"]["audio"]
            assert stream["codec_name"] == "pcm_s16le" and float(stream["duration"]) > 2, stream
            job = self.worker.done(self.worker.submit(*self.stt(spoken)))
            heard = job["result"]["text"]
            if words(heard) == words(SPOKEN):
                return
        raise AssertionError(f"said {SPOKEN!r}, heard {heard!r}")

    def image(self, seed, path):
        self.worker.call(
            "submit", "image", "--model", "noise-sd1", "--prompt", "an owl", "--width", 128, "--height", 128, "--steps",
            2, "--seed", seed, "--format", "png", "-o", path)
        return path

    def an_image_is_made(self):
        one, again, other = (self.image(seed, self.files / name) for seed, name in
                             ((7, "one.png"), (7, "again.png"), (8, "other.png")))
        stream = probe(one)["by"]["video"]
        assert (stream["codec_name"], stream["width"], stream["height"]) == ("png", 128, 128), stream
        assert digest(one) == digest(again), "the same seed gives the same bytes"
        assert digest(one) != digest(other), "another seed gives another picture"

    def kenburns(self, picture, *more):
        return ("video", "--model", "ffmpeg:kenburns", "--prompt", "slowly closer", "--init-image", picture,
                "--seconds", 2, "--width", 320, "--height", 240, "--format", "mp4", *more)

    def a_picture_becomes_a_film(self):
        film = self.files / "film.mp4"
        self.worker.call("submit", *self.kenburns(self.image(7, self.files / "still.png")), "-o", film)
        found = probe(film)
        stream = found["by"]["video"]
        assert (stream["codec_name"], stream["pix_fmt"]) == ("h264", "yuv420p"), stream
        assert (stream["width"], stream["height"]) == (320, 240), stream
        assert abs(float(found["format"]["duration"]) - 2) < 0.2, found["format"]

    def a_text_is_answered(self):
        job = self.worker.done(self.worker.submit(
            "llm", "--model", "smollm2-135m-instruct", "--prompt", PROMPT, "--max-tokens", 16, "--temperature", 0))
        assert job["result"]["choices"][0]["message"]["content"].strip(), job["result"]

    def models_are_listed_where_they_are(self):
        listed = {model["id"]: model for model in self.worker.json("models", "list")["models"]}
        for name in ("whisper-tiny.en", "piper-en_US-joe-medium", "noise-sd1", "smollm2-135m-instruct"):
            copies = [copy["state"] for copy in listed[name]["residency"]]
            assert copies == ["loaded"], listed[name]
        memory = self.worker.json("status")["memory"]
        machine = next(pool for pool in memory["pools"] if pool["pool"] == "memory")
        assert 0 < machine["heldBytes"] <= machine["limitBytes"], machine

    def all_five_at_once_while_one_engine_dies(self):
        worker = self.worker
        still = self.image(9, self.files / "at-once.png")
        # Long enough to be all under way together on two processors.
        loop = self.files / "long.wav"
        long_speech(self.speech, loop, 6)
        text = " ".join([SPOKEN] * 12)
        jobs = {
            "llama": worker.submit(
                "llm", "--model", "smollm2-135m-instruct", "--prompt", "Tell a long story.", "--max-tokens", 400,
                "--temperature", 0),
            "whisper": worker.submit(*self.stt(loop)),
            "piper": worker.submit("tts", "--model", "piper-en_US-joe-medium", "--text", text),
            "sdcpp": worker.submit(
                "image", "--model", "noise-sd1", "--prompt", "an owl", "--width", 128, "--height", 128, "--steps", 12,
                "--seed", 3, "--format", "png"),
            "ffmpeg": worker.submit(*self.kenburns(still, "--seconds", 20, "--width", 1280, "--height", 720)),
        }
        until = time.monotonic() + 60
        while True:
            states = {name: worker.job(job)["state"] for name, job in jobs.items()}
            assert time.monotonic() < until, f"not all at once: {states}"
            assert "failed" not in states.values(), f"{states}: {worker.tail()}"
            if list(states.values()).count("running") >= 4 and states["sdcpp"] == "running":
                break
            time.sleep(0.02)
        before = {name: worker.engine(name) for name in jobs}
        os.kill(before["sdcpp"], signal.SIGSEGV)
        ended = {name: worker.done(job) for name, job in jobs.items()}
        for name in ("llama", "whisper", "piper", "ffmpeg"):
            assert len(ended[name]["attempts"]) == 1, f"{name} was tried again: {ended[name]['attempts']}"
            assert worker.engine(name) == before[name], f"{name} has another process"
        attempts = ended["sdcpp"]["attempts"]
        assert [attempt["outcome"] for attempt in attempts] == ["lost", "succeeded"], attempts
        assert worker.engine("sdcpp") != before["sdcpp"]


def long_speech(source, destination, times):
    """The same speech several times over, by ffmpeg."""
    output("ffmpeg", "-v", "error", "-stream_loop", times - 1, "-i", source, "-c", "copy", destination)


def main():
    suite = Suite()
    dist = environment("STOKER_TEST_DIST") or ROOT / "dist"
    home = environment("STOKER_TEST_HOME") or ROOT / ".demo"
    checkpoint = environment("STOKER_TEST_CHECKPOINT") or ROOT / ".engines" / "fixtures" / "sd-noise.safetensors"
    speech = environment("STOKER_TEST_SPEECH") or ROOT / ".engines" / "whisper" / "samples" / "jfk.wav"
    for path in (dist / "bin" / "stoker", home / "models", checkpoint, speech):
        suite.check(f"{path.name} is there", lambda: suite.require(path.exists(), f"{path} is missing"))
    if suite.failed:
        return suite.finish()
    worker = Worker(dist, home / "models", CONFIGURATION)
    worker.extra = MODELS % checkpoint
    with worker:
        Kinds(suite, worker, speech).run()
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
