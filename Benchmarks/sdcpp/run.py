#!/usr/bin/env python3
"""What a picture costs with the sdcpp engine: the first one, which loads the model, and the next, which does not.

    run.py PLUGIN_DIRECTORY CHECKPOINT [--side 128] [--steps 4] [--pictures 3] [--threads N]

Beside the whole it prints where the time of the next picture goes, by the progress that the engine reports. "before" is
what the engine adds ahead of the library's own work. Standard library only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time


class Engine:
    def __init__(self, directory, threads):
        self.process = subprocess.Popen([os.path.join(directory, "sdcpp-engine")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.last = 0
        self.call("initialize", {
            "protocolVersions": [1], "host": {"name": "bench", "version": "0"}, "features": ["progress", "model-residency"], "config": {},
            "directories": {"models": "/tmp", "cache": "/tmp", "work": "/tmp"},
            "resources": {"cpuThreads": threads, "devices": []}, "limits": {"lineBytes": 16 << 20}})

    def call(self, method, params):
        """Returns the result, and when each stage of a job was first reported."""
        self.last += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        stages = {}
        for answer in self.process.stdout:
            message = json.loads(answer)
            if message.get("method") == "job/progress":
                stages.setdefault(message["params"]["stage"], time.monotonic())
            if message.get("id") == self.last:
                if "error" in message:
                    raise SystemExit(message["error"]["message"])
                return message["result"], stages
        raise SystemExit("the engine is gone")


def draw(engine, scratch, arguments, seed):
    work = tempfile.mkdtemp(dir=scratch)
    began = time.monotonic()
    _, stages = engine.call("job/run", {
        "jobId": f"job-{seed}", "attempt": 1, "kind": "image", "workDirectory": work, "credit": 64,
        "model": {"id": "model"}, "task": {
            "prompt": "an owl", "width": arguments.side, "height": arguments.side, "steps": arguments.steps,
            "cfgScale": 1, "samplingMethod": "euler", "seed": seed, "ext": "png"}})
    ended = time.monotonic()
    return {"whole": ended - began, "before": stages["encoding"] - began,
            "encoding": stages["sampling"] - stages["encoding"], "sampling": stages["decoding"] - stages["sampling"],
            "decoding and writing": ended - stages["decoding"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plugin")
    parser.add_argument("checkpoint")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=3, help="after the first")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="sdcpp-bench.")
    began = time.monotonic()
    engine = Engine(arguments.plugin, arguments.threads)
    try:
        loaded, _ = engine.call("model/load", {"model": {
            "id": "model", "files": [{"role": "model", "path": os.path.abspath(arguments.checkpoint)}]}})
        load = time.monotonic() - began
        first = load + draw(engine, scratch, arguments, 1)["whole"]
        runs = [draw(engine, scratch, arguments, 2 + index) for index in range(arguments.pictures)]
    finally:
        engine.process.kill()
        engine.process.wait()
        shutil.rmtree(scratch)
    wholes = [run["whole"] for run in runs]
    usual = statistics.median(wholes)
    print(f"sdcpp: {arguments.side} x {arguments.side}, {arguments.steps} steps, {arguments.threads} threads, "
          f"{loaded['memoryBytes'] >> 20} MiB loaded")
    print(f"  first picture, with the process and the load    {first:8.2f} s  (load {load:.2f} s)")
    print(f"  next picture, median of {len(runs)}                      {usual:8.2f} s  "
          f"({min(wholes):.2f} to {max(wholes):.2f})")
    for stage in ("before", "encoding", "sampling", "decoding and writing"):
        print(f"    {stage:<45} {statistics.median(run[stage] for run in runs):8.3f} s")
    print(f"  first / next                                    {first / usual:8.2f}")


if __name__ == "__main__":
    main()
