#!/usr/bin/env python3
"""Measures the llama engine beside a bare libllama loop, in turns, and prints the medians.

    run.py PLUGIN_DIRECTORY BARE_LOOP MODEL.gguf [--rounds 5] [--tokens 128] [--threads N] [--json]

Both get the same rendered prompt, threads, context and greedy sampling; the model must use ChatML. The bars: tokens a
second at least 0.97 of the loop's, the first token at most 5 ms later (from writing the request to reading the chunk).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
CONTEXT = 8192
SYSTEM = "You are a helpful assistant."
USER = "Write a long story about the sea, the wind and an old sailor who {} never came home."


def engine_module():
    path = HERE.parent.parent / "Plugins" / "llama" / "Tests" / "engine_test.py"
    spec = importlib.util.spec_from_file_location("engine_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugin")
    parser.add_argument("bare")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    engine = engine_module().Engine(options.plugin, {"contextSize": CONTEXT}, threads=options.threads)
    bare, ours = [], []
    try:
        engine.load(options.model)
        for turn in range(options.rounds + 1):
            user = USER.format("nearly " * (turn % 3))
            prompt = (f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
                      "<|im_start|>assistant\n")
            floor = json.loads(subprocess.run(
                [options.bare, options.model, str(options.threads), str(options.tokens), str(CONTEXT), prompt],
                check=True, capture_output=True).stdout)
            first = []
            began = time.monotonic()
            output = engine.run(
                {"messages": [{"role": "user", "content": user}], "system": SYSTEM, "temperature": 0,
                 "maxTokens": options.tokens},
                on_chunk=lambda _, __, message: first.append(message["when"]) if not first else None)
            timings = output["timings"]
            assert output["usage"]["prompt_tokens"] == floor["prompt_tokens"], "the prompts differ"
            assert timings["predicted_n"] == floor["predicted_n"], "the texts differ"
            if turn:  # The first round warms caches on both sides.
                bare.append(floor)
                ours.append({"prompt_per_second": timings["prompt_per_second"],
                             "predicted_per_second": timings["predicted_per_second"],
                             "first_token_ms": (first[0] - began) * 1000})
    finally:
        engine.close()

    def median(rows, key):
        return statistics.median(row[key] for row in rows)

    result = {
        "threads": options.threads, "rounds": options.rounds, "tokens": options.tokens,
        "bare_tokens_per_second": round(median(bare, "predicted_per_second"), 2),
        "engine_tokens_per_second": round(median(ours, "predicted_per_second"), 2),
        # Neighbouring runs are compared with each other, so that a machine that slows down in between counts for both.
        "ratio": round(statistics.median(one["predicted_per_second"] / other["predicted_per_second"]
                                         for one, other in zip(ours, bare)), 4),
        "bare_first_token_ms": round(median(bare, "first_token_ms"), 2),
        "engine_first_token_ms": round(median(ours, "first_token_ms"), 2),
        "first_token_extra_ms": round(statistics.median(one["first_token_ms"] - other["first_token_ms"]
                                                        for one, other in zip(ours, bare)), 2),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"llama: {result['engine_tokens_per_second']} tokens/s, bare libllama "
              f"{result['bare_tokens_per_second']} tokens/s, ratio {result['ratio']} (bar 0.97)")
        print(f"llama: first token {result['engine_first_token_ms']} ms, bare {result['bare_first_token_ms']} ms, "
              f"{result['first_token_extra_ms']} ms more (bar 5)")


if __name__ == "__main__":
    main()
