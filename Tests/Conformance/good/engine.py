"""An engine without a fault, written from Docs/Protocol.md alone. Tests/Conformance/run.py breaks it in one place at a time."""
import json, os, struct, sys, threading

if sys.stdin.isatty():
    print("good is an engine for stoker: test it with `stoker plugins test`", file=sys.stderr)
    sys.exit(64)
VERSIONS, OWN = [1], ["chunks", "progress", "model-residency", "content-files"]
INLINE = 256 << 10
wire, source = os.dup(1), os.fdopen(os.dup(0), "rb")
os.dup2(2, 1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
features, jobs, loaded = [], {}, set()
writing, state = threading.Lock(), threading.Condition()


class Refused(Exception):
    def __init__(self, code, name, message):
        self.error = {"code": code, "message": message, "data": {"class": name}}


def put(data):
    while data:
        data = data[os.write(wire, data):]


def send(message):
    with writing:
        put(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def notify(method, params):
    send({"method": method, "params": params})


def answer(request, result):
    send({"id": request, "result": result})


def fail(request, code, message, name=None):
    send({"id": request, "error": {"code": code, "message": message, "data": {"class": name} if name else None}})


def bad(message):
    return Refused(-32001, "bad_input", message)


def check(job):
    if job["cancelled"]:
        raise Refused(-32800, "cancelled", "The job was cancelled.")


def progress(job, step, steps):
    if "progress" in features:
        notify("job/progress", {"jobId": job["id"], "fraction": step / steps, "step": step, "steps": steps})


def chunk(job, **piece):
    if "chunks" not in features:
        return check(job)
    with state:
        state.wait_for(lambda: job["cancelled"] or job["sent"] < job["through"])
        check(job)
        job["sent"] += 1
        notify("job/chunk", {"jobId": job["id"], "seq": job["sent"], **piece})


def text(job, task):
    messages = task.get("messages")
    if not isinstance(messages, list) or not all(isinstance(m, dict) and type(m.get("content")) is str for m in messages):
        raise bad("task.messages must be a list of messages with text content.")
    pieces = [word + " " for word in messages[-1]["content"].split()] * (1 + (task.get("maxTokens") or 0) // 100)
    for step, piece in enumerate(pieces, 1):
        chunk(job, text=piece)
        progress(job, step, len(pieces))
    usage = {"prompt_tokens": 1, "completion_tokens": len(pieces), "total_tokens": 1 + len(pieces)}
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(pieces)}, "finish_reason": "stop"}
    output = {"object": "chat.completion", "model": "good", "choices": [choice], "usage": usage}
    return {"output": output, "artifacts": [], "usage": {"promptTokens": 1}}


def speech(job, task):
    if type(task.get("text")) is not str:
        raise bad("task.text must be a string.")
    path = os.path.join(job["directory"], "speech.wav")
    import hashlib  # here, so that the start is quick

    sound = b"\0\0" * 4000
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(sound), b"WAVEfmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", len(sound))
    data = head + sound
    with open(path, "wb") as file:
        for step in range(4):
            check(job)
            file.write(data[step * 2100:(step + 1) * 2100])
            progress(job, step + 1, 4)
    made = {"name": "speech.wav", "contentType": "audio/wav", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"output": {"ext": "wav", "duration": 0.25, "sampleRate": 16000, "channels": 1}, "artifacts": [made]}


def work(job, params):
    task = params.get("task")
    if params.get("taskFile"):
        with open(os.path.join(job["directory"], params["taskFile"]), "rb") as file:
            task = json.loads(file.read())
    check(job)
    kinds = {"llm": text, "audio_tts": speech}
    if params["kind"] not in kinds:
        raise Refused(-32005, "unsupported", f"This engine has no jobs of kind {params['kind']}.")
    result = kinds[params["kind"]](job, task or {})
    output = json.dumps(result["output"]).encode()
    if "content-files" in features and (len(output) > INLINE or params.get("taskFile")):
        with open(os.path.join(job["directory"], "output.json"), "wb") as file:
            file.write(output)
        del result["output"]
        result["outputFile"] = {"name": "output.json", "bytes": len(output)}
    return result


def run(request, job, params):
    try:
        result = work(job, params)
    except Refused as refusal:
        result = None
        error = refusal.error
    except Exception as problem:
        result = None
        error = {"code": -32002, "message": f"The engine failed: {problem!r}", "data": {"class": "engine_fault"}}
    finally:
        jobs.pop(job["id"], None)
    if result is None:
        return send({"id": request, "error": error})
    answer(request, result)


def start(request, params):
    if type(params.get("jobId")) is not str or type(params.get("workDirectory")) is not str:
        return fail(request, -32602, "job/run needs jobId and workDirectory.")
    credit = params.get("credit")
    job = {"id": params["jobId"], "directory": params["workDirectory"], "cancelled": False, "sent": 0,
           "through": 64 if credit is None else credit}
    jobs[job["id"]] = job
    threading.Thread(target=run, args=(request, job, params), daemon=True).start()


def greet(request, params):
    global features
    common = [version for version in VERSIONS if version in params.get("protocolVersions", [])]
    if not common:
        return fail(request, -32005, f"This engine speaks version {VERSIONS}.", "unsupported")
    features = [name for name in OWN if name in params.get("features", [])]
    answer(request, {"protocolVersion": max(common), "engine": {"name": "good", "version": "1.0.0"},
                     "features": features, "concurrency": 2, "models": ["good"]})


def load(request, params):
    model = params["model"]
    for file in model.get("files") or []:
        with open(file["path"], "rb") as stream:
            if stream.read(4) != b"GOOD":
                return fail(request, -32001, "The file is no model of this engine.", "bad_input")
    notify("model/progress", {"model": model["id"], "fraction": 1})
    loaded.add(model["id"])
    answer(request, {"memoryBytes": 1})


def unload(request, params):
    loaded.discard(params["model"]["id"])
    answer(request, {})


def told(method, params):
    job = jobs.get(params.get("jobId"))
    if job is None:
        return
    with state:
        if method == "job/cancel":
            job["cancelled"] = True
        elif method == "job/credit":
            job["through"] = max(job["through"], params["through"])
        state.notify_all()


def receive(line):
    try:
        message = json.loads(line)
    except ValueError:
        return fail(None, -32700, "A line is not JSON.")
    if not isinstance(message, dict) or type(message.get("method")) is not str:
        return
    method, request, params = message["method"], message.get("id"), message.get("params") or {}
    if request is None:
        told(method, params)
    elif method == "ping":
        answer(request, {})
    elif method == "shutdown":
        answer(request, {})
        os._exit(0)
    elif method in REQUESTS:
        REQUESTS[method](request, params)
    else:
        fail(request, -32601, f"There is no method {method}.")


REQUESTS = {"initialize": greet, "job/run": start, "model/load": load, "model/unload": unload}
for line in source:
    if line.endswith(b"\n") and line.strip():
        receive(line)
os._exit(0)
