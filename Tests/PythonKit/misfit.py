"""An engine on the kit that does what its job says: the counterpart of the tests. It prints to stdout all the time."""

import os
import sys

sys.path.insert(0, sys.argv[1])  # where the kit lies
from stoker_engine import BadInput, Cancelled, Engine, Resource, Transient, Unsupported, log, model_file, serve

print("printed while importing")
os.system("echo printed by a child while importing; printf 'and without an end'")
os.write(1, b'{"jsonrpc":"2.0","id":1,"result":{"forged":true}}\n')

import ctypes
import multiprocessing
import threading
import time

C = ctypes.CDLL(None)


def stray():
    print("a stray print", flush=True)
    print("another {", end="", flush=True)
    os.system("echo a child; cat")  # cat reads stdin, which has to be empty
    os.write(1, b"bytes on fd 1")
    C.puts(b"printf of C")
    C.fflush(None)


def pollute():
    """In a forked child: finds no descriptor of the wire."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"a forked child was here\n")
        except OSError:
            pass


class Misfit(Engine):
    name, version, concurrency = "misfit", "2.0", 16
    features = ("chunks", "progress", "model-residency")
    line_bytes = 4 << 20

    def initialize(self, params):
        stray()
        log("info", "before the answer")
        if params["config"].get("refuse"):
            raise Unsupported("Not with this configuration.")
        self.kept = {}
        return params["config"].get("models")

    def load(self, model, progress):
        for step in range(200):
            progress(step / 199, message=f"part {step}")
        if model["id"] == "huge":
            raise Resource("No room.")
        path = model_file(model)
        with open(path, "rb") as file:
            self.kept[model["id"]] = file.read()
        return {"contextLength": 7} if model_file(model, "extra") is None else {"memoryBytes": 5}

    def unload(self, model_id):
        del self.kept[model_id]

    def shutdown(self):
        print("shutting down", file=sys.stderr, flush=True)

    def run(self, job):
        return getattr(self, job.get("do", str))(job) or {"output": {}}

    def echo(self, job):
        return {"output": {"task": job.task, "model": job.model, "kind": job.kind}, "usage": {"n": 1}}

    def noise(self, job):
        stray()
        child = multiprocessing.get_context("fork").Process(target=pollute)
        child.start()
        child.join()
        job.chunk("x")

    def chunks(self, job):
        for at in range(job.get("count", int)):
            job.chunk(b"\x00\xff" if job.get("binary", bool, False) else {"at": at} if at % 2 else f"piece {at}")

    def steps(self, job):
        for step in range(1, 2001):
            job.progress(step / 2000, step=step)
        time.sleep(job.get("pause", float, 0.0))

    def wait(self, job):
        told = threading.Event()
        job.on_cancel(told.set)
        told.wait()
        job.check_cancelled()

    def deaf(self, job):
        threading.Event().wait()

    def big(self, job):
        return {"output": {"text": "ü" * (job.get("bytes", int) // 2), "id": job.id}}

    def huge_chunk(self, job):
        job.chunk("x" * (256 << 10))

    def late(self, job):
        threading.Timer(0.05, lambda: (job.chunk("late"), job.progress(0.9), log("info", "tried"))).start()

    def bug(self, job):
        return {"output": {"x": 1 // 0}}

    def leave(self, job):
        sys.exit(3)

    def nothing(self, job):
        return ["not an object"]

    def nan(self, job):
        return {"output": {"x": float("nan")}}

    def memory(self, job):
        raise MemoryError

    def disk(self, job):
        raise OSError(28, "No space left on device")

    def fail(self, job):
        kinds = {
            "bad_input": BadInput,
            "resource": Resource,
            "transient": Transient,
            "unsupported": Unsupported,
            "cancelled": Cancelled,
        }
        raise kinds[job.get("class", str)]("A sentence with \udcff half a character.", "evidence")

    def fields(self, job):
        return {
            "output": {
                "speed": job.get("speed", float, 1.0, 0.25, 4),
                "n": job.get("n", int, 3, 1),
                "flag": job.get("flag", bool, False),
                "text": job.get("text", str),
            }
        }

    def inputs(self, job):
        return {"output": {"paths": job.inputs("inputUrl") + job.inputs("imageUrls")}}

    def files(self, job):
        with open(job.path("speech.wav"), "wb") as file:
            file.write(b"RIFF1234")
        job.log = log("warn", "a word", job, field="value", number=5)
        return {"output": {}, "artifacts": [job.artifact("speech.wav"), job.artifact("speech.wav", "audio/x-own")]}

    def escape(self, job):
        job.path("../up")

    def growth(self, job):
        return {"output": {"threads": threading.active_count(), "descriptors": len(os.listdir("/proc/self/fd"))}}


serve(Misfit())
