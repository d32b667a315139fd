#!/usr/bin/env python3
"""The memory ledger, devices and residency of a real worker, with engines that hold real memory.

  STOKER_TEST_DIST   the built tree; dist/ of this one when it is not set
"""

import calendar
import os
import re
import signal
import sys
import time

from rig import MIB, ROOT, Rig, Watch, eventually, held, is_alive, model, plugin

sys.path.insert(0, str(ROOT / "Tests" / "ProtocolDocs"))

from runner import Suite  # noqa: E402
from worker import environment  # noqa: E402

SIZE = 64 * MIB  # of a model
EXPECTED = 68 * MIB  # what the manifest says of it: a little more
NUMBERS = re.compile(r"\d (?:[KMG]iB|bytes)\b")


def moment(text):
    """Seconds since 1970 of a time of the host's."""
    whole, _, part = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{part or 0}")


def two_devices(suite, dist):
    """A box with two GPUs, as the configuration describes it."""
    gpu = 600 * MIB
    plugins = [
        plugin("gpu", lanes=2, processes=2, models=2, prefer=["cuda"], per_model=gpu), plugin("cpu"),
        plugin("picky", prefer=["cuda"]), plugin("none", prefer=["cuda", "cpu"]),
        plugin("astray", prefer=["cuda"]),
    ]
    models = [model(f"gpu-{name}", 8 * MIB, deviceBytes=gpu) for name in "abc"]
    models += [model("cpu-a", 8 * MIB), model("picky-a", 8 * MIB, deviceBytes=100 * MIB), model("none-a", 8 * MIB)]
    models += [model("astray-a", 8 * MIB)]
    models += [model("picky-big", 8 * MIB, file_bytes=900 * MIB)]
    config = {
        "devices": [{"kind": "cuda", "index": index, "memory": "1GiB", "name": f"Card {index}"} for index in (0, 1)],
        "memory": {"reserve": 0, "vramThreshold": 800 * MIB},
        "plugins": {"picky": {"devices": ["cuda:1"]}, "none": {"devices": "none"},
                    "astray": {"devices": ["cuda:7"]}},
    }
    with Rig(dist, plugins, models, config) as rig:
        held_jobs = []

        def given(facts):
            """The device that a job was told of, when its environment shows that one and no other."""
            (device,) = facts["devices"]
            assert device["kind"] == "cuda" and device["memoryBytes"] == 1 << 30, device
            assert facts["variables"] == {
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(device["index"]),
                "ROCR_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "-1", "GGML_VK_VISIBLE_DEVICES": "",
            }, facts["variables"]
            return device["index"]

        def no_device(facts):
            assert not facts["devices"], facts["devices"]
            assert facts["variables"]["CUDA_VISIBLE_DEVICES"] == "", facts["variables"]

        def begin_both():
            # Handed out in the same moment, so that neither process is there when the other's device is chosen.
            rig.call("pause")
            for name in "ab":
                held_jobs.append(rig.hand_in(
                    f"gpu-{name}", begun=str(rig.path(f"{name}.begun")), until=str(rig.path("both"))))
            rig.call("resume")
            for name in "ab":
                eventually(lambda: f"both run: {rig.tail()}", rig.path(f"{name}.begun").exists)
            listed = rig.residents()
            places = {name: listed[f"gpu-{name}"][0] for name in "ab"}
            assert places["a"]["pid"] != places["b"]["pid"], places
            assert {place["device"] for place in places.values()} == {"cuda:0", "cuda:1"}, places
            for index in (0, 1):
                pool = rig.pool(f"cuda:{index}")
                assert gpu <= pool["heldBytes"] <= pool["limitBytes"] == 1 << 30, pool

        def processor_does_not_wait():
            waiting = rig.hand_in("gpu-c")  # there are free lanes for it, and no memory
            no_device(rig.see("cpu-a"))
            job = rig.job(waiting)
            assert job["state"] == "queued" and not job["attempts"], job
            held_jobs.append(waiting)

        def both_end():
            rig.release("both")
            first, second, third = map(rig.facts, held_jobs)
            assert {given(first), given(second)} == {0, 1}, (first, second)
            assert first["pid"] != second["pid"] and third["pid"] in (first["pid"], second["pid"])
            given(third)

        def as_configured():
            assert given(rig.see("picky-a")) == 1
            no_device(rig.see("none-a"))

        def no_such_device():
            done = rig.call("submit", "llm", "--model", "astray-a", "--prompt", "Hello", "--wait", check=False)
            assert done.returncode == 1 and "cuda:7" in done.stderr and "cuda:0, cuda:1" in done.stderr, done.stderr
            (astray,) = [one for one in rig.json("plugins", "list")["plugins"] if one["name"] == "astray"]
            assert astray["state"] == "invalid" and "cuda:7" in astray["problems"][0], astray

        suite.check("two jobs at once get two processes on two devices", begin_both)
        suite.check("a job on the processor does not wait for device memory", processor_does_not_wait)
        suite.check("engines see their own device and no other", both_end)
        suite.check("the operator's choice of devices is followed", as_configured)
        suite.check("a device that is not there is named, and the plugin out of service", no_such_device)
        suite.check("a model over memory.vramThreshold fails at once", lambda: never(rig, "picky-big", "800"))


