#!/usr/bin/env python3
"""Writes a Stable Diffusion 1.x checkpoint of random weights, for tests only: its images are noise.

    sd-fixture.py OUT.safetensors

stable-diffusion.cpp takes the file for "SD 1.x Tiny UNet" by its tensors' names and runs every step of the real engine
on it: text encoder, sampling, and both halves of the image codec. Nothing was trained; use it to test engines, never to
make pictures.

A file that is already there is kept when its size and checksum are right; otherwise the new one takes its place whole.
The bytes are the same on every machine. Needs nothing but Python 3.8.

The file is small (119 MB) because tensors of equal scale share their bytes: each begins at the start of one pool of
random numbers. stable-diffusion.cpp reads that; the format's own library refuses tensors that overlap.
"""

import hashlib
import json
import math
import os
import struct
import sys
import tempfile

SIZE = 118672936
SHA256 = "b4cc53979f1f7100084eb3e362bf8cf3fa56631a8e43e48a77fc57fed012bdab"

CONTEXT = 768  # Width of the text encoder, and of what attention in the U-Net looks at.
CHANNELS = 320  # Of the U-Net's outermost level.
TIME = 4 * CHANNELS
LATENT = 4


class Checkpoint:
    """The tensors: name, shape, and the class of the numbers in it (a power of two, or "zero" or "one")."""

    def __init__(self):
        self.tensors = {}

    def random(self, name, *shape, spread):
        self.tensors[name] = (shape, round(math.log2(spread)))

    def linear(self, name, outputs, inputs, bias=True):
        self.random(name + ".weight", outputs, inputs, spread=inputs**-0.5)
        if bias:
            self.tensors[name + ".bias"] = ((outputs,), "zero")

    def convolution(self, name, outputs, inputs, side):
        self.random(name + ".weight", outputs, inputs, side, side, spread=(inputs * side * side) ** -0.5)
        self.tensors[name + ".bias"] = ((outputs,), "zero")

    def norm(self, name, channels):
        self.tensors[name + ".weight"] = ((channels,), "one")
        self.tensors[name + ".bias"] = ((channels,), "zero")


def text_encoder(to):
    """CLIP ViT-L's text half."""
    model = "cond_stage_model.transformer.text_model."
    to.random(model + "embeddings.token_embedding.weight", 49408, CONTEXT, spread=0.01)
    to.random(model + "embeddings.position_embedding.weight", 77, CONTEXT, spread=0.01)
    for index in range(12):
        layer = f"{model}encoder.layers.{index}."
        to.norm(layer + "layer_norm1", CONTEXT)
        to.norm(layer + "layer_norm2", CONTEXT)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            to.linear(layer + "self_attn." + part, CONTEXT, CONTEXT)
        to.linear(layer + "mlp.fc1", 4 * CONTEXT, CONTEXT)
        to.linear(layer + "mlp.fc2", CONTEXT, 4 * CONTEXT)
    to.norm(model + "final_layer_norm", CONTEXT)


def residual(to, name, inputs, outputs):
    to.norm(name + ".in_layers.0", inputs)
    to.convolution(name + ".in_layers.2", outputs, inputs, 3)
    to.linear(name + ".emb_layers.1", outputs, TIME)
    to.norm(name + ".out_layers.0", outputs)
    to.convolution(name + ".out_layers.3", outputs, outputs, 3)
    if inputs != outputs:
        to.convolution(name + ".skip_connection", outputs, inputs, 1)


def transformer(to, name, width):
    to.norm(name + ".norm", width)
    to.convolution(name + ".proj_in", width, width, 1)
    block = name + ".transformer_blocks.0."
    for attention, source in (("attn1", width), ("attn2", CONTEXT)):
        to.linear(block + attention + ".to_q", width, width, bias=False)
        to.linear(block + attention + ".to_k", width, source, bias=False)
        to.linear(block + attention + ".to_v", width, source, bias=False)
        to.linear(block + attention + ".to_out.0", width, width)
    to.linear(block + "ff.net.0.proj", 8 * width, width)
    to.linear(block + "ff.net.2", width, 4 * width)
    for index in (1, 2, 3):
        to.norm(f"{block}norm{index}", width)
    to.convolution(name + ".proj_out", width, width, 1)


def unet(to):
    """The tiny U-Net: one residual block a level and no middle, with SD 1's names for the blocks that are left."""
    model = "model.diffusion_model."
    to.linear(model + "time_embed.0", TIME, CHANNELS)
    to.linear(model + "time_embed.2", TIME, TIME)
    to.convolution(model + "input_blocks.0.0", CHANNELS, LATENT, 3)
    levels = (1, 2, 4)
    width, index, skips = CHANNELS, 0, [CHANNELS]
    for level, factor in enumerate(levels):
        index += 1
        residual(to, f"{model}input_blocks.{index}.0", width, factor * CHANNELS)
        width = factor * CHANNELS
        transformer(to, f"{model}input_blocks.{index}.1", width)
        skips.append(width)
        index += 1
        if level + 1 < len(levels):
            index += 1
            to.convolution(f"{model}input_blocks.{index}.0.op", width, width, 3)
            skips.append(width)
    index = 0
    for level in reversed(range(len(levels))):
        for last in (False, True):
            residual(to, f"{model}output_blocks.{index}.0", width + skips.pop(), levels[level] * CHANNELS)
            width = levels[level] * CHANNELS
            transformer(to, f"{model}output_blocks.{index}.1", width)
            if level and last:
                index += 1
                # The upsampler of the innermost level stands where SD 1 has it: in a block of its own.
                to.convolution(f"{model}output_blocks.{index}.{1 if index == 2 else 2}.conv", width, width, 3)
            index += 1
    to.norm(model + "out.0", CHANNELS)
    to.convolution(model + "out.2", LATENT, CHANNELS, 3)


