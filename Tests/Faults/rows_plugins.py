"""Plugin directories made to hurt, and programs that change under a running engine."""

import contextlib
import json
import os
import pathlib
import shutil
import stat

import census
from control import Refused
from matrix import case
from places import Whole, disk, ends_in_order, worker_on
from rig import Plugin, eventually, now

VERDICT = 1 + 1  # seconds: the bound, and the time in which a bad directory may still be one that is being written
GROWTH = 64 * census.MIB
DIRECTORIES = 100_000
GOOD = "manifest: 1\nname: {name}\nversion: '1'\ncommand: [./engine]\nserves:\n  - {kind: llm, models: [x]}\n"


def aliases():
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(9):
        text += f"b{level}: &b{level} [*{'a' if level == 0 else f'b{level - 1}'}{', *a' * 9}]\n"
    return text


def huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 30)


def loop(path):
    path.symlink_to("other.yaml")
    path.with_name("other.yaml").symlink_to("plugin.yaml")


BOMBS = {
    "aliases": (aliases(), "anchors"),
    "huge": (huge, "larger than 64KiB"),
    "deep": ("a: " + "[" * 30_000, "nested deeper than 32"),
    "deepmap": ("{a: " * 10_000, "nested deeper than 32"),
    "fifo": (os.mkfifo, "named pipe"),
    "device": (lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)), "device"),
    "folder": (os.mkdir, "directory"),
    "loop": (loop, "circle"),
    "outside": (lambda path: path.symlink_to("/etc/passwd"), "out of the plugin's directory"),
    "badutf8": (b"manifest: 1\nname: \xff\xfe\n", "not UTF-8"),
    "nul": (b"manifest: 1\nname: a\0b\n", ""),
    "tabs": ("manifest: 1\nserves:\n\t- kind: llm\n", "tab"),
    "tags": ("manifest: !!python/object 1\n", "tags"),
    "twice": (GOOD + "name: twice\n", "duplicate key"),
    "unknown": (GOOD + "comand: [x]\n", "command"),
    "lines": ("\n" * 60_000 + "x\n", ""),
    "keys": ("".join(f"k{number}: 1\n" for number in range(6_000)), ""),
    "Case": (GOOD.replace("{name}", "case"), ""),
    "misnamed": (GOOD.replace("{name}", "other"), "misnamed"),
    "empty": ("", ""),
}


def place(rig, prefix, name, content):
    """A directory with such a manifest, moved into place."""
    staging = rig.scratch / f"bomb-{prefix}{name}"
    staging.mkdir()
    path = staging / "plugin.yaml"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.replace("{name}", prefix + name).encode() if isinstance(content, str) else content)
    staging.rename(rig.home / "plugins" / (prefix + name))


@case("F46", "manifests")
def manifest_bombs(v):
    v.warm()
    jobs = v.in_flight(ms=2500)
    before, prefix = census.resident(v.rig.host), f"b{v.count}-"
    census.reset_peak(v.rig.host)
    for name, (content, _) in BOMBS.items():
        place(v.rig, prefix, name, content)
    begin = now()
    names = {prefix + name for name in BOMBS}

    def shown():
        found = {one["name"]: one for one in v.rig.call("plugins/list")["plugins"]}
        return names <= found.keys() and all(found[name]["state"] == "invalid" for name in names) and found

    try:
        found = eventually(lambda: f"all verdicts: {names - {one['name'] for one in v.rig.call('plugins/list')['plugins']}}", shown)
        v.measured(f"{len(BOMBS)} bad plugins are off, each with its reason", now() - begin, VERDICT)
        for name, (_, reason) in BOMBS.items():
            one = found[prefix + name]
            assert one["state"] == "invalid" and one["problems"], one
            assert reason in " ".join(one["problems"]), (name, one["problems"])
        assert found["healthy"]["state"] in ("ready", "busy") and found[v.chaos.name]["state"] != "invalid"
        grown = max(0, census.peak(v.rig.host) - before)
        assert grown <= GROWTH, f"{grown // census.MIB} MiB"
        v.figure("the host has grown by", f"{grown / census.MIB:.1f} MiB (bound 64 MiB)")
        for job in jobs:
            assert len(job.done()["attempts"]) == 1
        v.has_log = any(prefix + "aliases: out of service" in line for line in v.rig.log().splitlines())
    finally:
        v.rig.remove(*names)


