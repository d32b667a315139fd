"""The kit for engines in Python: this one file, the standard library, Python 3.9 or newer. README.md shows its use.

Import it before anything that may print: from then on a stray print cannot harm the wire. Jobs and loads have threads
of their own. An exception of `Engine.run` is the job's error: its class says whose fault it is."""
from __future__ import annotations
import base64, contextlib, ctypes, errno, fcntl, gc, io, json, math, os, stat, sys, threading, time, traceback
from typing import Any, Callable, Dict, Iterator, NoReturn, Sequence
from urllib.parse import unquote_to_bytes

PROTOCOL_VERSIONS = (1,)
LINE_BYTES, MAXIMUM_LINE_BYTES = 1 << 20, 16 << 20  # the line cap without agreement, and the greatest to agree on
INLINE_BYTES = 256 << 10  # what is longer travels as a file in the work directory
PROGRESS_SECONDS = 0.1  # at most one report in this time; the last one always goes out
NO_ROOM, ANSWERING = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM), "stoker answer"  # errno; a name of threads
EXIT_GRACE_SECONDS = 2.0  # how long cancelled jobs have to end and be answered before the process ends
CONTENT_TYPES = dict(wav="audio/wav", mp3="audio/mpeg", ogg="audio/ogg", opus="audio/ogg", flac="audio/flac",
                     png="image/png", jpg="image/jpeg", webp="image/webp", gif="image/gif", mp4="video/mp4")
Members = Dict[str, Any]  # the params or the result of a message, or a part of it, as the protocol's document has them

class EngineError(Exception):
    """A failure with its class. `message` is one sentence that a user can act on, `evidence` raw detail for the log."""
    code, failure = -32002, "engine_fault"  # a bug or a broken library; tried again on a fresh process
    def __init__(self, message: str, evidence: str = "") -> None:
        super().__init__(message)
        self.message, self.evidence = message, evidence

class BadInput(EngineError): code, failure = -32001, "bad_input"  # the caller's fault; never tried again
class Resource(EngineError): code, failure = -32003, "resource"  # no memory, device or disk; tried again with room
class Transient(EngineError): code, failure = -32004, "transient"  # passing trouble; tried again after a pause
class Unsupported(EngineError): code, failure = -32005, "unsupported"  # this engine cannot do that at all
class Cancelled(EngineError): code, failure = -32800, "cancelled"  # the host has cancelled the job; let it pass

def model_file(model: Members, role: str = "model") -> str | None:
    """The path of a model's file of a role, if it has one."""
    return next((file["path"] for file in model.get("files") or () if file["role"] == role), None)

