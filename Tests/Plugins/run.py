#!/usr/bin/env python3
"""Live plugins of a real worker: dropped in, changed well and badly, removed, installed from directories, archives and https.

  STOKER_TEST_DIST   the built tree; dist/ of this one when it is not set
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
import time

from bench import ROOT, SOON, Live, eventually, evil, make, pack
from runner import Suite  # bench.py has made it known

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
GENEROUS = 5  # what a bound is stretched by on a busy machine


def changes(suite, live):
    """What happens in the plugins directory."""
    model = "demo-model"

    def moved_in():
        live.drop("demo", "1.0.0")
        seconds = live.in_service("demo", "1.0.0")
        print(f"      mv in: advertised after {seconds:.2f} s")
        assert seconds < 2 * GENEROUS, seconds
        assert not live.plugin("demo")["processes"], "a plugin was executed to discover it"
        assert live.ask(model)["version"] == "1.0.0"

    def changed_well():
        held = live.hold(model, "old")
        live.drop("demo", "1.1.0")
        seconds = live.in_service("demo", "1.1.0")
        print(f"      changed: the new version in service after {seconds:.2f} s")
        assert seconds < 2 * GENEROUS, seconds
        assert live.ask(model)["version"] == "1.1.0"
        assert live.job(held)["state"] == "running", "the running job was disturbed"
        live.release("old")
        assert live.told(held)["version"] == "1.0.0"
        assert len(live.job(held)["attempts"]) == 1

    def changed_badly():
        warm = live.ask(model)["pid"]
        held = live.hold(model, "during")
        begun = time.monotonic()
        place = live.drop("demo", "2.0.0", broken="raise SystemExit('no licence found')")
        jobs = [live.hand_in(model) for _ in range(8)]
        plugin, _ = live.turned_down("demo")
        seconds = time.monotonic() - begun
        print(f"      a version that dies: turned down after {seconds:.2f} s, the old one serves")
        assert seconds < 10, seconds
        (problem,) = plugin["problems"]
        assert problem.startswith("version 2.0.0 did not start: "), problem
        assert "no licence found" in problem and "version 1.1.0 serves again" in problem, problem
        assert f"correct it in {place}" in problem, problem
        assert plugin["version"] == "1.1.0" and plugin["candidate"]["version"] == "2.0.0", plugin
        for words in (("status",), ("plugins", "inspect", "demo")):
            assert "version 2.0.0 did not start" in live.call(*words).stdout, words
        assert live.logged("version 2.0.0 did not start"), live.tail()
        told = [live.told(job) for job in jobs]
        assert {one["version"] for one in told} == {"1.1.0"}, told
        assert {one["pid"] for one in told} == {warm}, "the old version's process was not kept"
        live.release("during")
        assert live.told(held)["pid"] == warm

    def old_one_starts_again():
        # Its directory holds something else by now: it starts from its copy.
        pid = live.ask(model)["pid"]
        os.kill(pid, signal.SIGKILL)
        told = live.ask(model)
        assert told["version"] == "1.1.0" and told["pid"] != pid, told
        assert "/state/kept/demo/" in told["directory"], told

    def corrected():
        (live.plugins / "demo" / "engine.py").write_text((ROOT / "Tests" / "Plugins" / "engine.py").read_text())
        seconds = live.in_service("demo", "2.0.0")
        print(f"      corrected: in service after {seconds:.2f} s")
        assert live.ask(model)["version"] == "2.0.0"
        assert "problems" not in live.plugin("demo") or not live.plugin("demo")["problems"]
        eventually("only the new version is kept", lambda: len(list((live.home / "state/kept/demo").iterdir())) == 1)

    def a_manifest_in_halves():
        live.ask(model)
        manifest = live.plugins / "demo" / "plugin.yaml"
        whole = manifest.read_text()
        manifest.write_text(whole[: len(whole) // 2])
        plugin, _ = live.turned_down("demo")
        assert "the new version cannot be used" in plugin["problems"][0], plugin
        assert live.ask(model)["version"] == "2.0.0"
        manifest.write_text(whole)
        live.in_service("demo", "2.0.0")
        assert live.ask(model)["version"] == "2.0.0"

    def deleted_while_running():
        held = live.hold(model, "gone")
        shutil.rmtree(live.plugins / "demo" / "lib")
        (live.plugins / "demo" / "engine.py").unlink()
        live.release("gone")
        assert live.told(held)["version"] == "2.0.0"
        os.kill(live.engine("demo"), signal.SIGKILL)
        assert live.ask(model)["version"] == "2.0.0"
        live.drop("demo", "3.0.0")
        live.in_service("demo", "3.0.0")

    def restarted():
        pid = live.ask(model)["pid"]
        held, short = live.hold(model, "long"), live.hold(model, "short")
        begun = time.monotonic()
        restart = subprocess.Popen(
            [live.stoker, "plugins", "restart", "demo", "--grace", "2s", "--json", "--home", str(live.home)],
            stdout=subprocess.PIPE, text=True)
        live.release("short")
        assert live.told(short)["pid"] == pid
        answer = json.loads(restart.communicate(timeout=SOON)[0])
        print(f"      restart with --grace 2s: over after {time.monotonic() - begun:.2f} s")
        assert restart.returncode == 0 and answer["drained"] == {"returnedJobs": 1, "complete": True}, answer
        live.release("long")
        told = live.told(held)
        assert told["pid"] != pid, "the job did not go to the new process"
        attempts = live.job(held)["attempts"]
        assert [one["outcome"] for one in attempts] == ["superseded", "succeeded"], attempts
        assert live.plugin("demo")["restarts"] <= 2, live.plugin("demo")

    def removed_while_busy():
        held = live.hold(model, "last")
        (live.plugins / "demo").rename(live.path("gone-demo"))
        seconds = eventually("it is gone", lambda: live.plugin("demo") is None)[1]
        assert seconds < 2 * GENEROUS, seconds
        live.release("last")
        assert live.told(held)["version"] == "3.0.0"
        eventually("nothing is kept", lambda: not (live.home / "state/kept/demo").exists())

    suite.check("a directory that is moved in is advertised", moved_in)
    suite.check("a changed plugin: new jobs on the new version, running ones end on the old", changed_well)
    suite.check("a version that does not start: the old one serves on, and everybody says so", changed_badly)
    suite.check("the old version starts again although its directory was replaced", old_one_starts_again)
    suite.check("a corrected version is tried again", corrected)
    suite.check("a manifest that is half written", a_manifest_in_halves)
    suite.check("files that are deleted while the engine runs", deleted_while_running)
    suite.check("a restart waits for jobs, and sends back what takes too long", restarted)
    suite.check("a plugin that is removed while it is busy", removed_while_busy)


def copies(suite, live):
    """Directories that come slowly, and versions that nobody started before."""

    def slow_copy():
        source = make(live.path("slow-source"), "slow", "1.0.0")
        place = live.plugins / "slow"
        (place / "lib").mkdir(parents=True)
        shutil.copy(source / "plugin.yaml", place)
        for part in range(20):
            time.sleep(0.1)
            (place / "lib" / f"filler-{part}").write_bytes(b"x" * 1000)
        assert not live.logged("slow: in service"), "it was taken up half-way"
        shutil.copy(source / "engine.py", place)
        shutil.copy(source / "lib" / "part.py", place / "lib")
        live.in_service("slow", "1.0.0")
        assert live.ask("slow-model")["version"] == "1.0.0"
        assert not live.plugin("slow")["restarts"]

    def a_part_comes_late():
        # Everything that the manifest names is there, and what the engine needs besides is not.
        live.ask("slow-model")
        source = make(live.path("late-source"), "slow", "1.5.0")
        shutil.move(source / "lib", live.path("late-lib"))
        (live.plugins / "slow").rename(live.path("late-old"))
        source.rename(live.plugins / "slow")
        live.turned_down("slow")
        shutil.copytree(live.path("late-lib"), live.plugins / "slow" / "lib")
        live.in_service("slow", "1.5.0")
        assert live.ask("slow-model")["version"] == "1.5.0"

    def never_started():
        live.drop("fresh", "1.0.0")
        live.in_service("fresh", "1.0.0")
        live.drop("fresh", "1.1.0", broken="raise SystemExit(3)")
        live.in_service("fresh", "1.1.0")
        assert not live.plugin("fresh")["processes"], "a plugin that was never started was executed"

    def rolls_back_after_the_workers_restart():
        pid = live.ask("slow-model")["pid"]
        assert pid
        live.process.terminate()
        live.process.wait(timeout=SOON)
        (live.plugins / "slow").rename(live.path("before-restart"))
        make(live.plugins / "slow", "slow", "1.6.0", broken="raise SystemExit('still no licence')")
        live.process = subprocess.Popen(
            [live.stoker, "run", "--home", str(live.home)], stdin=subprocess.DEVNULL, stdout=live.log, stderr=live.log,
            start_new_session=True)
        eventually("the worker answers", lambda: live.call("status", check=False).returncode == 0)
        assert live.plugin("slow")["version"] == "1.6.0" and not live.plugin("slow")["processes"]
        begun = time.monotonic()
        told = live.ask("slow-model")
        seconds = time.monotonic() - begun
        print(f"      the first start fails: a job is done by the version before after {seconds:.2f} s")
        assert told["version"] == "1.5.0" and seconds < 10, (told, seconds)
        assert "version 1.6.0 did not start" in live.plugin("slow")["problems"][0]
        live.drop("slow", "1.7.0")
        live.in_service("slow", "1.7.0")

    suite.check("a slow copy is not taken up half-way", slow_copy)
    suite.check("a part that comes late", a_part_comes_late)
    suite.check("a version that was never started is not executed to look at it", never_started)
    suite.check("the first start fails in a new life: the version of the former life serves", rolls_back_after_the_workers_restart)


class Site:
    """Files over https on this machine."""

    def __init__(self, place):
        self.place = place
        self.authority = place / "site.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", place / "site.key", "-out", self.authority],
            check=True, capture_output=True)
        handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {
            "log_message": lambda *_: None,
            "__init__": lambda one, *words: http.server.SimpleHTTPRequestHandler.__init__(
                one, *words, directory=str(place))})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, place / "site.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        os.environ["CURL_CA_BUNDLE"] = str(self.authority)
        return self

    def __exit__(self, *_):
        del os.environ["CURL_CA_BUNDLE"]
        self.server.shutdown()
        self.server.server_close()


def installs(suite, live):
    """`stoker plugins install` and `remove`, with a worker that runs."""

    def left():
        return sorted(entry.name for entry in live.plugins.iterdir() if not entry.name.startswith((".trash", ".install")))

    def refused(text, *words, status=1):
        before = left()
        done = live.call("plugins", "install", *words, check=False)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert text in done.stderr, done.stderr
        assert left() == before, f"something is left: {left()}"

    def from_a_directory():
        source = make(live.path("a"), "alpha", "1.0.0")
        done = live.call("plugins", "install", source)
        assert done.stdout == "alpha 1.0.0 is in service (llm: alpha-model)\n", done.stdout
        assert live.ask("alpha-model")["version"] == "1.0.0"
        refused("alpha 1.0.0 is installed in", source)

    def from_an_archive():
        source = make(live.path("alpha-1.1"), "alpha", "1.1.0")
        held = live.hold("alpha-model", "install")
        done = live.call("plugins", "install", pack(source, live.path("alpha-1.1.tar.gz")), "--replace")
        assert "alpha 1.1.0 is in service" in done.stdout and "in place of 1.0.0" in done.stdout, done.stdout
        assert live.ask("alpha-model")["version"] == "1.1.0"
        live.release("install")
        assert live.told(held)["version"] == "1.0.0"
        eventually("the old one is deleted", lambda: not list(live.plugins.glob(".trash*")))
        plain = pack(source, live.path("plain.tar"), "w")
        shown = live.json("plugins", "install", plain, "--yes")
        assert shown["version"] == "1.1.0" and shown["replaced"] == "1.1.0", shown

    def a_version_that_does_not_start():
        source = make(live.path("alpha-2"), "alpha", "2.0.0", broken="raise SystemExit('no licence found')")
        refused("alpha 2.0.0 was not installed, 1.1.0 serves on: it did not start", source, "--replace")
        assert live.ask("alpha-model")["version"] == "1.1.0"
        assert not live.plugin("alpha")["problems"], live.plugin("alpha")

    def hostile_archives():
        manifest = ("demo/plugin.yaml", FILE, (make(live.path("h"), "hostile", "1") / "plugin.yaml").read_bytes())
        cases = {
            "climbs": [("../escape", FILE, b"x")], "absolute path": [("/tmp/stoker-escape", FILE, b"x")],
            "leads out": [("demo/l", LINK, "../../x")], "is a link": [("demo/l", LINK, "."), ("demo/l/x", FILE, b"x")],
            "hard link": [("demo/l", HARD, "demo/plugin.yaml")], "comes twice": [manifest],
            "case only": [("demo/PLUGIN.yaml", FILE, b"x")], "named pipe": [("demo/p", tarfile.FIFOTYPE, "")],
            "is a device": [("demo/d", tarfile.CHRTYPE, "")],
        }
        for number, (text, entries) in enumerate(cases.items()):
            refused(text, evil(live.path(f"evil-{number}.tar.gz"), manifest, *entries))
        assert not pathlib.Path("/tmp/stoker-escape").exists() and not (live.home / "escape").exists()
        bomb = live.path("bomb.tar.gz")
        evil(bomb, manifest, ("demo/zeros", FILE, bytes(64 << 20)))
        refused("as bombs do", bomb)
        cut = live.path("cut.tar.gz")
        cut.write_bytes(live.path("alpha-1.1.tar.gz").read_bytes()[:-20])
        refused("too early", cut, "--replace")
        refused("there is no plugin.yaml", evil(live.path("none.tar.gz"), ("x/y", FILE, b"x")))
        refused("xz archives are not read", pack(live.path("alpha-1.1"), live.path("a.tar.xz"), "w:xz"))
        wrong = make(live.path("wrong"), "wrong", "1")
        (wrong / "engine.py").unlink()
        (wrong / "plugin.yaml").write_text("manifest: 1\nname: wrong\nversion: 1\n")
        refused("wrong/plugin.yaml", wrong)
        refused("is not a regular file", "/dev/null")

    def digests():
        archive = live.path("alpha-1.1.tar.gz")
        good = hashlib.sha256(archive.read_bytes()).hexdigest()
        live.call("plugins", "install", archive, "--replace", "--sha256", good)
        refused("the archive has the SHA-256 " + good, archive, "--replace", "--sha256", "0" * 64)
        refused("--sha256 must be 64 hex digits", archive, "--sha256", "12", status=2)
        config = live.home / "config.yaml"
        before = config.read_text()
        config.write_text(before + "install: {require: sha256}\n")
        refused("wants the archive's SHA-256", archive, "--replace")
        refused("which a directory cannot have", live.path("alpha-1.1"), "--replace")
        live.call("plugins", "install", archive, "--replace", "--sha256", good)
        config.write_text(before)

    def signatures():
        archive, key, sealed = live.path("alpha-1.1.tar.gz"), live.path("key.pem"), live.path("alpha.sig")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        public = subprocess.run(
            ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
        subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", archive, "-out", sealed], check=True,
            capture_output=True)
        config = live.home / "config.yaml"
        before = config.read_text()
        refused("no key to check the signature with", archive, "--replace", "--signature", sealed)
        config.write_text(before + f"install: {{require: signature, keys: [{base64.b64encode(public).decode()}]}}\n")
        refused("wants a signature", archive, "--replace")
        refused("wants a signature", archive, "--replace", "--sha256", hashlib.sha256(archive.read_bytes()).hexdigest())
        live.call("plugins", "install", archive, "--replace", "--signature", sealed)
        text = live.path("alpha.sig.txt")
        text.write_text(base64.encodebytes(sealed.read_bytes()).decode())
        live.call("plugins", "install", archive, "--replace", "--signature", text)
        refused("made this signature", live.path("plain.tar"), "--replace", "--signature", sealed)
        text.write_text("not a signature")
        refused("not an Ed25519 one", archive, "--replace", "--signature", text)
        config.write_text(before)

    def over_https():
        with Site(live.bench) as site:
            source = make(live.path("beta"), "beta", "1.0.0")
            archive = pack(source, live.path("beta.tar.gz"))
            good = hashlib.sha256(archive.read_bytes()).hexdigest()
            done = live.call("plugins", "install", f"{site.url}/beta.tar.gz", "--sha256", good)
            assert "beta 1.0.0 is in service" in done.stdout, done.stdout
            refused("does not have the file", f"{site.url}/missing.tar.gz")
        refused("cannot be fetched", f"{site.url}/beta.tar.gz", "--replace")

    def twins():
        other = live.path("other")
        other.mkdir()
        make(other / "twin", "twin", "1")
        before = (live.home / "config.yaml").read_text()
        (live.home / "config.yaml").write_text(before + f"pluginDirectories: [{json.dumps(str(other))}]\n")
        refused("two of one name are both switched off", make(live.path("twin"), "twin", "2"))
        done = live.call("plugins", "remove", "twin", "--yes", check=False)
        assert done.returncode == 2 and "stoker plugins disable twin" in done.stderr, done.stderr
        (live.home / "config.yaml").write_text(before)

    def removed():
        done = live.call("plugins", "remove", "beta", check=False)
        assert done.returncode == 2 and "add --yes" in done.stderr, done.stderr
        held = live.hold("beta-model", "removal")
        remove = subprocess.Popen(
            [live.stoker, "plugins", "remove", "beta", "--yes", "--home", str(live.home)], stdout=subprocess.PIPE, text=True)
        eventually("it is out of service", lambda: live.plugin("beta") is None)
        assert remove.poll() is None, "it did not wait for the running job"
        live.release("removal")
        assert live.told(held)["version"] == "1.0.0"
        assert remove.communicate(timeout=SOON)[0] == "beta removed\n"
        assert not [name for name in left() if "beta" in name], left()
        done = live.call("plugins", "remove", "alpah", "--yes", check=False)
        assert done.returncode == 2 and "alpha" in done.stderr, done.stderr

    def interrupted():
        source = make(live.path("big"), "big", "1")
        for number in range(400):
            (source / f"filler-{number}").write_bytes(os.urandom(1 << 16))
        install = subprocess.Popen(
            [live.stoker, "plugins", "install", str(source), "--home", str(live.home)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        eventually("it has begun", lambda: [n for n in left() if n.startswith(".staging")] or install.poll() is not None)
        install.send_signal(signal.SIGINT)
        status = install.wait(timeout=SOON)
        assert status in (0, 130), status
        assert not [n for n in left() if n.startswith(".staging")], left()
        assert (status == 130) == ("big" not in left()), (status, left())

    def without_a_worker():
        home = live.path("alone")
        done = subprocess.run(
            [live.stoker, "plugins", "install", str(live.path("alpha-1.1.tar.gz")), "--home", str(home)],
            capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "no worker is running" in done.stdout, (done.stdout, done.stderr)
        assert (home / "plugins/alpha/lib/part.py").exists()
        done = subprocess.run(
            [live.stoker, "plugins", "remove", "alpha", "--yes", "--home", str(home)], capture_output=True, text=True,
            check=False)
        assert done.returncode == 0 and not (home / "plugins/alpha").exists(), done.stderr

    suite.check("from a directory", from_a_directory)
    suite.check("from archives, in place of a version that is busy", from_an_archive)
    suite.check("a version that does not start is not installed", a_version_that_does_not_start)
    suite.check("hostile archives leave nothing", hostile_archives)
    suite.check("SHA-256 given and required", digests)
    suite.check("Ed25519 signatures", signatures)
    suite.check("over https", over_https)
    suite.check("two plugins of one name", twins)
    suite.check("remove waits for running jobs", removed)
    suite.check("Ctrl-C leaves nothing", interrupted)
    suite.check("without a worker", without_a_worker)


def main():
    dist = pathlib.Path(os.environ.get("STOKER_TEST_DIST", ROOT / "dist"))
    suite = Suite()
    for part in (changes, copies, installs):
        with Live(dist) as live:
            part(suite, live)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
