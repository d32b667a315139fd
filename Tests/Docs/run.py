#!/usr/bin/env python3
"""Tests of the documents: what they show is run, what they configure is checked, what they link to exists.

    python3 Tests/Docs/run.py [DOCUMENT...]

needs Python 3.10 or newer and nothing else. The commands run against the built program: dist/ of this tree, or the one
that STOKER_TEST_DIST names; without it they are skipped. Every document gets a home of its own and its commands run in
order. A comment before a fenced block says what is special about it:

    <!-- run: skip (why) -->        its commands are not run
    <!-- run: exit 4 -->            they end with that status
    <!-- run: within 5 s -->        they may fail at first
    <!-- run: model -->             they need the small model: STOKER_TEST_HOME's models are copied into the home
    <!-- run: same output -->       they print what is shown below them
    <!-- config --> <!-- models --> a YAML block that is a configuration, or a list of models

The last line is the count; the exit status is 0 only when nothing failed.
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Tests" / "ProtocolDocs"))  # the runner

import reference
from fences import blocks
from runner import Suite
from session import Session

# In the order of their importance to a reader.
RUN = ["README.md", "Docs/Operating.md", "Docs/WritingAnEngine.md", "Examples/python-wordcount/README.md"]


def load_links():
    """The link checker of `make lint`, which has no ending."""
    loader = importlib.machinery.SourceFileLoader("links", str(ROOT / "Tools" / "lint" / "links"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("links", loader))
    loader.exec_module(module)
    return module


def links():
    found = list(load_links().problems(ROOT))
    assert not found, "; ".join(found)


def diagrams():
    """Mermaid pictures begin as one and close what they open."""
    found = [block for block in blocks(ROOT / "Docs" / "Architecture.md") if block.language == "mermaid"]
    assert found, "Docs/Architecture.md has no picture"
    for block in found:
        words = [line.split()[0] for line in block.lines if line.strip()]
        assert words[0] in ("flowchart", "sequenceDiagram", "stateDiagram-v2"), f"line {block.line}: not a diagram"
        assert words.count("subgraph") == words.count("end"), f"line {block.line}: a subgraph is not closed"


def main():
    suite = Suite()
    suite.check("every link leads somewhere", links)
    suite.check("the architecture has a picture", diagrams)
    suite.check("the table of keys is the schema's", lambda: reference.keys(ROOT))
    suite.check("the table of exit statuses is the program's", lambda: reference.statuses(ROOT))
    dist = pathlib.Path(os.environ.get("STOKER_TEST_DIST") or ROOT / "dist").resolve()
    for name in sys.argv[1:] or RUN:
        if (ROOT / name).exists():
            with Session(suite, ROOT, dist, name) as session:
                session.run(blocks(ROOT / name))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
