"""wordcount: a Stoker engine without a kit, written from Docs/Protocol.md. It counts the words of the last message."""
import collections, json, os, sys, threading
if sys.stdin.isatty():
    sys.exit(print("wordcount is a Stoker engine: `stoker plugins lint .` checks it", file=sys.stderr) or 64)
wire = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")  # the protocol's own descriptor
os.dup2(2, 1)  # whatever else prints lands in the log, not between two messages
features, jobs, state, writing = [], {}, threading.Condition(), threading.Lock()

def send(**message):
    with writing: print(json.dumps({"jsonrpc": "2.0", **message}), file=wire, flush=True)  # whole lines only

def fail(request, code, name, message):
    send(id=request, error={"code": code, "message": message, "data": {"class": name}})

def run(request, params, job):
    if params.get("kind") != "llm" or (params.get("model") or {}).get("id", "wordcount") != "wordcount":
        return fail(request, -32005, "unsupported", "This engine serves kind llm with model wordcount only.")
    try:
        words = params["task"]["messages"][-1]["content"].split()
    except (LookupError, TypeError, AttributeError):
        return fail(request, -32001, "bad_input", "The task needs messages with text content.")
    counts = collections.Counter(word.lower() for word in words).most_common()
    pieces = [f"{len(words)} words\n"] + [f"{word} {count}\n" for word, count in counts]
    for seq, piece in enumerate(pieces, 1):  # waits for credit; a cancel ends the wait
        with state: state.wait_for(lambda: job["cancelled"] or "chunks" not in features or seq <= job["through"])
        if job["cancelled"]:
            return fail(request, -32800, "cancelled", "The job was cancelled.")
        if "chunks" in features:
            send(method="job/chunk", params={"jobId": params["jobId"], "seq": seq, "text": piece})
        if "progress" in features and (seq % 64 == 0 or seq == len(pieces)):
            send(method="job/progress", params={"jobId": params["jobId"], "step": seq, "steps": len(pieces)})
    usage = {"prompt_tokens": len(words), "completion_tokens": len(pieces), "total_tokens": len(words) + len(pieces)}
    answer = {"index": 0, "message": {"role": "assistant", "content": "".join(pieces)}, "finish_reason": "stop"}
    send(id=request, result={"output": {"object": "chat.completion", "model": "wordcount", "choices": [answer], "usage": usage}})

for line in sys.stdin.buffer:  # cut at LF; ends at end of file
    try: message = dict(json.loads(line)) if line.endswith(b"\n") else {}
    except (TypeError, ValueError): continue  # what is no message does not end the engine
    method, request, params = message.get("method"), message.get("id"), message.get("params") or {}
    if method == "initialize" and 1 not in params["protocolVersions"]:
        fail(request, -32005, "unsupported", f"wordcount speaks protocol 1, the host {params['protocolVersions']}.")
    elif method == "initialize":
        features = [name for name in ("chunks", "progress") if name in params["features"]]
        engine = {"name": "wordcount", "version": "1.0.0"}
        send(id=request, result={"protocolVersion": 1, "engine": engine, "features": features, "concurrency": 1})
    elif method == "job/run":  # one at a time: concurrency is 1
        credit = 64 if params.get("credit") is None else params["credit"]
        jobs = {params["jobId"]: {"cancelled": False, "through": credit}}
        threading.Thread(target=run, args=(request, params, jobs[params["jobId"]]), daemon=True).start()
    elif method in ("job/cancel", "job/credit") and (job := jobs.get(params["jobId"])):
        with state:
            job["cancelled"] |= method == "job/cancel"
            job["through"] = max(job["through"], params.get("through", 0))
            state.notify_all()
    elif method in ("ping", "shutdown"):
        send(id=request, result={})
        if method == "shutdown": break
    elif request is not None and method:
        send(id=request, error={"code": -32601, "message": f"wordcount has no method {method!r}."})
os._exit(0)
