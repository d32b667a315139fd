#!/usr/bin/env python3
"""The engines of Examples/: they pass the conformance suite, and do real jobs in a real worker, confined as all engines are.

    python3 Tests/Examples/run.py [WORD...]     only checks whose name has a WORD

Results are read by other programs: ffprobe, ImageMagick's identify, and whisper for speech where its model is there.

  STOKER_TEST_DIST     the built tree; dist/ of this one when it is not set
  STOKER_TEST_HOME     a home whose models are used: whisper-tiny.en
  STOKER_TEST_SPEECH   jfk.wav of whisper.cpp's samples
"""

import array
import filecmp
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import wave

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
for other in ("ProtocolDocs", "Kinds"):
    sys.path.insert(0, str(ROOT / "Tests" / other))

from runner import Skip, Suite  # noqa: E402
from worker import PATIENCE, Worker, environment, output, probe, words  # noqa: E402

ESPEAK, SPHINX, MAGICK = "espeak-bash", "pocketsphinx-c", "imagemagick-node"
KITS = {ESPEAK: "bash", SPHINX: "c", MAGICK: "node"}
EXAMPLES = ROOT / "Examples"
MODEL = pathlib.Path("/usr/share/pocketsphinx/model/en-us/en-us.lm.bin")
FONT = pathlib.Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf")
SPOKEN = "Good morning. The weather is very nice today, and we will walk to the park."
# Texts that mean something to a shell, an option parser or ImageMagick.
HOSTILE = [
    "@/etc/passwd", "%[fx:6*7] %w %i", "label:@/etc/passwd", "msl:/tmp/x.msl", "'; rm -rf / #", "a' text 1,1 'b", '"\\"',
    "\\n\\@x", "&lt;&amp;", "--help", "-write /tmp/x", "line\npush graphic-context\nimage over 0,0 0,0 '/etc/passwd'",
    "$(id) `id`", "\u0007\u0000x\u001b[31m", "🙂 漢字 עברית e\u0301", "'" * 50, "\\" * 51,
]


def missing(name):
    """Why an example cannot be used here; None when it can."""
    if name == ESPEAK:
        return next((f"{tool} is not installed" for tool in ("espeak-ng", "jq") if not shutil.which(tool)), None)
    if name == SPHINX:
        if not MODEL.exists():
            return "pocketsphinx-en-us is not installed"
        known = shutil.which("pkg-config") and subprocess.run(["pkg-config", "--exists", "pocketsphinx"]).returncode == 0
        return None if known else "libpocketsphinx-dev is not installed"
    if not shutil.which("node"):
        return "node is not installed"
    if not shutil.which("identify"):
        return "imagemagick is not installed"
    return None if FONT.exists() else "fonts-dejavu-core is not installed"


