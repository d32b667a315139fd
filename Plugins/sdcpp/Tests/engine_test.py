#!/usr/bin/env python3
"""Drives a built sdcpp engine over its pipes with a real model, the way a host does.

    engine_test.py PLUGIN_DIRECTORY CHECKPOINT.safetensors [TEST...]

CHECKPOINT is the one that Tools/models/sd-fixture.py writes, or any Stable Diffusion 1 checkpoint. Pictures are read
back with ffmpeg. One thread computes, so that a loaded machine only slows the tests down. Standard library only. Prints
one line a test and ends with "N passed, N failed"; exits 1 when one failed.
"""

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
import zlib

PATIENCE = 300  # Seconds until an answer counts as missing; nothing here should take more than a few.
MIB = 1 << 20
SIDE = 64  # Of most pictures: the smallest that the model draws.


class Failure(Exception):
    """An error response of the engine."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.message = error["message"]
        self.code = error["code"]
        self.kind = (error.get("data") or {}).get("class")


class Engine:
    """One engine process, and what it has said so far."""

    def __init__(self, directory, scratch, config=None):
        self.scratch = scratch
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([os.path.join(directory, "sdcpp-engine")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        self.messages = queue.Queue()
        self.progress = []
        self.models = set()
        self.last = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.hello = self.call("initialize", {
            "protocolVersions": [1], "host": {"name": "test", "version": "0"}, "features": ["progress", "model-residency"],
            "config": config or {}, "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
            "resources": {"cpuThreads": 1, "devices": []}, "limits": {"lineBytes": 16 << 20}})

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

    def call(self, method, params, on_message=None):
        wanted = self.request(method, params)
        while True:
            message = self.next()
            if message.get("id") == wanted and "method" not in message:
                if "error" in message:
                    raise Failure(message["error"])
                return message["result"]
            if on_message:
                on_message(message)

    def load(self, path, name="model", extra=(), **options):
        self.progress = []

        def on_message(message):
            if message.get("method") == "model/progress":
                self.progress.append(message["params"])

        answer = self.call("model/load", {"model": {
            "id": name, "files": [{"role": "model", "path": path}, *extra], "options": options}}, on_message)
        self.models.add(name)
        return answer

    def unload(self, name):
        self.models.discard(name)
        return self.call("model/unload", {"model": {"id": name}})

    def run(self, task, name="model", kind="image", on_progress=None):
        """Runs one job; returns its output with `path` (the picture), `progress` and `logs`."""
        job = f"job-{time.monotonic_ns()}"
        directory = os.path.join(self.scratch, job)
        os.mkdir(directory, 0o700)
        progress, logs = [], []

        def on_message(message):
            if message.get("method") == "job/progress":
                progress.append(message["params"])
                if on_progress:
                    on_progress(job, message["params"])
            if message.get("method") == "log":
                logs.append(message["params"])

        began = time.monotonic()
        result = self.call("job/run", {
            "jobId": job, "attempt": 1, "kind": kind, "task": {"prompt": "an owl", **task}, "workDirectory": directory,
            "credit": 64, "model": {"id": name}}, on_message)
        output = result["output"]
        (artifact,) = result["artifacts"]
        output.update(seconds=time.monotonic() - began, progress=progress, logs=logs, type=artifact["contentType"],
                      path=os.path.join(directory, artifact["name"]))
        assert os.listdir(directory) == [artifact["name"]], os.listdir(directory)
        assert os.path.getsize(output["path"]) == artifact["bytes"]
        return output

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def memory(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def task(**members):
    return {"width": SIDE, "height": SIDE, "steps": 1, "seed": 7, "cfgScale": 1, "samplingMethod": "euler",
            "ext": "png", **members}


def inspect(path):
    """What ffprobe says about a picture: its codec and size."""
    found = json.loads(subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "json", path],
        check=True, capture_output=True).stdout)
    (stream,) = found["streams"]
    return stream["codec_name"], stream["width"], stream["height"]


def pixels(path):
    return subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                          check=True, capture_output=True).stdout


def difference(first, second):
    """Mean distance of two pictures' bytes."""
    assert len(first) == len(second)
    return sum(abs(a - b) for a, b in zip(first, second)) / len(first)


def half(data, right):
    """The left or right half of a square picture's bytes."""
    row = SIDE * 3
    middle = row // 2
    parts = [data[at:at + row] for at in range(0, len(data), row)]
    return b"".join(part[middle:] if right else part[:middle] for part in parts)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def picture(scratch, name, width, height, color=lambda x, y: (x % 256, y % 256, 128)):
    """Writes a PNG without any library."""
    rows = b"".join(b"\0" + b"".join(bytes(color(x, y)) for x in range(width)) for y in range(height))
    return png(scratch, name, width, height, zlib.compress(rows))


