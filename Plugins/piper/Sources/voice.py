"""One voice: its files, its names, and how it turns phonemes into samples."""

import json
import logging
import os
import stat

from speechtext import shorten
from stoker_engine import BadInput, EngineError, Resource, Unsupported, model_file, resident_bytes

CONFIG_BYTES = 4 << 20  # a voice's configuration has a few KiB
PHONEMES_OF_OTHERS = {"pinyin": "Chinese", "japanese": "Japanese", "thai": "Thai"}  # they need further packages


def load_voice(model, threads, progress):
    """Loads a model's voice, to be computed with `threads` threads. Returns it with the bytes that it took."""
    path = _regular_file(model_file(model), f"The model {model['id']} has no file of role model")
    config_path = _regular_file(model_file(model, "config") or path + ".json", "A voice needs its configuration")
    if os.path.getsize(config_path) > CONFIG_BYTES:
        raise BadInput(f"{os.path.basename(config_path)} is too long for the configuration of a voice.")
    progress(message="libraries")
    # Not before: the handshake is answered without them. They stay, so they are not counted as the voice's.
    import onnxruntime
    from piper import PiperVoice
    from piper.config import PiperConfig

    logging.getLogger("piper").setLevel(logging.ERROR)  # it warns about each phoneme that a voice does not have
    before = resident_bytes()
    progress(message="voice")
    try:
        with open(config_path, encoding="utf-8") as file:
            members = json.load(file)
        if members.get("phoneme_type") in PHONEMES_OF_OTHERS:
            raise Unsupported(
                f"Voices for {PHONEMES_OF_OTHERS[members['phoneme_type']]} need packages that are not here."
            )
        config = PiperConfig.from_dict(members)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{os.path.basename(config_path)} is not the configuration of a Piper voice: {error!r}."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Sentences have all lengths: an arena would keep what the longest one took.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the processor is not this engine's alone
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class
        if "alloc" in str(error):
            raise Resource(
                f"There is no memory for {os.path.basename(path)}: unload another model.", str(error)
            ) from error
        raise BadInput(f"{os.path.basename(path)} is not an ONNX model, or is damaged.", str(error)) from error
    wanted = {"input", "input_lengths", "scales"} | ({"sid"} if config.num_speakers > 1 else set())
    if {value.name for value in session.get_inputs()} != wanted:
        raise BadInput(f"{os.path.basename(path)} is an ONNX model, but no Piper voice with this configuration.")
    voice = Voice(model["id"], path, members, config, PiperVoice, _Interruptible(session))
    for phonemes in voice.sentences("Ready.", 300):
        voice.start(None, 1.0, None)(phonemes)  # so that the first job finds all of it in memory
    progress(1.0, message="ready")
    return voice, max(0, resident_bytes() - before)


def _regular_file(path, otherwise):
    try:
        if path is not None and stat.S_ISREG(os.stat(path).st_mode):
            return path
    except (OSError, ValueError) as error:
        raise BadInput(f"{os.path.basename(path)} cannot be opened: {error}.") from error
    raise BadInput(f"{otherwise}: {os.path.basename(path or '')!r} is not a regular file.")


class _Interruptible:
    """A session whose runs a cancel ends at once: between two operators, not between two sentences."""

    def __init__(self, session):
        self.session, self.options = session, None

    def run(self, names, inputs):
        return self.session.run(names, inputs, self.options)


class Voice:
    def __init__(self, model_id, path, members, config, make, session):
        language = members.get("language") or {}
        known = [language.get("code"), language.get("family"), config.espeak_voice]
        self.languages = [name for name in known if isinstance(name, str) and name]
        self.names = {
            "default",
            model_id,
            os.path.basename(path),
            os.path.basename(path).rpartition(".")[0],
            members.get("dataset"),
        }
        self.speakers = dict(config.speaker_id_map) if config.num_speakers > 1 else {}
        self.speaker_count = config.num_speakers
        self.sample_rate = config.sample_rate
        self.session = session
        self.voice = make(config=config, session=session)

    def check_language(self, language):
        """Raises BadInput when a job wants another language than the voice's."""
        plain = [name.lower().replace("_", "-") for name in self.languages]
        if language and plain and language.lower().replace("_", "-") not in plain:
            raise BadInput(
                f"The voice speaks {' or '.join(dict.fromkeys(self.languages))}, not {language[:40]}: choose a model "
                "for that language, or leave task.language out."
            )

    def speaker(self, name, wanted):
        """The id of the speaker that a job asks for by `voice` or `speaker`; None for the voice's own."""
        if wanted is None:
            if name in self.names:
                return None
            wanted, field = name, "voice"
        else:
            field = "speaker"
        if type(wanted) is int and 0 <= wanted < self.speaker_count:
            return wanted
        if isinstance(wanted, str) and wanted in self.speakers:
            return self.speakers[wanted]
        if isinstance(wanted, str) and wanted.isascii() and wanted.isdigit() and int(wanted[:9]) < self.speaker_count:
            return int(wanted[:9])
        if self.speaker_count <= 1:
            raise BadInput(f"This model has one voice: leave task.{field} {str(wanted)[:40]!r} out, or name 'default'.")
        known = ", ".join(sorted(self.speakers)[:20]) or f"0 to {self.speaker_count - 1}"
        raise BadInput(
            f"This model has no task.{field} {str(wanted)[:40]!r}: its speakers are {known}, and 'default' is its own."
        )

    def sentences(self, block, longest):
        """The phonemes of a block of text, sentence by sentence, each of at most `longest`."""
        found = [phonemes for phonemes in self.voice.phonemize(block) if any(phoneme.strip() for phoneme in phonemes)]
        return [part for phonemes in found for part in shorten(phonemes, longest)]

    def start(self, job, speed, speaker):
        """A function from phonemes to samples (16 bit, little endian). A cancel of `job` makes its call fail."""
        import numpy
        import onnxruntime
        from piper import SynthesisConfig

        options = onnxruntime.RunOptions()
        if job is not None:
            job.on_cancel(lambda: setattr(options, "terminate", True))
        config = SynthesisConfig(speaker_id=speaker, length_scale=self.voice.config.length_scale / speed)

        def speak(phonemes):
            self.session.options = options
            samples = self.voice.phoneme_ids_to_audio(self.voice.phonemes_to_ids(phonemes), config)
            samples = numpy.atleast_1d(samples)
            if not numpy.isfinite(samples).all():
                raise EngineError("The voice has computed sounds that are not finite: its model is damaged.")
            loudest = float(numpy.abs(samples).max(initial=0.0))
            if loudest >= 1e-8:  # as Piper does: each sentence uses the whole range
                samples = samples / loudest
            return (samples * 32767.0).astype("<i2").tobytes()

        return speak
