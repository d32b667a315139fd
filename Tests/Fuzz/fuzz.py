#!/usr/bin/env python3
"""Fuzzes what hostile programs, files and servers send: each target for some time, coverage-guided, under AddressSanitizer.

  fuzz.py [--seconds N] [--target NAME,...] [--minimise]     `make fuzz SECONDS=600 TARGET=json` runs it

An input that crashes, breaks a property, takes more than a minute or too much memory is kept in .build/fuzz/findings; put it
into corpus/TARGET once the fault is put right, where every test run replays it. What is found on the way is kept in
.build/fuzz/corpus, and goes on from there the next time; --minimise puts what adds coverage into corpus/.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / ".build" / "fuzz"
TARGETS = ("archive", "config", "control", "framer", "http", "json", "media", "reports")

# Wall time, and the machine may be busy with other things.
SLOWEST = 60
# The sanitizer itself takes about 100 MiB; no input here may cost hundreds.
OPTIONS = [f"-timeout={SLOWEST}", "-rss_limit_mb=600", "-malloc_limit_mb=256", "-print_final_stats=1"]
LONGEST = {"framer": 2048, "archive": 8192}
LONGEST_OTHERS = 4096


def environment(target):
    return {**os.environ, "FUZZ_TARGET": target, "SWIFT_BACKTRACE": "enable=no",
            "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=16:allocator_may_return_null=0"}


def build():
    subprocess.run([str(HERE / "build.sh")], check=True)


def start(target, words, output):
    """Starts the fuzzer; its report goes to `output`."""
    findings = BUILT / "findings"
    findings.mkdir(exist_ok=True)
    longest = f"-max_len={LONGEST.get(target, LONGEST_OTHERS)}"
    return subprocess.Popen(
        [str(BUILT / "fuzz"), *OPTIONS, longest, f"-artifact_prefix={findings}/{target}-", *map(str, words)],
        env=environment(target), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


class Report:
    """What a run of libFuzzer has printed."""

    def __init__(self, text, status):
        self.text, self.status = text, status
        covered = [int(found) for found in re.findall(r"cov: (\d+)", text)]
        self.before, self.after = (covered[0], covered[-1]) if covered else (0, 0)
        self.inputs = self.number(r"corp: (\d+)")
        self.runs = self.number(r"stat::number_of_executed_units: (\d+)")
        self.memory = self.number(r"stat::peak_rss_mb:\s+(\d+)")

    def number(self, pattern):
        found = re.findall(pattern, self.text)
        return int(found[-1]) if found else 0

    @property
    def finding(self):
        """What went wrong, in a line; None when nothing did."""
        if self.status == 0:
            return None
        for pattern in (r"PROPERTY BROKEN: .*", r"ERROR: .*", r"Fatal error: .*", r"SUMMARY: .*"):
            if found := re.search(pattern, self.text):
                kept = re.search(r"Test unit written to (\S+)", self.text)
                return found.group()[:300] + (f" (kept in {kept.group(1)})" if kept else "")
        return f"exit status {self.status}: {self.text[-300:]}"


def fuzz(target, words):
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        status = start(target, words, output).wait()
        output.seek(0)
        return Report(output.read(), status)


def minimise(target):
    """Adds to the corpus what covers more than it does; counts of how often are not looked at, to keep it small."""
    kept = HERE / "corpus" / target
    kept.mkdir(parents=True, exist_ok=True)
    return fuzz(target, ["-merge=1", "-use_counters=0", kept, BUILT / "corpus" / target])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--target", default="all")
    parser.add_argument("--minimise", action="store_true")
    arguments = parser.parse_args()
    wanted = TARGETS if arguments.target == "all" else arguments.target.split(",")
    for target in wanted:
        if target not in TARGETS:
            sys.exit(f"no target {target}: use all, or some of {', '.join(TARGETS)}")
    build()
    found = 0
    for target in wanted:
        work = BUILT / "corpus" / target
        work.mkdir(parents=True, exist_ok=True)
        report = fuzz(target, [f"-max_total_time={arguments.seconds}", work, HERE / "corpus" / target])
        print(f"{target:8} {report.runs:>9} executions, edges {report.before} -> {report.after}, {report.inputs} inputs, "
              f"{report.memory} MiB", flush=True)
        if report.finding:
            found += 1
            print(f"         {report.finding}", flush=True)
        if arguments.minimise and not report.finding:
            minimise(target)
    print(f"{found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