def png(scratch, name, width, height, data):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return file(scratch, name, b"\x89PNG\r\n\x1a\n" + chunks)


def file(scratch, name, data):
    path = os.path.join(scratch, name)
    with open(path, "wb") as handle:
        handle.write(data)
    return path


def url(path):
    return "file://" + urllib.parse.quote(path)


def refused(kind, call, *parts):
    try:
        call()
    except Failure as failure:
        assert failure.kind == kind, f"class {failure.kind}, not {kind}: {failure.message}"
        for part in parts:
            assert part in failure.message, f"{part!r} is not in {failure.message!r}"
        return failure.message
    raise AssertionError("it was accepted")


TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def handshake_names_version_and_features(engine, model, scratch):
    assert engine.hello["protocolVersion"] == 1
    assert engine.hello["engine"]["name"] == "sdcpp"
    assert {"progress", "model-residency"} <= set(engine.hello["features"])


@test
def load_reported_progress_and_what_it_took(engine, model, scratch):
    fractions = [report["fraction"] for report in engine.loading if "fraction" in report]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(fractions) > 2, fractions
    # Weights are half-precision floats; the process grew by what the engine says.
    assert abs(engine.loaded["memoryBytes"] - engine.grown) < 64 * MIB, (engine.loaded, engine.grown)
    assert engine.loaded["memoryBytes"] > 500 * MIB, engine.loaded


@test
def draws_a_png(engine, model, scratch):
    first = engine.first
    assert inspect(first["path"]) == ("png", SIDE, SIDE)
    assert first["type"] == "image/png" and first["ext"] == "png"
    assert (first["width"], first["height"], first["seed"]) == (SIDE, SIDE, 7)
    assert first["steps"] == 3 and first["samplingMethod"] == "euler" and first["cfgScale"] == 1
    assert len(set(pixels(first["path"]))) > 50, "it is one colour"


def io_bytes(engine):
    with open(f"/proc/{engine.process.pid}/io") as counts:
        return next(int(line.split()[1]) for line in counts if line.startswith("rchar"))


@test
def progress_goes_forward_step_by_step(engine, model, scratch):
    progress = engine.first["progress"]
    assert progress[0]["stage"] == "encoding"
    assert [report["step"] for report in progress if report["stage"] == "sampling"] == [0, 1, 2, 3], progress
    assert {report["steps"] for report in progress if "steps" in report} == {3}
    assert progress[-1]["stage"] == "decoding"
    fractions = [report["fraction"] for report in progress]
    assert fractions == sorted(fractions) and 0 <= fractions[0] and fractions[-1] <= 1, fractions


@test
def equal_seeds_give_equal_bytes_without_loading_again(engine, model, scratch):
    before = io_bytes(engine)
    assert content(engine.run(task(steps=3))["path"]) == content(engine.first["path"])
    assert io_bytes(engine) - before < 8 * MIB, f"{io_bytes(engine) - before} bytes were read for the second picture"
    other = engine.run(task(steps=3, seed=2**64 - 1))
    assert difference(pixels(other["path"]), pixels(engine.first["path"])) > 1
    assert other["seed"] == 2**63 - 1, other["seed"]


@test
def equal_seeds_give_equal_bytes_in_another_process(engine, model, scratch):
    other = Engine(engine.directory, scratch)
    try:
        other.load(model)
        assert content(other.run(task(steps=3))["path"]) == content(engine.first["path"])
    finally:
        other.close()


@test
def writes_jpeg_webp_and_bmp_and_tells_a_drawn_seed(engine, model, scratch):
    def check(output, ext, codec, kind):
        assert inspect(output["path"]) == (codec, SIDE, SIDE), inspect(output["path"])
        assert output["ext"] == ext and output["type"] == kind and output["path"].endswith("." + ext)
        return pixels(output["path"])

    jpeg = check(engine.run(task(steps=3, ext="jpeg")), "jpg", "mjpeg", "image/jpeg")
    assert difference(jpeg, pixels(engine.first["path"])) < 25
    without = {key: value for key, value in task().items() if key not in ("seed", "ext")}
    drawn = engine.run(without)
    webp = check(drawn, "webp", "webp", "image/webp")
    assert drawn["seed"] != 7
    bmp = check(engine.run(task(seed=drawn["seed"], ext="bmp")), "bmp", "bmp", "image/bmp")
    assert difference(webp, bmp) < 25, difference(webp, bmp)
    assert difference(bmp, jpeg) > 1


