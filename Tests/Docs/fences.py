"""Reads the fenced blocks of a Markdown file, with the comments before them and the commands in them."""

import dataclasses
import re

FENCE = re.compile(r"^(?P<mark>`{3,}|~{3,})(?P<language>[\w-]*)\s*$")
COMMENT = re.compile(r"^<!-- (.*) -->$")


@dataclasses.dataclass
class Command:
    """A command as it is shown, with the output shown below it."""

    line: int
    text: str
    output: list


@dataclasses.dataclass
class Block:
    """A fenced block. `note` is the text of the comment right before it, or empty."""

    line: int
    language: str
    note: str
    lines: list

    def commands(self):
        """The commands: lines after `$ ` in a console block, all lines of a shell block."""
        found = []
        for offset, line in enumerate(self.lines, 1):
            if self.language == "console" and not line.startswith("$ "):
                assert found, f"line {self.line + offset}: output before the first command"
                found[-1].output.append(line)
            elif self.language == "console":
                found.append(Command(self.line + offset, line[2:], []))
            elif line.strip() and not line.lstrip().startswith("#"):
                found.append(Command(self.line + offset, re.sub(r"\s+# .*$", "", line), []))
        return found

    @property
    def is_shown_use(self):
        """Whether the block shows the program in use."""
        if self.language == "console":
            return True
        return self.language == "sh" and any(line.startswith("stoker ") for line in self.lines)


def blocks(path):
    """All fenced blocks of a file, in order."""
    found, current, mark, note = [], None, "", ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if current is not None:
            if line == mark:
                current = None
            else:
                current.lines.append(line)
        elif fence := FENCE.match(line):
            mark = fence["mark"]
            current = Block(number, fence["language"], note, [])
            found.append(current)
            note = ""
        elif comment := COMMENT.match(line):
            note = comment[1]
        elif line.strip():
            note = ""
    assert current is None, f"{path}:{found[-1].line}: the block is not closed"
    return found
