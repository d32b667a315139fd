#!/usr/bin/env python3
"""Tests of the Python kit: an engine driven over its pipes. Needs Python 3.9 or newer and nothing else.

    python3 Tests/PythonKit/run.py [TEST...]

The last line is the count; the exit status is 0 only when nothing failed.
"""

import ast
import base64
import errno
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
from wire import DEADLINE, OFFERS, Wire

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KIT = ROOT / "SDKs" / "python"
MISFIT = [sys.executable, "-B", str(HERE / "misfit.py"), str(KIT)]
TESTS, SKIPPED = [], []


def test(function):
    TESTS.append(function)
    return function


def misfit(**options):
    return Wire(MISFIT, HERE, **options)


def failed(answer, kind, *parts):
    error = answer.get("error")
    assert error, f"it was accepted: {answer}"
    assert (error.get("data") or {}).get("class") == kind or error["code"] == kind, error
    for part in parts:
        assert part in error["message"], f"{part!r} is not in {error['message']!r}"
    return error


@test
def the_kit_has_one_short_file_of_the_standard_library(work):
    source = (KIT / "stoker_engine.py").read_text()
    lines = source.splitlines()
    assert len(lines) <= 400, f"{len(lines)} lines"
    assert max(map(len, lines)) <= 120
    tree = ast.parse(source, feature_version=(3, 9))
    known = {
        "__future__",
        "base64",
        "contextlib",
        "ctypes",
        "errno",
        "fcntl",
        "gc",
        "io",
        "json",
        "math",
        "os",
        "stat",
        "sys",
        "threading",
        "time",
        "traceback",
        "typing",
        "urllib",
    }
    for node in ast.walk(tree):
        names = (
            [name.name for name in node.names]
            if isinstance(node, ast.Import)
            else [node.module] if isinstance(node, ast.ImportFrom) else []
        )
        assert {name.split(".")[0] for name in names} <= known, names
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            if isinstance(node, ast.FunctionDef):
                arguments = [a for a in node.args.args if a.arg != "self"]
                assert node.returns and all(a.annotation for a in arguments), f"{node.name} is not typed"


@test
def the_handshake_names_what_is_used(work):
    with misfit() as engine:
        hello = engine.greet(line=2 << 20)
        assert hello == {
            "protocolVersion": 1,
            "engine": {"name": "misfit", "version": "2.0"},
            "concurrency": 16,
            "features": OFFERS,
            "limits": {"lineBytes": 2 << 20},
        }, hello
        failed(engine.answer(engine.request("initialize", {"protocolVersions": [1]})), -32600)
        failed(engine.answer(engine.request("job/estimate")), -32601, "job/estimate")
        engine.notify("job/unknown", jobId="x")
        assert engine.call("ping") == {}
    with misfit() as engine:
        failed(engine.run(work, {"do": "echo"}), -32600, "initialize")
        hello = engine.greet({"models": ["a*"]}, features=[])
        assert (hello["features"], hello["models"], hello["limits"]) == ([], ["a*"], {"lineBytes": 1 << 20}), hello
        assert "result" in engine.run(work, {"do": "chunks", "count": 100}, credit=0)
        assert "result" in engine.run(work, {"do": "steps"})
        assert not engine.of("job/chunk") and not engine.of("job/progress")


@test
def versions_without_a_common_one_are_both_named(work):
    with misfit() as engine:
        failed(engine.answer(engine.request("initialize", {"protocolVersions": [2, 3]})), "unsupported", "1", "2, 3")
        failed(engine.answer(engine.request("initialize", {"protocolVersions": "1"})), -32602, "protocolVersions")
        request = engine.request("initialize", {"protocolVersions": [1], "config": {"refuse": True}})
        failed(engine.answer(request), "unsupported", "configuration")
        engine.greet()
        assert engine.end() == 0


