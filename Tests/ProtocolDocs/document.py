"""Reads Docs/Protocol.md: its annotated examples, its tables of params and results, its links."""

import dataclasses
import json
import re

ANNOTATION = re.compile(
    r"<!-- example: (?P<method>\S+) (?P<form>request|response|notification|error) (?P<direction>host-to-engine|engine-to-host) -->"
)


@dataclasses.dataclass
class Example:
    """One example message with what its annotation says about it."""

    line: int
    method: str
    form: str
    direction: str
    message: dict

    @property
    def name(self):
        return f"line {self.line}: {self.method} {self.form}"


def parse_strictly(text):
    """Parses JSON as the protocol wants it: no duplicate keys, no NaN, an object at the top."""

    def members(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError(f"duplicate key among {[key for key, _ in pairs]}")
        return result

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    value = json.loads(text, object_pairs_hook=members, parse_constant=refuse)
    if not isinstance(value, dict):
        raise ValueError("a message is an object")
    return value


def examples(text):
    """Yields (line, Example) for each good example and (line, str) for each that cannot be read."""
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        if not lines[index].startswith("```json"):
            if "<!-- example" in lines[index] and not lines[index + 1].startswith("```json"):
                yield index + 1, "an annotation without a json fence right after it"
            index += 1
            continue
        start = index
        index += 1
        body = []
        while lines[index] != "```":
            body.append(lines[index])
            index += 1
        annotation = ANNOTATION.fullmatch(lines[start - 1])
        if annotation is None:
            yield start + 1, "a json fence without a well-formed annotation on the line above"
            continue
        try:
            message = parse_strictly("\n".join(body))
        except ValueError as problem:
            yield start + 1, f"not a JSON message: {problem}"
            continue
        yield start + 1, Example(start + 1, **annotation.groupdict(), message=message)


def sections(text):
    """The text of each `###` section by its heading."""
    parts = re.split(r"^(#{2,3}) (.+)$", text, flags=re.M)
    return {parts[i + 1]: parts[i + 2] for i in range(1, len(parts), 3) if parts[i] == "###"}


def table_rows(section, header):
    """The names in the first column of the table that begins with `header`, each as (dotted path, is optional)."""
    rows, inside = [], False
    for line in section.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == header:
            inside = True
        elif inside and not set(line) <= set("|-"):
            rows += [(name, mark == "?") for name, mark in re.findall(r"`([\w.]+)`(\??)", cells[0])]
    return rows


def links(text):
    """Targets of the document's links."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(text):
    """The anchors that the document's headings make."""
    headings = re.findall(r"^#{1,6} (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
