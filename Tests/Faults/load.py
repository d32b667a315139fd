"""A client of the healthy engine: one small job after another, for ever. A process of its own, so that nothing that the
tests do slows it down.

    load.py SOCKET MODEL PAUSE

prints a line for each job: the monotonic time of its begin, the seconds it took, and `ok` or what was wrong. Ends with its
standard input, after the job in hand.
"""

import json
import select
import socket
import sys
import time


def main(path, model, pause):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    replies = connection.makefile("rb")

    def call(number, method, params):
        frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        connection.sendall(json.dumps(frame).encode() + b"\n")
        for line in replies:
            message = json.loads(line)
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                return message["result"]
        raise EOFError("the worker hung up")

    number = 0
    while not select.select([sys.stdin], [], [], pause)[0]:
        number += 2
        begin = time.monotonic()
        try:
            job = call(number, "jobs/submit", {"kind": "llm", "model": model, "task": {}})["job"]
            done = call(number + 1, "jobs/watch", {"id": job["id"]})["job"]
            verdict = judge(job["id"], done)
        except EOFError as problem:
            print(f"{begin:.6f} {time.monotonic() - begin:.6f} {problem}", flush=True)
            return
        except RuntimeError as problem:
            verdict = f"refused: {problem}"
        print(f"{begin:.6f} {time.monotonic() - begin:.6f} {verdict}", flush=True)


def judge(name, job):
    result = job.get("result") or {}
    if job["state"] != "succeeded":
        return f"{name} is {job['state']}: {job.get('error')}"
    if len(job["attempts"]) != 1 or result.get("job") != name or result.get("attempt") != 1:
        return f"{name} has {len(job['attempts'])} attempts and the result {result}"
    return "ok"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
