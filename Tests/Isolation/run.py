#!/usr/bin/env python3
"""A hostile engine against a real worker: what it tries must fail, and the same must succeed without the sandbox.

  STOKER_TEST_DIST   the built tree; dist/ of this one when it is not set

Needs a C compiler. Checks of Landlock are skipped, by name, where the kernel has none.
"""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
for neighbour in ("Kinds", "ProtocolDocs"):
    sys.path.insert(0, str(ROOT / "Tests" / neighbour))

from runner import Skip, Suite  # noqa: E402
from worker import Worker  # noqa: E402

FIXTURE = ROOT / "Tests" / "Fixtures" / "HostileEngine"
SECRET = "a-token-nobody-may-see"
VARIABLE = "STOKER_ISOLATION_SECRET"
MIB = 1 << 20
SOON = 30  # seconds for what takes a moment on a busy machine
BOMB = 10_000
BOMB_BOUND = 15  # seconds


def eventually(what, look, seconds=SOON):
    """Looks until there is something; returns it."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def compiled(folder):
    """The fixture's programs, built."""
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise Skip("no C compiler is here")
    for name, files in (("hostile", ("main.c", "attacks.c")), ("without", ("without.c",))):
        subprocess.run([compiler, "-O1", "-Wall", "-Werror", "-o", folder / name, *(FIXTURE / one for one in files)],
                       check=True)


def state(pid):
    """A process's parent and group, or None when it is gone or dead."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def named(name):
    """How many processes run a program of that name."""
    count = 0
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                count += (entry / "comm").read_text().strip() == name and state(entry.name) is not None
    return count


class Rig(Worker):
    """A worker with the plugins `hostile` and `victim`, and things that are worth stealing."""

    def __init__(self, dist, programs, sandbox, *, manifest=None, grants=None, jobs=None, without=None):
        self.bench = pathlib.Path(tempfile.mkdtemp(prefix="stoker-isolation."))
        self.outside = self.bench / "outside"
        self.user = self.bench / "user"
        (self.user / ".ssh").mkdir(parents=True)
        (self.user / ".ssh" / "id_ed25519").write_text(SECRET)
        (self.user / "token").write_text(SECRET)
        self.outside.mkdir()
        for name in ("hostile", "victim"):
            place = self.bench / "plugins" / name
            place.mkdir(parents=True)
            # Named for this run, so that its processes can be counted.
            self.program = f"h{os.getpid()}"
            shutil.copy(programs / "hostile", place / self.program)
            (place / "plugin.yaml").write_text(json.dumps({
                "manifest": 1, "name": name, "version": "1.0.0", "command": [f"./{self.program}"],
                "serves": [{"kind": "llm", "models": [name]}], "timeouts": {"jobStall": "5m"},
                "limits": {"processes": 64}, **((manifest or {}) if name == "hostile" else {})}))
        self.models_place = self.bench / "models"
        self.models_place.mkdir()
        (self.models_place / "a.bin").write_text("weights")
        config = {
            "pluginDirectories": [str(self.bench / "plugins")], "sandbox": {"mode": sandbox},
            "jobs": {"maxWorkBytes": "64MiB", "maxAttempts": 1, **(jobs or {})},
            "plugins": {"hostile": {"sandbox": grants or {}}}, "x-token": SECRET,
        }
        super().__init__(dist, self.models_place, "".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))
        if without:
            wrapper = self.bench / "stoker"
            wrapper.write_text(f"#!/bin/sh\nexec '{programs}/without' {without} '{self.stoker}' \"$@\"\n")
            wrapper.chmod(0o755)
            self.stoker = str(wrapper)

    def __enter__(self):
        with mock_environment(HOME=str(self.user), **{VARIABLE: SECRET}):
            return super().__enter__()

    def __exit__(self, *problem):
        super().__exit__(*problem)
        shutil.rmtree(self.bench, ignore_errors=True)

    @property
    def pid(self):
        """The host's own."""
        return self.json("status")["pid"]

    def hand_in(self, *words, model="hostile"):
        return self.submit("llm", "--model", model, "--prompt", " ".join(map(str, words)))

    def attack(self, *words):
        """Runs an attack; returns its errno's name, or an empty text when it succeeded, and what it found."""
        result = self.done(self.hand_in(*words))["result"]
        assert result["errno"] >= 0, f"{words[0]} is no attack"
        return result["name"] if result["errno"] else "", result["text"]

    def victim(self):
        """Has the victim work: its pid, and its work directory with a secret."""
        job = self.hand_in("fork", 0, model="victim")
        eventually("the victim works", lambda: self.job(job)["state"] == "running" and self.engine("victim"))
        place = eventually("the victim's directory", lambda: list((self.home / "data" / "work" / "victim").glob("*")))[0]
        (place / "secret").write_text(SECRET)
        return self.engine("victim"), place

    def logged(self, text):
        self.log.flush()
        return [line for line in self.log_path.read_text(errors="replace").splitlines() if text in line]


