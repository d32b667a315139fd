"""Jobs of all kinds, and what their results must be."""

import itertools
import json
import random
import threading
import time

from wire import Client, Gone, Refused

TERMINAL = ("succeeded", "failed", "cancelled")
# What the load itself makes jobs fail with: engines that die, deadlines that are too short.
DUE = ("engine_fault", "deadline", "transient")


class Book:
    """Every job that was acknowledged, and how it ended. Threads write to it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ends, self.refused, self.problems = {}, {}, []
        self.same = {}  # what a deterministic task gave the first time
        self.open = set()

    def began(self, job):
        with self.lock:
            self.open.add(job)

    def ended(self, job, state):
        with self.lock:
            self.open.discard(job)
            if job in self.ends:
                self.problems.append(f"{job} ended as {self.ends[job]} and as {state}")
            self.ends[job] = state

    def refuse(self, kind):
        with self.lock:
            self.refused[kind] = self.refused.get(kind, 0) + 1

    def problem(self, text):
        with self.lock:
            self.problems.append(text)

    def must_be_same(self, what, value):
        with self.lock:
            if self.same.setdefault(what, value) != value:
                self.problems.append(f"{what}: {value!r} and before {self.same[what]!r}")

    def finished(self):
        with self.lock:
            return len(self.ends)


class Tasks:
    """Draws tasks by weight. Each is a kind, a model, a task, and a check of the job that succeeded."""

    def __init__(self, book, parts, speech, rng):
        self.book, self.rng, self.speech = book, rng, speech
        ways = {
            "chaos": (40, self.chaos), "synthetic": (40, self.synthetic), "ffmpeg": (5, self.title),
            "piper": (4, self.say), "llama": (5, self.write), "whisper": (3, self.hear), "sdcpp": (2, self.draw),
        }
        self.ways = [ways[name] for name in parts if name in ways]

    def draw_one(self):
        weights, makers = zip(*self.ways)
        return self.rng.choices(makers, weights)[0]()

    def chaos(self):
        task = {"ms": self.rng.choice([0, 0, 5, 50, 300])}
        mode = self.rng.choices(["ok", "segv", "exit0", "partial", "escape", "deaf"], [60, 2, 2, 2, 1, 1])[0]
        if mode != "ok":
            task["mode"] = mode
        if self.rng.random() < 0.3:
            task["chunks"] = self.rng.choice([1, 60, 300])
        if self.rng.random() < 0.3:
            task["artifact"] = "out.txt"
        return "llm", "chaos-model", task, self.is_its_own

    def is_its_own(self, job):
        if job["result"].get("job") != job["id"]:
            self.book.problem(f"{job['id']} has the result of {job['result'].get('job')}")
        if job["attempts"][-1]["number"] != job["result"].get("attempt"):
            self.book.problem(f"{job['id']} has the result of another attempt: {job['attempts']}")

    def synthetic(self):
        kind, task = self.rng.choice([
            ("llm", {"messages": [{"role": "user", "content": "Hello"}]}), ("image", {"prompt": "an owl", "ext": "png"}),
            ("audio_tts", {"text": "Good morning"}), ("video", {"prompt": "a walk", "seconds": 1})])
        if self.rng.random() < 0.3:
            task = {**task, "delaySeconds": 0.2}
        return kind, "synthetic", task, lambda job: self.like_before(f"synthetic {kind}", job)

    def like_before(self, what, job):
        """The same bytes, or the same words, as the same task gave before."""
        files = [artifact["sha256"] for artifact in job.get("artifacts") or []]
        words = [choice["message"]["content"] for choice in job["result"].get("choices", [])]
        if not files and not words:
            self.book.problem(f"{what}: {job['id']} succeeded with nothing")
        self.book.must_be_same(what, json.dumps([files, words]))

    def title(self):
        task = {"prompt": "Hello", "seconds": 1, "width": 160, "height": 120, "ext": "mp4"}
        return "video", "ffmpeg:title", task, self.has_file

    def say(self):
        return "audio_tts", "piper-en_US-joe-medium", {"text": "Good morning.", "ext": "wav"}, self.has_file

    def has_file(self, job):
        if not any(artifact["bytes"] > 1000 for artifact in job.get("artifacts") or []):
            self.book.problem(f"{job['id']} succeeded without its file: {job.get('artifacts')}")

    def write(self):
        task = {"messages": [{"role": "user", "content": "Name three colours."}], "max_tokens": 8, "temperature": 0}
        return "llm", "smollm2-135m-instruct", task, lambda job: self.like_before("llama", job)

    def hear(self):
        return "audio_stt", "whisper-tiny.en", {"inputUrl": self.speech.as_uri()}, self.heard

    def heard(self, job):
        if "fellow americans" not in job["result"].get("text", "").lower():
            self.book.problem(f"{job['id']} heard {job['result'].get('text')!r}")

    def draw(self):
        task = {"prompt": "an owl", "width": 64, "height": 64, "steps": 1, "seed": 3, "ext": "png"}
        return "image", "noise-sd1", task, lambda job: self.like_before("sdcpp", job)


class Submitter(threading.Thread):
    """Submits a job, follows it to its end, checks it, and goes on to the next one."""

    numbers = itertools.count()

    def __init__(self, path, book, tasks, seed, pause):
        super().__init__(daemon=True)
        self.path, self.book, self.tasks, self.pause = path, book, tasks, pause
        self.rng = random.Random(seed)
        self.over = threading.Event()
        self.dropped = threading.Event()  # Jobs that are under way are somebody else's: the worker has been killed.

    def run(self):
        while not self.over.is_set():
            try:
                self.one()
            except Gone:
                if self.over.wait(0.2):
                    return
            self.over.wait(self.rng.uniform(0, 2 * self.pause))

    def one(self):
        kind, model, task, check = self.tasks.draw_one()
        request = {"kind": kind, "model": model, "task": task, "idempotencyKey": f"soak-{next(self.numbers)}"}
        if self.rng.random() < 0.1:
            request["deadlineSeconds"] = round(self.rng.uniform(0.05, 2), 3)
        with Client(self.path) as client:
            try:
                job = client.call("jobs/submit", request)["job"]["id"]
            except Refused as error:
                # A plugin that is being swapped serves nothing for a moment.
                return self.book.refuse(error.kind)
            self.book.began(job)
            # What hangs for ever must be cancelled, the rest may be.
            if task.get("mode") in ("deaf", "hang") or self.rng.random() < 0.1:
                threading.Thread(
                    target=self.cancel, args=(job, self.rng.uniform(0, 0.5)), daemon=True).start()
        while not self.dropped.is_set():
            states = []
            try:
                with Client(self.path) as client:
                    job = client.call("jobs/watch", {"id": job}, lambda event: states.append(event.get("state")))["job"]
            except Refused as error:
                return self.book.problem(f"{job} cannot be watched: {error}")
            except Gone:
                # A job may take longer than a connection waits.
                self.dropped.wait(0.2)
                continue
            return self.settle(job, [state for state in states if state in TERMINAL], check)

    def settle(self, job, states, check):
        # A job that ends while the watch is put in place may be said to have ended by both.
        if set(states) != {job["state"]}:
            self.book.problem(f"{job['id']} is {job['state']}, and was told to be {states}")
        self.book.ended(job["id"], job["state"])
        if job["state"] == "failed" and job["error"].get("class") not in DUE:
            self.book.problem(f"{job['id']} failed as nothing here makes it fail: {job['error']}")
        if job["state"] == "succeeded":
            try:
                check(job)
            except (KeyError, TypeError, IndexError) as error:
                self.book.problem(f"{job['id']} has a result of another shape ({error!r}): {job['result']}")

    def cancel(self, job, after):
        time.sleep(after)
        try:
            with Client(self.path) as client:
                client.call("jobs/cancel", {"id": job})
        except (Gone, Refused):
            pass