class Job:
    """One job in the hands of `Engine.run`. Any thread may use it; what is sent after `run` has returned is dropped."""
    def __init__(self, server: _Server, params: Members) -> None:
        self.id, self.kind = _member(params, "jobId", str), _member(params, "kind", str)
        self.work_directory = _member(params, "workDirectory", str)  # empty, and this attempt's own
        self.model, self.parameters = _member(params, "model", dict, None), params  # the latter is all of `job/run`
        self.task = {} if params.get("taskFile") else _member(params, "task", dict)
        self.is_cancelled = False  # becomes true as soon as the host has cancelled the job
        self._server, self._through, self._sent, self._ended = server, _member(params, "credit", int, 64), 0, False
        self._state, self._chunks = threading.Condition(), threading.Lock()
        self._reports = _Throttle(lambda body: server.send("job/progress", {"jobId": self.id, **body}, self))

    def get(self, name: str, kind: type, default: Any = ..., least: float = -math.inf, most: float = math.inf) -> Any:
        """A member of the task, of type str, int, float, bool, list or dict; absent and null give `default`.
        BadInput names it when it is missing and has no default, has another type, or is out of bounds."""
        if (value := self.task.get(name)) is None and default is not ...:
            return default
        value = float(value) if kind is float and type(value) is int else value
        if type(value) is not kind:
            raise BadInput(f"task.{name} must be of type {kind.__name__}; it is {_clean(repr(value), 80)}.")
        if kind in (int, float) and not least <= value <= most:
            raise BadInput(f"task.{name} must be from {least:g} to {most:g}; it is {value:g}.")
        return value

    def inputs(self, name: str) -> list[str]:
        """The paths behind a `file:` URL of a regular file, or a list of them; [] when absent. BadInput otherwise."""
        urls, paths = self.task.get(name) or [], []
        for url in urls if isinstance(urls, list) else [urls]:
            is_file = isinstance(url, str) and url.startswith("file:///") and not {"?", "#"} & set(url)
            paths.append(os.fsdecode(unquote_to_bytes(url[len("file://"):])) if is_file else "")
            if "\0" in paths[-1] or not os.path.isfile(paths[-1]):
                raise BadInput(f"task.{name} must be the file: URL of a regular file; it is {_clean(repr(url), 200)}.")
        return paths

    def path(self, name: str) -> str:
        """Where a file of the work directory lies. `name` is one plain component."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise EngineError(f"{name!r} is no name of a file in the work directory.")
        return os.path.join(self.work_directory, name)

    def artifact(self, name: str, content_type: str | None = None) -> Members:
        """Declares a file that was written to `path(name)` and closed. Its ending says the content type."""
        content_type = content_type or CONTENT_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        return {"name": name, "contentType": content_type, "bytes": os.lstat(self.path(name)).st_size}

    def check_cancelled(self) -> None:
        """Raises Cancelled when the host has cancelled the job. Call it at every step of long work."""
        if self.is_cancelled:
            raise Cancelled("The job was cancelled.")

    def on_cancel(self, call: Callable[[], object]) -> None:
        """Has `call` called when the job is cancelled, or now if it is, in a thread of its own."""
        def wait() -> None:
            with self._state:
                self._state.wait_for(lambda: self.is_cancelled or self._ended)
            if self.is_cancelled:
                call()
        threading.Thread(target=wait, daemon=True).start()

    def chunk(self, piece: Any) -> None:
        """Sends a piece of the result: text, or bytes (which go as base64), or other JSON; 256 KiB at most.
        Waits while the host's credit is used up; raises Cancelled."""
        data = base64.b64encode(piece).decode() if isinstance(piece, (bytes, bytearray)) else piece
        _encode(data, INLINE_BYTES)
        live = "chunks" in self._server.features
        with self._chunks:  # held across the wait: the order of `seq` is the order on the wire
            with self._state:
                self._state.wait_for(lambda: not live or self.is_cancelled or self._ended or self._sent < self._through)
            self.check_cancelled()
            if live:
                self._sent += 1
                body = {"jobId": self.id, "seq": self._sent, "text" if isinstance(piece, str) else "data": data}
                self._server.send("job/chunk", body, self)

    def progress(self, fraction: float | None = None, **details: Any) -> None:
        """Reports `fraction` (0 to 1) and any of step, steps, stage, message, etaSeconds. What is not JSON raises."""
        if "progress" in self._server.features:
            self._reports.put(fraction, details)

    def _update(self, cancelled: bool = False, through: int = 0, ended: bool = False) -> None:
        with self._state:
            self.is_cancelled, self._ended = self.is_cancelled or cancelled, self._ended or ended
            self._through = max(self._through, through)
            self._state.notify_all()

class Engine:
    """What an engine's author writes. Only `run` is required; `concurrency` says how many threads may be in it."""
    name, version = "engine", "0"
    features: Sequence[str] = ("chunks", "progress")  # and "model-residency", with `load` and `unload`
    concurrency, line_bytes = 1, LINE_BYTES  # jobs at a time; the line cap to ask for, up to 16 MiB

    def initialize(self, params: Members) -> Sequence[str] | None:
        """Called once, first: `config`, `directories`, `resources`. May return ids or globs, to narrow the models."""

    def load(self, model: Members, progress: Callable[..., None]) -> Members | None:
        """Makes a model ready; not called again until `unload`. Call `progress(fraction, message=...)` meanwhile.
        May return memoryBytes, deviceBytes, contextLength; without memoryBytes the growth of the process is told."""

    def unload(self, model_id: str) -> None:
        """Lets go of a loaded model. Then the kit collects garbage and gives free memory back to the system."""

    def run(self, job: Job) -> Members:
        """Does one job. Returns `output`, and optionally `artifacts` (of `Job.artifact`) and `usage`."""
        raise NotImplementedError("the engine has no run(job)")

    def shutdown(self) -> None:
        """Called before the process ends on request."""