class Examples:
    """The checks, on copies of the examples and on one worker."""

    def __init__(self, suite, worker, dist, home, speech, wanted):
        self.suite, self.worker, self.dist, self.home, self.speech, self.wanted = suite, worker, dist, home, speech, wanted
        self.files = worker.scratch
        self.places = {}

    def run(self):
        self.check("the kits in the examples are those of SDKs", self.kits)
        for name in KITS:
            self.check(f"{name} is built, and passes lint and test", lambda name=name: self.passes(name))
        for need, bodies in {
            ESPEAK: (self.speech_is_heard, self.voices_and_speed, self.text_is_only_text, self.speech_refuses_by_field,
                     self.speech_keeps_to_its_credit, self.speech_is_cancelled),
            SPHINX: (self.words_are_heard, self.other_wav_files, self.hostile_wav_files, self.listening_refuses_by_field,
                     self.listening_keeps_to_its_credit, self.listening_is_cancelled),
            MAGICK: (self.pictures, self.prompts_are_only_text, self.letters_come_alone, self.pictures_refuse_by_field,
                     self.painting_is_cancelled),
        }.items():
            for body in bodies:
                self.check(body.__name__.replace("_", " "), lambda body=body, need=need: self.needing(need, body))

    def check(self, name, body):
        if not self.wanted or any(word in name for word in self.wanted):
            self.suite.check(name, body)

    def needing(self, name, body):
        self.place(name)
        body()

    def place(self, name):
        """The example's directory in the worker's plugins, built."""
        if reason := missing(name):
            raise Skip(reason)
        if name not in self.places:
            made = self.files / name
            shutil.copytree(EXAMPLES / name, made, ignore=shutil.ignore_patterns("engine") if name == SPHINX else None)
            if name == SPHINX:
                built = subprocess.run(["make", "-C", made], capture_output=True, text=True, timeout=PATIENCE)
                assert built.returncode == 0 and "warning" not in built.stderr, built.stdout + built.stderr
            (self.worker.home / "plugins").mkdir(exist_ok=True)
            self.places[name] = made.rename(self.worker.home / "plugins" / name)
            self.listed(name)
        return self.places[name]

    def listed(self, name):
        """Waits until the worker serves the plugin."""
        until = time.monotonic() + 30
        while not any(
            one["name"] == name and one["state"] == "idle" for one in self.worker.json("plugins", "list")["plugins"]):
            assert time.monotonic() < until, f"{name} is not served: {self.worker.tail()}"
            time.sleep(0.1)

    def stoker(self, *line, environment=None):
        variables = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
        variables |= {"STOKER_HOME": str(self.files / "author")} | (environment or {})
        return subprocess.run(
            [str(self.dist / "bin" / "stoker"), *map(str, line)], env=variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE)

    def job(self, kind, model, **task):
        """Runs a job in the worker; returns it, ended."""
        file = self.files / "job.json"
        file.write_text(json.dumps({"kind": kind, "model": model, "task": task}))
        return json.loads(self.worker.call("submit", "--job", file, "--wait", "--json", check=False).stdout)

    def file(self, kind, model, name, **task):
        """Runs a job that makes a file; returns the file's path."""
        job = self.job(kind, model, **task)
        assert job["state"] == "succeeded", (task, job.get("error"))
        return pathlib.Path(shutil.copy(job["artifacts"][0]["path"], self.files / name))

    def refused(self, kind, model, field, classes=("bad_input",), **task):
        """The job fails by the name of the task's member, and is not tried again."""
        job = self.job(kind, model, **task)
        error = job.get("error") or {}
        assert job["state"] == "failed" and error.get("class") in classes, (task, job["state"], error)
        assert field in error["message"], (task, error)

    def cancelled(self, name, line, begun):
        """Ctrl-C once the wire shows `begun`: the engine answers that the job was cancelled, and the program says so."""
        variables = os.environ | {"STOKER_HOME": str(self.files / "author")}
        process = subprocess.Popen(
            [self.dist / "bin" / "stoker", "plugins", "run", self.place(name), *map(str, line)], env=variables,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seen = []
        for shown in process.stdout:
            seen.append(shown)
            if begun in shown:
                asked = time.monotonic()
                process.send_signal(signal.SIGINT)
                break
        else:
            raise AssertionError("".join(seen[-5:]))
        seen += process.stdout.readlines()
        assert process.wait(timeout=PATIENCE) == 130, "".join(seen[-5:])
        assert any("-32800" in shown for shown in seen), "".join(seen[-8:])
        assert time.monotonic() - asked < 20, "the cancel took long"

    def kits(self):
        for name, language in KITS.items():
            for file in (ROOT / "SDKs" / language).glob("stoker_*"):
                assert filecmp.cmp(file, EXAMPLES / name / file.name, shallow=False), (
                    f"Examples/{name}/{file.name} is not SDKs/{language}/{file.name}: copy it again")

    def passes(self, name):
        place = self.place(name)
        confined = self.worker.json("plugins", "inspect", name)["sandbox"]
        assert confined["mode"] == "enforce" and confined["network"] == "none", confined
        lint = self.stoker("plugins", "lint", place)
        assert lint.returncode == 0 and "warning" not in lint.stdout + lint.stderr, lint.stdout + lint.stderr
        tested = self.stoker("plugins", "test", place, "--json")
        report = json.loads(tested.stdout)
        failed = [check for check in report["checks"] if check.get("verdict", check.get("result")) == "failed"]
        assert tested.returncode == 0 and not failed, failed

    def credit_is_kept(self, name, kind, model, **task):
        """What the suite can only try with a job of more than two chunks."""
        file = self.files / "chunks.json"
        file.write_text(json.dumps({"kind": kind, "model": model, "task": task}))
        only = [word for check in ("credit-stop", "credit-zero", "cancel-waiting") for word in ("--only", check)]
        tested = self.stoker("plugins", "test", self.place(name), "--job", file, "--json", *only)
        results = {check["name"]: check.get("verdict", check.get("result")) for check in json.loads(tested.stdout)["checks"]}
        assert tested.returncode == 0 and all(results[check] == "passed" for check in only[1::2]), results

    # --- espeak-bash

    def speech_keeps_to_its_credit(self):
        self.credit_is_kept(ESPEAK, "audio_tts", "espeak", text="All work and no play makes a dull day. " * 3)

    def say(self, name="speech.wav", **task):
        return self.file("audio_tts", "espeak", name, **task)

    def speech_is_heard(self):
        path = self.say(text=SPOKEN, speed=0.8)
        stream = probe(path)["by"]["audio"]
        assert stream["codec_name"] == "pcm_s16le" and stream["channels"] == 1, stream
        assert 3 < float(stream["duration"]) < 12, stream["duration"]
        assert max(map(abs, samples(path))) > 3000, "it is silent"
        if not self.home or not (self.home / "models" / "whisper-tiny.en").exists():
            print("      (whisper-tiny.en is not there: nobody listened)")
            return
        heard = self.worker.done(self.worker.submit("stt", "--model", "whisper-tiny.en", "--file", path))["result"]["text"]
        found = set(words(heard)) & set(words(SPOKEN))
        assert len(found) >= 9, heard

    def voices_and_speed(self):
        length = {speed: len(samples(self.say(text=SPOKEN, speed=speed))) for speed in (0.5, 1, 2)}
        assert length[0.5] > 1.5 * length[1] > 2 * length[2], length
        said = {}
        for voice in ("default", "en-us", "English_(America)", "en-us+f3", "de"):
            said[voice] = self.say(text="Ein Wort", voice=voice).read_bytes()
        assert said["default"] == said["en-us"] == said["English_(America)"]
        assert len(set(said.values())) == 3
        assert said["de"] == self.say(text="Ein Wort", language="de").read_bytes()
        assert said["en-us"] == self.say(text="Ein Wort", voice="en-us", language="en_US").read_bytes()

    def text_is_only_text(self):
        plain = self.say(text="20S one  two").read_bytes()
        assert self.say(text="\u000120S one\u0001 two").read_bytes() != self.say(text="one two").read_bytes()
        assert self.say(text="\u000120S one \u0001two").read_bytes() == plain, "a control character is a command"
        phonemes = self.say(text="one [[h@l'oU]] two").read_bytes()
        assert phonemes == self.say(text="one   h@l'oU   two").read_bytes(), "[[ begins phonemes"
        assert len(samples(self.say(text='one <break time="30s"/> two'))) / 22050 < 15, "markup is obeyed"
        for text in ("-v nosuch --help one", "--version", "$(touch x) `id` one", "one\u0000 two three", *HOSTILE):
            if re.search(r"\w", text):
                self.say(text=text)
        through = len(samples(self.say(text="one\u0000 two three four five")))
        assert through > 2 * len(samples(self.say(text="one"))), "a NUL ends the text"

    def speech_refuses_by_field(self):
        def refused(field, *classes, **task):
            self.refused("audio_tts", "espeak", f"task.{field}", classes or ("bad_input",), **({"text": "hi"} | task))
        for speed in (0.1, 9, "fast"):
            refused("speed", speed=speed)
        for voice in ("nosuch", "../../etc/passwd", "-v", "en-us+nosuch", "mb/mb-de1"):
            refused("voice", voice=voice)
        refused("voice", voice="de", language="fr")
        refused("language", language="xx")
        refused("ext", "unsupported", ext="mp3")
        for text in ("", " \n ", "...", "x" * 100001):
            refused("text", text=text)

    def speech_is_cancelled(self):
        long = self.files / "long.txt"
        long.write_text("All work and no play makes a dull day. " * 2000)
        self.cancelled(ESPEAK, ["tts", "--text-file", long], "job/chunk")

    # --- pocketsphinx-c

    def hear(self, path, **task):
        job = self.job("audio_stt", "pocketsphinx", inputUrl=path.as_uri(), **task)
        assert job["state"] == "succeeded", job.get("error")
        return job["result"]

    def recording(self):
        if not self.speech.exists():
            raise Skip(f"{self.speech.name} is not there")
        return self.speech

    def words_are_heard(self):
        result = self.hear(self.recording())
        found = {"fellow", "what", "your", "country", "can", "do", "for", "you", "and"} & set(words(result["text"]))
        assert len(found) >= 6, result["text"]  # it is small, and mishears much
        assert abs(result["duration"] - 11) < 0.1 and result["language"] == "en", result
        times = [time for one in result["segments"] for time in (one["start"], one["end"])]
        assert len(times) >= 4 and times == sorted(times) and times[-1] <= 11.01, times
        assert " ".join(one["text"] for one in result["segments"]) == result["text"]

    def other_wav_files(self):
        with wave.open(str(self.recording())) as file:
            mono = array.array("h", file.readframes(16000 * 3))
        plain, other, silent = (self.files / f"{name}.wav" for name in ("plain", "other", "silent"))
        write(plain, 16000, 1, 2, mono.tobytes())
        # Three times the rate, two channels, 24 bits, and a length that its writer did not know: the same sound.
        write(other, 48000, 2, 3, b"".join(struct.pack("<i", value << 8)[:3] * 6 for value in mono), claimed=0xFFFFFFFF)
        first, second = self.hear(plain), self.hear(other)
        assert first["text"] and first["text"] == second["text"], (first, second)
        assert first["duration"] == second["duration"] == 3, second
        write(silent, 16000, 1, 1, b"\x80" * 16000)
        nothing = self.hear(silent, language="en-GB")
        assert nothing["text"] == "" and nothing["segments"] == [] and nothing["duration"] == 1, nothing

    def hostile_wav_files(self):
        good = header(16000, 1, 2, 32000)
        bad = {
            "nothing": b"", "short": b"RIFF", "text": b"hello " * 20, "no samples": good[:36], "an empty data part": good,
            "cut off": good + bytes(100), "width 0": header(16000, 1, 0, 100) + bytes(100),
            "no channels": header(16000, 0, 2, 100) + bytes(100), "many channels": header(16000, 65535, 2, 100) + bytes(100),
            "rate 0": header(0, 1, 2, 100) + bytes(100), "a high rate": header(0xFFFFFFFF, 1, 2, 100) + bytes(100),
            "a low rate": header(8000, 1, 2, 100) + bytes(100), "floats": header(16000, 1, 4, 100, code=3) + bytes(100),
            "a part that is too long": good[:12] + b"LIST" + struct.pack("<I", 0xFFFFFFF0) + good[12:] + bytes(32000),
            "parts without end": good[:12] + (b"junk" + bytes(4)) * 2000,
            "samples first": good[:12] + b"data" + struct.pack("<I", 4) + bytes(4) + good[12:36],
            "two descriptions": good[:36] + good[12:] + bytes(32000), "a short description": good[:16] + struct.pack("<I", 8) + bytes(50),
        }
        engine = None
        for name, content in bad.items():
            path = self.files / "bad.wav"
            path.write_bytes(content)
            try:
                self.refused("audio_stt", "pocketsphinx", "task.inputUrl", inputUrl=path.as_uri())
            except AssertionError as problem:
                raise AssertionError(f"{name}: {problem}")
            engine = engine or self.worker.engine(SPHINX)
            assert engine == self.worker.engine(SPHINX), f"{name} has killed the engine"

    def listening_refuses_by_field(self):
        path = self.files / "second.wav"
        write(path, 16000, 1, 2, bytes(32000))
        where = path.as_uri()
        self.refused("audio_stt", "pocketsphinx", "task.language", inputUrl=where, language="fr")
        self.refused("audio_stt", "pocketsphinx", "task.timestamps", ("unsupported",), inputUrl=where, timestamps="word")

    def listening_keeps_to_its_credit(self):
        with wave.open(str(self.recording())) as file:
            file.setpos(int(16000 * 3.2))
            said = file.readframes(int(16000 * 1.3))
        path = self.files / "three.wav"
        write(path, 16000, 1, 2, (said + bytes(24000)) * 3)
        self.credit_is_kept(SPHINX, "audio_stt", "pocketsphinx", inputUrl=path.as_uri())

    def listening_is_cancelled(self):
        path = self.files / "long.wav"
        write(path, 16000, 1, 1, b"\x80" * (16000 * 3600))  # an hour in which nothing is said: no chunk can notice it
        self.cancelled(SPHINX, ["--file", path], '"listening"')

    # --- imagemagick-node

    def paint(self, name, **task):
        return self.file("image", "titlecard", name, **({"prompt": "A lighthouse, in the evening", "seed": 7} | task))

    def pictures(self):
        for ext, width, height, kind in (("png", 640, 200, "PNG"), ("jpeg", 64, 64, "JPEG"), ("webp", 300, 500, "WEBP")):
            path = self.paint(f"card.{ext}", ext=ext, width=width, height=height)
            seen = output("identify", "-format", "%m %w %h %k", path).split()
            assert seen[:3] == [kind, str(width), str(height)] and int(seen[3]) > 20, seen
        first, again, other, text = (
            self.paint(f"{at}.png", ext="png", seed=seed, prompt=prompt).read_bytes()
            for at, (seed, prompt) in enumerate(((7, "Sea"), (7, "Sea"), (8, "Sea"), (7, "Lea"))))
        assert first == again and len({first, other, text}) == 3
        self.paint("long.png", ext="png", width=64, height=64, prompt="long words " * 400)
        self.paint("great.png", ext="png", seed=2**64 - 1)

    def prompts_are_only_text(self):
        for prompt in HOSTILE:
            path = self.paint("hostile.png", ext="png", prompt=prompt, width=200, height=200)
            assert output("identify", "-format", "%m %w", path) == "PNG 200", prompt

    def letters_come_alone(self):
        """Whatever the prompt, each string of the drawing is one letter; and each letter leaves a mark."""
        program = """
            import { card, letters } from './card.mjs'
            import fs from 'node:fs'
            const prompts = JSON.parse(fs.readFileSync(0))
            const drawings = prompts.map((prompt) => card({ prompt, width: 300, height: 300, seed: 1, font: 'F' }).drawing)
            const all = ['@%[]:/\\\\\\'"&<>#{}()$`;*?!-+=|~^_.,', 'fx6n'].join('')
            console.log(JSON.stringify({ drawings, all: letters([all], 0, 30, 30, 30), count: [...all].length }))"""
        prompts = HOSTILE + [first + second for first in "'\"\\@%&<\n#" for second in "'\"\\@%[{n\u2028"]
        done = subprocess.run(
            ["node", "--input-type=module", "-e", program], input=json.dumps(prompts), capture_output=True, text=True,
            cwd=EXAMPLES / MAGICK, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        known = re.compile(
            r"(text -?[\d.]+,-?[\d.]+ ('[^'\\\s]'|\"'\"|'\\\\')|font 'F'"
            r"|(viewbox|stroke|fill|fill-opacity|circle|polygon|roundrectangle|font-size) [#\w\d., -]+)")
        for prompt, drawing in zip(prompts, made["drawings"]):
            for command in drawing.splitlines():
                assert known.fullmatch(command), (prompt, command)
        drawing = self.files / "letters.mvg"
        drawing.write_text("\n".join(["viewbox 0 0 %d 40" % (30 * made["count"]), f"font '{FONT}'", "fill black", *made["all"]]) + "\n")
        marks = output(
            "convert", "-size", f"{30 * made['count']}x40", "xc:white", "-draw", drawing.read_text(), "-crop", "30x40", "+repage",
            "-format", "%k ", "info:").split()
        assert len(marks) == made["count"] and all(int(colours) > 1 for colours in marks), marks

    def pictures_refuse_by_field(self):
        def refused(field, *classes, **task):
            self.refused("image", "titlecard", f"task.{field}", classes or ("bad_input",), **({"prompt": "x"} | task))
        for size in (1, 4097, 100.5, "wide"):
            refused("width", width=size)
        refused("height", width=4096, height=4096)
        for seed in (1.5, -1, "7"):
            refused("seed", seed=seed)
        refused("ext", "unsupported", ext="svg")
        for prompt in ("", " \u0007 ", "x" * 20000):
            refused("prompt", prompt=prompt)

    def painting_is_cancelled(self):
        self.cancelled(MAGICK, ["--prompt", "x " * 300, "--width", 2048, "--height", 2048, "--format", "png"], "job/progress")


def samples(path):
    """The samples of a WAV file of 16 bits."""
    with wave.open(str(path)) as file:
        return array.array("h", file.readframes(file.getnframes()))


def header(rate, channels, width, length, code=1):
    block = channels * width & 0xFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + length & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, code, channels, rate,
        rate * block & 0xFFFFFFFF, block, 8 * width, b"data", length)


def write(path, rate, channels, width, content, claimed=None):
    path.write_bytes(header(rate, channels, width, len(content) if claimed is None else claimed) + content)


def main():
    suite = Suite()
    dist = (environment("STOKER_TEST_DIST") or ROOT / "dist").resolve()
    home = environment("STOKER_TEST_HOME")
    speech = environment("STOKER_TEST_SPEECH") or ROOT / ".engines" / "whisper" / "samples" / "jfk.wav"
    if not (dist / "bin" / "stoker").exists():
        suite.check("stoker is built", lambda: suite.fail(f"{dist}/bin/stoker is missing"))
        return suite.finish()
    began = time.monotonic()
    with Worker(dist, home / "models" if home else pathlib.Path("/nonexistent"), "") as worker:
        Examples(suite, worker, dist, home, speech, sys.argv[1:]).run()
    print(f"{time.monotonic() - began:.0f} s")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