@test
def stray_output_lands_in_the_log(work):
    with misfit() as engine:
        engine.greet()
        assert "result" in engine.run(work, {"do": "noise"})
        assert engine.of("job/chunk") == [{"jobId": "job", "seq": 1, "text": "x"}]
        assert engine.end() == 0
        errors = engine.stderr()
        for part in (
            "printed while importing",
            "by a child while",
            "forged",
            "a stray print",
            "another {",
            "a child",
            "bytes on fd 1",
            "printf of C",
            "before the answer",
        ):
            assert part in errors, f"{part!r} is not in {errors!r}"
        assert "forked child" not in errors


@test
def chunks_wait_for_credit_and_a_cancel_wakes_them(work):
    with misfit() as engine:
        engine.greet()
        request = engine.job(work, {"do": "chunks", "count": 10}, credit=3)
        for _ in range(3):
            engine.until(lambda message: message.get("method") == "job/chunk")
        assert engine.call("ping") == {}
        chunks = engine.of("job/chunk")
        assert chunks == [
            {"jobId": "job", "seq": 1, "text": "piece 0"},
            {"jobId": "job", "seq": 2, "data": {"at": 1}},
            {"jobId": "job", "seq": 3, "text": "piece 2"},
        ], chunks
        engine.notify("job/credit", jobId="job", through=2)
        engine.notify("job/credit", jobId="job", through=5)
        engine.notify("job/credit", jobId="other", through=500)
        engine.until(lambda message: message.get("params", {}).get("seq") == 5)
        engine.notify("job/cancel", jobId="job")
        engine.notify("job/cancel", jobId="job")
        began = time.monotonic()
        failed(engine.answer(request), "cancelled")
        assert time.monotonic() - began < 10
        assert [chunk["seq"] for chunk in engine.of("job/chunk")] == [4, 5]
        assert "result" in engine.run(work, {"do": "chunks", "count": 2, "binary": True}, credit=None)
        assert [base64.b64decode(chunk["data"]) for chunk in engine.of("job/chunk")] == [b"\x00\xff"] * 2
        failed(engine.run(work, {"do": "huge_chunk"}), "engine_fault", f"cap of {256 << 10}")


@test
def cancel_reaches_jobs_that_compute_and_only_them(work):
    with misfit() as engine:
        engine.greet()
        first = engine.job(work, {"do": "wait"}, job="first")
        second = engine.job(work, {"do": "wait"}, job="second")
        engine.notify("job/cancel", jobId="first")
        failed(engine.answer(first), "cancelled")
        engine.notify("job/cancel", jobId="first")
        engine.notify("job/cancel", jobId="nobody")
        failed(engine.answer(engine.job(work, {"do": "wait"}, job="second")), -32602, "second")
        assert engine.call("ping") == {}
        engine.notify("job/cancel", jobId="second")
        failed(engine.answer(second), "cancelled")
        at_once = engine.job(work, {"do": "wait"}, job="third")
        engine.notify("job/cancel", jobId="third")
        failed(engine.answer(at_once), "cancelled")


@test
def sixteen_answers_of_a_mebibyte_do_not_mix(work):
    with misfit() as engine:
        engine.greet(features=["chunks"], line=16 << 20)
        jobs = {engine.job(work, {"do": "big", "bytes": 1 << 20}, job=f"job-{n}"): f"job-{n}" for n in range(16)}
        for _ in range(16):
            answer = engine.until(lambda message: message.get("id") in jobs)
            output = answer["result"]["output"]
            assert output["id"] == jobs.pop(answer["id"]) and output["text"] == "ü" * (1 << 19)
        failed(engine.run(work, {"do": "big", "bytes": 5 << 20}), "engine_fault", f"cap of {4 << 20}")