def log(level: str, message: str, job: Job | None = None, **fields: object) -> None:
    """Writes to the host's log (debug, info, warn, error); to stderr in a forked child, and before the handshake."""
    if _server is None or _server.phase != "ready" or not _wire:
        return print(f"{level}: {message}", fields or "", file=sys.stderr, flush=True)
    _server.send("log", {"level": level, "message": _clean(message), "jobId": job and job.id,
                         "fields": {name: _clean(str(value)) for name, value in fields.items()} or None})

def resident_bytes() -> int:
    """Bytes of the machine's memory that this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def take_wire() -> None:
    """Moves the wire to private descriptors, once: then fd 0 reads /dev/null and fd 1 is fd 2, so that what Python, C
    or a child process prints lands in the log. Importing this file does it when both are pipes or sockets."""
    global _wire
    if _wire is None:
        wire = _wire = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1)]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.register_at_fork(after_in_child=lambda: [os.close(wire.pop()) for _ in wire[:]])  # empty: a forked child
        sys.stdout.flush()  # what was printed before is not for the host
        getattr(sys.stdout, "reconfigure", lambda **_: None)(line_buffering=True)

def serve(engine: Engine) -> NoReturn:
    """Serves the engine until the host asks for shutdown or closes the wire; then the process ends with status 0."""
    global _server
    if _wire is None and os.isatty(0):
        print(f"{engine.name} {engine.version} is an engine of the stoker host, which talks to it over a pipe: put its",
              "directory where `stoker plugins list` looks, then send it a job with `stoker submit`.", file=sys.stderr)
        sys.exit(64)  # EX_USAGE of sysexits.h
    take_wire()
    _server = _Server(engine, *_wire)
    _server.serve()
    os._exit(0)  # with the host gone, destructors of native libraries can only do harm

class _Server:
    """The engine's side of the protocol. Phases: fresh → greeting → ready, or fresh again when the engine refuses."""
    def __init__(self, engine: Engine, reader: int, writer: int) -> None:
        self.engine, self.reader, self.writer, self.phase, self.limit = engine, reader, writer, "fresh", LINE_BYTES
        self.features, self.jobs, self.loaded = (), {}, {}
        self.known = {"job/run"} | ({"model/load", "model/unload"} if "model-residency" in engine.features else set())
        self.writing, self.models = threading.Lock(), threading.Lock()

    def serve(self) -> None:
        request = next((end for end in map(self.receive, _lines(self)) if end is not None), None)
        for job in list(self.jobs.values()):
            job._update(cancelled=True)
        until = time.monotonic() + EXIT_GRACE_SECONDS
        for thread in [thread for thread in threading.enumerate() if thread.name == ANSWERING]:
            thread.join(max(0.0, until - time.monotonic()))
        if request is not None:
            self.answer(request, lambda: self.engine.shutdown() or {})

    def send(self, method: str | None, body: Members, job: Job | None = None) -> None:
        """Writes a notification, or without a method a response, whole; raises before anything is written."""
        plain = {name: value for name, value in body.items() if value is not None or name == "id"}
        frame = _encode({"jsonrpc": "2.0", **({"method": method, "params": plain} if method else plain)}, self.limit)
        if not _wire:
            raise EngineError("A forked child cannot send to the host: have the engine's own process do it.")
        with self.writing, contextlib.suppress(OSError):  # frames stay whole; that the host is gone, the reader sees
            rest = memoryview(b"" if job and job._ended else frame + b"\n")
            while rest:
                rest = rest[os.write(self.writer, rest):]

    def refuse(self, request: int | str | None, code: int, message: str) -> None:
        self.send(None, {"id": request, "error": {"code": code, "message": _clean(message)}})

    def receive(self, line: bytes | int) -> int | str | None:
        """Acts on one line. Returns the id of a shutdown request, after which nothing is read."""
        if isinstance(line, int):
            return self.refuse(None, -32600, f"A line of {line} bytes is over the cap of {self.limit}.")
        try:
            message = _parse(line)
        except (ValueError, RecursionError) as error:
            return self.refuse(None, -32700, f"A line is not acceptable JSON: {error}.")
        fields = message if isinstance(message, dict) else {}
        request, method = fields.get("id"), fields.get("method", "")
        if not (fields.get("jsonrpc") == "2.0" and fields.keys() & {"method", "result", "error"}
                and type(request) in (int, str, type(None)) and type(method) is str):
            return self.refuse(None, -32600, "A line is JSON, but no JSON-RPC 2.0 message.")
        try:
            params = _member(fields, "params", dict, {})
            if request is not None and method == "shutdown":
                return request
            if request is not None and method:
                self.requested(request, method, params)
            elif method in ("job/cancel", "job/credit") and (job := self.jobs.get(_member(params, "jobId", str))):
                job._update(cancelled=method == "job/cancel", through=_member(params, "through", int, 0))
        except ValueError as error:
            if request is not None:
                self.refuse(request, -32602, f"{method}: {error}.")

    def requested(self, request: int | str, method: str, params: Members) -> None:
        if method == "ping":
            self.send(None, {"id": request, "result": {}})
        elif method == "initialize":
            self.greeted(request, params)
        elif method not in self.known:
            self.refuse(request, -32601, f"This engine has no method {method!r}.")
        elif self.phase != "ready":
            self.refuse(request, -32600, f"{method} came before initialize was answered.")
        elif method == "job/run":
            job = Job(self, params)
            if self.jobs.setdefault(job.id, job) is not job:  # known from here on: the next line may cancel it
                raise ValueError(f"the job {job.id} is already running")
            self.start(request, lambda: self.run(job), job)
        else:
            name = _member(_member(params, "model", dict), "id", str)
            self.start(request, lambda: self.keep(name, params["model"], method == "model/load"))

    def greeted(self, request: int | str, params: Members) -> None:
        offered, engine = _member(params, "protocolVersions", list), self.engine
        common = [version for version in PROTOCOL_VERSIONS if version in offered]
        features = [x for x in _member(params, "features", list, []) if x in (*engine.features, "content-files")]
        most = min(_member(_member(params, "limits", dict, {}), "lineBytes", int, LINE_BYTES), MAXIMUM_LINE_BYTES)
        def greet() -> Members:
            if not common:
                raise Unsupported(f"This engine speaks the versions {[*PROTOCOL_VERSIONS]}, the host {offered}.")
            models, limit = engine.initialize(params), max(LINE_BYTES, min(engine.line_bytes, most))
            self.limit, self.features, self.phase = limit, features, "ready"
            return {"protocolVersion": max(common), "engine": {"name": engine.name, "version": engine.version},
                    "features": features, "concurrency": engine.concurrency, "limits": {"lineBytes": limit},
                    **({} if models is None else {"models": list(models)})}
        if self.phase != "fresh":
            return self.refuse(request, -32600, "initialize was sent before.")
        self.phase = "greeting"
        self.start(request, greet)

    def start(self, *work: Any) -> None:
        threading.Thread(target=self.answer, args=work, name=ANSWERING, daemon=True).start()

    def answer(self, request: int | str, body: Callable[[], Any], job: Job | None = None) -> None:
        try:
            self.send(None, {"id": request, "result": body()})
        except BaseException as error:  # also SystemExit: a request always has its answer
            self.phase = "fresh" if self.phase == "greeting" else self.phase
            self.send(None, {"id": request, "error": _error(error, job)})

    def run(self, job: Job) -> Members:
        try:
            if name := job.parameters.get("taskFile"):
                with open(job.path(name), "rb") as file:
                    job.task = dict(_parse(file.read(), math.inf))
            job.check_cancelled()
            result = dict(self.engine.run(job))
            encoded = _encode(dict(result["output"]))
            if len(encoded) > INLINE_BYTES and "content-files" in self.features:
                with open(job.path("output.json"), "xb") as file:  # the name is the kit's
                    file.write(encoded)
                del result["output"]
                result["outputFile"] = {"name": "output.json", "bytes": len(encoded)}
            return result
        finally:  # before the answer, which is the last that is sent of the job
            del self.jobs[job.id]
            with contextlib.suppress(Exception):  # a report costs no result
                job._reports.flush()
            job._update(ended=True)

    def keep(self, name: str, model: Members, loaded: bool) -> Members:
        with self.models:  # one at a time, so that the growth of the process is this load's
            if loaded and name not in self.loaded:
                reports = _Throttle(lambda body: self.send("model/progress", {"model": name, **body}))
                before = resident_bytes()
                made = self.engine.load(model, lambda fraction=None, **details: reports.put(fraction, details)) or {}
                reports.flush()
                self.loaded[name] = {"memoryBytes": max(0, resident_bytes() - before), **made}
            elif not loaded and name in self.loaded:
                self.engine.unload(name)
                del self.loaded[name]
                gc.collect()
                getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)  # free memory goes back to the system
            return self.loaded.get(name, {})

