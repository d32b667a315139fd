#!/usr/bin/env python3
"""Drives a built ffmpeg engine over its pipes with the real ffmpeg command, the way a host does.

    engine_test.py PLUGIN_DIRECTORY [TEST...]

Standard library only. Prints one line a test and ends with "N passed, N failed"; exits 1 when one failed.
"""

import os
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engine_client import PATIENCE, Engine, Failure, eventually, refused  # noqa: E402
from media import (animated_webp, ffmpeg, file_type, frame_hashes, huge_images, picture, pixel, png,  # noqa: E402
                   probe, wav)

CODECS = {"mp4": "h264", "webm": "vp9", "gif": "gif"}
TYPES = {"mp4": "ISO Media", "webm": "WebM", "gif": "GIF image data", "webp": "Web/P image"}
MEDIA = {"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif", "webp": "image/webp"}
SMALL = {"width": 160, "height": 120, "fps": 10, "seconds": 1}
SECRET = "the-secret-of-another-file"
HOSTILE = [
    "':textfile=/etc/passwd", "%{metadata\\:x} %{pts} %{n} %{localtime}", "a,b;[c][d]=e:f", "back\\slash \\n \\: \\'",
    "\"quoted\" 'single' `tick`", "-i /etc/passwd -y", "x':fontfile=/etc/passwd:x='", "drawtext=text=x[out];[0:v]null",
]


def check(result, ext, size, frames=None, seconds=None, sound=False):
    """Reads the result back with other tools and compares it with what was asked for and what the output says."""
    path, output = result["path"], result["output"]
    assert result["artifacts"] == [{"name": f"video.{ext}", "contentType": MEDIA[ext],
                                    "bytes": os.path.getsize(path)}], result["artifacts"]
    kind = file_type(path)
    assert kind is None or TYPES[ext] in kind, kind
    if ext == "webp":
        found, count, length = animated_webp(path)
        audio = None
    else:
        video, audio, length = probe(path)
        assert video["codec_name"] == CODECS[ext], video["codec_name"]
        found, count = (video["width"], video["height"]), int(video["nb_read_frames"])
        if ext in ("mp4", "webm"):
            assert video["pix_fmt"] == "yuv420p", video["pix_fmt"]
    assert found == size == (output["width"], output["height"]), (found, size, output)
    assert output["ext"] == ext and output["frames"] == count, (count, output)
    assert frames is None or count == frames, (count, frames)
    assert seconds is None or abs(length - seconds) < 0.11, (length, seconds)
    assert abs(output["duration"] - length) < 0.11, (output, length)
    assert bool(audio) == sound, audio
    if audio:
        assert audio["codec_name"] == {"mp4": "aac", "webm": "opus"}[ext]
    assert "ffmpeg" in output["method"] and "no model" in output["method"]


class World:
    """What the tests share: an engine, a place for files, and media made before."""

    def __init__(self, directory):
        self.directory = directory
        self.scratch = tempfile.mkdtemp(prefix="ffmpeg-engine-test.")
        self.argv = os.path.join(self.scratch, "argv")
        self.image = picture(self.path("image.png"))
        self.sound = self.path("sound.wav")
        ffmpeg("-f", "lavfi", "-i", "aevalsrc=sin(2764*t)*sin(3*t):d=1.5", self.sound)
        self.clip = self.path("clip.mp4")
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=322x182:r=25:d=2", "-i", self.sound, "-c:v", "libx264", "-preset",
               "ultrafast", "-pix_fmt", "yuv420p", self.clip)
        # Stands before the real command and writes down how it was called.
        self.recorder = self.path("ffmpeg")
        with open(self.recorder, "w", encoding="utf-8") as handle:
            handle.write(f"#!/bin/sh\nprintf '%s\\0' \"$@\" >>'{self.argv}'\nprintf '\\0' >>'{self.argv}'\n"
                         f"exec '{shutil.which('ffmpeg')}' \"$@\"\n")
        os.chmod(self.recorder, 0o755)
        self.engine = self.start(ffmpegPath=self.recorder, memoryMiB=1024)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def start(self, environment=None, **config):
        return Engine(self.directory, self.scratch, config, environment=environment)

    def calls(self):
        """The recorded command lines since the last call."""
        if not os.path.exists(self.argv):
            return []
        with open(self.argv, "rb") as handle:
            found = [call.decode().split("\0") for call in handle.read().split(b"\0\0") if call]
        os.unlink(self.argv)
        return found


TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def handshake_names_version_and_concurrency(world):
    hello = world.engine.hello
    assert hello["protocolVersion"] == 1 and hello["engine"]["name"] == "ffmpeg" and hello["concurrency"] == 2
    assert "models" not in hello or hello["models"] is None


@test
def kenburns_makes_every_format(world):
    for ext in ("mp4", "webm", "gif", "webp"):
        result = world.engine.run("kenburns", {"initImageUrl": "@in.png", "ext": ext, **SMALL}, {"in.png": world.image})
        check(result, ext, (160, 120), frames=10, seconds=1)
        assert len(set(frame_hashes(result["path"]))) > 5 if ext != "webp" else True, "nothing moves"
        fractions = [report["fraction"] for report in result["job"].progress]
        assert fractions == sorted(fractions) and fractions[-1] == 1, fractions
        assert result["job"].progress[-1]["step"] == result["job"].progress[-1]["steps"] == 10


@test
def mp4_can_start_before_it_is_all_there(world):
    result = world.engine.run("title", {"prompt": "fast start", **SMALL})
    with open(result["path"], "rb") as handle:
        data = handle.read()
    assert data.index(b"moov") < data.index(b"mdat")


@test
def motion_follows_from_seed_or_choice(world):
    def make(**task):
        result = world.engine.run("kenburns", {"initImageUrl": "@in.png", **SMALL, **task}, {"in.png": world.image})
        with open(result["path"], "rb") as handle:
            return handle.read(), result["output"]

    first, output = make(seed=7)
    assert make(seed=7)[0] == first, "the same seed gave other bytes"
    assert output["seed"] == 7 and len({make(seed=seed)[1]["method"] for seed in range(4)}) > 1
    motions = ("zoom-in", "zoom-out", "pan-left", "pan-right", "pan-up", "pan-down")
    made = {motion: make(motion=motion) for motion in motions}
    assert len({data for data, _ in made.values()}) == len(motions)
    assert all(motion in output["method"] for motion, (_, output) in made.items())
    refused("bad_input", lambda: make(motion="spin"), "motion", "zoom-in")


@test
def kenburns_reads_every_image_format_and_shape(world):
    for name, size in (("i.jpg", "321x241"), ("i.webp", "100x400"), ("i.gif", "50x50"), ("i.png", None)):
        path = world.path(name)
        if size:
            picture(path, size, "color=c=0x4080c0")
        else:
            with open(path, "wb") as handle:
                handle.write(png(30_000, 1, b"\0" + b"\x40\x80\xc0" * 30_000))
        result = world.engine.run("kenburns", {"initImageUrl": f"@{name}", **SMALL}, {name: path})
        check(result, "mp4", (160, 120), frames=10)
        red, green, blue = pixel(result["path"], 5, 80, 60)
        slack = 48 if name == "i.gif" else 16  # A GIF's palette is coarse.
        assert max(abs(red - 64), abs(green - 128), abs(blue - 192)) < slack, (name, red, green, blue)


