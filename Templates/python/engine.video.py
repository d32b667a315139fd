"""__NAME__: an engine of the kind video. It makes a GIF of a bar that fills: put your model there."""
from stoker_engine import Engine, Unsupported, serve  # first: now nothing that prints can harm the wire
import struct, time


def frame(width, height, bar, hundredths):
    """A frame of two colours, the bar's and the ground's. Its codes are bytes as long as each 125 pixels are followed by
    the code that clears the table, 0x80: GIF's format, not compressed."""
    pixels = (b"\1" * bar + b"\0" * (width - bar)) * height
    pieces = [pixels[at:at + 125] for at in range(0, len(pixels), 125)]
    head = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0, hundredths, 0, 0) + struct.pack("<BHHHHBB", 0x2C, 0, 0, width, height, 0, 7)
    return head + b"".join(bytes([len(piece) + 1, 0x80]) + piece for piece in pieces) + b"\x01\x81\x00"


class Main(Engine):
    name, version = "__NAME__", "0.1.0"

    def initialize(self, params):
        self.pace = (params.get("config") or {}).get("pace", 20) / 1000  # plugin.yaml declares it, and the operator sets it

    def run(self, job):
        first = ord(job.get("prompt", str)[:1] or "\0")
        width, height = job.get("width", int, 64, 16, 512), job.get("height", int, 64, 16, 512)
        fps = job.get("fps", float, 10.0, 1, 25)
        frames = max(1, int(job.get("seconds", float, 2.0, 0.1, 30) * fps))
        if job.get("ext", str, "gif") != "gif":
            raise Unsupported("This engine makes gif; ask for that, or leave the format out.")
        bar = bytes(64 + first * (3 + 7 * part) % 192 for part in range(3))
        colours = b"\x10\x10\x10" + bar + bytes(3 * 126)  # 128, of which two are used
        video = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + colours
        for at in range(1, frames + 1):
            time.sleep(self.pace)
            job.check_cancelled()
            video += frame(width, height, width * at // frames, round(100 / fps))
            job.progress(at / frames, stage="drawing")
        with open(job.path("video.gif"), "wb") as file:
            file.write(video + b"\x3b")
        output = {"ext": "gif", "width": width, "height": height, "duration": frames / fps, "fps": fps, "frames": frames}
        return {"output": output, "artifacts": [job.artifact("video.gif")]}


serve(Main())
