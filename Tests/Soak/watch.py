"""What the system says of a worker, second by second, and whether it grows."""

import math
import os
import pathlib
import threading
import time


def stat(pid):
    """Name, state, parent and threads of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[17])


def processes():
    """Every process: state, parent, threads."""
    found = {int(name): stat(name) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: facts for pid, facts in found.items() if facts}


def descendants(root):
    """Processes below one, with their states."""
    table = processes()
    below, found = [root], {}
    while below:
        parent = below.pop()
        for pid, (state, above, _) in table.items():
            if above == parent and pid not in found:
                found[pid] = state
                below.append(pid)
    return found


def family(mark):
    """Living processes whose environment has that text, wherever they fled to."""
    found = []
    for pid, (state, _, _) in processes().items():
        if state == "Z":
            continue
        try:
            if str(mark).encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def resident(pid):
    """Resident memory in MiB, and what of it is the process's own."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines() if line.endswith("kB")}
    return sizes.get("VmRSS", 0), sizes.get("RssAnon", 0)


def used(*paths):
    """KiB on the disk below some paths."""
    blocks = 0
    for path in paths:
        for top, _, names in os.walk(path):
            for name in names + ["."]:
                try:
                    blocks += os.lstat(os.path.join(top, name)).st_blocks
                except FileNotFoundError:
                    continue
        if os.path.isfile(path):
            blocks += os.lstat(path).st_blocks
    return blocks / 2


class Samples(threading.Thread):
    """One sample a second of a worker until `end`."""

    PERIOD = 1.0

    def __init__(self, pid, home, finished):
        super().__init__(daemon=True)
        self.pid, self.home, self.finished = pid, home, finished
        self.rows, self.over = [], threading.Event()

    def run(self):
        start = time.monotonic()
        while not self.over.wait(self.PERIOD):
            try:
                self.rows.append(self.sample(time.monotonic() - start))
            except FileNotFoundError:
                return

    def sample(self, at):
        below = descendants(self.pid)
        whole, own = resident(self.pid)
        data = self.home / "data"
        store = [path for path in data.iterdir() if path.name.startswith("jobs")]
        return {
            "seconds": at, "descriptors": len(os.listdir(f"/proc/{self.pid}/fd")),
            "threads": len(os.listdir(f"/proc/{self.pid}/task")),
            "zombies": sum(state == "Z" for state in below.values()), "processes": len(below),
            "resident MiB": whole, "own MiB": own, "finished": self.finished(),
            "store KiB": used(*store), "other disk KiB": used(self.home) - used(*store)}

    def end(self):
        self.over.set()
        self.join()


def slope(xs, ys):
    """The least-squares slope, and the half width of its 95 % interval."""
    count = len(xs)
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    spread = sum((x - mean_x) ** 2 for x in xs)
    if count < 3 or spread == 0:
        return 0.0, math.inf
    rise = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / spread
    rest = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in zip(xs, ys))
    return rise, 1.96 * math.sqrt(rest / (count - 2) / spread)


# What may be gained in a minute, and the least that counts: short runs breathe.
BOUNDS = {
    "descriptors": (1.0, 10), "threads": (1.0, 10), "zombies": (0.2, 2), "processes": (1.0, 10),
    "resident MiB": (1.5, 24), "own MiB": (1.5, 24), "other disk KiB": (512, 4096),
}
# A finished job's record with its attempts, and what results it has on average.
STORE_KIB_PER_JOB = 64


def verdicts(rows):
    """For each figure: its name, mean, greatest, slope, interval, bound, and whether it is flat. After a third to warm up.

    Flat is what does not certainly grow faster than its bound: the interval's lower end, over the time that was measured.
    """
    rows = rows[len(rows) // 3:]
    minutes = [row["seconds"] / 60 for row in rows]
    found = []
    for name, (bound, least) in BOUNDS.items():
        values = [row[name] for row in rows]
        rise, half = slope(minutes, values)
        gained = (rise - half) * (minutes[-1] - minutes[0])
        allowed = max(least, bound * (minutes[-1] - minutes[0]))
        found.append((name, sum(values) / len(values), max(values), rise, half, bound, gained <= allowed))
    rise, half = slope([row["finished"] for row in rows], [row["store KiB"] for row in rows])
    values = [row["store KiB"] for row in rows]
    found.append(
        ("store KiB a job", sum(values) / len(values), max(values), rise, half, STORE_KIB_PER_JOB,
         rise - half <= STORE_KIB_PER_JOB))
    return found