class _Throttle:
    """Passes on what has changed, at most once in PROGRESS_SECONDS; the last of what came in between goes out late."""
    def __init__(self, send: Callable[[Members], None]) -> None:
        self.send, self.lock, self.due, self.held, self.sent = send, threading.Lock(), 0.0, None, None
    def put(self, fraction: float | None, details: Members) -> None:
        with self.lock:
            is_first, wait = self.held is None, self.due - time.monotonic()
            body = {**details, "fraction": None if fraction is None else min(1.0, max(0.0, fraction))}
            self.held = json.loads(_encode(body, INLINE_BYTES))  # a copy, and what cannot be sent fails here
        if wait <= 0:
            self.flush()
        elif is_first:
            threading.Thread(target=lambda: (time.sleep(wait), self.flush()), daemon=True).start()
    def flush(self) -> None:
        with self.lock:
            body, self.held = self.held, None
            if body is not None and body != self.sent:
                self.sent, self.due = body, time.monotonic() + PROGRESS_SECONDS
                self.send(body)

def _lines(server: _Server) -> Iterator[bytes | int]:
    """Each line, or the length of one over the cap, which is not kept. A rest without LF is no line."""
    kept, dropped = bytearray(), 0
    while block := os.read(server.reader, 1 << 16):
        for piece in io.BytesIO(block):  # cuts at LF only
            kept += piece
            if dropped or len(kept) > server.limit + 1:
                dropped, kept = dropped + len(kept), bytearray()
            if piece.endswith(b"\n"):
                yield dropped - 1 if dropped else bytes(kept)
                kept, dropped = bytearray(), 0