@test
def sides_are_rounded_up_and_a_lone_mask_is_told_to_be_useless(engine, model, scratch):
    output = engine.run(task(steps=3, width=1, height=40, maskUrl=url(picture(scratch, "mask.png", SIDE, SIDE))))
    assert inspect(output["path"]) == ("png", SIDE, SIDE)
    assert (output["width"], output["height"]) == (SIDE, SIDE)
    assert any("multiples of 64" in log["message"] for log in output["logs"]), output["logs"]
    assert any("mask" in log["message"] and log["level"] == "warn" for log in output["logs"]), output["logs"]
    assert content(output["path"]) == content(engine.first["path"])


@test
def a_negative_prompt_works_with_a_scale(engine, model, scratch):
    # What is wanted and unwanted alike cancels out: the picture is the one without a scale.
    same = engine.run(task(steps=3, cfgScale=4, negativePrompt="an owl"))
    assert difference(pixels(same["path"]), pixels(engine.first["path"])) < 2
    other = engine.run(task(steps=3, cfgScale=4, negativePrompt="a house at night"))
    assert difference(pixels(other["path"]), pixels(same["path"])) > 1
    assert other["cfgScale"] == 4


@test
def an_initial_image_is_kept_by_strength(engine, model, scratch):
    path = picture(scratch, "start.png", 2 * SIDE, SIDE)
    initial = url(path)
    weak = engine.run(task(initImageUrl=initial, denoise=0.1, steps=4))
    strong = engine.run(task(initImageUrl=initial, denoise=0.9, steps=4))
    # One step of four, or three.
    steps = [[report["step"] for report in output["progress"] if report["stage"] == "sampling"][-1]
             for output in (weak, strong)]
    assert steps[0] < steps[1], steps
    assert difference(pixels(weak["path"]), pixels(strong["path"])) > 1
    # The same picture under a wrong name and as another type.
    jpeg = os.path.join(scratch, "start.webp")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-q:v", "1", "-f", "mjpeg", jpeg], check=True)
    webp = os.path.join(scratch, "start %C3 ü.jpg")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-lossless", "1", "-f", "webp", webp], check=True)
    again = engine.run(task(initImageUrl=url(webp), denoise=0.1, steps=4))
    assert content(again["path"]) == content(weak["path"])
    near = engine.run(task(initImageUrl=url(jpeg), denoise=0.1, steps=4))
    assert difference(pixels(near["path"]), pixels(weak["path"])) < 30


