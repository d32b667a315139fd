"""Bugs of engines: each is one change to the good engine, with the check that must find it.

`also` names checks that may fail as well, because the bug breaks what they need, too. Any other failure is a false accusation."""

from dataclasses import dataclass, field


@dataclass
class Seed:
    name: str
    check: str
    changes: list  # (old, new), or (file, old, new)
    also: set = field(default_factory=set)


def seed(name, check, *changes, also=()):
    return Seed(name, check, [change if len(change) == 3 else ("engine.py", *change) for change in changes], set(also))


TEXT = "    messages = task.get(\"messages\")\n"
EXIT = "        answer(request, {})\n        os._exit(0)\n"
CANCEL = '            job["cancelled"] = True\n'
SEND_ERROR = '        return send({"id": request, "error": error})\n'
START = "def start(request, params):\n"

SEEDS = [
    # The manifest and the handshake.
    seed("an unknown key in the manifest", "manifest", ("plugin.yaml", "license: MIT", "licence: MIT")),
    seed("ends at its start", "handshake", ("features, jobs, loaded =", "sys.exit(3)\nfeatures, jobs, loaded =")),
    seed("never answers initialize", "handshake",
         ("    features = [name for name in OWN", "    return\n    features = [name for name in OWN"),
         ("plugin.yaml", "initialize: 6s", "initialize: 1s")),
    seed("takes the first version of the list", "version-choice", ("max(common)", 'params["protocolVersions"][0]')),
    seed("speaks any version", "version-none",
         ('in params.get("protocolVersions", [])]', 'in params.get("protocolVersions", [])] or VERSIONS')),
    seed("is silent without a common version", "version-none",
         ('return fail(request, -32005, f"This engine', 'return str(f"This engine'),
         ("plugin.yaml", "initialize: 6s", "initialize: 2s")),
    seed("ends without a common version", "version-none", ("    if not common:\n", "    if not common:\n        os._exit(1)\n")),
    seed("has no version of its own", "engine-name", (', "version": "1.0.0"}', "}")),
    seed("names features that were not offered", "features-unoffered",
         ('features = [name for name in OWN if name in params.get("features", [])]', "features = OWN")),
    seed("names a feature that does not exist", "features", ('"features": features,', '"features": features + ["turbo"],'),
         also=["features-unoffered"]),
    seed("takes more jobs than the manifest says", "concurrency", ('"concurrency": 2', '"concurrency": 5')),
    seed("widens its models", "models", ('"models": ["good"]', '"models": ["good", "better"]')),
    seed("asks for a tiny line cap", "line-limit", ('"concurrency": 2,', '"concurrency": 2, "limits": {"lineBytes": 1000},')),
    seed("logs before the handshake", "quiet-before-handshake",
         ("    if not common:\n", '    notify("log", {"level": "info", "message": "hello"})\n    if not common:\n')),
    # Envelope and framing.
    seed("prints to stdout", "stdout", (TEXT, TEXT + '    put(b"thinking ...\\n")\n')),
    seed("sends a key twice", "json", (TEXT, TEXT + '    put(b\'{"jsonrpc":"2.0","jsonrpc":"2.0","method":"log","params":{}}\\n\')\n')),
    seed("sends NaN", "json", ('"fraction": step / steps', '"fraction": float("nan")')),
    seed("sends bytes that are not UTF-8", "json",
         (TEXT, TEXT + '    put(b\'{"jsonrpc":"2.0","method":"log","params":{"level":"info","message":"\\xff"}}\\n\')\n')),
    seed("ends in the middle of a line", "json", (EXIT, EXIT.replace("os._exit", 'put(b\'{"jsonrpc"\')\n        os._exit'))),
    seed("forgets jsonrpc", "envelope", (TEXT, TEXT + '    put(b\'{"method":"log","params":{"level":"info","message":"x"}}\\n\')\n')),
    seed("answers with result and error", "envelope", ('send({"id": request, "result": result})',
         'send({"id": request, "result": result, **({"error": {"code": 1, "message": "none"}} if result == {"memoryBytes": 1} else {})})'),
         also=["model-load", "job"]),
    seed("sends a line over the cap", "line-length",
         (TEXT, TEXT + '    notify("log", {"level": "info", "message": "x" * (2 << 20)})\n')),
    seed("sends a request", "no-requests", (TEXT, TEXT + '    send({"id": 1, "method": "host/time", "params": {}})\n')),
    seed("logs without a level", "log", (TEXT, TEXT + '    notify("log", {"text": "working"})\n')),
    seed("leaves unknown requests without an answer", "unknown-request", ("        fail(request, -32601,", "        str(")),
    seed("answers unknown requests with a code of its own", "unknown-request", ("-32601", "-32603")),
    seed("dies of an unknown notification", "unknown-notification",
         ("    job = jobs.get(params.get(\"jobId\"))\n    if job is None", '    {"job/cancel": 1, "job/credit": 1}[method]\n    job = jobs.get(params.get("jobId"))\n    if job is None')),
    seed("refuses unknown members", "unknown-members",
         ("    if request is None:\n", '    if set(message) - {"jsonrpc", "id", "method", "params"}:\n        return\n    if request is None:\n')),
    seed("cuts lines at every Unicode line break", "framing",
         ("for line in source:\n    if line.endswith(b\"\\n\") and line.strip():\n        receive(line)",
          "for block in source:\n    for line in block.decode(\"utf-8\", \"replace\").splitlines():\n        if line.strip():\n            receive(line)")),
    seed("reads lines of 64 KiB at most", "long-line", ("for line in source:", "for line in iter(lambda: source.readline(65536), b\"\"):"),
         also=["task-file"]),
    seed("dies of a line that is no JSON", "garbage",
         ("    try:\n        message = json.loads(line)\n    except ValueError:\n        return fail(None, -32700, \"A line is not JSON.\")",
          "    message = json.loads(line)")),
    # Jobs.
    seed("reads nothing while a job runs", "ping-during-job",
         ("    threading.Thread(target=run, args=(request, job, params), daemon=True).start()", "    run(request, job, params)"),
         also=["credit-stop", "cancel", "cancel-at-once", "multiplex", "shutdown-during-job", "end-of-input-during-job", "cancel-twice", "job-after-cancel"]),
    seed("refuses unknown members of a job", "job-unknown-members",
         (START, START + '    if "later" in params:\n        return fail(request, -32602, "job/run has an unknown member.")\n')),
    seed("cannot do without a deadline", "job-least-members",
         (START, START + '    if "deadlineSeconds" not in params:\n        return fail(request, -32602, "job/run needs deadlineSeconds.")\n')),
    seed("calls a bad task its own fault", "bad-input", ('Refused(-32001, "bad_input", message)', 'Refused(-32002, "engine_fault", message)')),
    seed("dies of a bad task", "bad-input", ("def bad(message):\n", "def bad(message):\n    os._exit(1)\n")),
    seed("says nothing in an error", "error-shape", ('Refused(-32001, "bad_input", message)', 'Refused(-32001, "bad_input", "")')),
    seed("gives an error a class of another code", "error-shape", ('Refused(-32001, "bad_input", message)', 'Refused(-32002, "bad_input", message)')),
    seed("does a job once only", "second-attempt",
         (START, START + '    if params.get("attempt") == 2:\n        return fail(request, -32602, "The job is known.")\n')),
    seed("leaves a descriptor open with each job", "jobs-in-a-row", (TEXT, TEXT + "    os.dup(0)\n")),
    seed("does not reap its child processes", "jobs-in-a-row", (TEXT, TEXT + '    os.posix_spawn("/bin/true", ["true"], {})\n')),
    seed("cancels all jobs instead of one", "multiplex",
         (CANCEL, '            for each in list(jobs.values()):\n                each["cancelled"] = True\n')),
    seed("answers a job twice", "one-answer", ("    answer(request, result)\n\n\ndef start", "    answer(request, result)\n    answer(request, result)\n\n\ndef start")),
    seed("leaves usage out of a chat", "result-shape", (', "usage": usage}\n', "}\n")),
    seed("reports progress above 1", "progress", ('"fraction": step / steps', '"fraction": step / steps * 1.5')),
    seed("reports progress of a job after its answer", "after-the-end",
         ("    answer(request, result)\n\n\ndef start", "    answer(request, result)\n    progress(job, 1, 1)\n\n\ndef start")),
    # Chunks and credit.
    seed("sends chunks that nobody has offered", "job-without-features", ('    if "chunks" not in features:\n        return check(job)\n', ""),
         (', "model-residency", "content-files"]', ', "content-files"]'), ("plugin.yaml", "model-residency, ", ""), also=["chunks"]),
    seed("counts chunks from 0", "chunks", ('"seq": job["sent"],', '"seq": job["sent"] - 1,')),
    seed("leaves out a number", "chunks", ('"seq": job["sent"],', '"seq": job["sent"] + (job["sent"] > 5),'), also=["credit"]),
    seed("sends other text than it answers with", "chunks", ("chunk(job, text=piece)", "chunk(job, text=piece.strip())")),
    seed("sends text and data", "chunks", ("chunk(job, text=piece)", "chunk(job, text=piece, data=1)")),
    seed("does not wait for credit", "credit-stop", ('or job["sent"] < job["through"]', "or True"), also=["credit", "cancel-waiting"]),
    seed("counts the credit one too high", "credit-stop", ('job["sent"] < job["through"]', 'job["sent"] <= job["through"]'), also=["credit"]),
    seed("does not hear of more credit", "credit-stop", ('            job["through"] = max(job["through"], params["through"])', "            pass"),
         also=["ping-during-job"]),
    # Cancel.
    seed("does not obey cancel", "cancel", (CANCEL, "            pass\n"), also=["cancel-waiting"]),
    seed("calls a cancelled job failed", "cancel", ('Refused(-32800, "cancelled"', 'Refused(-32002, "engine_fault"'),
         also=["cancel-waiting", "multiplex"]),
    seed("leaves a cancelled job without an answer", "cancel", (SEND_ERROR, '        if error["code"] == -32800:\n            return\n' + SEND_ERROR),
         also=["cancel-waiting", "multiplex", "ping-during-job"]),
    seed("answers a cancelled job twice", "one-answer",
         (SEND_ERROR, '        if error["code"] == -32800:\n            send({"id": request, "error": error})\n' + SEND_ERROR)),
    seed("dies of a cancel for a job that it does not know", "cancel-nothing",
         ('    job = jobs.get(params.get("jobId"))\n    if job is None:\n        return\n',
          '    if method not in ("job/cancel", "job/credit"):\n        return\n    job = jobs[params["jobId"]]\n'),
         also=["credit-stop", "cancel-twice", "multiplex", "cancel", "cancel-at-once", "job-after-cancel"]),
    # Files.
    seed("declares a wrong size", "artifacts", ('"bytes": len(data),', '"bytes": len(data) + 1,')),
    seed("declares a wrong hash", "artifacts", ("hashlib.sha256(data)", "hashlib.sha256(data + b'x')")),
    seed("gives a path for a name", "artifacts", ('{"name": "speech.wav"', '{"name": path')),
    seed("gives a link for a file", "artifacts",
         ("    made = {", '    os.rename(path, path + "-")\n    os.symlink(path + "-", path)\n    made = {')),
    seed("forgets to declare the file", "result-shape", ('"channels": 1}, "artifacts": [made]}', '"channels": 1}, "artifacts": []}')),
    # A confined engine cannot, and its job fails of it.
    seed("writes into its own directory", "job", (TEXT, TEXT + '    open("last-job.txt", "w").close()\n')),
    seed("writes beside the work directory", "own-directory", (TEXT, TEXT + '    open(job["directory"] + ".log", "w").close()\n')),
    seed("does not read a task from a file", "task-file", ('    if params.get("taskFile"):\n        with', '    if None:\n        with')),
    seed("declares a wrong size of its output", "content-files", ('"bytes": len(output)}', '"bytes": len(output) - 1}')),
    # Models.
    seed("takes any file for a model", "model-bad-file", ('!= b"GOOD"', "== b\"EVIL\"")),
    seed("refuses to load what is loaded", "model-load",
         ("    model = params[\"model\"]\n", "    model = params[\"model\"]\n    if model[\"id\"] in loaded:\n        return fail(request, -32001, \"It is loaded.\", \"bad_input\")\n"), also=["job"]),
    seed("refuses to unload what is not loaded", "model-load",
         ("def unload(request, params):\n", "def unload(request, params):\n    if not loaded:\n        return fail(request, -32001, \"Nothing is loaded.\", \"bad_input\")\n")),
    # The end.
    seed("leaves without an answer to shutdown", "shutdown", (EXIT, "        os._exit(0)\n")),
    seed("leaves with status 3", "shutdown", (EXIT, EXIT.replace("(0)", "(3)"))),
    seed("stays after shutdown", "shutdown", (EXIT, "        answer(request, {})\n")),
    seed("stays after the end of stdin", "end-of-input", ("        receive(line)\nos._exit(0)", "        receive(line)\nthreading.Event().wait()")),
    seed("does not leave on SIGTERM", "sigterm", ("features, jobs, loaded =", "import signal\nsignal.signal(15, signal.SIG_IGN)\nfeatures, jobs, loaded =")),
    seed("leaves a child process behind", "shutdown",
         ("features, jobs, loaded =", 'os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, setsid=True)\nfeatures, jobs, loaded ='),
         also=["end-of-input"]),
]
