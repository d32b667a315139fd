"""What the system says of a worker and of everything that came from it. Nothing here asks the worker."""

import os
import pathlib
import time

PROC = pathlib.Path("/proc")
MIB = 1 << 20
# The pools of the language's runtime come and go by a few threads.
POOL_THREADS = 8


def read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def stat(pid):
    """State, parent and start time of a process; None when there is none."""
    text = read(PROC / str(pid) / "stat")
    if not text:
        return None
    fields = text[text.rindex(b")") + 2:].split()
    return {"state": fields[0].decode(), "parent": int(fields[1]), "session": int(fields[3]), "start": int(fields[19])}


def is_alive(pid):
    found = stat(pid)
    return found is not None and found["state"] not in "ZX"


def processes():
    """All processes: pid to `stat`."""
    found = {}
    for name in os.listdir(PROC):
        if name.isdigit() and (one := stat(name)) is not None:
            found[int(name)] = one
    return found


def descendants(host, table):
    """All that came from a process, children of children too."""
    below, more = set(), {host}
    while more:
        more = {pid for pid, one in table.items() if one["parent"] in more and pid not in below}
        below |= more
    return below


def resident(pid):
    """Bytes of a process in memory."""
    fields = read(PROC / str(pid) / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def reset_peak(pid):
    """Begins to count the peak of a process's memory anew; False where the system does not let us."""
    try:
        (PROC / str(pid) / "clear_refs").write_text("5")
        return True
    except OSError:
        return False


def peak(pid):
    """The greatest number of bytes that a process had in memory since `reset_peak`."""
    for line in read(PROC / str(pid) / "status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def target(link):
    """What a descriptor is open on; numbers of pipes and sockets are left out."""
    try:
        return os.readlink(link).split("[")[0]
    except OSError:
        return ""


def is_old(path):
    """Not the directory of a job of the healthy engine, which lives for milliseconds."""
    try:
        return time.time() - os.stat(path).st_mtime > 0.5
    except OSError:
        return False


def entries(directory):
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


class Census:
    """One look. `home` is the worker's home, `host` its pid."""

    def __init__(self, host, home):
        table = processes()
        below = descendants(host, table)
        mark = str(home).encode()
        self.zombies = sorted(pid for pid in below if table[pid]["state"] == "Z")
        self.family = sorted(
            pid for pid, one in table.items()
            if one["state"] not in "ZX" and pid != host and (pid in below or self._is_marked(pid, mark)))
        tasks = entries(PROC / str(host) / "task")
        self.threads = len(tasks)
        self.engine_threads = sum(read(PROC / str(host) / "task" / task / "comm") == b"engine\n" for task in tasks)
        self.open = sorted(filter(None, map(target, (PROC / str(host) / "fd").glob("*"))))
        self.descriptors = len(self.open)
        self.resident = resident(host)
        self.records = len(entries(home / "state" / "engines"))
        engines = home / "cache" / "engines"
        work = home / "data" / "work"
        self.files = [
            path for plugin in entries(work) for name in entries(work / plugin) if is_old(path := str(work / plugin / name))]
        for plugin in entries(engines):
            for name in entries(engines / plugin):
                if name.startswith("tmp-"):
                    self.files.append(str(engines / plugin / name))

    @staticmethod
    def _is_marked(pid, mark):
        """The process knows the home: in its environment, its program or its working directory, wherever it fled to."""
        if mark in read(PROC / str(pid) / "environ"):
            return True
        for link in ("exe", "cwd"):
            try:
                if os.readlink(PROC / str(pid) / link).encode().startswith(mark):
                    return True
            except OSError:
                pass
        return False

    def leftovers(self, before):
        """What is there that should not be, compared with a census of before; empty when all is well."""
        left = []
        if strangers := [pid for pid in self.family if pid not in before.family]:
            names = [f"{pid} ({read(PROC / str(pid) / 'cmdline')[:80].decode(errors='replace')})" for pid in strangers]
            left.append(f"processes {', '.join(names)}")
        if gone := [pid for pid in before.family if pid not in self.family]:
            left.append(f"the healthy processes {gone} are gone")
        if self.zombies:
            left.append(f"zombies {self.zombies}")
        for what in ("engine_threads", "descriptors", "records"):
            now, was = getattr(self, what), getattr(before, what)
            if now > was:
                left.append(f"{now} {what.replace('_', ' ')}, were {was}")
                if what == "descriptors":
                    more = list(self.open)
                    for one in before.open:
                        if one in more:
                            more.remove(one)
                    left[-1] += f" (new: {', '.join(more)})"
        if self.threads > before.threads + POOL_THREADS:
            left.append(f"{self.threads} threads, were {before.threads}")
        if files := [path for path in self.files if path not in before.files]:
            left.append(f"files {files[:5]}")
        if self.resident > before.resident + 20 * MIB:
            left.append(f"{self.resident // MIB} MiB resident, were {before.resident // MIB}")
        return left