def _parse(data: bytes, values: float = 200_000) -> Any:
    """JSON as strict as the protocol wants it. Raises ValueError or RecursionError."""
    def unique(members: list[tuple[str, Any]]) -> Members:
        if len(made := dict(members)) < len(members):
            raise ValueError("an object has a key twice")
        return made
    def number(text: str) -> int | float:
        if len(text) > 64 or not math.isfinite(float(text)):
            raise ValueError(f"{text[:20]} is no number")
        return float(text) if set(text) & set(".eE") else int(text)
    left = [(0, json.loads(data.decode(), object_pairs_hook=unique, parse_int=number, parse_float=number,
                           parse_constant=number))]
    for level, value in left:  # grows while it is walked
        if isinstance(value, str):
            value.encode()  # a ValueError for half a surrogate pair
        elif isinstance(value, (dict, list)):
            if level == 64 or len(left) + len(value) > values * 2:  # keys are in it
                raise ValueError("it is nested deeper than 64 or has too many values")
            left += [(level + 1, child) for child in ([*value, *value.values()] if isinstance(value, dict) else value)]
    return left[0][1]

def _encode(value: Any, most: float = math.inf) -> bytes:
    data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(data) > most:
        raise EngineError(f"A message of {len(data)} bytes is over its cap of {most}: send less, or write a file.")
    return data
def _clean(text: str, length: int = 4000) -> str:
    return text[:length].encode("utf-8", "replace").decode()
def _member(members: Members, name: str, kind: type, default: Any = ...) -> Any:
    if (value := members.get(name)) is None and default is not ...:
        return default
    if type(value) is not kind:
        raise ValueError(f"{name} is missing" if value is None else f"{name} is not of type {kind.__name__}")
    return value

def _error(error: BaseException, job: Job | None) -> Members:
    cancelled = job is not None and job.is_cancelled
    if not isinstance(error, EngineError) or isinstance(error, Cancelled) and not cancelled:
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))[-4000:]
        no_room = isinstance(error, MemoryError) or getattr(error, "errno", 0) in NO_ROOM
        what = "has run out of memory or disk: make room, or send a smaller task" if no_room else "failed"
        error = Cancelled("The job was cancelled.", trace) if cancelled else (Resource if no_room else EngineError)(
            f"The engine {what}: {type(error).__name__}: {error}", trace)
    return {"code": error.code, "message": _clean(error.message),
            "data": {"class": error.failure, "evidence": _clean(error.evidence)}}

_wire: Any = None
_server: _Server | None = None
if all(stat.S_ISFIFO(os.fstat(fd).st_mode) or stat.S_ISSOCK(os.fstat(fd).st_mode) for fd in (0, 1)):
    take_wire()
