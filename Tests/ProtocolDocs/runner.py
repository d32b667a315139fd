"""A test runner of a few lines: named checks, one output line each, a count at the end."""

import sys
import traceback


class Skip(Exception):
    """Raised by a check that cannot run here; its text says why."""


class Suite:
    """Runs checks as they are added and counts them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, body):
        try:
            body()
        except Skip as reason:
            self.skipped += 1
            print(f"skip  {name}: {reason}")
        except AssertionError as problem:
            self.failed += 1
            print(f"FAIL  {name}: {problem or traceback.format_exc()}")
        except Exception:
            self.failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}")
        else:
            self.passed += 1
            print(f"ok    {name}")
        sys.stdout.flush()

    def require(self, holds, message):
        assert holds, message

    def fail(self, message):
        raise AssertionError(message)

    def finish(self):
        """Prints the count; returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0
