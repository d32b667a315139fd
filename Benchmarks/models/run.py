#!/usr/bin/env python3
"""Measures what models take and what it costs to change them, with a real worker.

    run.py STOKER MODELS_DIRECTORY CHECKPOINT [--rounds 6]

Accuracy of the memory ledger: each model is loaded twice, first with no experience and then with that of the first
load; printed are what was expected, what the ledger charged, and by how much the engine's process has grown (its own
share of resident memory, smaps_rollup(5), read here and not by the worker).

Cost of a swap: jobs of one token in turns on two language models, with memory for one of them, beside the same jobs
on a model that stays loaded; the floor is reading the file of the model once (it is in the page cache).
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "Tests" / "Kinds"))

from worker import Worker  # noqa: E402  pylint: disable=wrong-import-position

MIB = 1 << 20
CHECKPOINT = """models:
  - id: noise-sd1
    kind: image
    engine: sd-cpp
    license: none
    files: [{role: model, path: "%s", filename: noise-sd1.safetensors}]
"""
NAMES = ("smollm2-135m-instruct", "gemma-3-270m", "whisper-tiny.en", "piper-en_US-joe-medium", "noise-sd1")
PAIR = ("smollm2-135m-instruct", "gemma-3-270m")


def proportional(pid):
    """A process's share of resident memory in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no Pss")


def resident(worker, model):
    """The worker's record of a loaded model, or None."""
    for one in worker.json("models", "list")["models"]:
        if one["id"] == model:
            return (one.get("residency") or [None])[0]
    return None


def accuracy(worker, model):
    """One line of the table: expected twice, charged, measured."""
    worker.call("models", "load", model)
    first = resident(worker, model)
    worker.call("models", "unload", model)
    pid = first["pid"]
    before = proportional(pid)
    worker.call("models", "load", model)
    second = resident(worker, model)
    # A process that kept too much is stopped and started anew: then all that it has is the load's.
    grown = proportional(second["pid"]) - (before if second["pid"] == pid else 0)
    worker.call("models", "unload", model)
    print(f"  {model:<24} {first['expectedBytes'] / MIB:9.0f} {second['expectedBytes'] / MIB:9.0f} "
          f"{second['bytes'] / MIB:9.0f} {first['bytes'] / MIB:9.0f} {grown / MIB:9.0f} "
          f"{second['expectedBytes'] / second['bytes']:7.2f}")
    return {"first": first, "second": second}


def job(worker, model):
    """One token; returns the milliseconds of the load and of the whole job."""
    began = time.monotonic()
    done = worker.done(worker.submit(
        "llm", "--model", model, "--prompt", "Hi", "--max-tokens", 1, "--temperature", 0))
    return done["timing"].get("loadMs") or 0, (time.monotonic() - began) * 1000


def read_floor(path):
    """Milliseconds to read a file from the page cache."""
    began = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    return (time.monotonic() - began) * 1000


def swaps(options, charges):
    """Turns on two models with memory for the larger one alone."""
    limit = max(charges) + min(charges) // 2
    configuration = f"memory: {{limit: {limit}}}\nfairness: {{maxWait: 0s}}\nplugins: {{llama: {{config: {CONFIG}}}}}\n"
    with Worker(options.stoker.parent.parent, options.models, configuration) as worker:
        for model in PAIR:
            job(worker, model)  # Files are in the page cache from here on.
        turns = {model: [] for model in PAIR}
        for _ in range(options.rounds):
            for model in PAIR:
                turns[model].append(job(worker, model)[0])
        stays = [job(worker, PAIR[1])[0] for _ in range(options.rounds)]
        memory = worker.json("status")["memory"]
        paths = {one["id"]: one["path"] for one in worker.json("models", "list")["models"] if one["id"] in PAIR}
        for model in PAIR:
            floor = statistics.median(read_floor(paths[model]) for _ in range(3))
            print(f"  {model:<24} a load in turns {statistics.median(turns[model]):7.0f} ms, reading its file "
                  f"{floor:5.0f} ms")
        print(f"  {PAIR[1]:<24} staying loaded  {statistics.median(stays):7.0f} ms "
              f"({memory['evictions']} evictions in {2 * options.rounds + 2} turns)")


CONFIG = "{contextSize: 2048}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stoker", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    options.stoker, options.models = options.stoker.resolve(), options.models.resolve()

    print("Memory ledger, MiB: expected of a first load, of a second; charged then, and at first; measured growth")
    worker = Worker(options.stoker.parent.parent, options.models, f"plugins: {{llama: {{config: {CONFIG}}}}}\n")
    worker.extra = CHECKPOINT % options.checkpoint.resolve()
    charges = {}
    with worker:
        for model in NAMES:
            charges[model] = accuracy(worker, model)["second"]["bytes"]
    print("Changing models: two language models in turns, with memory for one")
    # What the processes hold besides counts, too: the ledger knows it.
    base = 64 * MIB
    swaps(options, [charges[model] + base for model in PAIR])


if __name__ == "__main__":
    main()
