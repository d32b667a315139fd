#!/usr/bin/env python3
"""Turns a Whisper model of CTranslate2 into the ggml file that whisper.cpp reads.

usage: ctranslate2-to-ggml.py DIRECTORY OUTPUT

DIRECTORY holds `model.bin` and `vocabulary.txt` of a Whisper model in 16 or 32 bit floating point, as CTranslate2's
converters write them. OUTPUT is replaced in one step when everything went well; `-` is standard output. Equal inputs give
equal bytes. Exit status: 0 done, 1 the model cannot be converted, 2 wrong usage.

Only Python's standard library is used. The input is not trusted: every size is checked against the file before it is used.

The formats, all little-endian:

model.bin (CTranslate2, python/ctranslate2/specs/model_spec.py, `_serialize`)
    u32 version (6), string specification, u32 revision, u32 variables;
    each variable: string name, u8 rank, u32 per dimension, u8 type (0 f32, 1 i8, 2 i16, 3 i32, 4 f16, 5 bf16),
    u32 bytes, the values in row-major order; u32 aliases, each two strings. A string is u16 length, text, NUL; the length
    counts the NUL.
ggml-*.bin (whisper.cpp, models/convert-pt-to-ggml.py and whisper_model_load in src/whisper.cpp)
    u32 "ggml", 11 i32 of dimensions, the mel filters (i32 rows, i32 columns, f32 values), the vocabulary (i32 tokens,
    each u32 length and bytes), then tensors to the end: i32 rank, i32 length of the name, i32 type (0 f32, 1 f16),
    i32 per dimension from the innermost out, name, values. whisper.cpp wants weights of rank 2 and 3 in f16, and
    everything else, biases, norms and position encodings, in f32.
"""

import math
import mmap
import os
import stat
import struct
import sys
from array import array

F32, I8, I16, I32, F16, BF16 = range(6)
ITEM_BYTES = {F32: 4, I8: 1, I16: 2, I32: 4, F16: 2, BF16: 2}
SCALAR_FORMAT = {I8: "<b", I16: "<h", I32: "<i"}
BINARY_VERSIONS = (5, 6)
# Far above every Whisper model: the largest has 32 layers and about 1,300 variables.
MOST_VARIABLES = 100_000
MOST_LAYERS = 100
MOST_VOCABULARY_BYTES = 16 << 20
LONGEST_NAME = 1000
HIGHEST_RANK = 4
# Tokens before `<|endoftext|>` by the size of the vocabulary: one English and two multilingual ones are in use, and
# whisper.cpp takes its special tokens' numbers from that size.
TEXT_TOKENS = {51864: 50256, 51865: 50257, 51866: 50257}
# whisper.cpp takes 30 s of audio in 1,500 positions; its mel filters are for 16 kHz in windows of 400 samples.
SAMPLE_RATE = 16_000
WINDOW = 400


class Unusable(Exception):
    """The input cannot be converted; the text says why."""


class Reader:
    """Takes values off the front of bytes, never beyond their end."""

    def __init__(self, view, name):
        self.view = view
        self.name = name
        self.at = 0

    def take(self, count, what):
        if count > len(self.view) - self.at:
            raise Unusable(f"{self.name} ends in the middle of {what}")
        taken = self.view[self.at:self.at + count]
        self.at += count
        return taken

    def number(self, form, what):
        return struct.unpack(form, self.take(struct.calcsize(form), what))[0]

    def string(self, what):
        length = self.number("<H", what)
        raw = bytes(self.take(length, what))
        if not 1 < length <= LONGEST_NAME or raw[-1] != 0 or 0 in raw[:-1]:
            raise Unusable(f"{self.name} has a broken text at {what}")
        try:
            return raw[:-1].decode("ascii")
        except UnicodeDecodeError:
            raise Unusable(f"{self.name} has a text that is not ASCII at {what}") from None


class Variable:
    """A named array of the model; its values stay in the mapped file."""

    def __init__(self, name, shape, kind, data):
        self.name, self.shape, self.kind, self.data = name, shape, kind, data

    def rows(self, first, last):
        """The part of it along its first dimension."""
        row = len(self.data) // self.shape[0]
        return Variable(self.name, (last - first,) + self.shape[1:], self.kind, self.data[first * row:last * row])