@test
def long_content_travels_as_files(work):
    task = {"do": "echo", "text": "x\u2028" * (5 << 20)}
    with open(os.path.join(work, "task.json"), "w", encoding="utf-8") as file:
        json.dump(task, file, ensure_ascii=False)
    with misfit() as engine:
        engine.greet()
        result = engine.run(work, None, taskFile="task.json")["result"]
        assert "output" not in result and result["usage"] == {"n": 1}, result.keys()
        path = os.path.join(work, result["outputFile"]["name"])
        assert os.path.getsize(path) == result["outputFile"]["bytes"] > 10 << 20
        with open(path, encoding="utf-8") as file:
            assert json.load(file)["task"] == task
        os.unlink(path)
        edge = engine.run(work, {"do": "big", "bytes": 200_000})["result"]
        assert "output" in edge and "outputFile" not in edge
        failed(engine.run(work, None, taskFile="../task.json"), "engine_fault")
        failed(engine.run(work, None, taskFile="missing.json"), "engine_fault", "missing.json")
        with open(os.path.join(work, "task.json"), "w", encoding="utf-8") as file:
            file.write('{"do": "echo", "do": "echo"}')
        failed(engine.run(work, None, taskFile="task.json"), "engine_fault", "twice")


@test
def progress_is_coalesced_and_the_last_one_arrives(work):
    with misfit() as engine:
        engine.greet()
        began = time.monotonic()
        request = engine.job(work, {"do": "steps", "pause": 3600.0})
        engine.until(lambda message: message.get("params", {}).get("step") == 2000)  # while the job still runs
        count = len(engine.of("job/progress"))
        assert 2 <= count <= 3 + (time.monotonic() - began) / 0.1, count
        assert engine.call("ping") == {} and request
    with misfit() as engine:
        engine.greet()
        assert "result" in engine.run(work, {"do": "steps"})
        assert engine.of("job/progress")[-1] == {"jobId": "job", "fraction": 1.0, "step": 2000}


@test
def a_bad_report_fails_where_it_is_made(work):
    with misfit() as engine:
        engine.greet()
        result = engine.run(work, {"do": "misreport"})["result"]
        assert result["output"]["found"] == ["TypeError", "UnicodeEncodeError", "ValueError", "EngineError"], result
        assert engine.of("job/progress") == [
            {"jobId": "job", "fraction": 0.1},
            {"jobId": "job", "fraction": 0.2, "stage": ["good"]},
        ]
        for _ in range(2):  # the id is free again
            error = failed(engine.run(work, {"do": "report_badly"}), "engine_fault", "TypeError")
            assert "report_badly" in error["data"]["evidence"], error
            assert "result" in engine.run(work, {"do": "break_flush"})
        assert "result" in engine.run(work, {"do": "steps"})


@test
def a_forked_child_has_no_wire(work):
    with misfit() as engine:
        engine.greet()
        assert engine.run(work, {"do": "fork"})["result"]["output"] == {"status": 7}
        assert os.path.getsize(os.path.join(work, "orphan")) == 0
        assert not engine.of("log") and not engine.of("job/chunk")
        assert "result" in engine.run(work, {"do": "files"}) and engine.of("log")
        assert engine.end() == 0
        assert "a word of a child" in engine.stderr()


@test
def failures_have_their_class(work):
    with misfit() as engine:
        engine.greet()
        for kind in ("bad_input", "resource", "transient", "unsupported"):
            error = failed(engine.run(work, {"do": "fail", "class": kind}), kind, "A sentence with ? half")
            assert error["data"]["evidence"] == "evidence"
        failed(engine.run(work, {"do": "fail", "class": "cancelled"}), "engine_fault", "Cancelled")
        error = failed(engine.run(work, {"do": "bug"}), "engine_fault", "ZeroDivisionError")
        assert "misfit.py" in error["data"]["evidence"]
        for work_item in ("leave", "nothing", "nan", "no_such_method", "escape"):
            failed(engine.run(work, {"do": work_item}), "engine_fault")
        failed(engine.run(work, {"do": "memory"}), "resource")
        failed(engine.run(work, {"do": "disk"}), "resource", "No room")
        failed(engine.run(work, {"do": "disk", "errno": errno.EDQUOT}), "resource", "No room")
        failed(engine.run(work, {"do": "disk", "errno": errno.EIO}), "engine_fault", "No room")
        failed(engine.run(work, {}), "bad_input", "task.do")


