"""Runs the cases of the fault matrix, and looks at the system after each.

A case is a function of a row, run in up to three variants: with the engine idle, with one job in flight, with eight. Cases
of one batch run side by side, each with plugins of its own. After every variant nothing may be left of it, and the healthy
engine must not have noticed.
"""

import contextlib
import dataclasses
import statistics
import threading
import time
import traceback

import census
from rig import TERMINAL, Plugin, Rig, eventually, now

VARIANTS = {"idle": 0, "one": 1, "eight": 8}
TRIES = 3  # of a variant that was too slow and nothing else: other programs run on this machine, too
FEW = 100  # jobs of the healthy engine below which a 99th percentile says nothing
SLACK = 0.01  # seconds that a 99th percentile may grow by, whatever twice the calm one is
GONE = 10  # seconds for the end of everything that a fault leaves behind: the document's longest bound


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Slow(AssertionError):
    """Something took longer than it may, and nothing else was wrong."""


@dataclasses.dataclass
class Case:
    row: str
    name: str
    body: object
    without: dict  # variant to the reason why there is none
    batch: str
    plugin: dict
    quiet: bool
    long: bool = False
    heavy: bool = False

    @property
    def title(self):
        return f"{self.row} {self.name}".strip()

    @property
    def where(self):
        return f"Tests/Faults/{self.body.__module__}.py", self.body.__name__


CASES = []


def case(row, name="", *, idle=None, one=None, eight=None, batch=None, plugin=None, quiet=False, long=False, heavy=False):
    """Registers a case of a row.

    `idle`, `one`, `eight`: why there is no such variant. `batch`: cases of that name run side by side. `plugin`: what
    the variant's plugin `v.chaos` is made of beside its name (see `Plugin`); False for none. `quiet`: the host has
    nothing to log about it. `long`: it takes so long that `--quick` leaves it out. `heavy`: it fills the processors by
    itself, so that what the healthy engine's jobs take says nothing of the host.
    """
    def register(body):
        without = {key: why for key, why in (("idle", idle), ("one", one), ("eight", eight)) if why}
        spec = {} if plugin is None else plugin
        CASES.append(Case(row, name, body, without, batch or f"{row} {name} {body.__name__}", spec, quiet, long, heavy))
        return body

    return register


class Variant:
    """One run of one case: what its body gets."""

    def __init__(self, one, name, rig, runner, attempt):
        self.case, self.variant, self.rig, self.runner = one, name, rig, runner
        self.count = VARIANTS[name]
        self.jobs, self.results, self.notes, self.plugins = [], [], [], []
        self.has_log = False
        self.judged_from = self.judged_until = None
        words = [one.row, one.name, name, str(attempt) if attempt > 1 else ""]
        self.name = "-".join("".join(c for c in word.lower() if c.isalnum()) for word in words if word)[:38]
        self.chaos = None
        if one.plugin is not False:
            self.chaos = self.make(**one.plugin)

    def make(self, suffix="", **more):
        """A plugin of this variant, not yet installed. It takes as many jobs at a time as the variant has."""
        more = {"concurrency": max(self.count, 1), **more}
        plugin = Plugin(self.name + (f"-{suffix}" if suffix else ""), **more)
        self.plugins.append(plugin)
        return plugin

    def install(self, plugin):
        self.rig.install(plugin)
        return plugin

    @contextlib.contextmanager
    def worker(self, **options):
        """Another worker, for what the one of all cases cannot live through."""
        with Rig(self.runner.dist, self.runner.engines, **options) as rig:
            yield rig

    def submit(self, plugin=None, **task):
        job = self.rig.submit(plugin or self.chaos, **task)
        self.jobs.append(job)
        return job

    def warm(self, plugin=None):
        """Has the engine running; returns its pid."""
        plugin = plugin or self.chaos
        self.submit(plugin).done()
        return self.rig.engine(plugin.name)

    def in_flight(self, plugin=None, count=None, **task):
        """As many jobs as the variant has, all seen to run."""
        jobs = [self.submit(plugin, **task) for _ in range(self.count if count is None else count)]
        for job in jobs:
            job.running()
        return jobs

    def judge_from(self):
        """The healthy engine is judged from now on: what came before is not the fault's doing."""
        self.judged_from = now()

    def judge_until(self):
        """The healthy engine is judged no longer: what follows is not the fault's doing."""
        self.judged_until = now()

    def measured(self, what, seconds, bound, text=None):
        """Says how long something took beside what is allowed."""
        self.results.append([what, round(seconds, 4), bound, text])

    def figure(self, what, text):
        """Says a figure that is no time; whoever calls it has checked it."""
        self.results.append([what, None, None, text])

    def expect_log(self, evidence, plugin=None):
        """The log names the engine and what was wrong with it."""
        self.has_log = True
        name = (plugin or self.chaos).name
        eventually(
            lambda: f"no line of the log names {name} and {evidence}:\n{self.rig.tail()}",
            lambda: self.rig.logged(name, evidence), 3)

    def run(self):
        self.case.body(self)
        assert self.has_log or self.case.quiet, "the case does not look at the log"
        for what, seconds, bound, _ in self.results:
            if seconds is not None and seconds > bound:
                raise Slow(f"{what}: {seconds:.3f} s, and {bound:.3f} s are allowed")