def never(rig, name, *words):
    """A job for a model that can never be loaded: fails at once, says why, with numbers."""
    begun = time.monotonic()
    done = rig.call("submit", "llm", "--model", name, "--prompt", "Hello", "--wait", check=False)
    took = time.monotonic() - begun
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert len(NUMBERS.findall(done.stderr)) >= 2, done.stderr
    for word in words:
        assert word in done.stderr, f"{word!r} is not in {done.stderr!r}"
    job = rig.job(rig.json("jobs")["jobs"][0]["id"])
    assert job["model"] == name and job["error"]["class"] == "resource", job
    assert len(job["attempts"]) == 1, f"tried {len(job['attempts'])} times in {took:.1f} s: {job['error']}"


def room_is_made(suite, dist):
    """Three models of which two fit."""
    limit = 190 * MIB
    plugins = [plugin("hoard", lanes=2, models=8, per_model=EXPECTED), plugin("large")]
    models = [model(f"hoard-{name}", SIZE) for name in "abc"] + [model("large-a", SIZE, file_bytes=1 << 30)]
    with Rig(dist, plugins, models, {"memory": {"limit": limit, "reserve": 0}}) as rig:
        def oldest_leaves():
            facts = [rig.see(f"hoard-{name}") for name in "abc"]
            assert len({fact["pid"] for fact in facts}) == 1, facts
            assert rig.loaded() == ["hoard-b", "hoard-c"], rig.loaded()
            assert rig.logged("unloaded hoard-a") and "to make room for hoard-c" in rig.logged("unloaded hoard-a")[0]
            rig.see("hoard-b")  # now c is the one that was used longest ago
            rig.see("hoard-a")
            assert rig.loaded() == ["hoard-a", "hoard-b"], rig.loaded()
            for name, (copy,) in rig.residents().items():
                assert SIZE <= copy["bytes"] <= SIZE + 8 * MIB, (name, copy)
                assert copy["pid"] == facts[0]["pid"] and copy["device"] == "cpu" and not copy["pinned"], copy

        def pinned_stays():
            rig.call("models", "load", "hoard-b", "--pin")
            rig.see("hoard-a")  # b is the older one, and pinned
            rig.see("hoard-c")
            assert rig.loaded() == ["hoard-b", "hoard-c"], rig.loaded()
            assert rig.residents()["hoard-b"][0]["pinned"], rig.residents()

        def busy_stays():
            busy = rig.hold("hoard-c", "busy")
            assert rig.residents()["hoard-c"][0]["users"] == 1, rig.residents()
            waiting = rig.hand_in("hoard-a")
            rig.see("hoard-b")  # goes past the one that waits: it needs no memory, and there is a second lane
            job = rig.job(waiting)
            assert job["state"] == "queued" and not job["attempts"], job
            assert rig.loaded() == ["hoard-b", "hoard-c"], rig.loaded()
            rig.release("busy")
            assert rig.facts(busy)["loads"].count("hoard-c") == 2
            job = rig.done(waiting)
            assert len(job["attempts"]) == 1, job["attempts"]
            assert rig.loaded() == ["hoard-a", "hoard-b"], rig.loaded()

        def pinned_leave_no_room():
            rig.call("models", "load", "hoard-a", "--pin")
            never(rig, "hoard-c", "pinned models (hoard-a, hoard-b)")
            assert rig.loaded() == ["hoard-a", "hoard-b"], rig.loaded()

        with Watch(rig) as watch:
            suite.check("the model that was used longest ago makes room", oldest_leaves)
            suite.check("a pinned model stays, and a younger one leaves", pinned_stays)
            suite.check("a busy model stays, and the job waits in line", busy_stays)
            suite.check("a model for which pinned ones leave no room fails at once", pinned_leave_no_room)
        suite.check("engines never hold more than memory.limit", lambda: within(watch.samples, limit))
        suite.check("a model that never fits fails at once", lambda: never(rig, "large-a", "190.0 MiB"))