@test
def a_mask_says_what_is_drawn_anew(engine, model, scratch):
    initial = url(picture(scratch, "start.png", SIDE, SIDE))
    right = url(picture(scratch, "mask.png", SIDE, SIDE, lambda x, y: (255 * (x >= SIDE // 2),) * 3))
    nothing = url(picture(scratch, "black.png", SIDE, SIDE, lambda x, y: (0, 0, 0)))
    whole = pixels(engine.run(task(initImageUrl=initial, denoise=1, steps=2))["path"])
    masked = pixels(engine.run(task(initImageUrl=initial, maskUrl=right, denoise=1, steps=2))["path"])
    kept = pixels(engine.run(task(initImageUrl=initial, maskUrl=nothing, denoise=1, steps=2))["path"])
    assert difference(whole, kept) > 1, "a black mask changed nothing"
    assert difference(masked, kept) > 0
    # The decoder mixes the halves a little.
    assert difference(half(masked, False), half(kept, False)) < difference(half(masked, True), half(kept, True))


@test
def pictures_that_cannot_be_used_are_refused(engine, model, scratch):
    whole = content(picture(scratch, "whole.png", SIDE, SIDE))
    jpeg = os.path.join(scratch, "whole.jpg")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", os.path.join(scratch, "whole.png"), "-f", "mjpeg", jpeg],
                   check=True)
    cases = [
        ("broken.png", whole[:len(whole) // 2], "damaged"), ("header.png", whole[:20], "damaged"),
        ("broken.jpg", content(jpeg)[:40], "damaged"), ("empty", b"", "PNG, JPEG or WEBP"),
        ("text", b"GIF89a" + bytes(40), "PNG, JPEG or WEBP"), ("cut.webp", b"RIFF\0\0\0\0WEBPVP8 ", "damaged"),
    ]
    for name, data, part in cases:
        broken = url(file(scratch, name, data))
        refused("bad_input", lambda: engine.run(task(initImageUrl=broken)), "task.initImageUrl", part)
        refused("bad_input", lambda: engine.run(
            task(initImageUrl=url(os.path.join(scratch, "whole.png")), maskUrl=broken)), "task.maskUrl", part)
    fifo = os.path.join(scratch, "fifo.png")
    os.mkfifo(fifo)
    refused("bad_input", lambda: engine.run(task(initImageUrl=url(fifo))), "regular file")
    refused("bad_input", lambda: engine.run(task(initImageUrl=url(scratch + "/none.png"))), "cannot be opened")
    for other in ("https://example.test/x.png", "data:image/png;base64,AA==", "/etc/hostname"):
        refused("bad_input", lambda: engine.run(task(initImageUrl=other)), "task.initImageUrl", "file:")
    refused("unsupported", lambda: engine.run(task(refImageUrl=url(os.path.join(scratch, "whole.png")))), "reference")


@test
def hostile_sizes_take_no_memory(engine, model, scratch):
    engine.forget_peak()
    before = engine.memory()
    refused("bad_input", lambda: engine.run(task(width=60000, height=60000)), "60000")
    refused("bad_input", lambda: engine.run(task(width=8192, height=8192)), "too large")
    refused("bad_input", lambda: engine.run(task(prompt="owl " * 2_500_000)), "10000000", "task.prompt")
    refused("bad_input", lambda: engine.run(task(negativePrompt="x" * 20_000)), "task.negativePrompt")
    refused("bad_input", lambda: engine.run(task(steps=10**6)), "task.steps")
    bomb = url(png(scratch, "bomb.png", 60000, 60000, zlib.compress(bytes(1 << 20))))
    refused("bad_input", lambda: engine.run(task(initImageUrl=bomb)), "60000")
    refused("bad_input", lambda: engine.run(task(initImageUrl=url(
        png(scratch, "wide.png", 2**31 - 1, 2**31 - 1, b"")))), "task.initImageUrl")
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60000, 60000) + b"\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    refused("bad_input", lambda: engine.run(task(initImageUrl=url(
        file(scratch, "bomb.jpg", b"\xff\xd8" + frame + bytes(64))))), "task.initImageUrl")
    bits = struct.pack("<I", 16383 | 16382 << 14)
    webp = b"WEBPVP8L" + struct.pack("<I", 64) + b"\x2f" + bits + bytes(59)
    refused("bad_input", lambda: engine.run(task(initImageUrl=url(
        file(scratch, "bomb.webp", b"RIFF" + struct.pack("<I", len(webp)) + webp)))), "16383")
    # The 10 MB prompt is on the pipe: a line, its text, its JSON.
    assert engine.memory("VmHWM") < before + 150 * MIB, (engine.memory("VmHWM"), before)


@test
def wrong_values_name_the_member(engine, model, scratch):
    for bad, part in ((task(samplingMethod="magic"), "euler_a"), (task(width="wide"), "task.width"),
                      (task(denoise=2), "task.denoise"), (task(seed=-1), "task.seed"), (task(prompt=5), "task.prompt"),
                      (task(prompt="<lora:none:1>"), "LoRA"), (task(height=-1), "task.height")):
        refused("bad_input", lambda: engine.run(bad), part)
    refused("unsupported", lambda: engine.run(task(), kind="llm"), "image")
    refused("unsupported", lambda: engine.run(task(seconds=1), kind="video"), "video")
    refused("engine_fault", lambda: engine.run(task(), "nobody"), "not loaded")


@test
def cancel_takes_effect_at_the_next_step(engine, model, scratch):
    seen = []

    def on_progress(job, report):
        if report.get("step") == 2 and not seen:
            engine.send({"method": "job/cancel", "params": {"jobId": job}})
        if report.get("step", 0) >= 2:
            seen.append(report["step"])

    refused("cancelled", lambda: engine.run(task(steps=40), on_progress=on_progress))
    assert max(seen) <= 4, seen
    # The process and the model are as before.
    assert content(engine.run(task(steps=3))["path"]) == content(engine.first["path"])


@test
def a_lora_changes_the_picture_and_leaves_no_trace(engine, model, scratch):
    path = lora(scratch)
    engine.unload("model")
    engine.load(model, "with", extra=[{"role": "lora", "path": path}])
    full = content(engine.run(task(steps=3), "with")["path"])
    assert full != content(engine.first["path"])
    assert content(engine.run(task(steps=3, prompt="an owl<lora:ink:0>"), "with")["path"]) == \
        content(engine.first["path"])
    assert content(engine.run(task(steps=3, prompt="an owl<lora:ink:1>"), "with")["path"]) == full
    refused("bad_input", lambda: engine.run(task(prompt="<lora:oil>"), "with"), "oil", "ink")
    engine.unload("with")