def codec_residual(to, name, inputs, outputs):
    to.norm(name + ".norm1", inputs)
    to.convolution(name + ".conv1", outputs, inputs, 3)
    to.norm(name + ".norm2", outputs)
    to.convolution(name + ".conv2", outputs, outputs, 3)
    if inputs != outputs:
        to.convolution(name + ".nin_shortcut", outputs, inputs, 1)


def codec_middle(to, name):
    codec_residual(to, name + ".block_1", 512, 512)
    to.norm(name + ".attn_1.norm", 512)
    for part in ("q", "k", "v", "proj_out"):
        to.convolution(f"{name}.attn_1.{part}", 512, 512, 1)
    codec_residual(to, name + ".block_2", 512, 512)


def image_codec(to):
    """The autoencoder: pictures to latents and back."""
    model = "first_stage_model."
    encoder, decoder = model + "encoder", model + "decoder"
    to.convolution(encoder + ".conv_in", 128, 3, 3)
    width = 128
    for level, outputs in enumerate((128, 256, 512, 512)):
        for block in range(2):
            codec_residual(to, f"{encoder}.down.{level}.block.{block}", width, outputs)
            width = outputs
        if level < 3:
            to.convolution(f"{encoder}.down.{level}.downsample.conv", width, width, 3)
    codec_middle(to, encoder + ".mid")
    to.norm(encoder + ".norm_out", 512)
    to.convolution(encoder + ".conv_out", 2 * LATENT, 512, 3)
    to.convolution(model + "quant_conv", 2 * LATENT, 2 * LATENT, 1)
    to.convolution(model + "post_quant_conv", LATENT, LATENT, 1)
    to.convolution(decoder + ".conv_in", 512, LATENT, 3)
    codec_middle(to, decoder + ".mid")
    width = 512
    for level, outputs in ((3, 512), (2, 512), (1, 256), (0, 128)):
        for block in range(3):
            codec_residual(to, f"{decoder}.up.{level}.block.{block}", width, outputs)
            width = outputs
        if level:
            to.convolution(f"{decoder}.up.{level}.upsample.conv", width, width, 3)
    to.norm(decoder + ".norm_out", 128)
    to.convolution(decoder + ".conv_out", 3, 128, 3)


def pool(kind, count):
    """`count` half-precision numbers: a constant, or random ones of the spread 2**kind."""
    if kind == "zero":
        return bytes(2 * count)
    if kind == "one":
        return struct.pack("<e", 1) * count
    noise = hashlib.shake_128(f"stoker sd-fixture {kind}".encode()).digest(2 * count)
    # Evenly spread between -a and a, where a is the square root of three times the spread. The upper byte (sign,
    # exponent, two bits of the fraction) goes through a table; the lower one, the rest of the fraction, stays.
    limit = 2.0**kind * 3**0.5
    table = bytes(struct.pack("<e", (index + 0.5 - 128) / 128 * limit)[1] for index in range(256))
    numbers = bytearray(noise)
    numbers[1::2] = noise[1::2].translate(table)
    return bytes(numbers)


def elements(shape):
    return math.prod(shape)


def contents():
    checkpoint = Checkpoint()
    text_encoder(checkpoint)
    unet(checkpoint)
    image_codec(checkpoint)
    counts = {}
    for shape, kind in checkpoint.tensors.values():
        counts[kind] = max(counts.get(kind, 0), elements(shape))
    pools = {kind: pool(kind, counts[kind]) for kind in sorted(counts, key=str)}
    starts, end = {}, 0
    for kind, data in pools.items():
        starts[kind] = end
        end += len(data)
    header = {}
    for name, (shape, kind) in checkpoint.tensors.items():
        begin = starts[kind]
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, begin + 2 * elements(shape)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *pools.values()])


def is_current(path):
    if not os.path.isfile(path) or os.path.getsize(path) != SIZE:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == SHA256


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    path = os.path.abspath(sys.argv[1])
    if is_current(path):
        print(path)
        return 0
    data = contents()
    found = hashlib.sha256(data).hexdigest()
    if (len(data), found) != (SIZE, SHA256):
        print(f"sd-fixture: the bytes are not the pinned ones: {len(data)} bytes, sha256 {found}", file=sys.stderr)
        return 1
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".sd-fixture.", delete=False)
    try:
        with file:
            file.write(data)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
