"""An engine for tests of live plugins: answers with the version that it was installed as, after waiting for a file.

Nothing but the standard library. `part.py` below `lib` belongs to it: a copy without it does not start.
"""

import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))

from part import VERSION  # noqa: E402

PATIENCE = 120  # seconds for a file: longer than any test waits
STEP = 0.01

lock = threading.Lock()
cancelled = set()


def send(**message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def run(number, params):
    task, job = params["task"], params["jobId"]
    until = time.monotonic() + PATIENCE
    if "begun" in task:
        pathlib.Path(task["begun"]).touch()
    while "until" in task and not os.path.exists(task["until"]) and time.monotonic() < until:
        if job in cancelled:
            send(id=number, error={"code": -32800, "message": "cancelled", "data": {"class": "cancelled"}})
            return
        time.sleep(STEP)
    text = json.dumps({"version": VERSION, "pid": os.getpid(), "directory": os.getcwd()})
    send(id=number, result={"output": {"choices": [{"message": {"role": "assistant", "content": text}}]}, "artifacts": []})


for line in sys.stdin:
    message = json.loads(line)
    method, number, params = message.get("method"), message.get("id"), message.get("params") or {}
    if method == "initialize":
        send(id=number, result={"protocolVersion": 1, "engine": {"name": "live", "version": VERSION}, "features": [],
                                "concurrency": 4})
    elif method == "job/run":
        threading.Thread(target=run, args=(number, params), daemon=True).start()
    elif method == "job/cancel":
        cancelled.add(params["jobId"])
    elif method == "shutdown":
        send(id=number, result={})
        break
    elif number is not None:
        send(id=number, result={})