@test
def title_shows_wrapped_text(world):
    for ext in ("mp4", "webm", "gif", "webp"):
        result = world.engine.run("title", {"prompt": "A title of several words\nand lines", "ext": ext, **SMALL,
                                            "background": "#202080", "color": "#ffffff"})
        check(result, ext, (160, 120), frames=10, seconds=1)
        if ext == "mp4":
            red, green, blue = pixel(result["path"], 3, 2, 2)
            assert abs(red - 32) < 12 and abs(green - 32) < 12 and abs(blue - 128) < 12, (red, green, blue)
        if ext == "gif":
            assert len(set(frame_hashes(result["path"]))) == 1, "the text moves"
    long = world.engine.run("title", {"prompt": "word " * 300, **SMALL, "width": 640, "height": 480})
    check(long, "mp4", (640, 480), frames=10)
    refused("bad_input", lambda: world.engine.run("title", {"prompt": "word " * 300, **SMALL}), "does not fit")
    refused("bad_input", lambda: world.engine.run("title", {"prompt": " \n\t\x07 "}), "prompt")
    refused("bad_input", lambda: world.engine.run("title", {"prompt": "x", "color": "white:x=1"}), "color")


@test
def text_never_reaches_the_filter(world):
    """The picture is the one that the same characters give when they are passed escaped, by another way."""
    world.calls()
    shapes = set()
    for prompt in HOSTILE:
        result = world.engine.run("title", {"prompt": prompt, "width": 960, "height": 120, "fps": 10, "seconds": 0.3})
        check(result, "mp4", (960, 120), frames=3)
        (arguments,) = world.calls()
        filters = arguments[arguments.index("-filter_complex") + 1]
        shapes.add("".join("0" if letter.isdigit() else letter for letter in filters).replace("00", "0"))
        assert "line-0:expansion=none" in filters and not any(prompt in argument for argument in arguments), arguments
        if "line-1" in filters:
            continue
        room = tempfile.mkdtemp(dir=world.scratch)
        os.symlink("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", os.path.join(room, "font"))
        # Escaped for the option, then for the filter graph.
        text = "".join("\\" + letter if letter in "\\':" else letter for letter in prompt)
        text = "".join("\\" + letter if letter in "\\'[],;" else letter for letter in text)
        changed = [argument.replace("textfile=line-0", f"text={text}") for argument in arguments]
        changed[changed.index("pipe:1")] = "file:progress"
        ffmpeg(*[argument for argument in changed if argument != "-n"], cwd=room)
        with open(os.path.join(room, "video.mp4"), "rb") as expected, open(result["path"], "rb") as made:
            assert made.read() == expected.read(), f"another picture for {prompt!r}"


@test
def slideshow_fades_from_image_to_image(world):
    inputs = {}
    for index, (name, colour) in enumerate((("a.jpg", "0xc02020"), ("b.png", "0x20c020"), ("c.webp", "0x2020c0"))):
        inputs[name] = picture(world.path(f"s{index}-{name}"), ("300x200", "64x64", "123x457")[index],
                               f"color=c={colour}")
    task = {"imageUrls": ["@a.jpg", "@b.png", "@c.webp"], "width": 160, "height": 120, "fps": 10, "seconds": 3,
            "crossFadeSeconds": 0.4}
    for ext in ("mp4", "gif", "webp"):
        result = world.engine.run("slideshow", {**task, "ext": ext}, inputs)
        check(result, ext, (160, 120), frames=30, seconds=3)
        if ext != "mp4":
            continue
        shown = [pixel(result["path"], frame, 80, 60) for frame in (0, 13, 29)]
        assert [max(range(3), key=colour.__getitem__) for colour in shown] == [0, 1, 2], shown
        red, green, _ = pixel(result["path"], 10, 80, 60)
        assert 50 < red < 185 and 50 < green < 185, "no cross-fade"
    check(world.engine.run("slideshow", {**task, "crossFadeSeconds": 0}, inputs), "mp4", (160, 120), frames=30)
    plain = {"imageUrls": ["@a.jpg", "@b.png"], "fps": 10, "width": 64, "height": 64}
    check(world.engine.run("slideshow", plain, inputs), "mp4", (64, 64), frames=40, seconds=4)
    check(world.engine.run("slideshow", {**plain, "imageUrls": ["@b.png"], "ext": "webm"}, inputs), "webm", (64, 64),
          frames=20)
    refused("bad_input", lambda: world.engine.run("slideshow", {**task, "crossFadeSeconds": 2}, inputs), "crossFade")
    refused("bad_input", lambda: world.engine.run("slideshow", {**task, "imageUrls": ["@a.jpg"] * 51}, inputs), "50")


