#!/usr/bin/env python3
"""Drives a built llama engine over its pipes with a real model, the way a host does.

    engine_test.py PLUGIN_DIRECTORY MODEL.gguf [TEST...]

One thread computes, so that a loaded machine only slows the tests down. Standard library only. Prints one line a test and ends with "N passed, N failed"; exits 1 when one failed.
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

PATIENCE = 120  # Seconds until an answer counts as missing; nothing here should take more than a few.
CAPITAL = "What is the capital of France?"
SYSTEM = "You are a helpful assistant."
STORY = "Write a long story about the sea, the wind and an old sailor."


class Failure(Exception):
    """An error response of the engine."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.message = error["message"]
        self.code = error["code"]
        self.kind = (error.get("data") or {}).get("class")


class Engine:
    """One engine process, and what it has said so far."""

    def __init__(self, directory, config=None, threads=1):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([os.path.join(directory, "llama-engine")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        self.messages = queue.Queue()
        self.progress = []
        self.raw = []
        self.last = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.hello = self.call("initialize", {
            "protocolVersions": [1], "host": {"name": "test", "version": "0"}, "features": ["chunks", "progress", "model-residency"],
            "config": config or {}, "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
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

    def call(self, method, params, on_message=None):
        wanted = self.request(method, params)
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

    def load(self, path, name="model", **options):
        return self.call("model/load", {"model": {
            "id": name, "files": [{"role": "model", "path": path}], "options": options}})

    def run(self, task, name="model", credit=1 << 20, on_chunk=None, kind="llm"):
        """Runs one job; returns its output, with the chunks as `chunks`."""
        job = f"job-{time.monotonic_ns()}"
        chunks = []

        def on_message(message):
            if message.get("method") == "job/chunk":
                chunks.append(message["params"])
                if on_chunk:
                    on_chunk(self, job, message)

        params = {"jobId": job, "attempt": 1, "kind": kind, "task": task, "workDirectory": "/tmp", "credit": credit}
        if name:
            params["model"] = {"id": name}
        result = self.call("job/run", params, on_message)
        assert [chunk["seq"] for chunk in chunks] == list(range(1, len(chunks) + 1)), "chunks out of sequence"
        output = result["output"]
        output["chunks"] = chunks
        assert result["usage"] == output["usage"]
        return output

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def task(content=STORY, **extra):
    return {"messages": [{"role": "user", "content": content}], **extra}


def text(output):
    return output["choices"][0]["message"]["content"]


def streamed(output):
    return "".join(chunk.get("text", "") for chunk in output["chunks"])


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
    assert engine.hello["engine"]["name"] == "llama"
    assert {"chunks", "progress", "model-residency"} <= set(engine.hello["features"])


@test
def load_reported_progress_and_size(engine, model, scratch):
    fractions = [report["fraction"] for report in engine.progress if "fraction" in report]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(fractions) > 2, fractions
    assert engine.loaded["contextLength"] == 8192, engine.loaded
    assert engine.loaded["memoryBytes"] > os.path.getsize(model) * 0.9


@test
def answers_with_a_chat_completion(engine, model, scratch):
    output = engine.run(task(CAPITAL, system=SYSTEM, temperature=0, maxTokens=40))
    assert "Paris" in text(output), text(output)
    assert output["object"] == "chat.completion" and output["model"] == "model"
    choice = output["choices"][0]
    assert choice["index"] == 0 and choice["finish_reason"] == "stop" and choice["message"]["role"] == "assistant"
    usage = output["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert output["elapsed_ms"] > 0 and output["timings"]["predicted_per_second"] > 0
    assert streamed(output) == text(output)
    assert len(output["chunks"]) > 3, "not streamed"


@test
def uses_the_system_prompt(engine, model, scratch):
    plain = engine.run(task("Who are you?", temperature=0, maxTokens=8))
    system = engine.run(task("Who are you?", temperature=0, maxTokens=8, system="You are a pirate called Bob."))
    assert system["usage"]["prompt_tokens"] != plain["usage"]["prompt_tokens"]
    joined = engine.run({"messages": [{"role": "system", "content": "You are a pirate called Bob."},
                                      {"role": "user", "content": "Who are you?"}], "temperature": 0, "maxTokens": 8})
    assert text(joined) == text(system)


@test
def equal_seeds_give_equal_texts(engine, model, scratch):
    first = engine.run(task(maxTokens=40, temperature=1.2, seed=7))
    engine.run(task("Something else in between.", maxTokens=5))
    assert text(engine.run(task(maxTokens=40, temperature=1.2, seed=7))) == text(first)
    assert text(engine.run(task(maxTokens=40, temperature=1.2, seed=8))) != text(first)
    default = engine.run(task(maxTokens=30))
    assert text(engine.run(task(maxTokens=30, seed=1234, temperature=0.7))) == text(default)


@test
def top_p_narrows_the_choice(engine, model, scratch):
    greedy = engine.run(task(maxTokens=30, temperature=0))
    assert text(engine.run(task(maxTokens=30, temperature=1, topP=0.000001))) == text(greedy)


@test
def ends_at_the_token_limit(engine, model, scratch):
    output = engine.run(task(maxTokens=7))
    assert output["choices"][0]["finish_reason"] == "length"
    assert output["usage"]["completion_tokens"] == 7


@test
def stop_strings_never_leak(engine, model, scratch):
    whole = text(engine.run(task(maxTokens=60, temperature=0)))
    for start, length in ((20, 3), (31, 9), (44, 17), (60, 1)):
        stop = whole[start:start + length]
        output = engine.run(task(maxTokens=60, temperature=0, stop=["never in it", stop]))
        assert text(output) == whole[:whole.index(stop)], (stop, text(output))
        assert streamed(output) == text(output)
        assert output["choices"][0]["finish_reason"] == "stop"


@test
def schema_shapes_the_answer(engine, model, scratch):
    schema = {"type": "object", "required": ["name", "age", "tags"], "additionalProperties": False, "properties": {
        "name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1, "maxItems": 3}}}
    for temperature in (0, 1.0):
        output = engine.run(task("Describe a person as JSON.", temperature=temperature, maxTokens=300,
                                 jsonSchema=schema))
        value = json.loads(text(output))
        assert set(value) == {"name", "age", "tags"} and 0 <= value["age"] <= 120, value
        assert set(value["tags"]) <= {"red", "blue"}
        assert output["choices"][0]["finish_reason"] == "stop"


@test
def bad_schemas_are_refused(engine, model, scratch):
    for schema in ({"type": "no-such-type"}, {"$ref": "#/definitions/missing"}, {"type": "string", "pattern": "^[$"}):
        refused("bad_input", lambda: engine.run(task(jsonSchema=schema, maxTokens=4)), "jsonSchema")
    refused("bad_input", lambda: engine.run(task(jsonSchema="x")), "task.jsonSchema", "object")
    huge = {"type": "array", "minItems": 10**9, "maxItems": 2 * 10**9, "items": {"type": "string"}}
    refused("bad_input", lambda: engine.run(task(jsonSchema=huge, maxTokens=4)), "jsonSchema")


@test
def cancel_takes_effect_within_a_token(engine, model, scratch):
    sent = []

    def on_chunk(engine, job, message):
        if message["params"]["seq"] == 5:
            engine.send({"method": "job/cancel", "params": {"jobId": job}})
            sent.append(time.monotonic())
        elif sent:
            sent.append("late")

    refused("cancelled", lambda: engine.run(task(maxTokens=4000), on_chunk=on_chunk))
    assert sent.count("late") <= 4, f"{sent.count('late')} chunks after the cancel"
    assert text(engine.run(task("Say hi.", maxTokens=5)))


@test
def cancel_interrupts_the_prompt(engine, model, scratch):
    long = "The sea is wide and the wind is strong. " * 700
    job = "job-prompt"
    began = time.monotonic()
    wanted = engine.request("job/run", {"jobId": job, "attempt": 1, "kind": "llm", "task": task(long, maxTokens=1),
                                        "model": {"id": "model"}, "workDirectory": "/tmp", "credit": 64})
    while True:  # The first batch is done: the prompt is being computed.
        message = engine.next()
        if message.get("method") == "job/progress":
            break
    assert message["params"]["stage"] == "prompt" and message["params"]["steps"] > 5000
    batch = message["when"] - began
    engine.send({"method": "job/cancel", "params": {"jobId": job}})
    cancelled = time.monotonic()
    while message.get("id") != wanted:
        message = engine.next()
    assert message["error"]["data"]["class"] == "cancelled", message
    took = message["when"] - cancelled
    assert took < max(1, batch), f"{took:.3f} s; one batch took {batch:.3f} s"
    assert "Paris" in text(engine.run(task(CAPITAL, system=SYSTEM, temperature=0, maxTokens=40)))


@test
def a_slow_consumer_slows_the_engine(engine, model, scratch):
    job = "job-credit"
    wanted = engine.request("job/run", {"jobId": job, "attempt": 1, "kind": "llm", "task": task(maxTokens=30),
                                        "model": {"id": "model"}, "workDirectory": "/tmp", "credit": 3})
    seen = 0
    while seen < 3:
        seen += engine.next().get("method") == "job/chunk"
    ping = engine.request("ping", {})
    message = engine.next()
    assert message.get("id") == ping, message
    engine.send({"method": "job/credit", "params": {"jobId": job, "through": 1000}})
    while message.get("id") != wanted:
        message = engine.next()
    assert message["result"]["output"]["usage"]["completion_tokens"] == 30


@test
def a_prompt_that_does_not_fit_is_refused(engine, model, scratch):
    message = refused("bad_input", lambda: engine.run(task("word " * 9000)), "8192")
    tokens = int(message.split("has ")[1].split()[0])
    assert tokens > 8192, message
    began = time.monotonic()
    refused("bad_input", lambda: engine.run(task("a" * 10_000_000)), "at least", "8192")
    assert time.monotonic() - began < 10
    began = time.monotonic()
    refused("bad_input", lambda: engine.run(task("a" * 200_000)), "8192")
    assert time.monotonic() - began < 20


@test
def the_answer_is_clamped_to_the_room_left(engine, model, scratch):
    engine.load(model, "small", contextSize=256)
    try:
        output = engine.run(task(maxTokens=100_000, temperature=1.0), "small")
        assert output["usage"]["total_tokens"] <= 256
        refused("bad_input", lambda: engine.run(task("word " * 300), "small"), "256")
    finally:
        engine.call("model/unload", {"model": {"id": "small"}})


@test
def reused_prompts_give_the_same_text(engine, model, scratch):
    long = "The sea is wide and the wind is strong. " * 130 + "Now tell me what you know about it."
    first = engine.run(task(long, maxTokens=24, temperature=0))
    second = engine.run(task(long, maxTokens=24, temperature=0))
    assert first["timings"]["cache_n"] == 0 or first["timings"]["cache_n"] % 512 == 0
    assert second["timings"]["cache_n"] >= 1024, second["timings"]
    assert text(first) == text(second)
    assert second["timings"]["prompt_ms"] < first["timings"]["prompt_ms"]


@test
def chunks_are_whole_characters(engine, model, scratch):
    prompt = "Repeat exactly: 🌊🐙 naïve café 日本語 Ω 👩‍👩‍👧"
    for seed in range(3):
        output = engine.run(task(prompt, maxTokens=40, temperature=1.5, seed=seed))
        assert streamed(output) == text(output)
    assert any(ord(character) > 0x7F for character in text(engine.run(task(prompt, maxTokens=60, temperature=0))))


@test
def wrong_types_name_the_field(engine, model, scratch):
    for bad, part in (({"messages": "hi"}, "task.messages"), ({"messages": []}, "task.messages"), ({}, "task.messages"),
                      ({"messages": [{"role": "user"}]}, "task.messages[0].content"),
                      ({"messages": [{"role": "user", "content": 5}]}, "task.messages[0].content"),
                      ({"messages": [{"role": "cat", "content": "x"}]}, "task.messages[0].role"),
                      (task(maxTokens="9"), "task.maxTokens"), (task(maxTokens=0), "task.maxTokens"),
                      (task(temperature=[]), "task.temperature"), (task(topP=2), "task.topP"),
                      (task(stop="x"), "task.stop"), (task(stop=[""]), "task.stop"), (task(seed=-1), "task.seed"),
                      (task(reasoning="maybe"), "task.reasoning"),
                      (task(chatTemplateKwargs=[]), "task.chatTemplateKwargs")):
        refused("bad_input", lambda: engine.run(bad), part)


@test
def other_kinds_and_models_are_refused(engine, model, scratch):
    refused("unsupported", lambda: engine.run({"text": "x"}, kind="audio_tts"), "llm")
    refused("engine_fault", lambda: engine.run(task(), "nobody"), "nobody", "not loaded")


@test
def bad_files_are_named(engine, model, scratch):
    def file(name, content):
        path = os.path.join(scratch, name)
        with open(path, "wb") as handle:
            handle.write(content)
        return path

    def load(path):
        return lambda: engine.load(path, "bad")

    with open(model, "rb") as handle:
        head = handle.read(40 << 20)
    refused("bad_input", load(os.path.join(scratch, "missing.gguf")), "missing.gguf")
    refused("bad_input", load(scratch), "regular file")
    refused("bad_input", load(file("empty.gguf", b"")), "empty")
    refused("bad_input", load(file("page.gguf", b"<!DOCTYPE html><html></html>")), "web page")
    refused("bad_input", load(file("archive.gguf", b"PK\x03\x04" + bytes(64))), "ZIP")
    refused("bad_input", load(file("tensors.gguf", struct.pack("<Q", 64) + b"{" + bytes(64))), "safetensors")
    refused("bad_input", load(file("noise.gguf", b"\x01\x02\x03\x04" * 16)), "01 02 03 04")
    refused("bad_input", load(file("cut.gguf", head)), "truncated", str(len(head)), str(os.path.getsize(model)))
    refused("bad_input", load(file("header.gguf", head[:1000])), "header.gguf", "truncated")
    refused("bad_input", load(file("counts.gguf", b"GGUF" + struct.pack("<IQQ", 3, 2**62, 2**62))), "damaged")
    fifo = os.path.join(scratch, "fifo.gguf")
    os.mkfifo(fifo)
    refused("bad_input", load(fifo), "regular file")
    key = b"general.architecture"
    at = head.index(key) + len(key)
    kind, length = struct.unpack_from("<IQ", head, at)
    assert kind == 8 and head[at + 12:at + 12 + length] == b"llama"
    with open(model, "rb") as handle:
        whole = bytearray(handle.read())
    whole[at + 12:at + 17] = b"zebra"
    path = file("zebra.gguf", whole)
    refused("unsupported", load(path), "zebra", "architecture")
    os.unlink(path)
    refused("bad_input", lambda: engine.call("model/load", {"model": {"id": "bad", "files": []}}), "model")
    assert text(engine.run(task("Say hi.", maxTokens=5))), "the loaded model suffered"


@test
def a_second_model_lives_beside_the_first_and_unload_gives_memory_back(engine, model, scratch):
    engine.load(model, "second")
    assert text(engine.run(task("Say hi.", maxTokens=5), "second"))
    before = engine.rss()
    engine.call("model/unload", {"model": {"id": "second"}})
    assert engine.rss() < before - (20 << 20), (before, engine.rss())
    engine.call("model/unload", {"model": {"id": "second"}})


@test
def fifty_jobs_leave_memory_flat(engine, model, scratch):
    for _ in range(5):
        engine.run(task("Say hi.", maxTokens=8))
    before = engine.rss()
    for seed in range(50):
        engine.run(task(f"Say hi {seed}.", maxTokens=8, seed=seed))
    assert engine.rss() < before + (4 << 20), (before, engine.rss())


@test
def shutdown_answers_and_exits(engine, model, scratch):
    assert engine.call("shutdown", {}) == {}
    assert engine.process.wait(timeout=PATIENCE) == 0


def main():
    directory, model = sys.argv[1:3]
    wanted = sys.argv[3:]
    passed = failed = 0
    scratch = tempfile.mkdtemp(prefix="llama-engine-test.")
    engine = Engine(directory, {"contextSize": 8192})
    engine.loaded = engine.load(model)
    try:
        for function in TESTS:
            if wanted and function.__name__ not in wanted:
                continue
            began = time.monotonic()
            try:
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
