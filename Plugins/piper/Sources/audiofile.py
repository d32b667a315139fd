"""Where the samples of a job go: a WAV file, or another format by way of ffmpeg. Never all are in memory."""

import shutil
import subprocess
import tempfile
import wave

from stoker_engine import BadInput, EngineError, Unsupported

# Arguments by ending. Opus has no 22,050 Hz: its decoders always give 48,000.
ENCODERS = {
    "mp3": ["-c:a", "libmp3lame", "-q:a", "3", "-f", "mp3"],
    "ogg": ["-c:a", "libopus", "-b:a", "48k", "-ar", "48000", "-f", "ogg"],
    "opus": ["-c:a", "libopus", "-b:a", "48k", "-ar", "48000", "-f", "ogg"],
    "flac": ["-c:a", "flac", "-f", "flac"],
}
WAV_BYTES = 0xFFFFFFFF - 4096  # the lengths in a WAV file have 32 bits


def open_audio(job, ext, sample_rate):
    """A context manager with `write(samples)`, for the artifact speech.EXT of one channel. Raises BadInput for an
    ending that cannot be written here."""
    if ext == "wav":
        return _Wav(job, sample_rate)
    if ext not in ENCODERS:
        raise BadInput(f"task.ext is {ext[:20]!r}; it must be one of wav, {', '.join(ENCODERS)}.")
    program = shutil.which("ffmpeg")
    if program is None:
        raise BadInput(f"task.ext {ext} needs the ffmpeg command, which is not installed on this machine: use wav.")
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
        self._errors = tempfile.TemporaryFile(dir=job.work_directory)
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
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
            status = self._process.wait()
            if kind is None and status != 0:
                self._fail()
        finally:
            self._errors.close()

    def write(self, samples):
        self.frames += len(samples) // 2
        try:
            self._process.stdin.write(samples)
        except BrokenPipeError:
            self._process.wait()
            self._fail()

    def _fail(self):
        self._errors.seek(0)
        said = self._errors.read(4000).decode("utf-8", "replace")
        if "Unknown encoder" in said:
            raise Unsupported(f"The ffmpeg of this machine cannot write {self._ext}: use wav.", said)
        raise EngineError(f"ffmpeg failed to write {self._ext}: exit status {self._process.returncode}.", said)