@contextlib.contextmanager
def mock_environment(**variables):
    old = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(old)


def attacks(rig):
    """Every attack: a name, the words, and the errors that a sandbox may answer with."""
    pid, place = rig.victim()
    denied, refused = ("EACCES",), ("EPERM",)
    own = rig.bench / "plugins" / "hostile"
    cache = rig.home / "cache" / "engines" / "victim"
    loot = [rig.outside / f"loot-{number}" for number in range(6)]
    for file in loot:
        file.write_text(SECRET)
    return [
        ("reads the configuration", ("read", rig.home / "config.yaml"), denied),
        ("lists the worker's home", ("list", rig.home), denied),
        ("reads the job database", ("read", rig.home / "data" / "jobs.sqlite"), denied),
        ("reads the worker's state", ("list", rig.home / "state"), denied),
        ("reads a token file", ("read", rig.user / "token"), denied),
        ("reads ~/.ssh", ("read", rig.user / ".ssh" / "id_ed25519"), denied),
        ("lists ~/.ssh", ("list", rig.user / ".ssh"), denied),
        ("reads /etc/shadow", ("read", "/etc/shadow"), denied),
        ("reads another engine's work", ("read", place / "secret"), denied),
        ("lists all work", ("list", place.parent.parent), denied),
        ("lists another engine's home", ("list", cache / "home"), denied),
        ("writes into another engine's cache", ("write", cache / "cache" / "x"), denied),
        ("reads through a link of its own", ("through-link", rig.user / "token"), denied),
        ("writes into its own plugin", ("write", own / "x"), denied),
        ("changes its manifest", ("write", own / "plugin.yaml"), denied),
        ("writes into the models", ("write", rig.models_place / "b.bin"), denied),
        ("writes into /tmp", ("write", f"/tmp/{rig.program}"), denied),
        ("writes elsewhere", ("write", rig.outside / "new"), denied),
        ("shortens a file", ("truncate", loot[0]), denied + refused),
        ("removes a file", ("remove", loot[1]), denied),
        ("takes a file by rename", ("take", loot[2]), denied + ("EXDEV",)),
        ("takes a file by a hard link", ("hardlink", loot[3]), denied + ("EXDEV",)),
        ("puts a file elsewhere", ("put", rig.outside / "put"), denied + ("EXDEV",)),
        ("makes a device", ("mknod",), denied + refused),
        ("reads the host's environment", ("read", f"/proc/{rig.pid}/environ"), denied),
        ("reads the host's memory", ("memory", rig.pid), refused),
        ("opens the host's memory", ("read", f"/proc/{rig.pid}/mem"), denied),
        ("goes through the host's open files", ("read", f"/proc/{rig.pid}/fd/1"), denied),
        ("goes through the host's root", ("read", f"/proc/{rig.pid}/root{rig.user}/token"), denied),
        ("reads a sibling's environment", ("read", f"/proc/{pid}/environ"), denied),
        ("traces a sibling", ("ptrace", pid), refused),
        ("traces the host", ("ptrace", rig.pid), refused),
        ("changes the host's limits", ("limits", rig.pid), refused),
        ("signals the host", ("kill", rig.pid), refused),
        ("signals a sibling", ("kill", pid), refused),
        ("opens a TCP socket", ("tcp",), denied),
        ("opens a TCP socket of version 6", ("tcp6",), denied + ("EAFNOSUPPORT",)),
        ("opens a UDP socket", ("udp",), denied),
        ("opens a netlink socket", ("netlink",), denied),
        ("connects to the worker", ("unix", rig.home / "run" / "stoker.sock"), denied),
        ("connects to an abstract socket", ("abstract", rig.program), denied),
        ("asks for a key ring", ("keys",), refused),
        ("makes a user namespace", ("namespace",), refused),
        ("opens a token file for commands alone", ("open-for-commands", rig.user / "token"), denied),
        ("makes its program one of its owner's rights", ("setuid",), refused),
        ("makes a file of its owner's rights", ("make-setuid",), refused),
        ("makes memory that outlives it", ("shared-memory",), ("ENOSYS",)),
    ]