@test
def transcode_reads_and_writes_every_way(world):
    def run(source, **task):
        name = os.path.basename(source)
        return world.engine.run("transcode", {"inputUrl": f"@{name}", **task}, {name: source})

    result = run(world.clip)
    check(result, "mp4", (322, 182), frames=50, seconds=2, sound=True)
    assert result["output"]["fps"] == 25
    check(run(world.clip, ext="webm", width=160, seconds=1), "webm", (160, 90), seconds=1, sound=True)
    gif = run(world.clip, ext="gif", height=90, fps=10)
    check(gif, "gif", (158, 90), frames=20, seconds=2)
    check(run(world.clip, ext="webp", width=100, height=100, fps=5), "webp", (100, 100), frames=10, seconds=2)
    shutil.copyfile(gif["path"], world.path("again.gif"))
    check(run(world.path("again.gif")), "mp4", (158, 90), frames=20, seconds=2)
    for ext in ("mp4", "webm"):
        made = run(world.sound, ext=ext)
        video, audio, seconds = probe(made["path"])
        assert video is None and audio and abs(seconds - 1.5) < 0.2 and "width" not in made["output"], made["output"]
        assert abs(made["output"]["duration"] - seconds) < 0.01
    refused("bad_input", lambda: run(world.sound, ext="gif"), "no moving pictures")
    refused("bad_input", lambda: run(world.image), "still image", "ffmpeg:kenburns")
    for name in ("c.mkv", "c.ts", "c.ogg", "c.mp3", "c.flac", "c.m4a"):
        ffmpeg("-i", world.clip if name in ("c.mkv", "c.ts") else world.sound, "-t", 0.5, world.path(name))
        assert 0.3 < run(world.path(name), width=64)["output"]["duration"] < 0.8, name


@test
def turned_video_stands_upright(world):
    ffmpeg("-i", world.clip, "-c", "copy", "-metadata:s:v", "rotate=90", "-t", 0.5, world.path("turned.mp4"))
    result = world.engine.run("transcode", {"inputUrl": "@t.mp4"}, {"t.mp4": world.path("turned.mp4")})
    check(result, "mp4", (182, 322), sound=True)


@test
def waveform_draws_sound(world):
    for ext in ("mp4", "webm", "gif", "webp"):
        result = world.engine.run("waveform", {"inputUrl": "@s.wav", "ext": ext, "width": 160, "height": 90, "fps": 10},
                                  {"s.wav": world.sound})
        check(result, ext, (160, 90), seconds=1.5, sound=ext in ("mp4", "webm"))
        assert ext == "webp" or len(set(frame_hashes(result["path"]))) > 5, "nothing moves"
    silent = world.path("silent.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", silent)
    refused("bad_input", lambda: world.engine.run("waveform", {"inputUrl": "@v.mp4"}, {"v.mp4": silent}), "no sound")