@test
def fields_are_checked(work):
    with misfit() as engine:
        engine.greet()
        good = {"do": "fields", "text": "hi"}
        assert engine.run(work, good)["result"]["output"] == {"speed": 1.0, "n": 3, "flag": False, "text": "hi"}
        output = engine.run(work, {**good, "speed": 2, "n": 9, "flag": True})["result"]["output"]
        assert output == {"speed": 2.0, "n": 9, "flag": True, "text": "hi"} and type(output["speed"]) is float
        for bad, part in (
            ({"speed": 5}, "task.speed"),
            ({"speed": "1"}, "task.speed"),
            ({"speed": True}, "task.speed"),
            ({"n": 1.5}, "task.n"),
            ({"n": 0}, "task.n"),
            ({"flag": 1}, "task.flag"),
            ({"text": None}, "task.text"),
            ({"text": ["\ud83d\ude00"]}, "task.text"),
        ):
            failed(engine.run(work, {**good, **bad}), "bad_input", part)


@test
def inputs_are_regular_files_of_this_machine(work):
    path = os.path.join(work, "ein Bild%20ü#?.png")
    with open(path, "wb"):
        pass
    url = pathlib.Path(path).as_uri()
    os.mkfifo(os.path.join(work, "fifo"))
    with misfit() as engine:
        engine.greet()
        output = engine.run(work, {"do": "inputs", "inputUrl": url, "imageUrls": [url, url]})["result"]["output"]
        assert output == {"paths": [path] * 3}, output
        assert engine.run(work, {"do": "inputs"})["result"]["output"] == {"paths": []}
        for bad in (
            "https://example.test/a.wav",
            "/etc/passwd",
            "file://host/etc/passwd",
            "file:etc/passwd",
            7,
            f"file://{work}",
            f"file://{work}/fifo",
            f"file://{work}/missing",
            "file:///etc/passwd?x",
            "file:///etc/passwd%00.wav",
            "data:audio/wav;base64,AAAA",
        ):
            failed(engine.run(work, {"do": "inputs", "inputUrl": bad}), "bad_input", "task.inputUrl")
            failed(engine.run(work, {"do": "inputs", "imageUrls": [url, bad]}), "bad_input", "task.imageUrls")


@test
def artifacts_and_logs(work):
    with misfit() as engine:
        engine.greet()
        first, second = engine.run(work, {"do": "files"})["result"]["artifacts"]
        assert first == {"name": "speech.wav", "contentType": "audio/wav", "bytes": 8}
        assert second["contentType"] == "audio/x-own"
        assert engine.of("log") == [
            {"level": "warn", "message": "a word", "jobId": "job", "fields": {"field": "value", "number": "5"}}
        ]


@test
def nothing_follows_the_terminal_message(work):
    with misfit() as engine:
        engine.greet()
        assert "result" in engine.run(work, {"do": "late"})
        engine.seen.clear()
        engine.until(lambda message: message.get("params", {}).get("message") == "tried")
        assert engine.call("ping") == {}
        assert [message.get("method") for message in engine.seen] == ["log", None], engine.seen


@test
def models_are_loaded_once_and_given_back(work):
    path = os.path.join(work, "model.bin")
    with open(path, "wb") as file:
        file.write(os.urandom(1 << 20) * 64)
    model = {"id": "m", "files": [{"role": "model", "path": path}], "options": {"x": 1}}
    with misfit() as engine:
        engine.greet()
        loaded = engine.call("model/load", {"model": model})
        reports = engine.of("model/progress")
        assert reports[-1] == {"model": "m", "fraction": 1.0, "message": "part 199"} and len(reports) < 60, reports
        assert loaded["contextLength"] == 7 and 60 << 20 < loaded["memoryBytes"] < 90 << 20, loaded
        assert engine.call("model/load", {"model": {"id": "m"}}) == loaded
        assert engine.run(work, {"do": "echo"}, model=model)["result"]["output"]["model"] == model
        rss = lambda: int(open(f"/proc/{engine.process.pid}/statm").read().split()[1]) * 4096
        before = rss()
        assert engine.call("model/unload", {"model": {"id": "m"}}) == {}
        assert rss() < before - (50 << 20)
        assert engine.call("model/unload", {"model": {"id": "m"}}) == {}
        files = [*model["files"], {"role": "extra", "path": path}]
        assert engine.call("model/load", {"model": {"id": "m", "files": files}}) == {"memoryBytes": 5}
        failed(engine.answer(engine.request("model/load", {"model": {"id": "huge"}})), "resource")
        failed(engine.answer(engine.request("model/load", {"model": 5})), -32602, "model")


