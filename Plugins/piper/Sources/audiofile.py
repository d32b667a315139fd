"""Where the samples of a job go: a WAV file, or another format by way of ffmpeg. Never all are in memory."""

import os
import shutil
import subprocess
import wave

from stoker_engine import BadInput, EngineError, Resource, Unsupported

# Arguments by ending. Opus has no 22,050 Hz: its decoders always give 48,000.
ENCODERS = {
    "mp3": ["-c:a", "libmp3lame", "-q:a", "3", "-f", "mp3"],
    "ogg": ["-c:a", "libopus", "-b:a", "48k", "-ar", "48000", "-f", "ogg"],
    "opus": ["-c:a", "libopus", "-b:a", "48k", "-ar", "48000", "-f", "ogg"],
    "flac": ["-c:a", "flac", "-f", "flac"],
}
NO_ROOM = ("No space left on device", "Disk quota exceeded")
CUT_SHORT = ("Error writing trailer", "Error closing file")  # ffmpeg may say so and still end with status 0
WAV_BYTES = 0xFFFFFFFF - 4096  # the lengths in a WAV file have 32 bits


def open_audio(job, ext, sample_rate):
    """A context manager with `write(samples)`, for the artifact speech.EXT of one channel. Raises BadInput for an
    ending that there is not, Unsupported for one that this machine has no ffmpeg for."""
    if ext == "wav":
        return _Wav(job, sample_rate)
    if ext not in ENCODERS:
        raise BadInput(f"task.ext is {ext[:20]!r}; it must be one of wav, {', '.join(ENCODERS)}.")
    program = shutil.which("ffmpeg")
    if program is None:
        raise Unsupported(
            f"task.ext {ext} needs the ffmpeg command, which this machine does not have: install ffmpeg, or use wav."
        )
    return _Encoded(job, ext, sample_rate, program)


class _Wav:
    def __init__(self, job, sample_rate):
        self.name, self.sample_rate, self.frames = "speech.wav", sample_rate, 0
        self._file = wave.open(job.path(self.name), "wb")
        self._file.setparams((1, 2, sample_rate, 0, "NONE", ""))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._file.close()

    def write(self, samples):
        self.frames += len(samples) // 2
        if self.frames * 2 > WAV_BYTES:
            raise BadInput(
                "The speech does not fit into the 4 GiB of a WAV file: use another task.ext or a shorter text."
            )
        self._file.writeframesraw(samples)


class _Encoded:
    def __init__(self, job, ext, sample_rate, program):
        self.name, self.frames, self._ext = f"speech.{ext}", 0, ext
        self.sample_rate = 48000 if "libopus" in ENCODERS[ext] else sample_rate
        self._errors = os.fdopen(os.memfd_create("ffmpeg"), "w+b")  # in memory: a full disk has to be told of
        command = [
            program,
            "-hide_banner",
            "-nostdin",
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            "-f",
            "s16le",
            "-ar",
            str(sample_rate),
            "-ac",
            "1",
            "-i",
            "pipe:0",
            *ENCODERS[ext],
            "-y",
            f"file:{job.path(self.name)}",
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._errors, stderr=self._errors)
        job.on_cancel(self._process.kill)  # a write to it may be waiting

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                self._process.kill()
            is_whole = True
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                is_whole = False
            self._process.wait()
            if kind is None:
                self._check(is_whole)
        finally:
            self._errors.close()

    def write(self, samples):
        self.frames += len(samples) // 2
        try:
            self._process.stdin.write(samples)
        except BrokenPipeError:
            self._process.wait()
            self._check(is_whole=False)

    def _check(self, is_whole):
        """Raises unless ffmpeg, which has ended, took all samples and wrote all of the file."""
        self._errors.seek(0)
        said = self._errors.read(4000).decode("utf-8", "replace")
        if any(words in said for words in NO_ROOM):
            raise Resource(f"The disk is too full to write {self._ext}: make room, or send a shorter text.", said)
        if "Unknown encoder" in said:
            raise Unsupported(f"The ffmpeg of this machine cannot write {self._ext}: use wav.", said)
        if self._process.returncode != 0 or not is_whole or any(words in said for words in CUT_SHORT):
            raise EngineError(f"ffmpeg failed to write {self._ext}: exit status {self._process.returncode}.", said)
