"""Writes packed.safetensors and packed_means.safetensors: compact forms as a Python client packs them, and what they mean.

    python make_packed.py

Made with safetensors 0.8.0, numpy 2.4.6, Python 3.11; the order of the metadata's keys differs from time to time.
`quantize` and `top_k` are those of the README.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
BLOCK = 32


def quantize(g, block=64):
    flat = g.reshape(-1).astype(np.float32)
    blocks = np.pad(flat, (0, -flat.size % block)).reshape(-1, block)
    scale = np.abs(blocks).max(axis=1) / np.float32(127)
    unit = np.where(scale == 0, np.float32(1), scale)
    q = np.rint(blocks / unit[:, None]).astype(np.int8)
    return q.reshape(-1)[:flat.size].reshape(g.shape), scale


def dequantize(q, scale, block=64):
    return (q.reshape(-1).astype(np.float32) * np.repeat(scale, block)[:q.size]).reshape(q.shape)


def top_k(g, k):
    flat = g.reshape(-1)
    indices = np.sort(np.argpartition(np.abs(flat), -k)[-k:])
    return indices, flat[indices]


def place(shape, indices, values):
    flat = np.zeros(int(np.prod(shape)), np.float32)
    np.add.at(flat, indices, values.astype(np.float32))
    return flat.reshape(shape)


random = np.random.default_rng(7)


def gradient(*shape):
    return (random.standard_normal(shape) * np.exp(3 * random.standard_normal(shape))).astype(np.float32)


tensors, means, flat = {}, {}, []


def add_int8(name, q, scale):
    tensors[name], tensors[f"{name}#scale"] = q, scale.astype(np.float32)
    means[name] = dequantize(q, scale.astype(np.float32), BLOCK)


def add_flat(name, shape, indices, values, meaning=None):
    tensors[f"{name}#indices"], tensors[f"{name}#values"] = indices, values
    means[name] = place(shape, indices, values if meaning is None else meaning)
    flat.append(name)


# An odd number of elements, a block that is not full, more elements than Stepwell decodes at a time.
add_int8("kernel", *quantize(gradient(131, 37), BLOCK))
add_int8("bias", *quantize(gradient(5), BLOCK))
add_int8("scalar", *quantize(gradient(), BLOCK))
# Every value there is, against scales at which float32 is odd: subnormal, negative, zero, huge, not finite.
everything = np.arange(-128, 128, dtype=np.int8)
scales = np.array([1e-45, -1e-40, 0, -0.0, 3e38, np.inf, np.nan, 1 / 3], np.float32)
with np.errstate(over="ignore", invalid="ignore"):
    add_int8("odd", everything.reshape(16, 16), scales)
# Rows: the same indices as ever, with values in blocks that go over the ends of rows.
q, scale = quantize(gradient(3, 20), BLOCK)
tensors.update({"rows": q, "rows#scale": scale})
tensors["rows#values"] = tensors.pop("rows")
tensors["rows#indices"] = np.array([4, 0, 4], np.int64)
rows = np.zeros((6, 20), np.float32)
np.add.at(rows, tensors["rows#indices"], dequantize(q, scale, BLOCK))
means["rows"] = rows
# Top-k of every width; repeated indices add up in order.
g = gradient(31, 43)
add_flat("top", g.shape, *top_k(g, 50))
indices, values = top_k(g, 40)
add_flat("half", g.shape, indices.astype(np.int32), values.astype(np.float16))
add_flat("repeated", (2, 3), np.array([5, 0, 5, 5], np.int32), np.array([1e8, 2, 1, -1e8], np.float32))
q, scale = quantize(values, BLOCK)
tensors["small#scale"] = scale
add_flat("small", g.shape, indices.astype(np.int32), q, dequantize(q, scale, BLOCK))

save_file(tensors, HERE / "packed.safetensors", {"block": str(BLOCK), "flat": json.dumps(flat)})
save_file(means, HERE / "packed_means.safetensors")
