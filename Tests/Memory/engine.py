"""An engine for tests of the memory ledger: a model is as many bytes as its options say, and jobs tell what they see.

Options of a model: `bytes` of memory to hold; `deviceBytes` to claim; `until`, a file: its load takes until that is
there, and reports progress meanwhile; `keeps`: its memory is not given back. Members of a task: `begun`, a file to make
when the job begins; `until`, a file to wait for. The one argument is how many jobs run at a time.
"""

import json
import os
import pathlib
import sys
import time

from stoker_engine import Engine, EngineError, serve

PATIENCE = 60  # seconds for a file: longer than any test waits, so that a lost test leaves nothing behind
STEP = 0.01  # seconds between two looks for a file
PAGE = 4096
VARIABLES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
             "GGML_VK_VISIBLE_DEVICES")


def wait_for(path, meanwhile):
    """Waits until a file is there; calls `meanwhile(seconds)` at every step."""
    begun = time.monotonic()
    while not os.path.exists(path):
        passed = time.monotonic() - begun
        if passed > PATIENCE:
            raise EngineError(f"{path} has not come in {PATIENCE} s.")
        meanwhile(passed)
        time.sleep(STEP)


class Hoard(Engine):
    name, version = "hoard", "1.0.0"
    features = ("chunks", "progress", "model-residency")
    concurrency = int(sys.argv[1])

    def initialize(self, params):
        self.devices = params["resources"].get("devices")
        self.models, self.kept, self.loads, self.turns = {}, [], [], 0

    def load(self, model, progress):
        options = model.get("options") or {}
        self.loads.append(model["id"])
        if "until" in options:
            wait_for(options["until"], lambda passed: progress(passed / PATIENCE, message="waits"))
        memory = bytearray(options["bytes"])
        memory[::PAGE] = b"\x01" * len(range(0, len(memory), PAGE))  # only a page that was written to takes memory
        self.models[model["id"]] = memory
        if options.get("keeps"):
            self.kept.append(memory)
        return {"deviceBytes": options["deviceBytes"]} if "deviceBytes" in options else None

    def unload(self, model_id):
        del self.models[model_id]

    def run(self, job):
        if job.model["id"] not in self.models:
            raise EngineError(f"{job.model['id']} is not loaded here.")
        self.turns += 1
        facts = {"pid": os.getpid(), "turn": self.turns, "loads": list(self.loads), "devices": self.devices,
                 "variables": {name: os.environ.get(name) for name in VARIABLES}}
        if begun := job.get("begun", str, None):
            pathlib.Path(begun).touch()
        if until := job.get("until", str, None):
            wait_for(until, lambda _: job.check_cancelled())
        message = {"role": "assistant", "content": json.dumps(facts)}
        return {"output": {"object": "chat.completion", "model": job.model["id"],
                           "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}}


serve(Hoard())
