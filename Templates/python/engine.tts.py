"""__NAME__: an engine of the kind audio_tts. It gives a tone for each word: put your voice there."""
from stoker_engine import BadInput, Engine, Unsupported, serve  # first: now nothing that prints can harm the wire
import array, math, sys, time, wave

RATE = 16000


def tone(word, speed):
    """Mono samples of 16 bits: the longer the word the deeper the tone; it ends in silence."""
    count, step = int(RATE / 5 / speed), 2 * math.pi * 880 / len(word) / RATE
    sound = array.array("h", (int(8000 * math.sin(at * step)) if at < count * 3 / 4 else 0 for at in range(count)))
    if sys.byteorder == "big":
        sound.byteswap()
    return sound.tobytes()


class Main(Engine):
    name, version = "__NAME__", "0.1.0"

    def initialize(self, params):
        self.pace = (params.get("config") or {}).get("pace", 20) / 1000  # plugin.yaml declares it, and the operator sets it

    def run(self, job):
        words, speed = job.get("text", str).split(), job.get("speed", float, 1.0, 0.25, 4)
        if not words:
            raise BadInput("task.text has no words.")
        if job.get("ext", str, "wav") != "wav":
            raise Unsupported("This engine makes wav; ask for that, or leave the format out.")
        sound = b""
        for at, word in enumerate(words, 1):
            time.sleep(self.pace)
            piece = tone(word, speed)
            sound += piece
            job.chunk(piece)  # waits for credit; ends the job when it was cancelled
            job.progress(at / len(words), stage="speaking")
        with wave.open(job.path("speech.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound)
        output = {"ext": "wav", "duration": len(sound) / 2 / RATE, "sampleRate": RATE, "channels": 1}
        return {"output": output, "artifacts": [job.artifact("speech.wav")]}


serve(Main())
