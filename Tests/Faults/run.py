#!/usr/bin/env python3
"""The fault matrix: every fault against a real worker, idle, with one job and with eight, beside a healthy engine under load.

    python3 Tests/Faults/run.py [--only F7,F12] [--quick] [--list] [--json FILE] [--record] [--write-docs]

  --only ROWS    these rows only
  --quick        without the cases that take long
  --list         the cases, and no run
  --json FILE    where the measured figures go; .build/test-logs/faults.json unless it is given
  --record       keeps the figures of this run for the document
  --write-docs   writes Docs/Faults.md from the table and the figures that were kept; alone, nothing is run

needs Python 3.10 or newer, cc, and STOKER_TEST_DIST: the built tree; dist/ of this one when it is not set. The last line is
the count; the exit status is 0 only when nothing failed.
"""

import argparse
import importlib
import json
import os
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

import document
import matrix
import rig

for rows in sorted(rig.HERE.glob("rows_*.py")):
    importlib.import_module(rows.stem)

MODELS = []


def order(one):
    """The matrix's rows by their numbers, then what has none."""
    number = one.row[1:]
    return (0, int(number), "") if number.isdigit() else (1, 0, one.row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", type=pathlib.Path, default=rig.ROOT / ".build" / "test-logs" / "faults.json")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if options.list:
        for one in matrix.CASES:
            print(f"{one.title:24} {one.where[0]}: {one.where[1]}")
        return 0
    if options.write_docs and not options.record:
        document.write()
        return 0
    wanted = {row.strip() for row in options.only.split(",") if row.strip()}
    cases = sorted((one for one in matrix.CASES if (not wanted or one.row in wanted) and not (options.quick and one.long)), key=order)
    if unknown := wanted - {one.row for one in cases}:
        sys.exit(f"no case of {', '.join(sorted(unknown))}; see --list")
    dist = pathlib.Path(os.environ.get("STOKER_TEST_DIST") or rig.ROOT / "dist")
    place = pathlib.Path(tempfile.mkdtemp(prefix="stoker-faults."))
    try:
        runner = matrix.Runner(dist, rig.build(place))
        runner.run(cases, models=MODELS)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(runner.figures, indent=1) + "\n")
    if options.record:
        if wanted:
            runner.figures.pop("all", None)  # of all rows, and these are not
        document.record(runner.figures)
    if options.write_docs:
        document.write()
    if not wanted:
        runner.check("Docs/Faults.md covers the whole matrix and is up to date", document.check)
    print(f"{runner.passed} passed, {runner.failed} failed, {runner.skipped} skipped")
    return 1 if runner.failed or not runner.passed else 0


if __name__ == "__main__":
    sys.exit(main())