def short(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def p99(latencies):
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class Runner:
    def __init__(self, dist, engines):
        self.dist, self.engines = dist, engines
        self.passed = self.failed = self.skipped = 0
        self.figures = {}  # row to variant to results
        self.tails = []  # calm and worst 99th percentiles
        self.pool = []

    # Reporting

    def say(self, *lines):
        for line in lines:
            print(line, flush=True)

    def verdict(self, title, problem=None, skip=None, notes=()):
        number = self.passed + self.failed + self.skipped + 1
        if skip:
            self.skipped += 1
            self.say(f"ok {number} - {title} # SKIP {skip}")
        elif problem:
            self.failed += 1
            self.say(f"not ok {number} - {title}", *[f"# {line}" for line in str(problem).splitlines()])
        else:
            self.passed += 1
            self.say(f"ok {number} - {title}")
        self.say(*[f"# {note}" for note in notes])

    # The matrix

    def run(self, cases, config=None, models=None):
        started = now()
        with Rig(self.dist, self.engines, config=config, models=models) as rig:
            self.rig = rig
            self.healthy_pids = dict(rig.pids)
            first = self.calm_census()
            self.baseline = self.calm(3)
            self.say(f"# the healthy engine's calm 99th percentile: {short(self.baseline)}")
            batches = {}
            for one in cases:
                batches.setdefault(one.batch, []).append(one)
            for batch in batches.values():
                self.run_batch(batch)
            self.last_look(first)
        self.say(f"# {now() - started:.0f} s")

    def run_batch(self, cases):
        """All variants of cases that run side by side."""
        self.pool, begin = [], now()
        prepared = {
            name: [Variant(one, name, self.rig, self, 1) for one in cases if name not in one.without]
            for name in VARIANTS}
        ready = [variant.chaos for group in prepared.values() for variant in group if variant.chaos]
        try:
            self.rig.install(*ready)
            for name, group in prepared.items():
                if group:
                    self.run_variant(group)
        finally:
            self.rig.remove(*[plugin.name for group in prepared.values() for v in group for plugin in v.plugins])
        for one in cases:
            for name, why in one.without.items():
                self.say(f"# {one.title} {name}: none, {why}")
        self.judge_pool(cases, begin)

    def run_variant(self, group):
        """One variant of the cases, again where it was too slow and nothing else."""
        tails = []
        for attempt in range(1, TRIES + 1):
            problems, tail, limit = self.try_variant(group, together=attempt == 1)
            tails.append(tail)
            slow = [problem for problem in problems.values() if isinstance(problem, Slow)]
            other = [problem for problem in problems.values() if problem and not isinstance(problem, (Slow, Skip))]
            is_judged = tail is not None and not any(v.case.heavy for v in group)
            late = is_judged and statistics.median(each for each in tails if each is not None) > limit
            if other or not (slow or late) or attempt == TRIES:
                break
            why = "; ".join(map(str, slow)) or f"the healthy engine's 99th percentile was {short(tail)}"
            self.say(f"# {' + '.join(v.case.title for v in group)} {group[0].variant}: once more, {why}")
            again = [Variant(v.case, v.variant, self.rig, self, attempt + 1) for v in group]
            self.rig.remove(*[plugin.name for v in group for plugin in v.plugins])
            self.rig.install(*[v.chaos for v in again if v.chaos])
            group[:] = again
        for v in group:
            problem = problems[v]
            if not problem and late:
                problem = f"the healthy engine's 99th percentile was {short(tail)}, and {short(limit)} are allowed"
            notes = [self.measured_line(v, result) for result in v.results]
            title = f"{v.case.title} {v.variant}"
            if isinstance(problem, Skip):
                self.verdict(title, skip=str(problem))
            else:
                self.verdict(title, problem, notes=notes)
            self.figures.setdefault(v.case.row, {}).setdefault(v.variant, []).extend(
                [v.case.name, *result] for result in v.results)

    def measured_line(self, v, result):
        what, seconds, bound, text = result
        line = f"measured {v.case.title} {v.variant}: {what}"
        if seconds is None:
            return f"{line} {text}"
        return f"{line} after {short(seconds)} (bound {text or short(bound)})"

    def try_variant(self, group, together):
        """Runs the bodies, side by side or one after another, then looks at what is left. Returns the problem of each, if
        any, and the healthy engine's 99th percentile beside its limit."""
        problems = dict.fromkeys(group)
        before, begin = self.calm_census(), now()

        def body(v):
            try:
                v.run()
            except (Skip, Slow) as problem:
                problems[v] = problem
            except AssertionError as problem:
                problems[v] = problem if str(problem) else traceback.format_exc()
            except Exception:  # the report names it
                problems[v] = traceback.format_exc()

        if len(group) == 1 or not together:
            for v in group:
                body(v)
        else:
            threads = [threading.Thread(target=body, args=(v,)) for v in group]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        end = now()
        for v in group:
            if problems[v]:
                # What a case left when it broke off is not to be found by those after it.
                for job in v.jobs:
                    with contextlib.suppress(Exception):
                        job.cancel()
            for plugin in v.plugins:
                self.rig.retire(plugin.name)
        common = self.left(before, group)
        judged = (min(v.judged_from or begin for v in group), max(v.judged_until or end for v in group))
        tail, limit, beside = self.beside(begin, end, judged)
        if common or beside:
            for v in group:
                text = "\n".join([*([str(problems[v])] if problems[v] else []), *common, *beside])
                problems[v] = text
        return problems, tail, limit

    # What is looked at

    def calm_census(self):
        """A census; of several looks the one with the fewest descriptors, because the healthy engine is at work."""
        return min((census.Census(self.rig.host, self.rig.home) for _ in range(3)), key=lambda one: one.descriptors)

    def left(self, before, group):
        """What the variant has left behind."""
        if self.rig.process.poll() is not None:
            raise SystemExit(f"not ok - the host has ended with {self.rig.process.returncode}:\n{self.rig.tail()}")
        problems, until = ["?"], now() + GONE
        ids = [job.id for v in group for job in v.jobs if job.rig is self.rig]
        while problems and now() < until:
            problems = census.Census(self.rig.host, self.rig.home).leftovers(before)
            problems += self.rig.stored_problems(ids)
            if problems:
                time.sleep(0.03)
        for v in group:
            for job in v.jobs:
                if job.watch is not None:
                    # The first event says how the job stood when the watch began.
                    ends = [event for _, event in job.watch.events[1:] if event.get("state") in TERMINAL]
                    if len(ends) > 1:
                        problems.append(f"the end of job {job.id} was told {len(ends)} times")
        if pids := {name: self.rig.engines(name) for name in self.rig.healthy}:
            if pids != {name: [pid] for name, pid in self.healthy_pids.items()}:
                problems.append(f"the healthy engines were {self.healthy_pids} and are {pids}")
        return problems

    def latencies(self, begin, end):
        return [one for one in list(self.rig.samples) if begin <= one[0] + one[1] and one[0] < end]

    def beside(self, begin, end, judged):
        """How the healthy engine fared: its 99th percentile (None when it ran too few jobs), the limit, problems."""
        samples = self.latencies(begin, end)
        bad = [verdict for _, _, verdict in samples if verdict != "ok"]
        problems = [f"{len(bad)} jobs of the healthy engine went wrong; the first: {bad[0]}"] if bad else []
        if end - begin > 2 and not samples:
            problems.append("the healthy engine has done nothing")
        samples = self.latencies(*judged)
        self.pool += [seconds for _, seconds, _ in samples]
        if len(samples) < FEW:
            return None, self.limit(), problems
        tail = p99([seconds for _, seconds, _ in samples])
        if tail > self.limit():
            # Another look at what is calm now: the machine may have become slower.
            self.baseline = max(self.baseline, self.calm(1.5))
        self.tails.append(tail)
        return tail, self.limit(), problems

    def limit(self):
        return max(2 * self.baseline, self.baseline + SLACK)

    def calm(self, seconds):
        """The healthy engine's 99th percentile while nothing else happens."""
        begin = now()
        time.sleep(seconds)
        samples = [one[1] for one in self.latencies(begin, now())]
        assert len(samples) > 20, f"the healthy engine ran {len(samples)} jobs in {seconds} s:\n{self.rig.tail()}"
        return p99(samples)

    def judge_pool(self, cases, begin):
        """The healthy engine over the whole of a batch whose variants were too short to be judged alone."""
        if len(self.pool) < FEW:
            return
        tail = p99(self.pool)
        line = f"{' + '.join(one.title for one in cases)}: {now() - begin:.1f} s, the healthy engine's 99th percentile over {len(self.pool)} jobs"
        self.say(f"# {line}: {short(tail)} (calm {short(self.baseline)})")

    def last_look(self, first):
        """After all rows: the whole against the beginning, and an end in order."""
        rig = self.rig
        self.rig.remove(*[name for name in census.entries(rig.home / "plugins") if name not in rig.healthy])
        self.check("all rows: nothing is left of them", lambda: self.expect_nothing(first))
        rig.stop_load()
        done = [one for one in rig.samples if one[2] == "ok"]
        self.check("all rows: no job of the healthy engine went wrong", lambda: self.expect(
            len(done) == len(rig.samples) and done, f"{len(rig.samples) - len(done)} of {len(rig.samples)}"))
        self.figures.setdefault("all", {})["beside"] = [
            ["", "jobs of the healthy engine, none of which failed", None, None, str(len(done))],
            ["", "99th percentile of the healthy engine, calm", None, None, short(self.baseline)],
            *([["", "99th percentile of the healthy engine beside the worst variant", None, None, short(max(self.tails))]] if self.tails else []),
        ]
        self.check("all rows: each stored job has one terminal state and shows one result", lambda: self.expect_none(rig.stored_problems()))
        pids = census.Census(rig.host, rig.home).family
        self.check("all rows: the worker ends in order", lambda: self.expect(rig.stop() == 0, rig.tail()))
        self.check("all rows: nothing outlives the worker", lambda: self.expect_none([pid for pid in pids if census.is_alive(pid)]))

    def expect_nothing(self, first):
        first.resident += 40 * census.MIB  # the database's cache and the history of many plugins
        self.expect_none(self.left(first, []))

    def check(self, title, body):
        try:
            body()
            self.verdict(title)
        except AssertionError as problem:
            self.verdict(title, problem or traceback.format_exc())

    @staticmethod
    def expect(holds, text):
        assert holds, text

    @staticmethod
    def expect_none(problems):
        assert not problems, "; ".join(map(str, problems[:10]))