# Without these, the attacks of the other kind would need a privilege or a kernel that not every machine has.
ONLY_REFUSED = [
    ("loads a program into the kernel", ("bpf",), ("EPERM",)), ("loads a module", ("module",), ("EPERM",)),
    ("mounts", ("mount",), ("EPERM",)), ("counts events of the kernel", ("perf",), ("EPERM",)),
    ("makes an io_uring", ("io_uring",), ("ENOSYS",)),
    ("opens a packet socket", ("packet",), ("EACCES",)), ("opens a socket to the hypervisor", ("vsock",), ("EACCES",)),
]


def landlock():
    """The version of Landlock here; 0 for none."""
    import ctypes

    return max(0, ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1))


def need(version, what):
    if landlock() < version:
        raise Skip(f"this kernel has Landlock {landlock()}; {what} needs {version}")


def confined(suite, dist, programs):
    """With the sandbox everything fails, and what an engine needs goes on."""
    listener = socket.socket(socket.AF_UNIX)
    with Rig(dist, programs, "enforce") as rig, listener:
        listener.bind(f"\0{rig.program}")
        listener.listen()

        def fails(words, errors):
            found, text = rig.attack(*words)
            assert found in errors, f"{' '.join(map(str, words))}: {found or 'it succeeded'}: {text}"
            assert SECRET not in text

        for name, words, errors in attacks(rig) + ONLY_REFUSED:
            scoped = words[0] == "kill"
            unfiltered = words[0] not in ("read", "list", "write", "through-link", "take", "hardlink", "put", "remove",
                                          "mknod", "truncate")

            def check(words=words, errors=errors, scoped=scoped, unfiltered=unfiltered):
                need(6 if scoped else 0 if unfiltered else 1, "this")
                fails(words, errors)

            suite.check(f"it {name}: refused", check)

        def works():
            for words in (("write-work",), ("write-home", "HOME"), ("write-home", "TMPDIR"), ("pair",),
                          ("read", rig.models_place / "a.bin"), ("list", "/usr/lib"), ("read", "/proc/cpuinfo"),
                          ("read", "/proc/self/environ"), ("read", "/etc/passwd")):
                found, text = rig.attack(*words)
                assert not found, f"{words}: {found} {text}"

        def says_so():
            pid = rig.engine("hostile")
            shown = rig.json("plugins", "inspect", "hostile")
            (process,) = shown["plugin"]["processes"]
            assert process["pid"] == pid and "seccomp" in process["sandbox"], process
            if landlock() >= 6:
                assert "not in force" not in process["sandbox"], process
            status = rig.json("status")
            assert status["sandbox"] == {"landlock": landlock(), "seccomp": True}, status["sandbox"]
            assert str(rig.home / "data" / "work" / "hostile") in shown["sandbox"]["write"], shown["sandbox"]
            assert rig.logged("sandbox: ") and rig.logged("it may change "), rig.tail()
            assert "Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text()

        def knows_no_secret():
            found, text = rig.attack("around")
            assert not found and SECRET not in text and VARIABLE not in text, text
            assert str(rig.user) not in text, text

        suite.check("an engine reaches what it needs", works)
        suite.check("status and log say what is in force", says_so)
        suite.check("environment and arguments hold no secret", knows_no_secret)


