"""Writes the .safetensors files of this folder with the reference implementation.

    python make_golden.py

Made with safetensors 0.8.0, numpy 2.4.6, Python 3.11. The values are chosen so that safetensors_golden_test.ts can say
them again in full.
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent


def write(name, tensors, metadata=None):
    save_file(tensors, HERE / f"{name}.safetensors", metadata=metadata)


# Every dtype that numpy and Stepwell share, an odd number of bytes in front of others, scalars, nothing, odd names.
write("mixed", {
    "f32": np.array([[1.5, -0.0], [np.inf, 1e-45]], np.float32),
    "f16": np.array([1.5, 65504, 6e-8], np.float16),
    "f64": np.array([0.1, -np.inf], np.float64),
    "i32": np.array([-1, 2**31 - 1], np.int32),
    "i64": np.array(-2**63, np.int64),
    "u8": np.array([1, 2, 3], np.uint8),
    "scalar": np.array(2.5, np.float32),
    "nothing": np.zeros((0, 3), np.float32),
    "__proto__": np.array([7], np.float32),
    "größe \"\\\n😀": np.array([8], np.float32),
}, {"format": "np", "ключ": "\u0000\"\\"})

# A contribution, as a Python client would send it.
write("gradients", {
    "emb#values": np.arange(6, dtype=np.float32).reshape(3, 2),
    "emb#indices": np.array([5, 0, 5], np.int64),
    "dense/kernel": np.array([[1, 2], [3, 4]], np.float32),
}, {
    "format": "np",
    "base_iteration": "3",
    "client_id": "client 1",
    "weight": "0.5",
    "hyperparameters": '{"learning_rate": 0.25}',
})

# What Stepwell writes: F32 and I64 only. Its file must be this one, byte for byte.
write("written", {
    "b": np.array([1, 2, 3], np.float32),
    "a/é": np.array([[0.1], [np.nan]], np.float32),
    "iterations": np.array(12, np.int64),
    "empty": np.zeros((0,), np.float32),
}, {"version": "v3"})

write("no_tensors", {})