def lora(scratch):
    """A LoRA of rank one for one attention layer: noise, but strong enough to be seen."""
    name = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_v"
    width = 320
    values = struct.pack(f"<{width}e", *[((index * 37) % 101 - 50) / 50 for index in range(width)])
    header = json.dumps({
        name + ".lora_down.weight": {"dtype": "F16", "shape": [1, width], "data_offsets": [0, 2 * width]},
        name + ".lora_up.weight": {"dtype": "F16", "shape": [width, 1], "data_offsets": [2 * width, 4 * width]},
    }).encode()
    header += b" " * (-len(header) % 8)
    return file(scratch, "ink.safetensors", struct.pack("<Q", len(header)) + header + values + values)


@test
def bad_models_are_named(engine, model, scratch):
    def load(path, role="model"):
        return lambda: engine.call("model/load", {"model": {"id": "bad", "files": [{"role": role, "path": path}]}})

    head = content(model)[:1 << 20]
    engine.unload("model")
    refused("bad_input", load(os.path.join(scratch, "missing.safetensors")), "missing.safetensors")
    refused("bad_input", load(scratch), "regular file")
    refused("bad_input", load(file(scratch, "empty.gguf", b"")), "empty")
    refused("bad_input", load(file(scratch, "page.gguf", b"<!DOCTYPE html><html></html>")), "web page")
    refused("bad_input", load(file(scratch, "noise.gguf", b"\x01\x02\x03\x04" * 16)), "01 02 03 04")
    refused("bad_input", load(file(scratch, "cut.safetensors", head)), "truncated", str(os.path.getsize(model)))
    refused("bad_input", load(file(scratch, "header.safetensors", head[:1000])), "truncated")
    refused("bad_input", load(model, "wheel"), "wheel", "diffusion-model")
    refused("bad_input", load(model, "vae"), "diffusion-model")
    empty = b'{"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}'
    refused("unsupported", load(file(scratch, "else.safetensors", struct.pack("<Q", len(empty)) + empty + bytes(4))),
            "kind of model")
    refused("bad_input", lambda: engine.load(model, "bad", samplingMethod="magic"), "model.options", "euler")
    engine.load(model, contextSize=4, steps=3, width=SIDE, height=SIDE, cfgScale=1, samplingMethod="euler")
    assert "contextSize" in engine.stderr(), engine.stderr()
    # The model's own defaults stand in for what the task leaves out, and for 20 steps.
    output = engine.run({"seed": 7, "steps": 20, "ext": "png"})
    assert content(output["path"]) == content(engine.first["path"])


@test
def jobs_leave_memory_flat_and_unload_gives_it_back(engine, model, scratch):
    before = engine.memory()
    for seed in range(2):
        engine.run(task(seed=seed))
    assert engine.memory() < before + 16 * MIB, (engine.memory(), before)
    engine.unload("model")
    assert engine.memory() < before - engine.loaded["memoryBytes"] * 0.9, (engine.memory(), before)
    engine.unload("model")
    refused("engine_fault", lambda: engine.run(task()), "not loaded")


@test
def nothing_was_printed_to_the_wire(engine, model, scratch):
    # Every line so far was JSON, or reading it had failed.
    assert engine.call("ping", {}) == {}


@test
def shutdown_answers_and_exits(engine, model, scratch):
    assert engine.call("shutdown", {}) == {}
    assert engine.process.wait(timeout=PATIENCE) == 0


def main():
    directory, model = sys.argv[1:3]
    wanted = sys.argv[3:]
    passed = failed = 0
    scratch = tempfile.mkdtemp(prefix="sdcpp-engine-test.")
    engine = Engine(directory, scratch)
    engine.directory = directory
    before = engine.memory()
    engine.loaded = engine.load(model)
    engine.loading, engine.grown = engine.progress, engine.memory() - before
    engine.first = engine.run(task(steps=3))
    try:
        for function in TESTS:
            if wanted and function.__name__ not in wanted:
                continue
            began = time.monotonic()
            try:
                if "model" not in engine.models:
                    engine.load(model)
                function(engine, model, scratch)
                passed += 1
                verdict, detail = "ok", ""
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                verdict, detail = "not ok", f": {type(error).__name__} {error}"
            print(f"{verdict} {passed + failed} - {function.__name__.replace('_', ' ')} "
                  f"({time.monotonic() - began:.1f} s){detail}", flush=True)
    finally:
        engine.close()
        shutil.rmtree(scratch)
    if failed:
        print(engine.stderr(), file=sys.stderr)
    print(f"1..{passed + failed}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main())
