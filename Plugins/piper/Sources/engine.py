"""The piper engine: text to speech with Piper's voices, on the one-file kit."""

from stoker_engine import BadInput, Engine, EngineError, Resource, Unsupported, serve  # first: it moves the wire

import ctypes
import os
import sys

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import speechtext
from audiofile import open_audio
from voice import load_voice

CHUNK_BYTES = 96 << 10  # of samples in one chunk; two seconds of a voice at 22,050 Hz, 128 KiB as base64
PHONEMES = 240  # computed at once at normal speed: about 12 seconds of speech, and the bound of a job's memory

LIBC = ctypes.CDLL(None)
M_ARENA_MAX = -8  # of malloc.h


class Piper(Engine):
    name, version = "piper", "1.0.0"
    features = ("chunks", "progress", "model-residency")

    def initialize(self, params):
        # Jobs come in threads of their own. With one heap for all of them, what one has freed serves the next.
        getattr(LIBC, "mallopt", lambda *_: 0)(M_ARENA_MAX, 1)
        self.limits = params["config"]
        self.threads = params["resources"]["cpuThreads"]
        self.voices = {}

    def load(self, model, progress):
        voice, memory = load_voice(model, self.threads, progress)
        self.voices[model["id"]] = voice
        return {"memoryBytes": memory}

    def unload(self, model_id):
        self.voices.pop(model_id, None)

    def run(self, job):
        if job.kind != "audio_tts":
            raise Unsupported(f"This engine speaks (audio_tts); it cannot do {job.kind}.")
        voice = self.voices.get((job.model or {}).get("id"))
        if voice is None:
            raise EngineError("The voice is not loaded: the job names none, or one that was not loaded before.")
        text = job.get("text", str)
        most = self.limits.get("maxCharacters", 100_000)
        if len(text) > most:
            raise BadInput(
                f"task.text has {len(text)} characters and this engine takes at most {most}: send it in parts, "
                "or raise plugins.piper.maxCharacters."
            )
        speed = job.get("speed", float, 1.0, 0.25, 4.0)
        voice.check_language(job.get("language", str, None))
        speaker = voice.speaker(job.get("voice", str, "default"), job.task.get("speaker"))
        ext = job.get("ext", str, "wav").lower()
        with open_audio(job, ext, voice.sample_rate) as audio:
            self._speak(job, voice, speechtext.clean(text), speed, speaker, audio)
        getattr(LIBC, "malloc_trim", lambda _: 0)(0)  # an idle voice holds what its load has told
        return {
            "output": {
                "ext": ext,
                "duration": round(audio.frames / voice.sample_rate, 3),
                "sampleRate": audio.sample_rate,
                "channels": 1,
            },
            "artifacts": [job.artifact(audio.name)],
            "usage": {"characters": len(text), "audioSeconds": round(audio.frames / voice.sample_rate, 3)},
        }

    def _speak(self, job, voice, text, speed, speaker, audio):
        """Speaks into `audio` and into chunks, a sentence at a time, so that memory does not depend on the text."""
        speak = voice.start(job, speed, speaker)
        # Slow speech has more samples for a phoneme.
        longest = max(1, int(PHONEMES * min(1.0, speed)))
        sentences = done = 0
        for block in speechtext.blocks(text):
            parts = voice.sentences(block, longest)
            for at, phonemes in enumerate(parts, 1):
                job.check_cancelled()
                samples = speak(phonemes)
                audio.write(samples)
                for start in range(0, len(samples), CHUNK_BYTES):
                    job.chunk(samples[start : start + CHUNK_BYTES])
                sentences += 1
                job.progress((done + len(block) * at / len(parts)) / len(text), step=sentences, stage="speaking")
            done += len(block)
        if audio.frames == 0:
            raise BadInput(
                "task.text has nothing in it that can be said: it needs words, numbers or symbols with a name."
            )


serve(Piper())
