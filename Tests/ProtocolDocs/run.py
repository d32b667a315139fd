#!/usr/bin/env python3
"""Tests of the public protocol document: its examples, its schemas, and an engine written from it.

    python3 Tests/ProtocolDocs/run.py

needs Python 3.10 or newer and nothing else. Where the package jsonschema is installed, every verdict is compared with it.
The last line is the count; the exit status is 0 only when nothing failed.
"""

import pathlib
import sys

sys.dont_write_bytecode = True

import checks_document
import checks_wordcount
from runner import Suite

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    suite = Suite()
    schemas = checks_document.add(suite, ROOT / "Docs")
    checks_wordcount.add(suite, schemas, ROOT / "Examples" / "python-wordcount", ROOT / "Docs" / "WritingAnEngine.md")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
