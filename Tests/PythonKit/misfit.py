"""An engine on the kit that does what its job says: the counterpart of the tests. It prints to stdout all the time."""

import os
import sys

sys.path.insert(0, sys.argv[1])  # where the kit lies
from stoker_engine import BadInput, Cancelled, Engine, EngineError, Resource, Transient, Unsupported
from stoker_engine import log, model_file, serve

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


def orphan(job, path):
    """In a forked child: opens files until one has a number that the wire had, and then logs and sends."""
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(16)]
    if (grandchild := os.fork()) == 0:
        os._exit(sum(os.write(file, b"") for file in files))  # an OSError would be another status
    assert os.waitpid(grandchild, 0)[1] == 0
    log("info", "a word of a child")
    try:
        job.chunk("of a child")
    except EngineError:
        os._exit(7)


class Slow(dict):
    """Takes half a second to become JSON when it does so for the second time, which is on its way out."""

    def items(self):
        if self.get("seen"):
            log("info", "on its way")
            time.sleep(0.5)
        self["seen"] = True
        return super().items()


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

    def misreport(self, job):
        """Reports what cannot be sent, while a good report is held; says what each came to, and ends well."""
        job.progress(0.1)
        changing = ["good"]
        job.progress(0.2, stage=changing)
        changing.append(object())
        found = []
        for message in ({1}, "\ud800", float("nan"), "x" * (5 << 20)):
            try:
                job.progress(0.3, message=message)
                found.append("accepted")
            except (EngineError, TypeError, ValueError) as error:
                found.append(type(error).__name__)
        return {"output": {"found": found}}

    def report_badly(self, job):
        job.progress(0.1)
        job.progress(0.2, message=b"bytes")
        return {"output": {}}

    def break_flush(self, job):
        job._reports.flush = lambda: 1 // 0

    def fork(self, job):
        child = multiprocessing.get_context("fork").Process(target=orphan, args=(job, job.path("orphan")))
        with job._server.writing:  # as when another thread is in the middle of a message
            child.start()
        child.join(20)
        child.kill()
        child.join()
        return {"output": {"status": child.exitcode}}

    def slow(self, job):
        return {"output": {"slow": Slow(a=1)}}

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
        raise OSError(job.get("errno", int, 28), "No room")

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
