"""Drives Examples/python-wordcount by hand, as a host would, and checks what the protocol asks of it."""

import ast
import contextlib
import json
import os
import re
import subprocess
import sys

from engineprocess import DEADLINE, EngineProcess

FEATURES = ["chunks", "progress", "model-residency"]
WORDS = " ".join(f"w{number}" for number in range(99))  # 99 words, 100 chunks


def add(suite, schemas, directory, guide):
    """Adds the checks. `directory` holds the engine; `guide` is WritingAnEngine.md, which quotes it."""
    checks = Conversations(schemas, directory)
    suite.check("wordcount: at most 60 lines, standard library only", lambda: check_source(directory / "engine.py"))
    suite.check("wordcount: manifest names the directory and the engine", lambda: check_manifest(directory))
    suite.check("wordcount: the guide quotes the engine as it is", lambda: check_quotes(guide, directory))
    suite.check("wordcount: says what it is on a terminal", lambda: check_terminal(directory))
    for name in [name for name in dir(checks) if name.startswith("check_")]:
        suite.check(f"wordcount: {name.removeprefix('check_').replace('_', ' ')}", getattr(checks, name))


def check_source(path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 60, f"{source.count(chr(10))} lines"
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names, f"imports {imported - sys.stdlib_module_names}"


def check_manifest(directory):
    text = (directory / "plugin.yaml").read_text(encoding="utf-8")
    assert re.search(rf"^name: {re.escape(directory.name)}$", text, re.M), "name differs from the directory's"
    assert re.search(r"^command: \[python3, engine\.py\]$", text, re.M), "command is not python3 engine.py"
    assert re.search(r"models: \[wordcount\]", text), "does not serve the model wordcount"


def check_quotes(guide, directory):
    text = guide.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|yaml)\n(.*?)^```$", text, re.M | re.S)
    assert [language for language, _ in blocks].count("python") >= 2, "the guide quotes nothing"
    for language, block in blocks:
        source = (directory / ("engine.py" if language == "python" else "plugin.yaml")).read_text(encoding="utf-8")
        assert block in source, f"not in the example: {block}"


def check_terminal(directory):
    terminal, other = os.openpty()
    try:
        done = subprocess.run(
            ["python3", "engine.py"], cwd=directory, stdin=other, capture_output=True, timeout=DEADLINE, text=True
        )
    finally:
        os.close(terminal)
        os.close(other)
    assert done.returncode == 64, f"exit status {done.returncode}"
    assert "Stoker engine" in done.stderr and not done.stdout, (done.stdout, done.stderr)


def task(content):
    return {"messages": [{"role": "system", "content": "ignored words"}, {"role": "user", "content": content}], "unknownField": 1}


class Conversations:
    """Each method is one conversation with a fresh process."""

    def __init__(self, schemas, directory):
        self.schemas = schemas
        self.directory = directory

    def valid(self, message):
        """Every message of the engine matches the envelope and, for notifications, its own schema."""
        self.schemas.require(message, "envelope")
        if "method" in message:
            assert "id" not in message, f"an engine sends no requests: {message}"
            self.schemas.require(message["params"], f"{message['method'].replace('/', '-')}.params")
        elif "error" in message:
            self.schemas.require(message["error"], "error")

    def spawn(self):
        return EngineProcess(["python3", "engine.py"], self.directory, self.valid)

    def initialize(self, engine, features=FEATURES, versions=(1,)):
        request = engine.request(
            "initialize",
            protocolVersions=list(versions),
            host={"name": "tests", "version": "0", "unknown": None},
            features=features,
            config={},
            directories={"models": "/m", "cache": "/c", "work": "/w"},
            resources={"cpuThreads": 1, "devices": []},
            limits={"lineBytes": 1 << 24},
            unknownMember={"deep": [1]},
        )
        return engine.answer(request)

    @contextlib.contextmanager
    def ready(self, features=FEATURES):
        with self.spawn() as engine:
            answer, before = self.initialize(engine, features)
            assert not before, f"messages before the handshake's answer: {before}"
            self.schemas.require(answer["result"], "initialize.result")
            yield engine
            if engine.process.poll() is None:
                answer, _ = engine.answer(engine.request("shutdown"))
                assert answer.get("result") == {}, answer
                rest, status = engine.finish()
                assert (rest, status) == ([], 0), f"after shutdown: {rest}, exit status {status}"

    def run(self, engine, job, content, **more):
        params = {"jobId": job, "attempt": 1, "kind": "llm", "model": {"id": "wordcount"}, "workDirectory": "/w/x", "task": task(content)}
        return engine.request("job/run", **{**params, **more})

    def alive(self, engine):
        """A ping is answered; returns what came before the answer."""
        answer, before = engine.answer(engine.request("ping"))
        assert answer.get("result") == {}, answer
        return before

    def chunks(self, messages):
        return [message["params"] for message in messages if message.get("method") == "job/chunk"]

    def check_handshake(self):
        with self.spawn() as engine:
            answer, _ = self.initialize(engine, versions=(7, 1))
            result = answer["result"]
            assert result["protocolVersion"] == 1 and result["concurrency"] == 1, result
            assert set(result["features"]) == {"chunks", "progress"}, result

    def check_no_common_version(self):
        with self.spawn() as engine:
            answer, _ = self.initialize(engine, versions=(2, 3))
            assert answer["error"]["code"] == -32005 and "1" in answer["error"]["message"], answer

    def check_whole_job(self):
        with self.ready() as engine:
            answer, before = engine.answer(self.run(engine, "a", "the cat and the dog", credit=None))
            self.schemas.require(answer["result"], "job-run.result")
            output = answer["result"]["output"]
            self.schemas.require_schema(output, self.schemas["job-run.result"]["$defs"]["llm"], "llm output")
            content = output["choices"][0]["message"]["content"]
            assert content == "5 words\nthe 2\ncat 1\nand 1\ndog 1\n", content
            chunks = self.chunks(before)
            assert [chunk["seq"] for chunk in chunks] == [1, 2, 3, 4, 5], chunks
            assert "".join(chunk["text"] for chunk in chunks) == content, chunks
            assert any(message["method"] == "job/progress" for message in before), before

    def check_honours_credit(self):
        with self.ready() as engine:
            job = self.run(engine, "a", WORDS)  # no credit given: 64
            got = self.chunks(engine.until(lambda m: m.get("params", {}).get("seq") == 64))
            got += self.chunks(self.alive(engine))
            got += self.chunks(self.alive(engine))
            assert [chunk["seq"] for chunk in got] == list(range(1, 65)), got[-1]
            credit = '{"jsonrpc":"2.0","method":"job/credit","params":{"jobId":"%s","through":%d,"unknown":1}}\n'
            falling = credit % ("a", 70) + credit % ("a", 3) + credit % ("nobody", 1000)  # 3 falls: ignored
            engine.write(falling.encode())
            got += self.chunks(engine.until(lambda m: m.get("params", {}).get("seq") == 70))
            got += self.chunks(self.alive(engine))
            assert [chunk["seq"] for chunk in got] == list(range(1, 71)), got[-1]
            engine.notify("job/credit", jobId="a", through=1000)
            answer, before = engine.answer(job)
            got += self.chunks(before)
            assert [chunk["seq"] for chunk in got] == list(range(1, 101)), got[-1]
            content = answer["result"]["output"]["choices"][0]["message"]["content"]
            assert "".join(chunk["text"] for chunk in got) == content

    def check_credit_of_zero(self):
        with self.ready() as engine:
            job = self.run(engine, "a", "x", credit=0)
            assert self.chunks(self.alive(engine) + self.alive(engine)) == []
            engine.notify("job/credit", jobId="a", through=2)
            answer, before = engine.answer(job)
            assert len(self.chunks(before)) == 2 and "result" in answer, answer

    def check_cancels_at_once(self):
        with self.ready() as engine:
            job = self.run(engine, "a", WORDS, credit=1)
            engine.until(lambda m: m.get("method") == "job/chunk")
            engine.notify("job/cancel", jobId="a")
            (answer, before), seconds = engine.elapsed(lambda: engine.answer(job))
            assert answer["error"]["code"] == -32800 and answer["error"]["data"]["class"] == "cancelled", answer
            assert self.chunks(before) == [], before
            assert seconds < 0.5, f"{seconds * 1000:.0f} ms; the protocol asks for about 50 ms"
            engine.notify("job/cancel", jobId="a")  # again, after the end
            engine.notify("job/credit", jobId="a", through=50)
            assert self.alive(engine) + self.alive(engine) == []
            answer, _ = engine.answer(self.run(engine, "b", "next job works"))
            assert "result" in answer, answer

    def check_cancel_of_unknown_job_is_ignored(self):
        with self.ready() as engine:
            engine.notify("job/cancel", jobId="nobody")
            assert self.alive(engine) == []

    def check_second_attempt_counts_anew(self):
        with self.ready() as engine:
            job = self.run(engine, "a", WORDS, credit=3)
            engine.until(lambda m: m.get("params", {}).get("seq") == 3)
            engine.notify("job/cancel", jobId="a")
            engine.answer(job)
            answer, before = engine.answer(self.run(engine, "a", "x", attempt=2, credit=2))
            assert [chunk["seq"] for chunk in self.chunks(before)] == [1, 2] and "result" in answer, before

    def check_ignores_what_it_does_not_know(self):
        with self.ready() as engine:
            answer, before = engine.answer(engine.request("job/estimate", anything=[1, {}]))
            assert answer["error"]["code"] == -32601 and before == [], answer
            answer, _ = engine.answer(engine.request("model/load", model={"id": "wordcount"}))
            assert answer["error"]["code"] == -32601, answer
            engine.notify("future/notification", x=1)
            engine.write(b'{"jsonrpc":"2.0","method":"future/bare"}\n{"jsonrpc":"2.0","id":77,"result":{}}\n')
            assert self.alive(engine) == []

    def check_says_whose_fault_it_is(self):
        with self.ready() as engine:
            for bad in ({}, {"messages": []}, {"messages": "x"}, {"messages": [{"role": "user", "content": 5}]}):
                answer, _ = engine.answer(self.run(engine, "a", "", task=bad))
                assert answer["error"]["code"] == -32001 and answer["error"]["data"]["class"] == "bad_input", answer
            answer, _ = engine.answer(self.run(engine, "b", "x", model={"id": "gpt"}))
            assert answer["error"]["code"] == -32005, answer
            answer, _ = engine.answer(self.run(engine, "c", "x", kind="image"))
            assert answer["error"]["code"] == -32005, answer

    def check_without_features_sends_only_the_result(self):
        with self.ready(features=[]) as engine:
            answer, before = engine.answer(self.run(engine, "a", WORDS))
            assert before == [] and "result" in answer, before[:1]

    def check_framing(self):
        with self.ready() as engine:
            separators = "one\u2028two\u0085three \U0001f600"  # whitespace to Python, but no line ends to the protocol
            message = {"jsonrpc": "2.0", "id": 900, "method": "job/run", "params": {
                "jobId": "u", "attempt": 1, "kind": "llm", "workDirectory": "/w/x", "task": task(separators)}}
            raw = json.dumps(message, ensure_ascii=False).encode() + b"\r\n"
            for index in range(len(raw)):
                engine.write(raw[index : index + 1])
            answer, _ = engine.answer(900)
            assert answer["result"]["output"]["usage"]["prompt_tokens"] == 4, answer
            engine.write(b'{"jsonrpc":"2.0","id":901,"method":"ping"}\n{"jsonrpc":"2.0","id":902,"method":"ping","params":null}\n')
            for request in (901, 902):
                answer, _ = engine.answer(request)
                assert answer["result"] == {}, answer

    def check_a_line_of_nearly_the_cap(self):
        with self.ready() as engine:
            content = "word " * 200_000
            answer, _ = engine.answer(self.run(engine, "a", content))
            assert answer["result"]["output"]["usage"]["prompt_tokens"] == 200_000, "words were lost"

    def check_end_of_input_ends_it_without_an_answer(self):
        for leftover in (b"", b'{"jsonrpc":"2.0","id":5,"method":"ping"}'):  # the second has no LF: not a message
            with self.ready() as engine:
                self.run(engine, "a", WORDS, credit=1)
                engine.until(lambda m: m.get("method") == "job/chunk")
                engine.write(leftover)
                engine.process.stdin.close()
                rest, status = engine.finish()
                assert (rest, status) == ([], 0), f"{rest}, exit status {status}"

    def check_shutdown_during_a_job(self):
        with self.ready() as engine:
            self.run(engine, "a", WORDS, credit=1)
            engine.until(lambda m: m.get("method") == "job/chunk")