@test
def bad_lines_are_answered_and_survived(work):
    deep = b'{"jsonrpc":"2.0","method":"x","params":{"a":' + b"[" * 70 + b"]" * 70 + b"}}"
    values = b'{"jsonrpc":"2.0","method":"x","params":{"a":[' + b"1," * 450_000 + b"1]}}"
    envelope = b'{"jsonrpc":"2.0","method":"x","params":{"a":%s}}'
    cases = [
        (-32700, line)
        for line in (
            b"{",
            b"hello",
            b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
            b'{"jsonrpc":"2.0","method":"\xff"}',
            b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
            deep,
            values,
            b"[" * 1_000_000,
            envelope % b"NaN",
            envelope % b"1e999",
            envelope % (b"9" * 65),
            envelope % b'"\\ud800"',
            envelope % b'{"b":1,"b":2}',
        )
    ]
    cases += [
        (-32600, line)
        for line in (
            b"[]",
            b"5",
            b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":[],"method":"ping"}',
            b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":1,"method":5}',
            b'{"jsonrpc":"2.0","id":1}',
            b"x" * ((1 << 20) + 1),
        )
    ]
    with misfit() as engine:
        engine.greet(features=[])
        for code, line in cases:
            engine.write(line + b"\n")
            answer = engine.next()
            assert answer["id"] is None and answer["error"]["code"] == code, (line[:60], answer)
            engine.seen.clear()
        failed(engine.answer(engine.request("job/run", {"jobId": "x"})), -32602)
        failed(engine.answer(engine.request("ping", [1])), -32602)
        engine.write(b'{"jsonrpc":"2.0","id":"text","method":"ping"}\r\n')
        assert engine.next()["id"] == "text"
        engine.write(b'{"jsonrpc":"2.0","id":77,"result":{}}\n{"jsonrpc":"2.0","method":"job/cancel"}\n')
        edge = b'{"jsonrpc":"2.0","id":78,"method":"ping","params":{}}'
        engine.write(edge + b" " * ((1 << 20) - len(edge)) + b"\n")
        assert engine.next() == {"jsonrpc": "2.0", "id": 78, "result": {}}


@test
def framing_does_not_depend_on_the_pieces(work):
    with misfit() as engine:
        engine.greet()
        for byte in b'{"jsonrpc":"2.0","id":901,"method":"ping"}\n':
            engine.write(bytes([byte]))
        assert engine.next()["id"] == 901
        engine.write(b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % n for n in range(10_000)))
        assert [engine.next()["id"] for _ in range(10_000)] == list(range(10_000))
        rss = lambda: int(open(f"/proc/{engine.process.pid}/statm").read().split()[1]) * 4096
        before = rss()
        for _ in range(64):
            engine.write(b"y" * (1 << 20))
        engine.write(b"\n")
        failed(engine.next(), -32600, str(64 << 20))
        assert rss() < before + (16 << 20), (before, rss())
        echoed = engine.run(work, {"do": "echo", "text": "a\u2028b\u0085c\x1dd"})["result"]["output"]
        assert echoed["task"]["text"] == "a\u2028b\u0085c\x1dd"


@test
def the_end_of_input_is_the_end(work):
    for task, bound in (({"do": "wait"}, 20), ({"do": "chunks", "count": 500}, 20), ({"do": "deaf"}, 20)):
        with misfit() as engine:
            engine.greet()
            engine.job(work, task)
            assert engine.call("ping") == {}
            began = time.monotonic()
            engine.write(b'{"jsonrpc":"2.0","id":99,"method":"ping"}')  # without its end it is no message
            assert engine.end() == 0
            assert time.monotonic() - began < bound
            assert not [message for message in engine.seen if message.get("id") == 99]
            assert "shutting down" not in engine.stderr()


