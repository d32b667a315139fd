"""Rows F31 to F54: floods, processes, files, plugin directories, and the machine itself."""

from table import describe

HOST = "Tests/FaultTests/HostDeathTests.swift"
CLIENTS = "Tests/FaultTests/ControlFaultTests.swift"
FAULTS = "Tests/FaultTests/EngineFaultTests.swift"
PACING = "Tests/HostTests/Engines/PacingTests.swift"
TEARDOWN = "Tests/HostTests/Process/TeardownMachineTests.swift"
DEATH = "Tests/HostTests/Process/EngineDeathTests.swift"
LEFTOVERS = "Tests/HostTests/Process/LeftoversTests.swift"
CLOCK = "Tests/HostTests/Process/HostClockTests.swift"
ARTIFACTS = "Tests/HostTests/Jobs/ArtifactStoreTests.swift"
CATALOG = "Tests/HostTests/Catalog/PluginCatalogTests.swift"
LOG = "Tests/HostTests/Telemetry/HostLogTests.swift"
RESIDENCY = "Tests/HostTests/Memory/ResidencyTests.swift"

describe(
    "F31", "the host's listener stops reading", "gives no more credit: the engine waits, and goes on when the listener does",
    "flat memory", (CLIENTS, "aWatcherThatStopsReadingHoldsUpNobodyElse"), (CLIENTS, "aWatcherThatGoesAwayLetsTheJobGoOn"))
describe(
    "F32", "valid progress, logs or unknown messages as fast as the pipe takes them",
    "passes on ten a second of each job, counts and says what it drops", "p99 of others at most twice, flat memory",
    (PACING, "LogGateTests"), (PACING, "ProgressGateTests"))
describe(
    "F33", "1 GiB to stderr (256 MiB where it has line ends): with line ends, without any, with carriage returns only",
    "drains it, says at once that lines are dropped, keeps the last 200", "flat memory", (PACING, "StderrTailTests"))
describe(
    "F34", "closes stdout and lives on; closes stdin; closes stderr",
    "without stdin or stdout it is killed, also while it is idle; without stderr it goes on", "1 s")
describe(
    "F35", "a grandchild keeps the pipes open after the engine's exit", "learns of the death from the monitor, drains for 500 ms at most",
    "600 ms", (DEATH, "aGrandchildThatHoldsThePipesDoesNotHideTheDeath"))
describe(
    "F36", "a grandchild makes its own session, forks twice and ignores every signal", "the monitor is its last parent and kills it",
    "10 s", (DEATH, "noDescendantEscapesTheSweep"))
describe(
    "F37", "a fork bomb of 10,000 processes, in one group and in a session each", "sweeps until none is left; others do not wait",
    "15 s", (DEATH, "aStormOfForksIsSwept"))
describe(
    "F38", "the engine leaks descriptors; 1,000 crashes and restarts of engines",
    "the engine meets its own limit; the host's descriptors, threads, processes and memory stay as they were", "flat")
describe(
    "F39", "another engine holds this one's stdin", "cannot be: every pipe of eight engines is held by its engine and the host alone",
    "1 s")
describe(
    "F40", "`kill -9` of the host with four busy engines", "engines and descendants go with it, the next life tries their jobs again",
    "2 s", (HOST, "f40KilledWithFourBusyEngines"))
describe(
    "F41", "SIGTERM, SIGINT, SIGHUP to the host; twice; during its start; with engines that will not go",
    "hands running jobs back and leaves in order", "10 s", (HOST, "f41ToldToStopTwice"), (HOST, "f41ToldToStopDuringStart"),
    (HOST, "f41AnEngineThatDoesNotStartDelaysNothing"), (HOST, "f41AJobThatIsNearlyDoneIsDone"))
describe(
    "F42", "a crash loop: at once; after each good job; every 59 s", "waits longer each time; five in three minutes are a quarantine",
    "no spin", (PACING, "aCrashEveryFiftyNineSecondsNeverSpins"), (PACING, "fiveDeathsInThreeMinutesQuarantine"))
describe(
    "F43", "one poison job among good ones", "it fails at its second process with the evidence of both; the others succeed, the plugin stays",
    "two processes", (FAULTS, "aJobThatKillsTwoEnginesIsPoison"))
describe(
    "F44", "an artifact that is missing, a link, a hard link, a FIFO, a socket, a directory, empty, growing, outside, of a bad name; 100,000 files; "
    "a full disk", "`bad_artifact` or `resource`; a full disk gets back what the attempt has filled", "1 s",
    (ARTIFACTS, "whatIsNotAPlainFileOfTheDeclaredSizeIsRefused"), (ARTIFACTS, "roomIsHadBackFromFilesThatAreHeldOpen"))
describe("F45", "an artifact is cut after the answer", "is refused, or keeps the size and hash by which its owner sees it", "the host lives")
describe(
    "F46", "manifest bombs: aliases, 1 GiB, depth, 6,000 keys, FIFO, device, link loop, bad UTF-8, tabs, tags, duplicate keys, names "
    "that differ in case; 100,000 directories", "that plugin alone is off, with its reason", "1 s, 64 MiB",
    (CATALOG, "manifestBombsEndSoon"), (CATALOG, "crowdedDirectoriesAreBounded"))
describe(
    "F47", "the program replaced or deleted while it runs; a manifest half written",
    "running jobs end on the old one; the new one serves; the half is looked at again", "2 s")
describe(
    "F48", "the wall clock jumps by days, forwards and back; suspend", "all decisions are by clocks that nobody can set", "none ended",
    (CLOCK, "HostClockTests"),
    cannot="Setting the machine's clock and suspending it would disturb everything else on it: the wall clock is moved for the worker "
    "alone, by a preloaded library, and a suspended machine is not shown.")
describe(
    "F49", "the disk is full for logs; TMPDIR, cache and work directories are removed",
    "says so in memory, and in the file once there is room; makes the directories anew", "degrades",
    (LOG, "aLogThatCannotBeWrittenSaysSoAndGoesOn"), (ARTIFACTS, "theDirectoryOfAllWorkIsMadeAnew"))
describe(
    "F50", "a pid is another process's after a crash", "looks at start time and boot before it signals; engines are signalled by their parent alone",
    "no stranger", (LEFTOVERS, "LeftoversTests"), (DEATH, "theReaperSparesChildrenThatAreNotOrphans"))
describe(
    "F51", "device memory is still held after the process's exit", "measures anew and waits with a clock before the next load", "5 s",
    (RESIDENCY, "ResidencyTests"),
    cannot="There is no device here: its driver's tool is a program that says what a file says.")
describe(
    "F52", "an engine that cannot be killed (here: frozen by a control group)", "marks it lost, retires its slot, raises an alarm",
    "10 s", (TEARDOWN, "nothingHelpsAndItStillEndsWithinTheLimit"))
describe(
    "F53", "the engine looks for secrets in environments and arguments", "finds none: its environment is built from nothing",
    "nothing found")
describe(
    "F54", "log injection: ANSI, fake levels, line ends in fields, a field of 1 MB", "makes it visible, cuts it, keeps one record a line",
    "neutralised", (LOG, "nothingThatMovesATerminalGetsThrough"), (LOG, "anEngineCannotForgeARecord"))
