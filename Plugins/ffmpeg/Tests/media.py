"""Media for the tests of the ffmpeg engine: made by the ffmpeg command, read back by ffprobe and `file`, never by the engine."""

import json
import os
import shutil
import struct
import subprocess
import zlib


def ffmpeg(*arguments, cwd=None):
    """Runs the ffmpeg command by hand."""
    subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)],
                   check=True, cwd=cwd, stdin=subprocess.DEVNULL)


def picture(path, size="320x240", source="testsrc2"):
    ffmpeg("-f", "lavfi", "-i", f"{source}{'=' if '=' not in source else ':'}s={size}", "-frames:v", 1, path)
    return path


def probe(path):
    """Codec, size, decoded frames and duration of the streams, as ffprobe sees them."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", path],
        check=True, capture_output=True, stdin=subprocess.DEVNULL)
    value = json.loads(done.stdout)
    streams = {stream["codec_type"]: stream for stream in value["streams"]}
    return streams.get("video"), streams.get("audio"), float(value["format"].get("duration", 0))


def file_type(path):
    """What `file` says, or nothing where it is not installed."""
    if not shutil.which("file"):
        return None
    return subprocess.run(["file", "-b", path], check=True, capture_output=True, text=True).stdout


def animated_webp(path):
    """Width, height, frames and seconds of an animated WEBP, which ffprobe cannot read: the container's own record."""
    with open(path, "rb") as handle:
        data = handle.read()
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP", data[:12]
    assert struct.unpack_from("<I", data, 4)[0] + 8 == len(data), "a wrong length in the header"
    at, size, frames, milliseconds = 12, None, 0, 0
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8:at + 8 + length]
        if kind == b"VP8X":
            size = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind == b"ANMF":
            frames += 1
            milliseconds += int.from_bytes(body[12:15], "little")
        at += 8 + length + length % 2
    return size, frames, milliseconds / 1000


def pixel(path, frame, x, y):
    """Red, green and blue of one point of one frame."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf",
         f"select=eq(n\\,{frame}),format=rgb24,crop=2:2:{x}:{y}:exact=1", "-frames:v", "1", "-f", "rawvideo", "-"],
        check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return tuple(done.stdout[:3])


def frame_hashes(path):
    """One hash a decoded frame."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:v", "-f", "framemd5", "-"],
                          check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


def png(width, height, pixels=b"", depth=8, colour=2):
    """A PNG whose header claims a size. Colour 2 is RGB, 6 has alpha, too."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b""))


def huge_images(side):
    """Files of a few bytes that claim a size, by name."""
    jpeg = (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08"
            + struct.pack(">HH", side, side) + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xda" + bytes(64))
    gif = b"GIF89a" + struct.pack("<HH", side, side) + b"\x00\x00\x00;" + bytes(16)
    minus = (side - 1).to_bytes(3, "little")
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00\x00\x00\x00" + minus + minus
    return {"huge.png": png(side, side), "huge.jpg": jpeg, "huge.gif": gif,
            "huge.webp": b"RIFF" + struct.pack("<I", len(webp)) + webp}


def wav(claimed_seconds, present_bytes, rate=16000):
    """A WAV whose header claims more than there is."""
    length = claimed_seconds * rate * 2
    return (b"RIFF" + struct.pack("<I", min(length + 36, 2**32 - 1)) + b"WAVEfmt "
            + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16) + b"data" + struct.pack("<I", length)
            + os.urandom(present_bytes))