def variables(view):
    """All variables of a model.bin by name, aliases included."""
    reader = Reader(view, "model.bin")
    version = reader.number("<I", "its version")
    if version not in BINARY_VERSIONS:
        raise Unusable(f"model.bin is not a CTranslate2 model of a known version (found {version}, not 5 or 6)")
    specification = reader.string("the specification's name")
    if specification != "WhisperSpec":
        raise Unusable(f"model.bin holds a {specification[:40]!r}, not a WhisperSpec")
    reader.number("<I", "the revision")
    count = reader.number("<I", "the number of variables")
    if count > MOST_VARIABLES:
        raise Unusable(f"model.bin claims {count} variables, more than {MOST_VARIABLES}")
    found = {}
    for index in range(count):
        name = reader.string(f"the name of variable {index + 1}")
        rank = reader.number("<B", name)
        if rank > HIGHEST_RANK:
            raise Unusable(f"{name} has {rank} dimensions, more than {HIGHEST_RANK}")
        shape = tuple(reader.number("<I", name) for _ in range(rank))
        kind = reader.number("<B", name)
        size = reader.number("<I", name)
        if kind not in ITEM_BYTES:
            raise Unusable(f"{name} has the unknown type {kind}")
        if size != math.prod(shape) * ITEM_BYTES[kind]:
            raise Unusable(f"{name} has {size} bytes, which is not what its dimensions {list(shape)} take")
        if name in found:
            raise Unusable(f"{name} occurs twice in model.bin")
        found[name] = Variable(name, shape, kind, reader.take(size, name))
    for _ in range(reader.number("<I", "the number of aliases")):
        alias, name = reader.string("an alias"), reader.string("an alias")
        if name not in found or alias in found:
            raise Unusable(f"model.bin has the broken alias {alias} for {name}")
        found[alias] = found[name]
    if reader.at != len(view):
        raise Unusable(f"model.bin has {len(view) - reader.at} bytes after its end")
    return found


class Model:
    """The variables with their dimensions checked against one another."""

    def __init__(self, found):
        self.found = found
        self.vocabulary, self.state = self.dimensions("decoder/embeddings/weight", 2)
        if self.vocabulary not in TEXT_TOKENS:
            raise Unusable(f"the vocabulary has {self.vocabulary} tokens, unlike any Whisper model's")
        self.audio_positions, _ = self.dimensions("encoder/position_encodings/encodings", 2)
        self.text_positions, _ = self.dimensions("decoder/position_encodings/encodings", 2)
        _, self.mels, width = self.dimensions("encoder/conv1/weight", 3)
        if not (0 < self.state <= 8192 and self.state % 2 == 0):
            raise Unusable(f"the model is {self.state} wide, unlike any Whisper model")
        if not 0 < self.mels <= 256 or width != 3:
            raise Unusable(f"the first convolution takes {self.mels} mel bands in a kernel of {width}")
        if not (0 < self.audio_positions <= 1 << 16 and 0 < self.text_positions <= 1 << 16):
            raise Unusable("the model has an impossible number of positions")
        self.audio_layers, self.text_layers = self.layers("encoder"), self.layers("decoder")
        self.audio_heads, self.text_heads = self.heads("encoder"), self.heads("decoder")

    def get(self, name):
        if name not in self.found:
            raise Unusable(f"model.bin has no {name}")
        return self.found[name]

    def dimensions(self, name, rank):
        shape = self.get(name).shape
        if len(shape) != rank:
            raise Unusable(f"{name} has {len(shape)} dimensions, not {rank}")
        return shape

    def tensor(self, name, *shape):
        """The variable of that name, which must have that shape and be floating point."""
        variable = self.get(name)
        if variable.shape != shape:
            raise Unusable(f"{name} has the dimensions {list(variable.shape)}, not {list(shape)}")
        if variable.kind not in (F16, F32):
            raise Unusable(f"{name} is quantised or in an unknown float type; convert a model in float16 or float32")
        return variable

    def layers(self, side):
        count = 0
        while f"{side}/layer_{count}/self_attention/linear_0/weight" in self.found:
            count += 1
        if not 0 < count <= MOST_LAYERS:
            raise Unusable(f"the {side} has {count} layers, not 1 to {MOST_LAYERS}")
        return count

    def heads(self, side):
        """The number of attention heads; Whisper's have 64 values each where the model does not say."""
        variable = self.found.get(f"{side}/num_heads")
        if variable is None:
            heads = self.state // 64
        elif variable.kind in SCALAR_FORMAT and variable.shape in ((), (1,)):
            heads = struct.unpack(SCALAR_FORMAT[variable.kind], variable.data)[0]
        else:
            raise Unusable(f"{side}/num_heads is not one number")
        if heads < 1 or self.state % heads:
            raise Unusable(f"the {side} has {heads} attention heads, which do not divide its width {self.state}")
        return heads


