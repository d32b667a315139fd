"""Docs/Faults.md: made from the table, the cases and the figures of the last recorded run."""

import importlib
import json
import re

import matrix
import table
from rig import HERE, ROOT

for rows in sorted(HERE.glob("table_*.py")):
    importlib.import_module(rows.stem)

FILE = ROOT / "Docs" / "Faults.md"
FIGURES = HERE / "figures.json"
NUMBERS = [f"F{number}" for number in range(1, 55)]
HEAD = """\
# Faults

What an engine can do wrong, what the host does about it, and how long that takes. `python3 Tests/Faults/run.py` runs the matrix
against a real worker; `python3 Tests/Faults/run.py --record --write-docs` measures anew and writes this page.

Each case runs with the engine idle, with one job in flight and with eight, beside a healthy engine that runs one small job after
another. After each the system is looked at, not the host's word: the host lives; every job has exactly one terminal state and
shows the result of one attempt; no process, zombie, descriptor, thread, temporary file, lease or open attempt is left; the host's
memory is back within 20 MiB; the log names engine, fault and evidence; the healthy engine has lost no job and its 99th
percentile is at most twice the calm one.

"measured" is one run on a machine with two processors. Times are looked at every few milliseconds from outside.
"""


def record(figures):
    """Keeps the figures of a run; of rows that were not run the former ones stay."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept.update(figures)
    order = [*NUMBERS, *sorted(set(kept) - set(NUMBERS))]
    lines = [f" {json.dumps(number)}: {json.dumps(kept[number])}" for number in order if number in kept]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def measured(number, figures):
    """What each variant of a row has shown, or why there is none."""
    cases, parts = [one for one in matrix.CASES if one.row == number], []
    for variant in matrix.VARIANTS if cases else ():
        texts = []
        for name, what, seconds, _, text in figures.get(number, {}).get(variant, []):
            value = matrix.short(seconds) if seconds is not None else text
            texts.append(f"{name + ': ' if name else ''}{what} {value}")
        if not texts and all(variant in one.without for one in cases):
            texts = [f"none, {cases[0].without[variant]}"]
        default = "holds" if variant in figures.get(number, {}) else "not recorded yet"
        parts.append(f"*{variant}:* " + ("; ".join(texts) or default))
    return "<br>".join(parts)


def places(number):
    """Where a row is tested: pairs of a file and a name in it."""
    own = [one.where for one in matrix.CASES if one.row == number]
    return list(dict.fromkeys([*own, *table.ROWS[number].also]))


def render():
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    lines = [HEAD, "| | fault | what the host does | bound | measured | tested in |", "|---|---|---|---|---|---|"]
    for number in NUMBERS:
        if number not in table.ROWS:
            continue
        row = table.ROWS[number]
        files = {}
        for path, name in places(number):
            files.setdefault(path, []).append(f"`{name}`")
        where = "<br>".join(f"[{path.rsplit('/', 1)[1]}](../{path}): {', '.join(names)}" for path, names in files.items())
        if row.cannot:
            where = f"{where}<br>{row.cannot}" if where else row.cannot
        cells = [number, row.fault, row.does, row.bound, measured(number, figures), where]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if numbers := [key for key in figures if key not in NUMBERS]:
        lines += ["", "## Numbers", "", "| what | measured | bound |", "|---|---|---|"]
        for key in numbers:
            for results in figures[key].values():
                for name, what, seconds, bound, text in results:
                    value = matrix.short(seconds) if seconds is not None else text
                    limit = "" if bound is None else text or matrix.short(bound)
                    lines.append(f"| {name + ': ' if name else ''}{what} | {value} | {limit} |")
    return "\n".join(lines) + "\n"


def write():
    FILE.write_text(render())


def problems():
    """What is missing from the document or the tests."""
    for number in NUMBERS:
        if number not in table.ROWS:
            yield f"{number} is not in the table"
            continue
        found = places(number)
        if not found and not table.ROWS[number].cannot:
            yield f"{number} has neither a test nor a reason why this machine cannot show it"
        for path, name in found:
            file = ROOT / path
            if not file.is_file():
                yield f"{number}: there is no {path}"
            elif not re.search(rf"\b{re.escape(name)}\b", file.read_text()):
                yield f"{number}: {path} has no {name}"
    if not FILE.exists() or FILE.read_text() != render():
        yield "Docs/Faults.md is not what run.py --write-docs makes"


def check():
    found = list(problems())
    assert not found, "; ".join(found)
