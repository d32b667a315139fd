"""__NAME__: an engine of the kind image. It draws stripes whose colours come from the prompt: put your model there."""
from stoker_engine import Engine, Unsupported, serve  # first: now nothing that prints can harm the wire
import struct, time, zlib


def png(rows, width, height):
    """A PNG file. Each of the rows is a 0 and `width` pixels of three bytes."""
    def part(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"".join(rows))) + part(b"IEND", b"")


class Main(Engine):
    name, version = "__NAME__", "0.1.0"

    def initialize(self, params):
        self.pace = (params.get("config") or {}).get("pace", 20) / 1000  # plugin.yaml declares it, and the operator sets it

    def run(self, job):
        prompt = job.get("prompt", str).encode() or b"\0"
        width, height = job.get("width", int, 64, 16, 1024), job.get("height", int, 64, 16, 1024)
        if job.get("ext", str, "png") != "png":
            raise Unsupported("This engine makes png; ask for that, or leave the format out.")
        rows = []
        for y in range(height):
            letter = prompt[y * len(prompt) // height]
            rows.append(b"\0" + bytes(letter * part % 256 for part in (3, 8, 13)) * width)
            if y % 8 == 0:
                time.sleep(self.pace)
                job.check_cancelled()
                job.progress(y / height, stage="drawing")
        with open(job.path("image.png"), "wb") as file:
            file.write(png(rows, width, height))
        output = {"ext": "png", "width": width, "height": height}
        return {"output": output, "artifacts": [job.artifact("image.png")]}


serve(Main())