@test
def shutdown_is_answered_while_a_job_runs(work):
    with misfit() as engine:
        engine.greet()
        engine.job(work, {"do": "wait"})
        assert engine.call("shutdown") == {}
        assert engine.next() is None and engine.process.wait(timeout=DEADLINE) == 0
        assert "shutting down" in engine.stderr()


@test
def the_end_waits_for_answers_that_are_on_their_way(work):
    for ends_by_request in (True, False):
        with misfit() as engine:
            engine.greet()
            job = engine.job(work, {"do": "slow"})
            engine.until(lambda message: message.get("params", {}).get("message") == "on its way")
            if ends_by_request:
                engine.request("shutdown")
            assert engine.end() == 0
            answers = [message for message in engine.seen if "id" in message][1:]
            assert answers and answers[0]["id"] == job and "result" in answers[0], answers
            assert len(answers) == 1 + ends_by_request, answers


@test
def many_jobs_leave_nothing_behind(work):
    with misfit() as engine:
        engine.greet()
        growth = lambda: engine.run(work, {"do": "growth"})["result"]["output"]
        before = growth()
        for n in range(300):
            assert "result" in engine.run(work, {"do": "steps"}, job=f"job-{n}")
        until = time.monotonic() + DEADLINE
        while (after := growth())["threads"] > before["threads"] and time.monotonic() < until:
            pass  # timers of progress end by themselves
        assert after == before, (before, after)


@test
def on_a_terminal_it_says_what_it_is(work):
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(MISFIT, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 64 and b"misfit 2.0 is an engine" in done.stderr and b"is an engine" not in done.stdout


@test
def the_kit_can_be_imported_without_pipes(work):
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import stoker_engine; print('out')"],
        cwd=KIT,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert (done.stdout, done.stderr) == (b"out\n", b""), done


@test
def the_engine_of_the_readme_works(work):
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", (KIT / "README.md").read_text(), re.S))
    plugin = os.path.join(work, "count")
    os.mkdir(plugin)
    shutil.copy(KIT / "stoker_engine.py", plugin)
    for name, kind in (("plugin.yaml", "yaml"), ("engine.py", "python")):
        with open(os.path.join(plugin, name), "w", encoding="utf-8") as file:
            file.write(blocks[kind])
    assert len(blocks["python"].splitlines()) <= 30
    with Wire([sys.executable, "-B", "engine.py"], plugin) as engine:
        assert engine.greet()["engine"]["name"] == "count"
        task = {"messages": [{"role": "user", "content": "the cat and the dog"}]}
        output = engine.run(work, task)["result"]["output"]
        assert output["choices"][0]["message"]["content"] == "the 2\ncat 1\nand 1\ndog 1\n"
        assert "".join(chunk["text"] for chunk in engine.of("job/chunk")) == "the 2\ncat 1\nand 1\ndog 1\n"
        failed(engine.run(work, {"messages": []}), "bad_input", "task.messages")
        assert engine.end() == 0
    stoker = ROOT / "dist" / "bin" / "stoker"
    if stoker.exists():
        linted = subprocess.run([stoker, "plugins", "lint", plugin], capture_output=True, text=True, timeout=DEADLINE)
        assert linted.returncode == 0, linted.stdout + linted.stderr


def main():
    wanted, passed, failures = sys.argv[1:], 0, 0
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        work, began = tempfile.mkdtemp(prefix="python-kit-test."), time.monotonic()
        try:
            function(work)
            passed += 1
            print(f"ok    {function.__name__} ({time.monotonic() - began:.1f} s)")
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print(f"FAIL  {function.__name__}\n{traceback.format_exc()}")
        finally:
            shutil.rmtree(work)
        sys.stdout.flush()
    print(f"{passed} passed, {failures} failed")
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