@test
def missing_and_wrong_fields_are_named(world):
    run = world.engine.run
    for model, field in (("kenburns", "initImageUrl"), ("title", "prompt"), ("slideshow", "imageUrls"),
                         ("transcode", "inputUrl"), ("waveform", "inputUrl")):
        refused("bad_input", lambda m=model: run(m, {}), field, "missing")
        refused("bad_input", lambda m=model, f=field: run(m, {f: 5}), field)
    title = {"prompt": "x", **SMALL}
    refused("bad_input", lambda: run("title", {**title, "ext": "avi"}), "mp4, webm, gif or webp", "avi")
    for field, values in {"width": (0, -2, 9000, 1.5, "5"), "height": (15, 8193), "fps": (0, 0.5, 61, "x"),
                          "seconds": (0, -1, 601)}.items():
        for value in values:
            refused("bad_input", lambda f=field, v=value: run("title", {**title, f: v}), f"task.{field}")
    refused("bad_input", lambda: run("title", {**title, "width": 8000, "height": 8000}), "8294400")
    refused("bad_input", lambda: run("title", {**title, "ext": "gif", "fps": 55}), "50 for gif")
    refused("unsupported", lambda: run(None, title), "ffmpeg:title")
    refused("unsupported", lambda: run("ffmpeg:nothing", title), "ffmpeg:kenburns")
    refused("unsupported", lambda: run("title", title, kind="image"), "video")


@test
def odd_sides_are_rounded_and_reported(world):
    result = world.engine.run("title", {"prompt": "odd", **SMALL, "width": 161, "height": 121})
    check(result, "mp4", (160, 120), frames=10)
    assert any("width 161 was rounded to 160" in line for line in result["job"].logs), result["job"].logs


@test
def file_names_are_only_names(world):
    for name in ("-i.png", "%d a'b:c,[d];e=f.png", "new\nline \\ \"q\" äöü 語.png"):
        result = world.engine.run("kenburns", {"initImageUrl": f"@{name}", **SMALL}, {name: world.image})
        check(result, "mp4", (160, 120), frames=10)
    for name in ("-y", "concat:a|b %03d.mp4"):
        check(world.engine.run("transcode", {"inputUrl": f"@{name}", "width": 64}, {name: world.clip}), "mp4",
              (64, 36), sound=True)


@test
def files_that_name_other_files_are_not_followed(world):
    other = world.path("other.ts")
    ffmpeg("-i", world.clip, "-metadata", f"title={SECRET}", other)
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n",
        "b.m3u8": "#EXTM3U\n#EXTINF:2,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "c.ffconcat": f"ffconcat version 1.0\nfile '{other}'\n",
        "d.txt": f"file '{other}'\n",
        "e.svg": "<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/hostname'/></svg>",
        "f.sdp": "v=0\nm=video 5000 RTP/AVP 96\n", "g.srt": "1\n00:00:00,000 --> 00:00:02,000\nhello\n",
        "h.mpd": "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>/etc/hostname</BaseURL></MPD>",
        "i.avs": "AviSource(\"/etc/hostname\")", "j.m3u": "http://127.0.0.1:9/x.mp4\n",
    }
    world.calls()
    for name, text in lists.items():
        for model, field in (("transcode", "inputUrl"), ("waveform", "inputUrl"), ("kenburns", "initImageUrl")):
            refused("bad_input", lambda n=name, m=model, f=field, t=text: world.engine.run(
                m, {f: f"@{n}"}, {n: t.encode()}), field)
    assert world.calls() == [], "ffmpeg was started"
    # With the first bytes of a format that is read, the list still meets only that format's reader.
    playlist = lists["a.m3u8"].encode()
    for name, start in (("p.mp3", b"ID3\x03\x00\x00\x00\x00\x00\x00"), ("p.ts", b""), ("p.mp4", b"\0\0\0\x08free"),
                        ("p.flac", b"fLaC"), ("p.ogg", b"OggS"), ("p.gif", b"GIF89a\x10\0\x10\0\0\0\0")):
        data = start + playlist if start else b"G" + bytes(187) + b"G" + bytes(187) + b"G" + playlist
        failure = refused("bad_input", lambda n=name, d=data: world.engine.run(
            "transcode", {"inputUrl": f"@{n}"}, {n: d}))
        assert SECRET not in failure.message + failure.evidence
    result = world.engine.run("transcode", {"inputUrl": "@c.mp4", "width": 64}, {"c.mp4": world.clip})
    for arguments in world.calls():
        assert arguments[arguments.index("-protocol_whitelist") + 1] == "file"
        assert arguments[arguments.index("-f") + 1] == arguments[arguments.index("-format_whitelist") + 1]
    assert result["path"]


