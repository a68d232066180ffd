"""The encoding of goldens: tensors, seeds, and the layout of a file. Needs numpy, but neither TensorFlow nor JAX."""

import base64
import json
import pathlib
import platform
import zlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
CPU_FLAGS = ("sse4_1", "avx", "avx2", "fma", "avx512f")

f32 = np.float32


def b64(values):
    """A tensor as base64 of its little-endian float32 values."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")


def rng_of(name):
    """A random stream for each case, so that a new case changes no other."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def machine():
    """What the bits depend on besides the packages: the vector width, and libc (powf, cosf, logf)."""
    flags = set()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = set(cpuinfo.read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    return {
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
    }


def line(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write(topic, made_by, content):
    """Writes each key of the head and each case on its own line, so that a diff shows the changed cases."""
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    head = {"topic": topic, "made_by": made_by, **{k: v for k, v in content.items() if k not in lists}}
    parts = [f"{line(key)}: {line(value)}" for key, value in head.items()]
    for key, value in lists.items():
        names = [case["name"] for case in value]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{topic}.{key}: names come twice: {sorted(twice)}"
        parts.append(f"{line(key)}: [\n" + ",\n".join(line(case) for case in value) + "\n]")
    (HERE / f"{topic}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")
    print(topic, {key: len(value) for key, value in lists.items()})
