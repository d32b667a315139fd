"""Tables of Docs/Operating.md that say what the code says."""

import json
import re

# Sections whose keys are free, and what stands for such a key in the document.
FREE = {"plugins": "NAME", "residency": "MODEL"}

ROW = re.compile(r"^\| (?P<first>[^|]+) \| (?P<second>[^|]+) \|")


def rows(root, header):
    """The first two cells of each row of the table with that header, without the backticks."""
    lines = (root / "Docs" / "Operating.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(header) + 2
    found = {}
    for line in lines[start:]:
        if not (row := ROW.match(line)):
            break
        found[row["first"].strip("` ")] = row["second"].strip("` ")
    return found


def leaves(schema, path=""):
    """Key and default of everything that is not a section."""
    found = {}
    for name, value in schema.get("properties", {}).items():
        key = f"{path}{name}"
        inner = [one for pattern, one in value.get("patternProperties", {}).items() if isinstance(one, dict)]
        if key in FREE:
            found |= leaves(inner[0], f"{key}.{FREE[key]}.")
        elif "properties" in value:
            found |= leaves(value, key + ".")
        else:
            found[key] = value.get("default")
    return found


def keys(root):
    schema = json.loads((root / "Docs" / "schema" / "config.schema.json").read_text(encoding="utf-8"))
    expected, shown = leaves(schema), rows(root, "| key | default | meaning |")
    assert expected.keys() == shown.keys(), f"only in one of the two: {sorted(expected.keys() ^ shown.keys())}"
    for key, default in expected.items():
        assert text(default) == shown[key], f"{key}: the default is {text(default)}, the document says {shown[key]}"


def text(default):
    """A default as the document writes it."""
    if default is None or default == []:
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def statuses(root):
    source = (root / "Sources" / "Stoker" / "StokerCommand.swift").read_text(encoding="utf-8")
    section = source[source.index("EXIT STATUS"):source.index("ENVIRONMENT")]
    expected = dict(re.findall(r"^ +(\d+) +(.+)$", section, re.MULTILINE))
    shown = rows(root, "| status | means |")
    assert expected == shown, f"the program says {expected}, the document {shown}"