def unconfined(suite, dist, programs):
    """Without the sandbox the same attacks succeed: the checks above can fail."""
    with Rig(dist, programs, "off") as rig, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{rig.program}")
        listener.listen()
        # What a user may do without a privilege differs from machine to machine.
        moody = ("limits", "keys", "namespace", "mknod", "tcp6", "memory", "ptrace")
        # A manifest that was written over is no plugin any more, and nothing lies where memory begins.
        tried = [(name, words) for name, words, _ in attacks(rig)
                 if words[0] not in moody and not str(words[-1]).endswith(("plugin.yaml", "/mem"))]

        def all_succeed():
            failed = []
            for name, words in tried:
                found, _ = rig.attack(*words)
                if found and not (os.geteuid() and words[1:] == ("/etc/shadow",)):
                    failed.append(f"{name}: {found}")
            assert not failed, failed

        def says_so():
            (process,) = rig.json("plugins", "inspect", "hostile")["plugin"]["processes"]
            assert process["sandbox"] == "off", process
            assert rig.logged("switched off by the configuration")

        suite.check(f"with the sandbox off, {len(tried)} of the attacks succeed", all_succeed)
        suite.check("status says that it is off", says_so)
        pathlib.Path(f"/tmp/{rig.program}").unlink(missing_ok=True)


def bounded(suite, dist, programs):
    """What an engine takes too much of ends it, and the log names the rule."""
    with Rig(dist, programs, "enforce") as rig:

        def fails(rule, *words):
            job = rig.wait(rig.hand_in(*words))
            assert job["state"] == "failed", job
            assert rule in json.dumps(job["error"]), job["error"]
            assert rig.logged(rule), rig.tail()
            return job["error"]

        def bomb():
            begun = time.monotonic()
            error = fails("limits.processes", "fork", BOMB)
            eventually("the bomb is gone", lambda: named(rig.program) == 0, BOMB_BOUND)
            took = time.monotonic() - begun
            print(f"      {BOMB} forks: everything gone after {took:.1f} s")
            assert error["class"] == "resource" and took < BOMB_BOUND, (error, took)

        def disk():
            error = fails("jobs.maxWorkBytes", "fill", 60, 4)
            assert error["class"] == "resource", error
            # What was written is gone, and the next job runs.
            eventually("the disk is free", lambda: not list((rig.home / "data" / "work" / "hostile").glob("*")))
            assert rig.attack("write-work") == ("", "")

        def one_file():
            job = rig.wait(rig.hand_in("fill", 1, 100))
            assert job["state"] == "failed" and "maxWorkBytes" in json.dumps(job["error"]), job
            assert rig.logged("larger than jobs.maxWorkBytes"), rig.tail()

        suite.check(f"a bomb of {BOMB} processes is ended", bomb)
        suite.check("an engine that fills the disk is ended", disk)
        suite.check("so is one that writes a file too large", one_file)