def text_tokens(text, vocabulary):
    """The bytes of each token before `<|endoftext|>`.

    Tokens are written as in GPT-2's vocabulary: each byte that does not print is a letter from U+0100 on.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    byte_of = {chr(byte): byte for byte in printing}
    others = (byte for byte in range(256) if byte not in set(printing))
    byte_of.update((chr(0x100 + index), byte) for index, byte in enumerate(others))
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if len(lines) != vocabulary:
        raise Unusable(f"vocabulary.txt has {len(lines)} tokens, and model.bin {vocabulary}")
    expected = TEXT_TOKENS[vocabulary]
    if lines[expected] != "<|endoftext|>":
        raise Unusable(f"token {expected} of vocabulary.txt is not <|endoftext|>")
    try:
        return [bytes(byte_of[letter] for letter in line) for line in lines[:expected]]
    except KeyError as letter:
        raise Unusable(f"vocabulary.txt has the character {letter}, which stands for no byte") from None


def mel_filters(bands):
    """Triangular filters of equal area on Slaney's mel scale: linear below 1 kHz, logarithmic above.

    One row a band, one column a frequency of the Fourier transform: Whisper's mel_filters.npz, but for rounding.
    """
    linear = 200 / 3
    knee = 1000 / linear
    step = math.log(6.4) / 27

    def mel(hertz):
        return knee + math.log(hertz / 1000) / step if hertz >= 1000 else hertz / linear

    def hertz(value):
        return 1000 * math.exp(step * (value - knee)) if value >= knee else value * linear

    columns = WINDOW // 2 + 1
    top = mel(SAMPLE_RATE / 2)
    edges = [hertz(top * index / (bands + 1)) for index in range(bands + 2)]
    values = array("f")
    for low, centre, high in zip(edges, edges[1:], edges[2:]):
        area = 2 / (high - low)
        for column in range(columns):
            frequency = SAMPLE_RATE / 2 * column / (columns - 1)
            slope = min((frequency - low) / (centre - low), (high - frequency) / (high - centre))
            values.append(max(0.0, slope) * area)
    return bands, columns, little_endian(values)


def little_endian(values):
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


class Writer:
    """Writes the parts of a ggml file, one after another."""

    PIECE = 1 << 20

    def __init__(self, file):
        self.file = file

    def numbers(self, *values):
        self.file.write(struct.pack(f"<{len(values)}i", *values))

    def tensor(self, name, variable, shape=None, precise=False):
        """A tensor: in f16 from rank 2 on, unless it has to be precise.

        `shape` is given where ggml has another one for the same values.
        """
        shape = variable.shape if shape is None else shape
        half = len(shape) > 1 and not precise
        self.numbers(len(shape), len(name), 1 if half else 0, *reversed(shape))
        self.file.write(name.encode("ascii"))
        wanted = F16 if half else F32
        for at in range(0, len(variable.data), self.PIECE):
            piece = variable.data[at:at + self.PIECE]
            self.file.write(piece if variable.kind == wanted else convert(piece, variable, wanted))


def convert(piece, variable, wanted):
    """Little-endian floats of the other width."""
    source, target = ("e", "f") if wanted == F32 else ("f", "e")
    count = len(piece) // ITEM_BYTES[variable.kind]
    try:
        return struct.pack(f"<{count}{target}", *struct.unpack(f"<{count}{source}", piece))
    except OverflowError:
        raise Unusable(f"{variable.name} has a number that is too large for 16 bits") from None


def write(model, tokens, file):
    """Writes the whole ggml file."""
    out = Writer(file)
    file.write(struct.pack("<I", 0x67676D6C))
    out.numbers(
        model.vocabulary, model.audio_positions, model.state, model.audio_heads, model.audio_layers,
        model.text_positions, model.state, model.text_heads, model.text_layers, model.mels, 1)
    rows, columns, filters = mel_filters(model.mels)
    out.numbers(rows, columns)
    file.write(filters)
    out.numbers(len(tokens))
    for token in tokens:
        file.write(struct.pack("<I", len(token)) + token)

    state = model.state
    positions = model.tensor("encoder/position_encodings/encodings", model.audio_positions, state)
    out.tensor("encoder.positional_embedding", positions, precise=True)
    for name, inputs in (("conv1", model.mels), ("conv2", state)):
        out.tensor(f"encoder.{name}.weight", model.tensor(f"encoder/{name}/weight", state, inputs, 3))
        out.tensor(f"encoder.{name}.bias", model.tensor(f"encoder/{name}/bias", state), (state, 1), precise=True)
    for layer in range(model.audio_layers):
        block(out, model, "encoder", layer)
    norm(out, model, "encoder.ln_post", "encoder/layer_norm")

    positions = model.tensor("decoder/position_encodings/encodings", model.text_positions, state)
    out.tensor("decoder.positional_embedding", positions, precise=True)
    embeddings = model.tensor("decoder/embeddings/weight", model.vocabulary, state)
    out.tensor("decoder.token_embedding.weight", embeddings)
    for layer in range(model.text_layers):
        block(out, model, "decoder", layer)
    norm(out, model, "decoder.ln", "decoder/layer_norm")


def norm(out, model, name, source):
    out.tensor(name + ".weight", model.tensor(source + "/gamma", model.state))
    out.tensor(name + ".bias", model.tensor(source + "/beta", model.state))


def linear(out, model, name, source, rows, columns):
    out.tensor(name + ".weight", model.tensor(source + "/weight", rows, columns))
    out.tensor(name + ".bias", model.tensor(source + "/bias", rows))


def fused(out, model, name, source, parts):
    """Projections that CTranslate2 keeps as one matrix, stacked. A key has no bias in Whisper."""
    state = model.state
    weight = model.tensor(source + "/weight", len(parts) * state, state)
    bias = model.tensor(source + "/bias", len(parts) * state)
    for index, part in enumerate(parts):
        out.tensor(f"{name}.{part}.weight", weight.rows(index * state, (index + 1) * state))
        if part != "key":
            out.tensor(f"{name}.{part}.bias", bias.rows(index * state, (index + 1) * state))


def block(out, model, side, layer):
    """One layer of the encoder or the decoder."""
    state = model.state
    source, name = f"{side}/layer_{layer}", f"{side}.blocks.{layer}"
    norm(out, model, f"{name}.attn_ln", f"{source}/self_attention/layer_norm")
    fused(out, model, f"{name}.attn", f"{source}/self_attention/linear_0", ("query", "key", "value"))
    linear(out, model, f"{name}.attn.out", f"{source}/self_attention/linear_1", state, state)
    if side == "decoder":
        cross = f"{source}/attention"
        norm(out, model, f"{name}.cross_attn_ln", f"{cross}/layer_norm")
        linear(out, model, f"{name}.cross_attn.query", f"{cross}/linear_0", state, state)
        fused(out, model, f"{name}.cross_attn", f"{cross}/linear_1", ("key", "value"))
        linear(out, model, f"{name}.cross_attn.out", f"{cross}/linear_2", state, state)
    norm(out, model, f"{name}.mlp_ln", f"{source}/ffn/layer_norm")
    linear(out, model, f"{name}.mlp.0", f"{source}/ffn/linear_0", 4 * state, state)
    linear(out, model, f"{name}.mlp.2", f"{source}/ffn/linear_1", state, 4 * state)


def opened(path):
    """A regular file, opened without waiting for one that is not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise Unusable(f"{path} is not a regular file")
    return file


