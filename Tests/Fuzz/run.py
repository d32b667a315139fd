#!/usr/bin/env python3
"""The corpus of every fuzzer once more, a few seconds of fuzzing each, and JSON beside Python's own reader."""

import json
import math
import pathlib
import sys
import tempfile
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "ProtocolDocs"))
sys.path.insert(0, str(HERE))

from fuzz import BUILT, TARGETS, Report, build, environment, fuzz, start  # noqa: E402
from runner import Suite  # noqa: E402

import subprocess  # noqa: E402

SECONDS = 5
AT_ONCE = 2


def replay(target):
    """Every kept input once: first of all those that were faults."""
    report = fuzz(target, ["-runs=0", HERE / "corpus" / target])
    assert not report.finding, report.finding
    assert report.inputs > 0 and report.after > 0, f"nothing was replayed:\n{report.text[-500:]}"


def fuzz_shortly():
    """Each target for some seconds, a few at a time; the reports by target."""
    reports, left, running = {}, list(TARGETS), []
    while left or running:
        while left and len(running) < AT_ONCE:
            target = left.pop(0)
            output = tempfile.TemporaryFile("w+", errors="replace")
            words = ["-seed=1", f"-max_total_time={SECONDS}", HERE / "corpus" / target]
            # The corpus is only read: what is found goes to a directory of its own.
            new = tempfile.TemporaryDirectory(prefix="stoker-fuzz.")
            running.append((target, start(target, words[:2] + [new.name] + words[2:], output), output, new))
        target, process, output, new = running.pop(0)
        status = process.wait()
        output.seek(0)
        reports[target] = Report(output.read(), status)
        output.close()
        new.cleanup()
    return reports


class Refused(Exception):
    """Python reads it, and the protocol does not."""


def pairs(members):
    names = [unicodedata.normalize("NFC", name) for name, _ in members]
    if len(set(names)) != len(names):
        raise Refused("a name twice")
    return dict(members)


def number(text):
    value = float(text)
    if len(text) > 64 or not math.isfinite(value):
        raise Refused("a number that is none")
    return value


def refuse(text):
    raise Refused(text)


def depth(value):
    if isinstance(value, (dict, list)):
        return 1 + max((depth(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


def python_reads(data):
    """Whether Python's reader takes a text, with the protocol's own rules on top."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_float=number, parse_int=number,
                           parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # Lone surrogates cannot be written.
        return depth(value) <= 64
    except (ValueError, Refused, RecursionError):
        return False


def as_python_reads():
    """Of every input in the corpus, the parser says what Python says."""
    files = [path for path in sorted((HERE / "corpus" / "json").iterdir()) if not path.read_bytes().startswith(b"\xfe\xfe")]
    with tempfile.TemporaryFile() as verdicts:
        done = subprocess.run(
            [str(BUILT / "fuzz"), *map(str, files)], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            pass_fds=[verdicts.fileno()], env={**environment("json"), "FUZZ_VERDICTS": str(verdicts.fileno())})
        verdicts.seek(0)
        told = verdicts.read().decode()[1:]  # libFuzzer begins with an input of its own, the empty one.
    assert done.returncode == 0 and len(told) == len(files), f"{len(told)} verdicts of {len(files)}: {done.stderr[-300:]}"
    assert "y" in told and "n" in told, "all have one verdict: this compares nothing"
    for path, verdict in zip(files, told):
        assert python_reads(path.read_bytes()) == (verdict == "y"), f"{path.name}: {verdict} here, {path.read_bytes()[:200]}"


def main():
    suite = Suite()
    suite.check("the fuzzers are built", build)
    if suite.failed:
        return suite.finish()
    for target in TARGETS:
        suite.check(f"{target}: the corpus", lambda target=target: replay(target))
    for target, report in fuzz_shortly().items():
        suite.check(f"{target}: {SECONDS} s, {report.runs} executions",
                    lambda report=report: suite.require(report.finding is None, report.finding))
    suite.check("JSON is read as Python reads it", as_python_reads)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