def within(samples, limit):
    """By the ledger's account and by the kernel's, and the samples show what went on."""
    assert len(samples) >= 10, f"{len(samples)} samples"
    assert all(found == limit for _, found, _ in samples), samples
    ledger, kernel = max(sample[0] for sample in samples), max(sample[2] for sample in samples)
    assert 2 * SIZE < ledger <= limit, f"the ledger's greatest sum is {ledger} of {limit}"
    # The kernel also counts processes that have not greeted yet, and what an interpreter takes for a moment.
    assert 2 * SIZE < kernel <= limit + 16 * MIB, f"the greatest sum measured is {kernel} of {limit}"


def wishes(suite, dist):
    """What the operator says about models: by hand, and in the configuration."""
    names = {"plain": {}, "brief": {}, "pinned": {}, "early": {}}
    plugins = [plugin(name, lanes=2, models=4, idle_exit="1s") for name in names]
    models = [model(f"{name}-a", 8 * MIB) for name in names]
    residency = {"early-a": {"preload": True, "pin": True}, "brief-a": {"keepAlive": "300ms"}}
    with Rig(dist, plugins, models, {"residency": residency}) as rig:
        def preloaded(other_than=None):
            (copy,) = eventually(
                lambda: f"early-a is loaded again: {rig.residents()}\n{rig.tail()}",
                lambda: [one for one in rig.residents().get("early-a", [])
                         if one["state"] == "loaded" and one["pid"] != other_than])
            assert copy["pinned"] and is_alive(copy["pid"]), copy
            return copy["pid"]

        def preloaded_again():
            pid = preloaded()
            os.kill(pid, signal.SIGKILL)
            again = preloaded(other_than=pid)
            assert rig.see("early-a")["pid"] == again

        def by_hand():
            rig.call("models", "load", "plain-a")
            (copy,) = rig.residents()["plain-a"]
            assert copy["state"] == "loaded" and not copy["pinned"] and copy["users"] == 0, copy
            assert rig.see("plain-a")["loads"] == ["plain-a"]
            rig.call("models", "unload", "plain-a")
            assert "plain-a" not in rig.residents(), rig.residents()
            assert rig.logged("unloaded plain-a")[-1].endswith("by the operator's wish"), rig.tail()

        def busy_is_refused():
            job = rig.hold("plain-a", "refused")
            refused = rig.call("models", "unload", "plain-a", check=False)
            assert refused.returncode == 1 and "in use" in refused.stderr, (refused.returncode, refused.stderr)
            assert rig.loaded().count("plain-a") == 1
            rig.release("refused")
            rig.facts(job)

        def not_for_long():
            pid = rig.see("brief-a")["pid"]
            eventually("brief-a is unloaded", lambda: rig.logged("unloaded brief-a"))
            assert rig.logged("unloaded brief-a")[0].endswith("idle for its keepAlive")
            eventually(f"the idle process {pid} ends", lambda: not is_alive(pid))

        def pinned_keeps_its_process():
            rig.call("models", "load", "pinned-a", "--pin")
            (copy,) = rig.residents()["pinned-a"]
            # Another plugin's process is as idle, later, and ends: so the time for this one has passed.
            other = rig.see("plain-a")["pid"]
            eventually(f"the idle process {other} ends", lambda: not is_alive(other))
            assert is_alive(copy["pid"]) and rig.residents()["pinned-a"][0]["pid"] == copy["pid"]
            rig.call("models", "unload", "pinned-a")
            eventually(f"the process {copy['pid']} ends once nothing is pinned", lambda: not is_alive(copy["pid"]))

        suite.check("a model is preloaded", preloaded)
        suite.check("it is loaded again when its engine was killed", preloaded_again)
        suite.check("a model is loaded and unloaded by hand", by_hand)
        suite.check("a busy model is not unloaded by hand", busy_is_refused)
        suite.check("a model leaves after its keepAlive, an idle process after idleExit", not_for_long)
        suite.check("a pinned model keeps its process", pinned_keeps_its_process)