def vocabulary_text(path):
    with opened(path) as file:
        raw = file.read(MOST_VOCABULARY_BYTES + 1)
    if len(raw) > MOST_VOCABULARY_BYTES:
        raise Unusable(f"vocabulary.txt has more than {MOST_VOCABULARY_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusable(f"vocabulary.txt is not UTF-8 text (byte {error.start})") from None


def run(directory, output):
    with opened(os.path.join(directory, "model.bin")) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Unusable("model.bin is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    model = Model(variables(memoryview(mapped)))
    tokens = text_tokens(vocabulary_text(os.path.join(directory, "vocabulary.txt")), model.vocabulary)
    if output == "-":
        write(model, tokens, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    temporary = f"{output}.{os.getpid()}.part"
    file = open(temporary, "xb")
    try:
        with file:
            write(model, tokens, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, output)
    except BaseException:
        os.unlink(temporary)
        raise


def main(arguments):
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) != 2:
        print("usage: ctranslate2-to-ggml.py DIRECTORY OUTPUT (- is standard output)", file=sys.stderr)
        return 2
    try:
        run(*arguments)
    except Unusable as reason:
        print(f"the model cannot be converted: {reason}", file=sys.stderr)
    except OSError as error:
        # What is left in the buffer of a closed pipe must not be tried again at exit.
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"the model cannot be converted: {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
