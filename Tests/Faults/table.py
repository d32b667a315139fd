"""The fault matrix as it is documented: what the host does about each fault, and where that is shown."""

import dataclasses


@dataclasses.dataclass
class Row:
    fault: str
    does: str
    bound: str
    #: Tests in other places: pairs of a file and a name that occurs in it.
    also: tuple = ()
    #: Why this machine cannot show it; only for rows without a test.
    cannot: str = ""


ROWS = {}


def describe(number, fault, does, bound, *also, cannot=""):
    ROWS[number] = Row(fault, does, bound, also, cannot)