@test
def only_files_of_the_work_directory_are_read(world):
    job = world.engine.start("title", {"prompt": "x", **SMALL})
    job.wait()
    outside = "file://" + world.image
    run = world.engine.run
    refused("bad_input", lambda: run("kenburns", {"initImageUrl": outside}), "initImageUrl", "work directory")
    refused("bad_input", lambda: run("transcode", {"inputUrl": "file:///etc/hostname"}), "work directory")
    for url in ("http://127.0.0.1/x.png", "https://x.example/x.png", "data:image/png;base64,AAAA", world.image,
                "concat:a|b", "file://host/x.png", "file:///a%00b.png", "file:///%zz", "x" * 100_000):
        refused("bad_input", lambda u=url: run("kenburns", {"initImageUrl": u}), "initImageUrl")

    def planted(make):
        job = world.engine.start("title", {"prompt": "x", **SMALL})
        job.wait()
        make(os.path.join(job.directory, "input.png"))
        url = "file://" + os.path.join(job.directory, "input.png")
        params = {"jobId": job.name + "b", "attempt": 1, "kind": "video", "workDirectory": job.directory,
                  "task": {"initImageUrl": url}, "model": {"id": "ffmpeg:kenburns"}}
        return lambda: world.engine.call("job/run", params)

    refused("bad_input", planted(lambda path: os.symlink(world.image, path)), "work directory")
    refused("bad_input", planted(os.mkfifo), "regular file")
    refused("bad_input", planted(os.mkdir), "regular file")
    refused("bad_input", planted(lambda path: open(path, "wb").close()), "empty")
    refused("bad_input", planted(lambda path: None), "cannot be opened")


