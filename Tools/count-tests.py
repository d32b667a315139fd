"""Counts an xUnit report of Swift Testing: count-tests.py FILE prints "N passed, N failed, N skipped"."""

import sys
import xml.etree.ElementTree as tree

try:
    cases = list(tree.parse(sys.argv[1]).iter("testcase"))
except (OSError, tree.ParseError) as error:
    sys.exit(f"there is no report of the tests, so they did not run to their end: {error}")
failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
skipped = [case for case in cases if case.find("skipped") is not None and case not in failed]
for case in failed:
    print(f"FAIL  {case.get('classname')}.{case.get('name')}")
print(f"{len(cases) - len(failed) - len(skipped)} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(bool(failed))
