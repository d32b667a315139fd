"""Rows F1 to F30: engines that die, hang, speak wrongly or do not listen."""

from table import describe

FAULTS = "Tests/FaultTests/EngineFaultTests.swift"
SESSION = "Tests/HostTests/Engines/"

describe("F1", "`kill -9` of an idle engine", "notices it, starts another after the backoff", "100 ms and the backoff")
describe("F2", "`kill -9` in the middle of a job", "the job goes back into line, attempt + 1", "200 ms")