@case("F46", "directories", one="as idle: no job is touched", eight="as idle: no job is touched", plugin=False, quiet=True, long=True)
def many_directories(v):
    # On a disk in memory, where that many directories are made soon.
    with disk(512) as place, worker_on(v, place, load=None) as rig:
        crowd = Plugin("crowd")
        rig.install(crowd)
        whole = Whole(rig)
        before = census.resident(rig.host)
        census.reset_peak(rig.host)
        # In a plugin's own directory, and beside the plugins.
        for where in (rig.home / "plugins" / "crowd", rig.home / "plugins"):
            names = [f"{where}/d{number:06}" for number in range(DIRECTORIES)]
            for name in names:
                os.mkdir(name)
            begin = now()
            late = Plugin(f"late-{where.name}")
            rig.install(late)
            assert rig.submit(late).done()["state"] == "succeeded"
            place_name = "its neighbour" if where.name == "crowd" else "plugins"
            v.measured(f"a plugin dropped in beside {DIRECTORIES} directories in {place_name} serves", now() - begin, 10)
            assert rig.submit(crowd).done()["state"] == "succeeded"
            assert rig.plugin("healthy")["state"] == "ready"
            grown = max(0, census.peak(rig.host) - before)
            assert grown <= GROWTH, f"{grown // census.MIB} MiB"
            for name in names:
                os.rmdir(name)
        v.figure("the host has grown by", f"{grown / census.MIB:.1f} MiB (bound 64 MiB)")
        assert rig.engine("healthy") == rig.pids["healthy"]
        whole.check(crowd, Plugin("late-crowd"), Plugin("late-plugins"))
        ends_in_order(rig)


@case("F47", "replaced", plugin={"concurrency": 9})
def replaced(v):
    changed_under(v, lambda path, spare: os.replace(spare, path))


@case("F47", "deleted", plugin={"concurrency": 9}, quiet=True)
def deleted(v):
    former = v.warm()
    jobs = v.in_flight(ms=1500)
    engine = v.rig.home / "plugins" / v.chaos.name / "engine"
    engine.unlink()
    for job in jobs:
        done = job.done()
        assert len(done["attempts"]) == 1 and done["result"]["pid"] == former, done
    begin = now()
    shutil.copy2(v.rig.chaos, engine)

    def served():
        with contextlib.suppress(Refused):
            return v.submit().done()

    eventually("it serves again", served, 10)
    v.measured("there again, and served", now() - begin, 2.5)


def changed_under(v, change):
    former = v.warm()
    jobs = v.in_flight(ms=2500)
    engine = v.rig.home / "plugins" / v.chaos.name / "engine"
    spare = v.rig.scratch / f"spare-{v.chaos.name}"
    shutil.copy2(v.rig.chaos, spare)
    change(engine, spare)
    begin = now()
    eventually("the change is seen", lambda: v.rig.logged(v.chaos.name, "in service")[1:], 5)
    v.measured("the change is seen", now() - begin, 2)

    def served_anew():
        if v.rig.plugin(v.chaos.name)["state"] == "invalid":
            return False
        return v.submit().done()

    done = eventually("a job on the new one", served_anew, 10)
    pids = v.rig.engines(v.chaos.name)
    assert former not in pids or v.count, (former, pids)
    for job in jobs:
        old = job.done()
        assert len(old["attempts"]) == 1 and old["result"]["pid"] == former, old
    assert done["result"]["pid"] != former, done
    v.expect_log("in service")


@case("F47", "half written")
def half_written(v):
    v.warm()
    jobs = v.in_flight(ms=1500)
    half = v.make("half")
    text = json.dumps(half.manifest(), indent=1)
    directory = pathlib.Path(v.rig.home / "plugins" / half.name)
    directory.mkdir()
    (directory / "plugin.yaml").write_text(text[:len(text) // 2])
    eventually("the verdict on the half", lambda: (v.rig.plugin(half.name) or {}).get("state") == "invalid", 5)
    v.expect_log("out of service", half)
    os.link(v.rig.chaos, directory / "engine")
    begin = now()
    (directory / "plugin.yaml").write_text(text)
    eventually("it is served", lambda: v.rig.plugin(half.name)["state"] != "invalid", 5)
    v.measured("completed, and served", now() - begin, 2)
    assert len(v.submit(half).done()["attempts"]) == 1
    for job in jobs:
        assert len(job.done()["attempts"]) == 1