def granted(suite, dist, programs):
    """What the operator grants is reached, and the network only when the manifest asks for it as well."""
    with Rig(dist, programs, "enforce", manifest={"sandbox": {"network": "any"}},
             grants={"network": "allow", "read": ["/etc"], "write": [tempfile.gettempdir()]}) as rig:

        def reaches():
            for words in (("tcp",), ("udp",), ("list", "/etc"), ("write", rig.outside / "new")):
                assert rig.attack(*words)[0] == "", words
            assert rig.attack("unix", rig.home / "run" / "stoker.sock")[0] == "EACCES"

        suite.check("what is granted is reached, and the worker's socket still is not", reaches)
    for manifest, grants in (({"sandbox": {"network": "any"}}, {}), ({}, {"network": "allow"})):
        with Rig(dist, programs, "enforce", manifest=manifest, grants=grants) as rig:
            asks = "asked for but not granted" if manifest else "granted but not asked for"
            suite.check(f"no network when {asks}", lambda rig=rig: suite.require(
                rig.attack("tcp")[0] == "EACCES", "a socket was made"))
    with Rig(dist, programs, "enforce", grants={"read": ["/nowhere/at/all"]}) as rig:

        def refused():
            job = rig.wait(rig.hand_in("pid"))
            assert "/nowhere/at/all" in job["error"]["message"], job

        suite.check("a grant of what does not exist keeps the engine out of service, by name", refused)


def lacking(suite, dist, programs):
    """On a kernel without Landlock."""
    with Rig(dist, programs, "enforce", without="landlock") as rig:

        def admits():
            assert rig.attack("tcp")[0] == "EACCES"
            (process,) = rig.json("plugins", "inspect", "hostile")["plugin"]["processes"]
            assert "not in force: files (needs Landlock" in process["sandbox"], process
            assert rig.json("status")["sandbox"]["landlock"] == 0
            assert "no Landlock" in rig.call("status").stdout

        suite.check("without Landlock an engine runs, and status says what is missing", admits)
    for how, manifest, mode in (("the operator", {}, "required"),
                                ("the manifest", {"sandbox": {"required": True}}, "enforce")):
        with Rig(dist, programs, mode, manifest=manifest, without="landlock") as rig:

            def refuses(rig=rig):
                job = rig.wait(rig.hand_in("pid"))
                assert job["state"] == "failed" and "Landlock" in job["error"]["message"], job
                member = rig.json("plugins", "inspect", "hostile")
                assert member["counters"]["starts"] == 1 and member["plugin"]["state"] == "invalid", member

            suite.check(f"without Landlock nothing starts that {how} requires it for", refuses)


def pinned(suite, dist, programs):
    """The file whose digest was checked is the one that runs."""
    digest = subprocess.run(["sha256sum", programs / "hostile"], capture_output=True, text=True, check=True).stdout[:64]
    with Rig(dist, programs, "enforce", manifest={"sha256": digest}) as rig:

        def runs():
            assert rig.attack("pid")[0] == ""

        def changed():
            program = rig.bench / "plugins" / "hostile" / rig.program
            copy = program.with_suffix(".new")
            copy.write_bytes(program.read_bytes() + b"\n")
            copy.chmod(0o755)
            copy.replace(program)
            eventually("the other program is refused", lambda: rig.logged("the manifest demands"))

        suite.check("a pinned program runs", runs)
        suite.check("another one in its place is refused", changed)


def main():
    dist = pathlib.Path(os.environ.get("STOKER_TEST_DIST", ROOT / "dist"))
    suite = Suite()
    with tempfile.TemporaryDirectory(prefix="stoker-hostile.") as folder:
        programs = pathlib.Path(folder)
        try:
            compiled(programs)
        except Skip as reason:
            suite.check("a hostile engine", lambda: (_ for _ in ()).throw(reason))
            return suite.finish()
        print(f"Landlock {landlock()}, as {'root' if os.geteuid() == 0 else 'a user'}")
        wanted = sys.argv[1:]
        for part in (confined, unconfined, bounded, granted, lacking, pinned):
            if not wanted or part.__name__ in wanted:
                part(suite, dist, programs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
