#!/usr/bin/env python3
"""Drives a built whisper engine over its pipes with a real model, the way a host does.

    engine_test.py PLUGIN_DIRECTORY ggml-tiny.en.bin JFK.wav [TEST...]

The voice activity model is taken from beside the recording (silero-vad.bin). Recordings in other formats are made with
the ffmpeg command; without it those tests are skipped. Standard library only. Prints one line a test and ends with
"N passed, N failed, N skipped"; exits 1 when one failed.
"""

import array
import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import wave

PATIENCE = 120  # Seconds until an answer counts as missing; nothing here should take more than a few.
# What is said in the recording; where the commas are is the model's to say.
SENTENCE = ("And so my fellow Americans, ask not what your country can do for you, "
            "ask what you can do for your country.")
FFMPEG = shutil.which("ffmpeg")


class Failure(Exception):
    """An error response of the engine."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.message = error["message"]
        self.code = error["code"]
        self.kind = (error.get("data") or {}).get("class")


class Skip(Exception):
    """What the test needs is not on this machine."""


class Engine:
    """One engine process, and what it has said so far."""

    def __init__(self, directory, config=None, threads=1, path=None):
        self.errors = tempfile.TemporaryFile()
        environment = dict(os.environ)
        if path is not None:
            environment["PATH"] = path
        self.process = subprocess.Popen([os.path.join(directory, "whisper-engine")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, env=environment)
        self.messages = queue.Queue()
        self.progress = []
        self.last = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.hello = self.call("initialize", {
            "protocolVersions": [1], "host": {"name": "test", "version": "0"},
            "features": ["chunks", "progress", "model-residency"], "config": config or {},
            "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
            "resources": {"cpuThreads": threads, "devices": []}, "limits": {"lineBytes": 16 << 20}})

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
        when, line = self.messages.get(timeout=PATIENCE)
        if line is None:
            raise AssertionError(f"the engine is gone: {self.stderr()}")
        message = json.loads(line.decode("utf-8"))
        message["when"] = when
        return message

    def wait(self, wanted, on_message=None):
        while True:
            message = self.next()
            if message.get("id") == wanted and "method" not in message:
                if "error" in message:
                    raise Failure(message["error"])
                return message["result"]
            if message.get("method") == "model/progress":
                self.progress.append(message["params"])
            if on_message:
                on_message(message)

    def call(self, method, params, on_message=None):
        return self.wait(self.request(method, params), on_message)

    def load(self, path, name="model", vad=None, **options):
        files = [{"role": "model", "path": path}] + ([{"role": "vad", "path": vad}] if vad else [])
        return self.call("model/load", {"model": {"id": name, "files": files, "options": options}})

    def unload(self, name="model"):
        return self.call("model/unload", {"model": {"id": name}})

    def start(self, path, name="model", credit=1 << 20, kind="audio_stt", **task):
        """Starts one job; returns its id and its request's."""
        job = f"job-{time.monotonic_ns()}"
        params = {"jobId": job, "attempt": 1, "kind": kind, "task": {"inputUrl": url(path), **task},
                  "workDirectory": "/tmp", "credit": credit}
        if name:
            params["model"] = {"id": name}
        return job, self.request("job/run", params)

    def run(self, path, name="model", on_message=None, kind="audio_stt", **task):
        """Runs one job; returns its output, with the chunks as `chunks`, the progress as `progress`."""
        chunks, progress = [], []

        def collect(message):
            if message.get("method") == "job/chunk":
                chunks.append(message["params"])
            elif message.get("method") == "job/progress":
                progress.append(message["params"])
            if on_message:
                on_message(message)

        _, wanted = self.start(path, name, kind=kind, **task)
        result = self.wait(wanted, collect)
        assert [chunk["seq"] for chunk in chunks] == list(range(1, len(chunks) + 1)), "chunks out of sequence"
        output = result["output"]
        check(output)
        assert [chunk["data"] for chunk in chunks] == output["segments"], "the chunks are not the segments"
        assert result["usage"] == {"audioSeconds": output["duration"]}, result["usage"]
        return {**output, "chunks": chunks, "progress": progress}

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def memory(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

    def children(self):
        found = []
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{task}/children") as children:
                    found += children.read().split()
            except (FileNotFoundError, ProcessLookupError):
                pass  # The thread has ended meanwhile.
        return found

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def url(path):
    return path if "://" in path or path.startswith("data:") else "file://" + urllib.parse.quote(path)


def check(output):
    """What holds for every result: times rise and lie inside the recording."""
    assert set(output) == {"text", "language", "duration", "segments"}, set(output)
    now = 0
    for segment in output["segments"]:
        assert now <= segment["start"] <= segment["end"] <= output["duration"] + 0.001, segment
        assert segment["text"] and segment["text"] == segment["text"].strip(), segment
        now = segment["end"]
        moment = segment["start"]
        for word in segment.get("words", []):
            assert moment <= word["start"] <= word["end"] <= segment["end"], (word, segment)
            assert 0 <= word["probability"] <= 1 and word["text"].strip(), word
            moment = word["end"]
    assert output["text"].split() == " ".join(segment["text"] for segment in output["segments"]).split()


def refused(kind, call, *parts):
    try:
        call()
    except Failure as failure:
        assert failure.kind == kind, f"class {failure.kind}, not {kind}: {failure.message}"
        for part in parts:
            assert part in failure.message, f"{part!r} is not in {failure.message!r}"
        return failure.message
    raise AssertionError("it was accepted")


def same_words(text, wrong=1, copies=1):
    """Whether the sentence was heard, with so many wrong words: other codecs and rates change a sound a little."""
    return sum(a != b for a, b in zip(words_of(text), words_of(SENTENCE) * copies)) <= wrong and \
        len(words_of(text)) == len(words_of(SENTENCE)) * copies


def words_of(text):
    return "".join(character for character in text.lower() if character.isalnum() or character == " ").split()


class Scratch:
    """A directory for recordings, and how they are made."""

    def __init__(self, jfk):
        self.directory = tempfile.mkdtemp(prefix="whisper-engine-test.")
        self.jfk = jfk = os.path.abspath(jfk)
        with wave.open(jfk) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            self.samples = file.readframes(file.getnframes())
        vad = os.path.join(os.path.dirname(jfk), "silero-vad.bin")
        self.vad = vad if os.path.exists(vad) else None

    def path(self, name):
        return os.path.join(self.directory, name)

    def file(self, name, content):
        with open(self.path(name), "wb") as handle:
            handle.write(content)
        return self.path(name)

    def wav(self, name, samples, rate=16000, channels=1):
        with wave.open(self.path(name), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples)
        return self.path(name)

    def convert(self, name, *arguments, before=()):
        if not FFMPEG:
            raise Skip("there is no ffmpeg")
        subprocess.run([FFMPEG, "-nostdin", "-y", "-loglevel", "error", *before, "-i", self.jfk, *arguments,
                        self.path(name)], check=True)
        return self.path(name)


TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def handshake_names_version_and_features(engine, model, scratch):
    assert engine.hello["protocolVersion"] == 1
    assert engine.hello["engine"]["name"] == "whisper"
    assert {"chunks", "progress", "model-residency"} <= set(engine.hello["features"])


@test
def load_reported_progress_and_size(engine, model, scratch):
    fractions = [report["fraction"] for report in engine.progress if "fraction" in report]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(fractions) > 2, fractions
    size = os.path.getsize(model)
    assert size * 0.9 < engine.loaded["memoryBytes"] < size * 5, engine.loaded
    assert engine.load(model)["memoryBytes"] == engine.loaded["memoryBytes"], "it was loaded twice"


@test
def transcribes_the_known_sentence(engine, model, scratch):
    output = engine.run(scratch.jfk)
    assert same_words(output["text"], wrong=0), output["text"]
    assert output["language"] == "en" and output["duration"] == 11, output
    assert output["chunks"], "not streamed"
    fractions = [report["fraction"] for report in output["progress"]]
    assert fractions == sorted(fractions) and fractions[-1] == 1, fractions
    assert "words" not in output["segments"][0]


@test
def two_jobs_in_a_row_are_equal(engine, model, scratch):
    first = engine.run(scratch.jfk)
    scratch.wav("silence.wav", bytes(2 * 16000 * 3))
    engine.run(scratch.path("silence.wav"), prompt="Hello there.")
    assert engine.run(scratch.jfk)["segments"] == first["segments"]


@test
def words_have_times(engine, model, scratch):
    output = engine.run(scratch.jfk, timestamps="word")
    assert same_words(output["text"], wrong=0), output["text"]
    words = [word for segment in output["segments"] for word in segment["words"]]
    assert " ".join(word["text"] for word in words) == output["text"], words
    # Heard in the recording: "ask" for the first time after three seconds, "country" at the very end.
    ask = next(word for word in words if word["text"] == "ask")
    assert 2.5 < ask["start"] < 5, ask
    assert words[-1]["text"].startswith("country") and 9 < words[-1]["end"] <= 11, words[-1]
    assert engine.run(scratch.jfk, timestamps="segment")["segments"][0].keys() == {"start", "end", "text"}


@test
def reads_the_formats_of_wav(engine, model, scratch):
    samples = array.array("h", scratch.samples)
    stereo = array.array("h", (value for sample in samples for value in (sample, sample)))
    assert same_words(engine.run(scratch.wav("stereo.wav", stereo.tobytes(), channels=2))["text"], wrong=0)
    for name, codec in (("u8", "pcm_u8"), ("s24", "pcm_s24le"), ("f32", "pcm_f32le")):
        output = engine.run(scratch.convert(f"{name}.wav", "-c:a", codec))
        # Eight bits are noisy.
        assert same_words(output["text"], wrong=4 if name == "u8" else 1), (name, output["text"])
    for rate, channels in ((8000, 1), (44100, 2), (48000, 6)):
        output = engine.run(scratch.convert("rate.wav", "-ar", str(rate), "-ac", str(channels)))
        assert same_words(output["text"]), (rate, channels, output["text"])
        assert abs(output["duration"] - 11) < 0.01, (rate, output["duration"])
    # As a program writes it that cannot know the length.
    header = scratch.file("open.wav", b"")
    with open(scratch.jfk, "rb") as file:
        content = bytearray(file.read())
    at = content.index(b"data") + 4
    content[at:at + 4] = b"\xff\xff\xff\xff"
    with open(header, "wb") as file:
        file.write(content)
    assert same_words(engine.run(header)["text"], wrong=0)


@test
def reads_other_formats_through_ffmpeg(engine, model, scratch):
    for name, arguments in (("jfk.mp3", ["-c:a", "libmp3lame"]), ("jfk.ogg", ["-c:a", "libvorbis", "-ac", "2"]),
                            ("ulaw.wav", ["-c:a", "pcm_mulaw"])):
        output = engine.run(scratch.convert(name, *arguments))
        assert same_words(output["text"]), (name, output["text"])
        assert abs(output["duration"] - 11) < 0.2, (name, output["duration"])
        assert output["progress"][-1]["fraction"] > 0.9, output["progress"]
    for name, arguments in (("video.mp4", ["-c:a", "aac", "-c:v", "libx264"]),
                            ("video.webm", ["-c:a", "libopus", "-c:v", "libvpx"])):
        path = scratch.convert(name, "-shortest", "-map", "1:a", "-map", "0:v", *arguments,
                               before=["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=11"])
        assert same_words(engine.run(path)["text"]), name
    # A tag that reads like ffmpeg's word on the length.
    output = engine.run(scratch.convert("tagged.mp3", "-metadata", "Duration: 1e30:00:00, x=y"))
    assert same_words(output["text"]) and abs(output["duration"] - 11) < 0.2, output
    assert output["progress"][-1]["fraction"] > 0.9, output["progress"]
    # A name that is an option, a protocol and a pattern.
    odd = scratch.path("-i concat:a|b %d 'ü' [x].mp3")
    shutil.copy(scratch.path("jfk.mp3"), odd)
    assert same_words(engine.run(odd)["text"])
    assert not engine.children(), "a process is left"


@test
def without_ffmpeg_wav_is_read_and_the_rest_refused(engine, model, scratch):
    mp3 = scratch.file("bare.mp3", b"ID3\x04" + bytes(2000))
    bare = Engine(os.path.dirname(engine.process.args[0]), path="/nonexistent")
    try:
        bare.load(model)
        assert same_words(bare.run(scratch.jfk)["text"], wrong=0)
        refused("unsupported", lambda: bare.run(mp3), "install ffmpeg", "WAV")
    finally:
        bare.close()


@test
def ffmpeg_opens_nothing_but_its_input(engine, model, scratch):
    if not FFMPEG:
        raise Skip("there is no ffmpeg")
    for name, content in (
            ("list.txt", f"ffconcat version 1.0\nfile '{scratch.jfk}'\n"),
            ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{scratch.jfk}\n#EXT-X-ENDLIST\n"),
            ("net.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")):
        refused("bad_input", lambda: engine.run(scratch.file(name, content.encode())), "ffmpeg")


@test
def what_is_no_recording_is_refused(engine, model, scratch):
    def job(name, content):
        return lambda: engine.run(scratch.file(name, content))

    with open(scratch.jfk, "rb") as file:
        jfk = file.read()
    refused("bad_input", job("empty.wav", b""), "empty")
    refused("bad_input", job("short.wav", jfk[:20]), "ends before")
    refused("bad_input", job("cut.wav", jfk[:100000]), "truncated", "352000")
    refused("bad_input", lambda: engine.run(scratch.path("missing.wav")), "cannot be opened")
    refused("bad_input", lambda: engine.run(scratch.directory), "regular file")
    fifo = scratch.path("fifo.wav")
    os.mkfifo(fifo)
    refused("bad_input", lambda: engine.run(fifo), "regular file")
    refused("bad_input", lambda: engine.run(scratch.wav("none.wav", b"")), "no samples")
    if FFMPEG:
        refused("bad_input", job("noise.bin", bytes(range(256)) * 40), "ffmpeg")
        refused("bad_input", job("text.mp3", b"This is a letter and no sound.\n" * 50), "ffmpeg")
        mute = scratch.convert("mute.mp4", "-map", "0:v", "-c:v", "libx264",
                               before=["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1"])
        refused("bad_input", lambda: engine.run(mute), "no sound")
    assert same_words(engine.run(scratch.jfk)["text"], wrong=0)


@test
def hostile_headers_cost_nothing(engine, model, scratch):
    def header(channels=1, rate=16000, align=2, bits=16, tag=1, size=1000, data=b"\0" * 1000, before=b""):
        form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
        chunks = b"fmt " + struct.pack("<I", len(form)) + form + before + b"data" + struct.pack("<I", size) + data
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks

    engine.run(scratch.jfk)
    before = engine.memory("VmHWM")
    two_hours = 2 * 3600 * 16000 * 2
    for number, (content, part) in enumerate((
            (header(size=two_hours), str(two_hours)), (header(rate=0), "0 samples a second"),
            (header(rate=2**32 - 1), "samples a second"), (header(channels=0, align=0), "0 channels"),
            (header(channels=65535, align=65534), "65535 channels"), (header(align=7), "7 bytes"),
            (header(before=b"LIST" + struct.pack("<I", 2**31)), "ends before"),
            (header(before=(b"junk" + bytes(4)) * 5000), "chunks"), (header()[:30], "ends before"),
            (b"RIFF" + bytes(4) + b"WAVEdata" + struct.pack("<I", 8) + bytes(8), "description"))):
        refused("bad_input", lambda: engine.run(scratch.file(f"hostile{number}.wav", content)), part)
    for sample in (b"\xff\xff\xff\xff", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f"):  # Not a number, infinite, huge.
        engine.run(scratch.file("floats.wav", header(tag=3, align=4, bits=32, size=64000, data=sample * 16000)))
    # Five hours are four bytes of a compressed stream away.
    long = scratch.wav("five-hours.wav", b"")
    with open(long, "r+b") as file:
        content = header(size=5 * 3600 * 16000 * 2, data=b"")
        file.write(content)
        file.truncate(len(content) + 5 * 3600 * 16000 * 2)
    refused("bad_input", lambda: engine.run(long), "300 minutes", "240")
    grown = engine.memory("VmHWM") - before
    assert grown < 64 << 20, f"{grown >> 20} MiB"
    assert same_words(engine.run(scratch.jfk)["text"], wrong=0)


@test
def wrong_tasks_name_the_field(engine, model, scratch):
    for task, part in (({"language": "klingon"}, "klingon"), ({"language": 5}, "task.language"),
                       ({"timestamps": "letter"}, "task.timestamps"), ({"translate": "yes"}, "task.translate"),
                       ({"vad": 1}, "task.vad"), ({"prompt": []}, "task.prompt"),
                       ({"prompt": "x" * (10 << 20)}, "task.prompt"), ({"language": "de"}, "only English"),
                       ({"inputUrl": None}, "task.inputUrl"), ({"inputUrl": 7}, "task.inputUrl"),
                       ({"inputUrl": "https://127.0.0.1:9/a.wav"}, "file:"), ({"inputUrl": "data:,x"}, "file:"),
                       ({"inputUrl": "file://elsewhere/a.wav"}, "elsewhere"),
                       ({"inputUrl": "file:///tmp/a%00.wav"}, "absolute path"),
                       ({"inputUrl": "file:a.wav"}, "absolute path")):
        refused("bad_input", lambda: engine.run(scratch.jfk, **task), part)
    for language in ("English", "en-US", "auto", None):
        assert engine.run(scratch.jfk, language=language)["language"] == "en"
    refused("unsupported", lambda: engine.run(scratch.jfk, kind="llm"), "audio_stt")
    refused("engine_fault", lambda: engine.run(scratch.jfk, "nobody"), "nobody", "not loaded")


@test
def a_prompt_sets_the_style(engine, model, scratch):
    plain = engine.run(scratch.jfk)["text"]
    lower = engine.run(scratch.jfk, prompt="so we met again and i said nothing and he said nothing and we went on")["text"]
    assert lower != plain and words_of(lower)[-6:] == words_of(plain)[-6:], lower


@test
def long_recordings_go_block_by_block(engine, model, scratch):
    copies = 15
    path = scratch.wav("blocks.wav", scratch.samples * copies)
    output = engine.run(path, timestamps="word")
    assert output["duration"] == 11 * copies
    heard, said = words_of(output["text"]), words_of(SENTENCE) * copies
    wrong = abs(len(heard) - len(said)) + sum(1 for one, other in zip(heard, said) if one != other)
    endings = sum(1 for first, second in zip(heard, heard[1:]) if (first, second) == ("your", "country"))
    assert 2 * copies - 3 <= endings <= 2 * copies + 1, (endings, wrong, output["text"])
    assert output["segments"][-1]["end"] > 11 * copies - 3
    gaps = [after["start"] - before["end"] for before, after in zip(output["segments"], output["segments"][1:])]
    assert max(gaps) < 5, gaps


@test
def memory_does_not_grow_with_the_recording(engine, model, scratch):
    # Nearly four hours would be 900 MB of samples and 450 MB of spectrum, all of it before the first window.
    path = scratch.wav("hours.wav", b"")
    size = 235 * 60 * 16000 * 2
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", size))
        file.truncate(44 + size)
    engine.run(scratch.wav("block.wav", bytes(2 * 16000 * 30)))
    before = engine.memory("VmHWM")
    job, wanted = engine.start(path)
    windows = 0
    while windows < 3:
        windows += engine.next().get("method") == "job/progress"
    engine.send({"method": "job/cancel", "params": {"jobId": job}})
    refused("cancelled", lambda: engine.wait(wanted))
    os.unlink(path)
    grown = engine.memory("VmHWM") - before
    assert grown < 80 << 20, f"{grown >> 20} MiB"


@test
def cancel_takes_effect_within_a_second(engine, model, scratch):
    path = scratch.wav("long.wav", scratch.samples * 100)
    for moment in ("job/progress", "job/chunk"):
        job, wanted = engine.start(path)
        while engine.next().get("method") != moment:
            pass
        engine.send({"method": "job/cancel", "params": {"jobId": job}})
        sent = time.monotonic()
        refused("cancelled", lambda: engine.wait(wanted))
        took = time.monotonic() - sent
        assert took < 10, f"{took:.1f} s"
        print(f"# cancelled at the first {moment} within {took:.3f} s")
    assert same_words(engine.run(scratch.jfk)["text"], wrong=0)


@test
def cancel_stops_the_encoder(engine, model, scratch):
    # Cancels at many moments, of which most fall into the one pass of the encoder that takes half of the time.
    began = time.monotonic()
    engine.run(scratch.jfk, prompt="x")
    whole = time.monotonic() - began
    took = []
    for part in range(1, 7):
        job, wanted = engine.start(scratch.jfk)
        while engine.next().get("method") != "job/progress":
            pass
        threading.Event().wait(whole * part / 15)
        engine.send({"method": "job/cancel", "params": {"jobId": job}})
        sent = time.monotonic()
        try:
            engine.wait(wanted)
        except Failure as failure:
            assert failure.kind == "cancelled", failure.message
            took.append(time.monotonic() - sent)
    print(f"# a job takes {whole:.2f} s; cancelled within {', '.join(f'{value:.3f}' for value in took)} s")
    assert len(took) >= 3 and sorted(took)[len(took) // 2] < max(0.1, whole / 4), took


@test
def cancel_ends_ffmpeg(engine, model, scratch):
    path = scratch.convert("endless.mp3", "-t", "1800", before=["-stream_loop", "-1"])
    job, wanted = engine.start(path)
    while engine.next().get("method") != "job/chunk":
        pass
    assert engine.children(), "ffmpeg does not run"
    engine.send({"method": "job/cancel", "params": {"jobId": job}})
    sent = time.monotonic()
    refused("cancelled", lambda: engine.wait(wanted))
    assert time.monotonic() - sent < 10
    assert not engine.children(), "ffmpeg is left"
    short = Engine(os.path.dirname(engine.process.args[0]), {"maxAudioMinutes": 1})
    try:
        short.load(model)
        refused("bad_input", lambda: short.run(path), "30 minutes", "maxAudioMinutes")
        assert not short.children()
    finally:
        short.close()


@test
def a_slow_consumer_slows_the_engine(engine, model, scratch):
    job, wanted = engine.start(scratch.wav("three.wav", scratch.samples * 6), credit=1)
    while engine.next().get("method") != "job/chunk":
        pass
    ping = engine.request("ping", {})
    message = engine.next()
    while message.get("method") == "job/progress":
        message = engine.next()
    assert message.get("id") == ping, message
    engine.send({"method": "job/credit", "params": {"jobId": job, "through": 1000}})
    rest = []
    output = engine.wait(wanted, lambda message: rest.append(message) if message["method"] == "job/chunk" else None)
    assert len(rest) == len(output["output"]["segments"]) - 1 > 0
    job, wanted = engine.start(scratch.path("three.wav"), credit=0)
    engine.send({"method": "job/cancel", "params": {"jobId": job}})
    refused("cancelled", lambda: engine.wait(wanted))


@test
def voice_activity_keeps_times(engine, model, scratch):
    refused("bad_input", lambda: engine.run(scratch.jfk, vad=True), "vad", "role")
    if not scratch.vad:
        raise Skip("there is no voice activity model beside the recording")
    engine.load(model, "with-vad", vad=scratch.vad)
    try:
        silence = bytes(2 * 16000 * 50)
        path = scratch.wav("sparse.wav", silence + scratch.samples + silence + scratch.samples + silence)
        output = engine.run(path, "with-vad", vad=True, timestamps="word")
        assert output["duration"] == 172
        assert same_words(output["text"], copies=2), output["text"]
        words = [word for segment in output["segments"] for word in segment["words"]]
        ends = [word["end"] for word in words if word["text"].startswith("country")]
        assert len(ends) == 4 and 59 < ends[1] < 62 and 120 < ends[3] < 123, ends
        assert words[0]["start"] > 49.5, words[0]
        quiet = engine.run(scratch.wav("quiet.wav", silence), "with-vad", vad=True)
        assert quiet["text"] == "" and quiet["segments"] == [] and quiet["duration"] == 50, quiet
        assert same_words(engine.run(scratch.jfk, "with-vad")["text"], wrong=0)
    finally:
        engine.unload("with-vad")


@test
def bad_files_are_named(engine, model, scratch):
    def load(path, **files):
        return lambda: engine.load(path, "bad", **files)

    with open(model, "rb") as handle:
        whole = handle.read()
    file = scratch.file
    refused("bad_input", load(scratch.path("missing.bin")), "missing.bin")
    refused("bad_input", load(scratch.directory), "regular file")
    refused("bad_input", load(file("empty.bin", b"")), "empty")
    refused("bad_input", load(file("page.bin", b"<!DOCTYPE html><html></html>")), "web page")
    refused("bad_input", load(file("archive.bin", b"PK\x03\x04" + bytes(64))), "ZIP")
    refused("bad_input", load(file("model.gguf", b"GGUF" + bytes(64))), "GGUF")
    refused("bad_input", load(file("noise.bin", b"\x01\x02\x03\x04" * 16)), "01 02 03 04")
    refused("bad_input", load(scratch.jfk), "recording")
    for size in (20, 1000, 500_000, 40 << 20, len(whole) - 1):
        refused("bad_input", load(file("cut.bin", whole[:size])), "cut.bin", "truncated")
    for at in (4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52):  # Each number of the header in turn.
        for value in (0, -1, 2**31 - 1, 60000):
            damaged = bytearray(whole[:4 << 20])
            struct.pack_into("<i", damaged, at, value)
            refused("bad_input", load(file("damaged.bin", damaged)), "damaged.bin")
    if scratch.vad:
        refused("bad_input", load(scratch.vad), "voice activity", "role vad")
        with open(scratch.vad, "rb") as handle:
            voice = handle.read()
        refused("bad_input", load(model, vad=file("cut-vad.bin", voice[:5000])), "cut-vad.bin", "truncated")
    refused("bad_input", load(model, vad=model), "not a Silero")
    refused("bad_input", lambda: engine.call("model/load", {"model": {"id": "bad", "files": []}}), "model")
    assert same_words(engine.run(scratch.jfk)["text"], wrong=0), "the loaded model suffered"


@test
def a_second_model_lives_beside_the_first_and_unload_gives_memory_back(engine, model, scratch):
    engine.load(model, "second")
    assert same_words(engine.run(scratch.jfk, "second")["text"], wrong=0)
    before = engine.memory()
    engine.unload("second")
    given = before - engine.memory()
    assert given > os.path.getsize(model) * 0.9, f"{given >> 20} MiB of {before >> 20}"
    engine.unload("second")
    assert same_words(engine.run(scratch.jfk)["text"], wrong=0)


@test
def jobs_leave_memory_and_descriptors_flat(engine, model, scratch):
    short = scratch.wav("short.wav", scratch.samples[:2 * 16000])
    mp3 = scratch.convert("short.mp3", "-t", "1") if FFMPEG else short
    descriptors = highest = 0
    # The heap settles within a few rounds and breathes by some megabytes; a leak raises every round above all before it.
    for _ in range(8):
        for _ in range(5):
            engine.run(short)
            engine.run(mp3)
        memory, before = engine.memory(), highest
        highest = max(highest, memory)
        if memory < before + (1 << 20):
            break
        descriptors = len(os.listdir(f"/proc/{engine.process.pid}/fd"))
    else:
        raise AssertionError(f"every ten jobs took more memory, {highest} bytes at last")
    assert len(os.listdir(f"/proc/{engine.process.pid}/fd")) == descriptors


@test
def shutdown_answers_and_exits(engine, model, scratch):
    assert engine.call("shutdown", {}) == {}
    assert engine.process.wait(timeout=PATIENCE) == 0


def main():
    directory, model, jfk = (os.path.abspath(path) for path in sys.argv[1:4])
    wanted = sys.argv[4:]
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    scratch = Scratch(jfk)
    engine = Engine(directory, {})
    engine.loaded = engine.load(model)
    try:
        for function in TESTS:
            if wanted and function.__name__ not in wanted:
                continue
            began = time.monotonic()
            try:
                function(engine, model, scratch)
                verdict, detail = "ok", ""
            except Skip as reason:
                verdict, detail = "skip", f": {reason}"
            except Exception as error:  # pylint: disable=broad-except
                verdict, detail = "not ok", f": {type(error).__name__} {error}"
            counts[verdict] += 1
            print(f"{verdict} {sum(counts.values())} - {function.__name__.replace('_', ' ')} "
                  f"({time.monotonic() - began:.1f} s){detail}", flush=True)
    finally:
        engine.close()
        shutil.rmtree(scratch.directory)
    if counts["not ok"]:
        print(engine.stderr(), file=sys.stderr)
    print(f"1..{sum(counts.values())}")
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return 1 if counts["not ok"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main())
