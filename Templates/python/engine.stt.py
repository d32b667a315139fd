"""__NAME__: an engine of the kind audio_stt. It says how long a WAV file is, a second at a time: put your recogniser there."""
from stoker_engine import BadInput, Engine, serve  # first: now nothing that prints can harm the wire
import time, wave


class Main(Engine):
    name, version = "__NAME__", "0.1.0"

    def initialize(self, params):
        self.pace = (params.get("config") or {}).get("pace", 20) / 1000  # plugin.yaml declares it, and the operator sets it

    def run(self, job):
        paths = job.inputs("inputUrl")
        if not paths:
            raise BadInput("task.inputUrl is missing.")
        try:
            with wave.open(paths[0]) as file:
                duration = file.getnframes() / file.getframerate()
        except (wave.Error, EOFError) as error:
            raise BadInput("task.inputUrl is no WAV file, and this engine reads no other.", str(error))
        segments = []
        while (start := len(segments)) < duration:
            time.sleep(self.pace)
            segments.append({"start": start, "end": min(start + 1, duration), "text": f"second {start + 1}"})
            job.chunk(segments[-1])  # waits for credit; ends the job when it was cancelled
            job.progress(segments[-1]["end"] / duration, stage="listening")
        text = ", ".join(segment["text"] for segment in segments)
        output = {"text": text, "language": "en", "duration": duration, "segments": segments}
        return {"output": output, "usage": {"audioSeconds": duration}}


serve(Main())
