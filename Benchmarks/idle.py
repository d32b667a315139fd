#!/usr/bin/env python3
"""Start-up and idleness of `stoker run`: idle.py STOKER SYNTHETIC_PLUGIN

Starts the worker on a fresh home with ten plugins, five times, and prints the medians: from exec to the first answer on the
control socket, resident memory, and wake-ups a second of all its threads while nothing happens.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PLUGINS = 10
ROUNDS = 5
IDLE_SECONDS = 10.0


def make_home(root, plugin):
    plugins = root / "plugins"
    plugins.mkdir(parents=True)
    for index in range(PLUGINS):
        name = f"bench-{index}"
        shutil.copytree(plugin, plugins / name)
        manifest = plugins / name / "plugin.yaml"
        lines = manifest.read_text().splitlines()
        lines = [f"name: {name}" if line.startswith("name:") else line for line in lines]
        manifest.write_text("\n".join(lines) + "\n")


def ask(path, method):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            piece = connection.recv(1 << 16)
            if not piece:
                raise OSError("closed")
            data += piece
    return json.loads(data)


def switches(pid):
    """Voluntary context switches by thread."""
    counts = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in open(f"/proc/{pid}/task/{task}/status"):
            if line.startswith("voluntary_ctxt_switches"):
                counts[task] = int(line.split()[1])
    return counts


def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS")


def measure(stoker, plugin, idle_seconds):
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as directory:
        home = pathlib.Path(directory)
        make_home(home, plugin)
        path = str(home / "run" / "stoker.sock")
        started = time.monotonic()
        worker = subprocess.Popen([stoker, "run", "--home", directory], stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    answer = ask(path, "plugins/list")
                    break
                except OSError:
                    if worker.poll() is not None or time.monotonic() - started > 20:
                        raise SystemExit("idle.py: the worker did not start")
                    time.sleep(0.001)
            ready = time.monotonic() - started
            count = len(answer["result"]["plugins"])
            if count < PLUGINS:
                raise SystemExit(f"idle.py: the worker knows {count} plugins, not {PLUGINS}")
            wakeups = 0.0
            if idle_seconds:
                time.sleep(1)
                before = switches(worker.pid)
                time.sleep(idle_seconds)
                after = switches(worker.pid)
                wakeups = sum(count - before.get(task, 0) for task, count in after.items()) / idle_seconds
            return ready, resident(worker.pid), wakeups
        finally:
            worker.terminate()
            worker.wait()


def main():
    stoker, plugin = sys.argv[1:]
    rounds = [measure(stoker, plugin, IDLE_SECONDS if index == 0 else 0) for index in range(ROUNDS)]
    ready = sorted(item[0] for item in rounds)[ROUNDS // 2]
    memory = sorted(item[1] for item in rounds)[ROUNDS // 2]
    floor = sorted(bare_start() for _ in range(ROUNDS))[ROUNDS // 2]
    print(f"`stoker run`, idle, with {PLUGINS} plugins")
    print(f"  start to ready                              {ready * 1000:.0f} ms   (bar: 150 ms; /bin/true: {floor * 1000:.0f} ms)")
    print(f"  resident memory                             {memory / 1e6:.1f} MB   (bar: 30 MB)")
    print(f"  wake-ups a second                           {rounds[0][2]:.1f}")
    print(f"  program                                     {os.path.getsize(stoker) / 1e6:.1f} MB, stripped")
    print()


def bare_start():
    started = time.monotonic()
    subprocess.run(["/bin/true"], check=True)
    return time.monotonic() - started


main()
