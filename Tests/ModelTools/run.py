#!/usr/bin/env python3
"""Tests of the tools that convert models: Tools/models/ctranslate2-to-ggml.py.

A tiny model is written in CTranslate2's format, converted by the real program, and read back by a reader of its own here.
The last line is `N passed, N failed, N skipped`. With STOKER_TEST_HOME set to a worker's home that has the model
whisper-tiny.en, the converted file there is read, too.
"""

import hashlib
import math
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = ROOT / "Tools" / "models" / "ctranslate2-to-ggml.py"
F32, I8, I16, F16 = 0, 1, 2, 4
STATE, HEADS, MELS, POSITIONS, TEXT_POSITIONS, VOCABULARY, TEXT_TOKENS = 16, 2, 80, 8, 6, 51864, 50256
# Far above what the tool needs for the tiny model, far below what a hostile size would make it allocate.
MEMORY = 512 << 20


class Skip(Exception):
    """A check that cannot run here; the text says why."""


def halves(count, seed):
    """Random finite 16 bit floats, as bytes."""
    source = random.Random(seed)
    return struct.pack(f"<{count}e", *(source.uniform(-2, 2) for _ in range(count)))


def tensors(kind=F16):
    """Every variable that a Whisper model of one layer has: name to (shape, type, bytes)."""
    found = {}

    def put(name, *shape):
        count = math.prod(shape)
        raw = halves(min(count, 4096), name)
        raw = (raw * (len(raw) and -(-2 * count // len(raw))))[:2 * count]
        if kind == F32:
            raw = struct.pack(f"<{count}f", *struct.unpack(f"<{count}e", raw))
        found[name] = (shape, kind, raw)

    def norm(name):
        put(name + "/gamma", STATE)
        put(name + "/beta", STATE)

    def linear(name, rows, columns):
        put(name + "/weight", rows, columns)
        put(name + "/bias", rows)

    put("encoder/conv1/weight", STATE, MELS, 3)
    put("encoder/conv1/bias", STATE)
    put("encoder/conv2/weight", STATE, STATE, 3)
    put("encoder/conv2/bias", STATE)
    put("encoder/position_encodings/encodings", POSITIONS, STATE)
    put("decoder/position_encodings/encodings", TEXT_POSITIONS, STATE)
    put("decoder/embeddings/weight", VOCABULARY, STATE)
    for side in ("encoder", "decoder"):
        layer = f"{side}/layer_0"
        norm(f"{side}/layer_norm")
        norm(f"{layer}/self_attention/layer_norm")
        linear(f"{layer}/self_attention/linear_0", 3 * STATE, STATE)
        linear(f"{layer}/self_attention/linear_1", STATE, STATE)
        norm(f"{layer}/ffn/layer_norm")
        linear(f"{layer}/ffn/linear_0", 4 * STATE, STATE)
        linear(f"{layer}/ffn/linear_1", STATE, 4 * STATE)
        found[f"{side}/num_heads"] = ((), I16, struct.pack("<h", HEADS))
    norm("decoder/layer_0/attention/layer_norm")
    linear("decoder/layer_0/attention/linear_0", STATE, STATE)
    linear("decoder/layer_0/attention/linear_1", 2 * STATE, STATE)
    linear("decoder/layer_0/attention/linear_2", STATE, STATE)
    return found


def text(value):
    raw = value.encode()
    return struct.pack("<H", len(raw) + 1) + raw + b"\0"


def variable(name, shape, kind, raw, size=None):
    dimensions = struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<BI", kind, len(raw) if size is None else size) + raw


def model(found, version=6, specification="WhisperSpec", count=None, aliases=None):
    if aliases is None:
        aliases = [("decoder/projection/weight", "decoder/embeddings/weight")]
    body = struct.pack("<I", version) + text(specification) + struct.pack("<II", 3, len(found) if count is None else count)
    body += b"".join(variable(name, *found[name]) for name in sorted(found))
    return body + struct.pack("<I", len(aliases)) + b"".join(text(a) + text(b) for a, b in aliases)


def byte_letters():
    """GPT-2's letters for the 256 bytes."""
    letters, extra = [], 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + extra))
            extra += 1
    return letters


def expected_tokens():
    """A different sequence of bytes for each token: each single byte, then numbers after a space, a NUL or a newline."""
    singles = [bytes([byte]) for byte in range(256)]
    return singles + [b" \0\n"[n % 3:n % 3 + 1] + b"%d" % n for n in range(TEXT_TOKENS - 256)]


def vocabulary():
    letters = byte_letters()
    lines = ["".join(letters[byte] for byte in token) for token in expected_tokens()]
    lines += ["<|endoftext|>"] + [f"<|{n}|>" for n in range(VOCABULARY - TEXT_TOKENS - 1)]
    return "\n".join(lines) + "\n"


class Ggml:
    """Reads a ggml file of whisper.cpp, front to back, by offsets; every byte must be accounted for."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0
        assert self.numbers(1)[0] == 0x67676D6C, "the magic number is wrong"
        self.dimensions = self.numbers(11)
        rows, columns = self.numbers(2)
        self.filters = struct.unpack(f"<{rows * columns}f", self.bytes(4 * rows * columns))
        self.rows, self.columns = rows, columns
        self.tokens = [self.bytes(self.numbers(1)[0]) for _ in range(self.numbers(1)[0])]
        self.tensors = {}
        while self.at < len(raw):
            rank, length, kind = self.numbers(3)
            assert 1 <= rank <= 4 and kind in (0, 1), f"a broken tensor at {self.at}"
            shape = tuple(reversed(self.numbers(rank)))
            name = self.bytes(length).decode()
            assert name not in self.tensors, f"{name} occurs twice"
            self.tensors[name] = (shape, kind, self.bytes(math.prod(shape) * (2 if kind else 4)))

    def bytes(self, count):
        assert 0 <= count <= len(self.raw) - self.at, f"the file ends early at {self.at}"
        self.at += count
        return self.raw[self.at - count:self.at]

    def numbers(self, count):
        return struct.unpack(f"<{count}i", self.bytes(4 * count))


def run(directory, output):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    return subprocess.run(
        [sys.executable, "-I", str(TOOL), str(directory), str(output)], capture_output=True, timeout=120, check=False,
        preexec_fn=limit)


def write(directory, body, words):
    directory.mkdir(exist_ok=True)
    (directory / "model.bin").write_bytes(body)
    (directory / "vocabulary.txt").write_text(words, encoding="utf-8")
    return directory


class Tests:
    def __init__(self, scratch):
        self.scratch = scratch
        self.found, self.words = tensors(), vocabulary()
        self.source = write(scratch / "tiny", model(self.found), self.words)
        self.passed = self.failed = self.skipped = 0

    def check(self, name, body):
        try:
            body()
        except Skip as reason:
            self.skipped += 1
            print(f"skip  {name}: {reason}")
        except Exception:
            self.failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}")
        else:
            self.passed += 1
            print(f"ok    {name}")
        sys.stdout.flush()

    def converted(self, directory=None):
        output = self.scratch / "out.bin"
        result = run(directory or self.source, output)
        assert result.returncode == 0, result.stderr.decode()
        assert not result.stdout and not result.stderr, "a conversion that works says something"
        return output.read_bytes()

    def read_back(self):
        raw = self.converted()
        ggml = Ggml(raw)
        expected = (VOCABULARY, POSITIONS, STATE, HEADS, 1, TEXT_POSITIONS, STATE, HEADS, 1, MELS, 1)
        assert ggml.dimensions == expected, ggml.dimensions
        assert ggml.tokens == expected_tokens(), "the vocabulary differs"
        # Where each tensor comes from: a variable, and the rows of it.
        origin = {
            "encoder.positional_embedding": "encoder/position_encodings/encodings",
            "decoder.positional_embedding": "decoder/position_encodings/encodings",
            "decoder.token_embedding.weight": "decoder/embeddings/weight",
        }
        for end in ("weight", "bias"):
            origin |= {f"encoder.{conv}.{end}": f"encoder/{conv}/{end}" for conv in ("conv1", "conv2")}
            norm = {"weight": "gamma", "bias": "beta"}[end]
            origin[f"encoder.ln_post.{end}"] = f"encoder/layer_norm/{norm}"
            origin[f"decoder.ln.{end}"] = f"decoder/layer_norm/{norm}"
            for side in ("encoder", "decoder"):
                to, source = f"{side}.blocks.0", f"{side}/layer_0"
                origin[f"{to}.attn_ln.{end}"] = f"{source}/self_attention/layer_norm/{norm}"
                origin[f"{to}.mlp_ln.{end}"] = f"{source}/ffn/layer_norm/{norm}"
                for index, part in enumerate(("query", "key", "value")):
                    if (part, end) != ("key", "bias"):
                        origin[f"{to}.attn.{part}.{end}"] = (f"{source}/self_attention/linear_0/{end}", index)
                origin[f"{to}.attn.out.{end}"] = f"{source}/self_attention/linear_1/{end}"
                origin[f"{to}.mlp.0.{end}"] = f"{source}/ffn/linear_0/{end}"
                origin[f"{to}.mlp.2.{end}"] = f"{source}/ffn/linear_1/{end}"
            to, source = "decoder.blocks.0.cross_attn", "decoder/layer_0/attention"
            origin[f"{to}_ln.{end}"] = f"{source}/layer_norm/{norm}"
            origin[f"{to}.query.{end}"] = f"{source}/linear_0/{end}"
            origin[f"{to}.out.{end}"] = f"{source}/linear_2/{end}"
            origin[f"{to}.value.{end}"] = (f"{source}/linear_1/{end}", 1)
        origin["decoder.blocks.0.cross_attn.key.weight"] = ("decoder/layer_0/attention/linear_1/weight", 0)
        assert ggml.tensors.keys() == origin.keys(), ggml.tensors.keys() ^ origin.keys()
        for name, source in origin.items():
            source, index = source if isinstance(source, tuple) else (source, None)
            shape, _, raw = self.found[source]
            if index is not None:
                size = 2 * STATE * math.prod(shape[1:])
                shape, raw = (STATE,) + shape[1:], raw[index * size:(index + 1) * size]
            if re.fullmatch(r"encoder\.conv\d\.bias", name):
                shape += (1,)
            precise = len(shape) == 1 or name.endswith(("positional_embedding", "bias"))
            if precise:
                raw = struct.pack(f"<{len(raw) // 2}f", *struct.unpack(f"<{len(raw) // 2}e", raw))
            assert ggml.tensors[name] == (shape, 0 if precise else 1, raw), name

    def filters(self):
        """Neighbouring triangles add up to one between the first and the last centre, and each has an area of one."""
        ggml = Ggml(self.converted())
        assert (ggml.rows, ggml.columns) == (MELS, 201)
        top = 15 + math.log(8) / math.log(6.4) * 27

        def hertz(mel):
            return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

        edges = [hertz(top * index / (MELS + 1)) for index in range(MELS + 2)]
        assert abs(edges[-1] - 8000) < 1e-6
        for column in range(201):
            values = [ggml.filters[row * 201 + column] for row in range(MELS)]
            assert all(value >= 0 for value in values)
            total = sum(value * (edges[row + 2] - edges[row]) / 2 for row, value in enumerate(values))
            if edges[1] <= column * 40 <= edges[-2]:
                assert abs(total - 1) < 1e-5, (column, total)

    def repeatable(self):
        first = self.converted()
        assert first == self.converted(), "two conversions differ"
        piped = run(self.source, "-")
        assert piped.returncode == 0 and piped.stdout == first, "standard output differs from the file"

    def single_precision(self):
        wide = write(self.scratch / "wide", model(tensors(F32)), self.words)
        assert self.converted(wide) == self.converted(), "the same numbers in 32 bit give another file"

    def too_large(self):
        found = tensors(F32)
        name = "encoder/layer_0/ffn/linear_0/weight"
        shape, kind, raw = found[name]
        found[name] = (shape, kind, struct.pack("<f", 1e30) + raw[4:])
        self.refused(model(found), f"{name} has a number that is too large for 16 bits")

    def refused(self, body, message, words=None):
        source = write(self.scratch / "hostile", body, self.words if words is None else words)
        output = self.scratch / "refused.bin"
        output.write_bytes(b"before")
        result = run(source, output)
        error = result.stderr.decode()
        assert result.returncode == 1, (result.returncode, error)
        assert error.count("\n") == 1 and "Traceback" not in error, error
        assert message in error, error
        assert output.read_bytes() == b"before", "the output was touched"
        assert not list(self.scratch.glob("refused.bin.*")), "something was left behind"

    def hostile(self):
        found = self.found

        def changed(name, value):
            return model({**found, name: value})

        def cut(body, count):
            return body[:count]

        whole = model(found)
        bias, weight = "encoder/conv1/bias", "encoder/conv1/weight"
        raw = found[bias][2]
        yield "an empty file", b"", "model.bin is empty"
        yield "something else", b"GGUF" * 100, "known version"
        yield "another version", model(found, version=4), "found 4"
        yield "another model", model(found, specification="TransformerSpec"), "not a WhisperSpec"
        yield "a cut file", cut(whole, len(whole) // 2), "ends in the middle of"
        yield "a cut header", cut(whole, 9), "ends in the middle of"
        yield "no aliases", cut(whole, len(model(found, aliases=[])) - 2), "ends in the middle of"
        yield "bytes at the end", whole + b"x", "1 bytes after its end"
        yield "4 billion variables", model(found, count=0xFFFFFFFF), "claims 4294967295 variables"
        yield "fewer variables", model(found, count=len(found) - 1), "model.bin"
        yield "an alias to nothing", model(found, aliases=[("a", "b")]), "broken alias"
        yield "a huge dimension", changed(bias, ((0xFFFFFFFF, 0xFFFFFFFF), F16, raw)), "not what its dimensions"
        yield "a wrong size", changed(bias, ((STATE + 1,), F16, raw)), "not what its dimensions"
        yield "too many dimensions", changed(bias, ((1,) * 200, F16, raw)), "more than 4"
        yield "an unknown type", changed(bias, ((STATE,), 77, raw)), "unknown type 77"
        yield "quantised weights", changed(weight, ((STATE, MELS, 3), I8, b"\0" * STATE * MELS * 3)), "quantised"
        yield "a wrong rank", changed(weight, ((STATE * MELS * 3,), F16, found[weight][2])), "1 dimensions, not 3"
        yield "a wrong shape", changed(bias, ((STATE // 2,), F16, raw[:STATE])), "has the dimensions [8], not [16]"
        yield "no heads", changed("encoder/num_heads", ((), I16, struct.pack("<h", 0))), "0 attention heads"
        yield "odd heads", changed("encoder/num_heads", ((), I16, struct.pack("<h", 5))), "do not divide"
        yield "floating heads", changed("encoder/num_heads", ((1,), F16, b"\0\0")), "not one number"
        smaller = ((100, STATE), F16, found["decoder/embeddings/weight"][2][:200 * STATE])
        yield "a tiny vocabulary", changed("decoder/embeddings/weight", smaller), "unlike any Whisper model's"
        for name in ("encoder/conv2/bias", "decoder/layer_norm/beta", "decoder/embeddings/weight",
                     "decoder/layer_0/attention/linear_1/bias"):
            yield f"no {name}", model({key: value for key, value in found.items() if key != name}), name
        yield "no layers", model({k: v for k, v in found.items() if not k.startswith("encoder/layer_0")}), "0 layers"
        twice = whole.replace(text("encoder/conv2/bias"), text("encoder/conv1/bias"), 1)
        yield "a name twice", twice, "occurs twice"
        yield "a name without an end", whole.replace(b"encoder/conv2/bias\0", b"encoder/conv2/biasX", 1), "broken text"

    def hostile_words(self):
        lines = self.words.split("\n")
        yield "too few tokens", "\n".join(lines[:-2]) + "\n", "has 51863 tokens, and model.bin 51864"
        yield "no tokens", "", "has 0 tokens"
        yield "tokens out of place", "\n".join(lines[1:-1] + lines[:1]) + "\n", "is not <|endoftext|>"
        yield "a letter that is no byte", self.words.replace("1", "\u4e00", 1), "stands for no byte"

    def places(self):
        for arguments, status in (([], 2), (["a"], 2), (["a", "b", "c"], 2), (["--help"], 0)):
            result = subprocess.run(
                [sys.executable, "-I", str(TOOL), *arguments], capture_output=True, timeout=60, check=False)
            assert result.returncode == status, (arguments, result)
        result = run(self.scratch / "nowhere", self.scratch / "x.bin")
        assert result.returncode == 1 and b"No such file" in result.stderr and b"Traceback" not in result.stderr
        result = run(self.source, self.scratch / "nowhere" / "x.bin")
        assert result.returncode == 1 and b"Traceback" not in result.stderr, result.stderr
        pipe = self.scratch / "pipe"
        pipe.mkdir()
        os.mkfifo(pipe / "model.bin")
        result = run(pipe, self.scratch / "x.bin")
        assert result.returncode == 1 and b"not a regular file" in result.stderr, result.stderr
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [sys.executable, "-I", str(TOOL), str(self.source), "-"], stdout=full, stderr=subprocess.PIPE,
                timeout=60, check=False)
        assert result.returncode != 0 and b"No space left" in result.stderr, result.stderr

    def real_model(self):
        home = os.environ.get("STOKER_TEST_HOME")
        path = Path(home or "", "models", "whisper-tiny.en", "ggml-tiny.en.bin")
        if not home or not path.is_file():
            raise Skip("STOKER_TEST_HOME has no model whisper-tiny.en")
        raw = path.read_bytes()
        catalogue = (ROOT / "Sources" / "Host" / "Models" / "BuiltInModels.swift").read_text(encoding="utf-8")
        pinned = re.search(r'filename: "ggml-tiny\.en\.bin",\s*sha256: "([0-9a-f]{64})",\s*bytes: ([0-9_]+)', catalogue)
        assert pinned, "the catalogue has no ggml-tiny.en.bin"
        assert len(raw) == int(pinned[2]) and hashlib.sha256(raw).hexdigest() == pinned[1], "another file than pinned"
        ggml = Ggml(raw)
        assert ggml.dimensions == (51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1), ggml.dimensions
        assert len(ggml.tensors) == 167 and len(ggml.tokens) == 50256, (len(ggml.tensors), len(ggml.tokens))
        assert ggml.tokens[:4] == [b"!", b'"', b"#", b"$"] and b" the" in ggml.tokens

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0


def main():
    with tempfile.TemporaryDirectory(prefix="stoker-model-tools-") as scratch:
        tests = Tests(Path(scratch))
        tests.check("a model is read back as it was written", tests.read_back)
        tests.check("the mel filters are what they should be", tests.filters)
        tests.check("equal inputs give equal bytes", tests.repeatable)
        tests.check("a model in 32 bit becomes the same file", tests.single_precision)
        tests.check("a number beyond 16 bit is named", tests.too_large)
        for name, body, message in tests.hostile():
            tests.check(f"refused: {name}", lambda body=body, message=message: tests.refused(body, message))
        whole = model(tests.found)
        for name, words, message in tests.hostile_words():
            tests.check(f"refused: {name}", lambda words=words, message=message: tests.refused(whole, message, words))
        tests.check("arguments and places are checked", tests.places)
        tests.check("the model of the catalogue is the pinned file", tests.real_model)
        return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
