#!/usr/bin/env python3
"""Measures the whisper engine beside a bare libwhisper loop, in turns, and prints the medians.

    run.py PLUGIN_DIRECTORY BARE_LOOP ggml-tiny.en.bin JFK.wav [--rounds 5] [--copies 3] [--threads N] [--beams 1] [--json]

Both get the same file, threads and parameters, keep their model loaded, and read the file in the time that counts; the
engine's time is from writing the request to reading the result. The bar: the engine's speed, seconds of sound a second,
at least 0.97 of the loop's.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import wave

HERE = pathlib.Path(__file__).resolve().parent


def engine_module():
    path = HERE.parent.parent / "Plugins" / "whisper" / "Tests" / "engine_test.py"
    spec = importlib.util.spec_from_file_location("engine_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def repeat(recording, copies, path):
    """Writes the recording several times over, with the plain header that the loop expects."""
    with wave.open(recording) as source, wave.open(path, "wb") as target:
        target.setparams((1, 2, 16000, 0, "NONE", ""))
        target.writeframes(source.readframes(source.getnframes()) * copies)


def measure(engine, bare, path, rounds):
    """Pairs of milliseconds, engine and loop in turns; the first round warms both and is left out."""
    ours, floor = [], []
    for turn in range(rounds + 1):
        bare.stdin.write(b"\n")
        bare.stdin.flush()
        expected = json.loads(bare.stdout.readline())
        began = time.monotonic()
        output = engine.run(path)
        took = (time.monotonic() - began) * 1000
        assert output["text"] == expected["text"].strip(), ("the texts differ", output["text"], expected["text"])
        if turn:
            ours.append(took)
            floor.append(expected["elapsed_ms"])
    return ours, floor, expected["audio_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugin")
    parser.add_argument("bare")
    parser.add_argument("model")
    parser.add_argument("recording")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        repeat(options.recording, options.copies, file.name)
        engine = engine_module().Engine(options.plugin, {"beamSize": options.beams}, threads=options.threads)
        bare = subprocess.Popen([options.bare, options.model, str(options.threads), str(options.beams), file.name,
                                 str(options.rounds + 1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            engine.load(options.model)
            ours, floor, audio = measure(engine, bare, file.name, options.rounds)
        finally:
            engine.close()
            bare.kill()
            bare.wait()

    result = {
        "threads": options.threads, "rounds": options.rounds, "beams": options.beams, "audio_seconds": audio / 1000,
        "bare_ms": round(statistics.median(floor), 1), "engine_ms": round(statistics.median(ours), 1),
        # Neighbouring runs are compared with each other, so that a machine that slows down in between counts for both.
        "ratio": round(statistics.median(one / other for one, other in zip(floor, ours)), 4),
    }
    result["bare_real_time_factor"] = round(result["bare_ms"] / audio, 4)
    result["engine_real_time_factor"] = round(result["engine_ms"] / audio, 4)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"whisper: {result['audio_seconds']:.0f} s of speech in {result['engine_ms']} ms (real-time factor "
              f"{result['engine_real_time_factor']}), bare libwhisper {result['bare_ms']} ms "
              f"({result['bare_real_time_factor']}), ratio {result['ratio']} (bar 0.97)")


if __name__ == "__main__":
    main()
