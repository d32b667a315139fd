"""Rows F1 to F30: engines that die, hang, speak wrongly or do not listen."""

from table import describe

FAULTS = "Tests/FaultTests/EngineFaultTests.swift"
FRAMER = "Tests/PluginProtocolTests/LineFramerTests.swift"
SESSION = "Tests/HostTests/Engines/SessionFaultTests.swift"
HANDSHAKE = "Tests/HostTests/Engines/SessionHandshakeTests.swift"
FLOW = "Tests/HostTests/Engines/SessionFlowTests.swift"
CANCEL = "Tests/HostTests/Engines/SessionCancelTests.swift"

describe("F1", "`kill -9` of an idle engine", "notices it by the pidfd, starts another after the backoff", "100 ms and the backoff")
describe("F2", "`kill -9` in the middle of a job", "the job goes back into line, attempt + 1", "200 ms")
describe("F3", "SIGSEGV, SIGBUS, abort", "names the signal; no core file; the job goes back into line", "200 ms")
describe("F4", "killed for memory", "class `resource`; the job waits before it is tried again; neither the plugin nor the job is blamed for a crash", "1 s")
describe("F5", "exit 0 in the middle of a job", "a lost attempt, not a success", "200 ms")
describe("F6", "SIGSTOP", "the job's stall clock; SIGKILL, because a stopped process gets no SIGTERM", "stall + 1 s")
describe("F7", "answers pings, the job never moves", "the job's stall clock; the jobs beside it are tried again and not blamed", "stall + 1 s",
         (FAULTS, "tenantsOfAStalledEngineAreNotBlamed"), (FLOW, "stallKillsWithoutChunksOrProgress"))
describe("F8", "progress for ever, the same or fake", "the same progress does not count; changing progress lives until the hard maximum", "maximum + 1 s",
         (FLOW, "repeatedProgressIsNoSignOfLife"))
describe("F9", "hangs before `initialize` is answered", "the start clock; the next start follows after the backoff", "clock + 1 s",
         (HANDSHAKE, "silenceEndsItAtTheClock"))
describe("F10", "hangs in a load: silent, with progress", "silent: the load's stall clock; with progress it goes on, 30 minutes at most", "clock + 1 s",
         (SESSION, "aSilentLoadIsKilledAndALivelyOneIsNot"))
describe("F11", "exits 1 ms after its start", "names status and last words, waits longer each time; five times in three minutes are quarantine", "1 s",
         (FAULTS, "f11ExitsAtOnce"))
describe("F12", "not executable, wrong architecture, missing interpreter, missing library, being written, missing working directory", "each is named, with what to do", "1 s",
         ("Tests/HostTests/Process/StartFailureTests.swift", "StartFailureTests"))
describe("F13", "text on stdout before the handshake", "noise: logged with \"did you print to stdout?\", counted, tolerated", "")
describe("F14", "binary, NUL, bad UTF-8", "one protocol error each, counted; more than 16 a minute kill the process, with the bytes shown", "",
         (SESSION, "theBudgetOfProtocolErrorsIsAMinutes"))
describe("F15", "a stray print between messages and inside one", "noise; one protocol error for the broken one; in step again at the next LF", "")
describe("F16", "a stray line that is JSON", "no message: counted and dropped", "")
describe("F17", "a line of 1 GiB", "keeps 4 KiB of it, drains the rest; the job fails, the engine stays", "host's memory ≤ 2 × cap", (FRAMER, "linear"))
describe("F18", "a line that never ends, byte by byte", "`partialLine`, the clock of a line; 60 s unless the manifest says otherwise", "clock + 1 s")
describe("F19", "part of a line, then exit", "the part is dropped, the job goes back into line", "200 ms")
describe("F20", "one byte at a time; 10,000 messages in one write", "both are fine, in time linear in their length", "linear", (FRAMER, "linear"))
describe("F21", "10⁶ levels, 10⁶ keys, a number of 10 MB, a key twice", "one protocol error each; the engine stays", "50 ms")
describe("F22", "a protocol version that is newer, older, missing, nonsense", "out of service with both lists shown; not started again", "1 s", (HANDSHAKE, "refusalNamesBothLists"))
describe("F23", "unknown methods and members", "ignored, counted", "", (SESSION, "unknownMethodsAndFieldsAreIgnored"))
describe("F24", "answers twice, sends a chunk after the result, a result before the job", "dropped, counted, logged; the engine stays", "")
describe("F25", "two different results for one id", "the first counts", "", (SESSION, "ofTwoResultsTheFirstCounts"))
describe("F26", "a result for an id that is unknown, foreign or finished", "dropped, counted, logged", "")
describe("F27", "a result 1 ms, 1 s, 1 min after the cancel", "never visible; the last finds the process gone: the grace is a minute at most", "")
describe("F28", "ignores a cancel", "killed at the end of the grace; the jobs beside it go back into line, unblamed", "grace + 1 s",
         (FAULTS, "tenantsOfAKilledEngineAreNotBlamed"), (CANCEL, "anEngineThatIgnoresItIsKilledAndCoTenantsAreLost"))
describe("F29", "cancel before the start, during the load, twice at once, after the end", "each is fine and changes nothing twice", "", (CANCEL, "cancelIsIdempotentAtAnyMoment"))
describe("F30", "stops reading with 64 MiB queued", "a bounded queue, beyond it class `resource`; `unreadInput`, the clock of unread input, kills", "10 s",
         ("Tests/HostTests/Engines/OutboundQueueTests.swift", "theBoundHoldsForOrdinaryFramesOnly"))
