#!/usr/bin/env python3
"""The soak in short: enough to see a loss, and a leak that is no trickle. `make soak` is the long one."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "ProtocolDocs"))
sys.path.insert(0, str(HERE))

from runner import Suite  # noqa: E402
from soak import arguments_of, soak  # noqa: E402


def main():
    suite = Suite()
    problems = []
    # The large models take longer to load than this takes: their engines are in the long one.
    suite.check("half a minute under load", lambda: problems.extend(
        soak(arguments_of(["--minutes", "0.5", "--engines", "chaos,synthetic,ffmpeg,piper"]))))
    suite.check("nothing grows, nothing is lost",
                lambda: suite.require(not problems, "\n".join(problems[:20])))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