@test
def hostile_files_cost_little(world):
    run = world.engine.run
    world.calls()
    for name, data in huge_images(60_000).items():
        refused("bad_input", lambda n=name, d=data: run("kenburns", {"initImageUrl": f"@{n}"}, {n: d}), "60000×60000")
        refused("bad_input", lambda n=name, d=data: run("slideshow", {"imageUrls": [f"@{n}"]}, {n: d}), "imageUrls[0]")
    refused("bad_input", lambda: run("kenburns", {"initImageUrl": "@a.png"}, {"a.png": png(2**31, 2**31)}))
    refused("bad_input", lambda: run("kenburns", {"initImageUrl": "@a.png"}, {"a.png": png(0, 5)}), "size")
    assert world.calls() == [], "ffmpeg was started"
    # A header of a large frame behind the small one that the engine sees: ffmpeg's own bound holds.
    small, large = huge_images(16)["huge.jpg"], huge_images(60_000)["huge.jpg"]
    refused("bad_input", lambda: run("kenburns", {"initImageUrl": "@a.jpg"}, {"a.jpg": small[:-76] + large[2:]}))
    refused("bad_input", lambda: run("transcode", {"inputUrl": "@a.gif"}, {"a.gif": huge_images(60_000)["huge.gif"]}),
            "60000×60000")
    # A header that claims two hours, on 1 KB: what is there is used.
    short = wav(2 * 3600, 1024)
    refused("bad_input", lambda: run("waveform", {"inputUrl": "@a.wav", **SMALL}, {"a.wav": short}), "shorter")
    assert run("transcode", {"inputUrl": "@a.wav"}, {"a.wav": short})["output"]["duration"] < 1
    with open(world.clip, "rb") as handle:
        clip = handle.read()
    for name, data in (("cut.mp4", clip[:len(clip) // 3]), ("noise.mp4", clip[:64] + os.urandom(4096)),
                       ("noise.png", png(64, 64)[:40] + os.urandom(4096)), ("noise.mkv", b"\x1aE\xdf\xa3" + os.urandom(4096)),
                       ("a.wav", b"RIFF\xff\xff\xff\xffWAVE"), ("a.mp4", b"\0\0\0\x18ftyp" + struct.pack(">I", 2**32 - 1))):
        field, model = ("initImageUrl", "kenburns") if name.endswith("png") else ("inputUrl", "transcode")
        failure = refused("bad_input", lambda n=name, d=data, f=field, m=model: run(m, {f: f"@{n}"}, {n: d}))
        assert world.scratch not in failure.message, failure.message


@test
def ten_megabytes_of_prompt_are_refused(world):
    before = world.engine.peak_bytes()
    refused("bad_input", lambda: world.engine.run("title", {"prompt": "x" * (10 << 20)}), "prompt")
    refused("bad_input", lambda: world.engine.run("title", {"prompt": "e" + "\u0301" * (2 << 20)}), "prompt")
    result = world.engine.run("kenburns", {"prompt": "y" * (10 << 20), "initImageUrl": "@a.png", **SMALL},
                              {"a.png": world.image})
    check(result, "mp4", (160, 120), frames=10)
    assert world.engine.peak_bytes() < before + (256 << 20), (before, world.engine.peak_bytes())


@test
def memory_and_output_are_bounded(world):
    engine = world.start(memoryMiB=256, maxOutputMiB=1, maxInputSeconds=5)
    try:
        large = png(6000, 6000, bytes((6000 * 8 + 1) * 6000), depth=16, colour=6)
        refused("resource", lambda: engine.run("kenburns", {"initImageUrl": "@l.png", **SMALL}, {"l.png": large}),
                "memoryMiB")
        noise = world.path("noise.mkv")
        ffmpeg("-f", "lavfi", "-i", "nullsrc=s=320x240:r=25:d=2,geq=lum='random(1)*255':cb=128:cr=128", "-c:v",
               "libx264", "-qp", 5, "-preset", "ultrafast", noise)
        refused("bad_input", lambda: engine.run("transcode", {"inputUrl": "@n.mkv"}, {"n.mkv": noise}), "maxOutputMiB")
        long = world.path("long.wav")
        ffmpeg("-f", "lavfi", "-i", "sine=duration=6", long)
        refused("bad_input", lambda: engine.run("waveform", {"inputUrl": "@l.wav", **SMALL, "seconds": 6},
                                                {"l.wav": long}), "seconds")
        refused("bad_input", lambda: engine.run("transcode", {"inputUrl": "@l.wav"}, {"l.wav": long}), "6 s long")
        assert engine.run("transcode", {"inputUrl": "@l.wav", "seconds": 1}, {"l.wav": long})["output"]["duration"] < 1.3
    finally:
        engine.close()


LONG = {"initImageUrl": "@in.png", "seconds": 600, "fps": 60, "width": 640, "height": 480}


@test
def cancel_leaves_neither_process_nor_file(world):
    for ext in ("mp4", "webp"):
        job = world.engine.start("kenburns", {**LONG, "ext": ext}, {"in.png": world.image})
        job.wait_for_progress()
        assert world.engine.tools(), "no ffmpeg process was found"
        job.cancel()
        job.cancel()
        assert refused("cancelled", job.wait).code == -32800
        assert world.engine.tools() == []
    job = world.engine.start("title", {"prompt": "x", "seconds": 600})
    job.cancel()
    refused("cancelled", job.wait)
    assert world.engine.tools() == []


@test
def two_jobs_run_at_a_time_and_cancel_apart(world):
    first = world.engine.start("kenburns", LONG, {"in.png": world.image})
    second = world.engine.start("kenburns", LONG, {"in.png": world.image})
    first.wait_for_progress()
    second.wait_for_progress()
    first.cancel()
    refused("cancelled", first.wait)
    assert len(world.engine.tools()) == 1
    assert world.engine.call("ping", {}) == {}
    second.cancel()
    refused("cancelled", second.wait)


@test
def shutdown_ends_running_work(world):
    engine = world.start()
    job = engine.start("kenburns", LONG, {"in.png": world.image})
    job.wait_for_progress()
    assert engine.call("shutdown", {}) == {}
    assert engine.process.wait(timeout=PATIENCE) == 0
    assert engine.tools() == [] and os.listdir(job.directory) == ["in.png"], os.listdir(job.directory)


@test
def no_ffmpeg_outlives_the_engine(world):
    for end in (lambda engine: engine.process.send_signal(signal.SIGKILL), lambda engine: engine.process.stdin.close()):
        engine = world.start()
        job = engine.start("kenburns", LONG, {"in.png": world.image})
        job.wait_for_progress()
        assert engine.tools()
        end(engine)
        engine.process.wait(timeout=PATIENCE)
        eventually(lambda e=engine: not e.tools())


@test
def without_ffmpeg_jobs_say_what_to_install(world):
    empty = {"PATH": world.path("nowhere")}
    engine = world.start(environment=empty)
    try:
        refused("unsupported", lambda: engine.run("title", {"prompt": "x"}), "apt-get install ffmpeg", "PATH")
        refused("bad_input", lambda: engine.run("title", {}), "prompt")
    finally:
        engine.close()
    engine = world.start(ffmpegPath="/nowhere/ffmpeg", fontFile="/nowhere/font.ttf")
    try:
        refused("unsupported", lambda: engine.run("title", {"prompt": "x"}), "/nowhere/ffmpeg")
    finally:
        engine.close()
    engine = world.start(fontFile=world.image)
    try:
        refused("unsupported", lambda: engine.run("title", {"prompt": "x"}), "fontFile")
    finally:
        engine.close()
    try:
        world.start(maxFps=0)
        raise AssertionError("a wrong configuration was accepted")
    except Failure as failure:
        assert "maxFps" in failure.message


@test
def failed_jobs_leave_nothing_open(world):
    descriptors = f"/proc/{world.engine.process.pid}/fd"
    refused("bad_input", lambda: world.engine.run("transcode", {"inputUrl": "@a.mp4"}, {"a.mp4": b"\0\0\0\x08free"}))
    before = len(os.listdir(descriptors))
    for _ in range(12):
        refused("bad_input", lambda: world.engine.run("transcode", {"inputUrl": "@a.mp4"}, {"a.mp4": b"\0\0\0\x08free"}))
    assert len(os.listdir(descriptors)) <= before
    eventually(lambda: len(os.listdir(f"/proc/{world.engine.process.pid}/task")) < 16)


class Run:
    """Hands the tests to two workers, each with a world of its own, and counts."""

    def __init__(self, directory, wanted):
        self.directory = directory
        self.waiting = [function for function in TESTS if not wanted or function.__name__ in wanted]
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def work(self):
        world = World(self.directory)
        try:
            while function := self.take():
                began = time.monotonic()
                problem = None
                try:
                    function(world)
                except Exception as error:  # pylint: disable=broad-except
                    problem = f": {type(error).__name__} {error} {getattr(error, 'evidence', '')}"
                self.tell(function, time.monotonic() - began, problem)
        finally:
            world.engine.close()
            shutil.rmtree(world.scratch)

    def take(self):
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    def tell(self, function, seconds, problem):
        with self.lock:
            self.passed += problem is None
            self.failed += problem is not None
            print(f"{'ok' if problem is None else 'not ok'} {self.passed + self.failed} - "
                  f"{function.__name__.replace('_', ' ')} ({seconds:.1f} s){problem or ''}", flush=True)


def main():
    run = Run(sys.argv[1], sys.argv[2:])
    workers = [threading.Thread(target=run.work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # A worker that could not begin leaves tests behind.
    run.failed += len(run.waiting)
    print(f"1..{run.passed + run.failed}")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main())