def turns(suite, dist, max_wait, check):
    """Twenty jobs of two models in turn, one process that keeps one model."""
    plugins, models = [plugin("turn")], [model("turn-a", MIB), model("turn-b", MIB)]
    with Rig(dist, plugins, models, {"fairness": {"maxWait": max_wait}}) as rig:
        def run():
            rig.call("pause")
            jobs = [rig.hand_in(f"turn-{name}") for name in "ab" * 10]
            rig.call("resume")
            facts = [rig.facts(job) for job in jobs]
            assert len({fact["pid"] for fact in facts}) == 1, facts
            order = [fact["turn"] for fact in facts]
            assert sorted(order) == list(range(1, 21)), order
            loads = max((fact["loads"] for fact in facts), key=len)
            assert len(loads) == rig.loads(), (loads, rig.loads())
            check(order, loads)
        suite.check(f"jobs of two models with fairness.maxWait {max_wait}", run)


def grouped(order, loads):
    assert len(loads) <= 4, loads


def strict(order, loads):
    assert order == sorted(order), order
    assert loads == ["turn-a", "turn-b"] * 10, loads


def cancelled_while_loading(suite, dist):
    """A load goes on without the job that has caused it."""
    models = [model("slow-a", 8 * MIB, until="go")]
    with Rig(dist, [plugin("slow")], models, {}) as rig:
        def run():
            follow = rig.follow("slow-a")

            def loading():
                return [event for event in follow.events() if (event.get("loading") or {}).get("fraction")]

            event = eventually(lambda: f"the load reports progress: {follow.events()}\n{rig.tail()}", loading)[0]
            assert event["loading"]["model"] == "slow-a" and 0 < event["loading"]["fraction"] < 1, event
            job = rig.json("jobs")["jobs"][0]["id"]
            begun = time.time()
            rig.call("cancel", job)
            ended = rig.wait(job)
            assert ended["state"] == "cancelled", ended
            assert follow.end() == 1 and follow.events()[-1]["job"]["state"] == "cancelled", follow.events()
            assert moment(ended["finishedAt"]) - begun < 1, (begun, ended)
            (copy,) = rig.residents()["slow-a"]
            assert copy["state"] == "loading", copy
            follower = rig.hand_in("slow-a")
            rig.release("go")
            facts = rig.facts(follower)
            assert facts["loads"] == ["slow-a"] and facts["pid"] == copy["pid"], facts
            assert rig.loads() == 1
        suite.check("a job is cancelled while its model loads, and the next one uses the load", run)


def memory_comes_back(suite, dist):
    """What an engine holds after an unload."""
    size = 320 * MIB  # more than a process may keep
    models = [model("fair-a", size), model("leaky-a", size, keeps=True)]
    with Rig(dist, [plugin("fair"), plugin("leaky")], models, {}) as rig:
        def given_back():
            pid = rig.see("fair-a")["pid"]
            assert held(pid) > size, held(pid)
            rig.call("models", "unload", "fair-a")
            assert held(pid) < size / 4, held(pid)
            assert rig.see("fair-a")["pid"] == pid
            rig.call("models", "unload", "fair-a")

        def taken_back():
            pid = rig.see("leaky-a")["pid"]
            assert held(pid) > size, held(pid)
            rig.call("models", "unload", "leaky-a")
            eventually(f"the process {pid} ends", lambda: not is_alive(pid))
            assert rig.logged("keeps memory of unloaded models"), rig.tail()
            assert not [line for line in rig.logged("keeps memory") if "fair" in line], rig.tail()
            eventually(lambda: f"the ledger knows: {rig.pool()}", lambda: rig.pool()["heldBytes"] < size / 2)
            assert rig.see("leaky-a")["pid"] != pid

        suite.check("an engine that gives memory back goes on", given_back)
        suite.check("an engine that keeps memory is started anew", taken_back)


def main():
    suite = Suite()
    dist = environment("STOKER_TEST_DIST") or ROOT / "dist"
    suite.check("stoker is there", lambda: suite.require((dist / "bin" / "stoker").exists(), f"{dist} is not built"))
    if suite.failed:
        return suite.finish()
    begun = time.monotonic()
    for case in (two_devices, room_is_made, wishes):
        case(suite, dist)
    turns(suite, dist, "30s", grouped)
    turns(suite, dist, "0s", strict)
    cancelled_while_loading(suite, dist)
    memory_comes_back(suite, dist)
    print(f"      {time.monotonic() - begun:.0f} s")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
