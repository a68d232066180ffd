"""Writes libm.json: the results of this machine's libm for chosen float32 arguments. Run with `python make.py`.

The file was made with glibc on a processor with fused multiply-add. The script needs no packages, and is repeatable:
the same machine gives the same bytes.
"""

import base64
import ctypes
import itertools
import json
import math
import pathlib
import platform
import random
import struct

LIBM = ctypes.CDLL("libm.so.6")
LARGEST, SMALLEST_NORMAL, SMALLEST = (2 - 2**-23) * 2.0**127, 2.0**-126, 2.0**-149
SPECIAL = [0.0, 1.0, 0.5, 2.0, 3.0, 0.3, SMALLEST, 2.0**-130, SMALLEST_NORMAL, LARGEST, 1e-20, 1e20, math.inf]
SPECIAL += [2.0**23 + 1, 2.0**24, 2.0**24 + 2, 1 - 2**-24, 1 + 2**-23, 126.0, 127.0, 128.0, 149.0, 150.0, 151.0]
SPECIAL = [sign * value for value in SPECIAL for sign in (1, -1)] + [math.nan]

BETAS = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999]
# They include steps at which powf is not the float32 nearest to beta ^ T, for some beta.
STEPS = [*range(1, 12), 21, 31, 58, 100, 349, 367, 508, 685, 731, 833, 873, 918, 1000, 1353, 2359, 2958, 3606]
# Here powf's polynomials give another float32 when each operation is rounded, without fusing.
FUSED_POW = [
    (2.53741074, 26.5717678),
    (3.08385444, 15.7853336),
    (1.19094408, -16.6974239),
    (9.83751965, 28.2400017),
    (9.60398388, -24.1254215),
    (1.49655759, -17.7591286),
    (3.74670911, 18.580328),
    (7.55412531, -10.5933418),
    (0.331526279, 28.9977207),
    (6.5613122, 18.2628384),
    (1.59047437, -28.3507938),
    (0.467972428, 23.2608433),
]
# The only arguments of expf, and all arguments of cosf up to 120, where the fused reduction changes the result.
FUSED_EXP = [0x4202422F, 0xC27C65D9]
FUSED_COS = [0x418A3ADB, 0x418A3ADC, 0x418A3ADD, 0x418A3ADE, 0x41BC76D9, 0x4202EB4B, 0x42687A55, 0x4280CE28]
FUSED_COS += [0x42870E40, 0x42C55FAA, 0x42D8D23E]


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0] if abs(value) <= LARGEST else value


def from_bits(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def around(value, count=3):
    """The float32 numbers next to a number that is not zero."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return [from_bits(bits + n) for n in range(-count, count + 1)]


def any_bits(rng, count):
    return [from_bits(rng.getrandbits(32)) for _ in range(count)]


def pow_arguments(rng):
    pairs = list(itertools.product(SPECIAL, SPECIAL)) + FUSED_POW
    pairs += itertools.product(BETAS, STEPS + [rng.randint(12, 20000) for _ in range(40)])
    pairs += [(0.96, f32(f32(0.004) * step)) for step in STEPS + [rng.randint(12, 200000) for _ in range(100)]]
    pairs += [(rng.random() * 4, rng.choice([-0.7, -0.3, -0.25, 0.7, -1.0, -2.0])) for _ in range(300)]
    pairs += [(1 + n / 20, rng.random() * 40) for n in range(-19, 20)]
    # Where the result overflows, becomes subnormal or underflows, with bases of both signs.
    for base, exponent in itertools.product([2.0, 3.0, 0.1, 0.9, 1.0001, -3.0], [128, -126, -149, -150]):
        edge = exponent / math.log2(abs(base))
        pairs += [(base, float(round(edge) + n)) for n in (-1, 0, 1)] if base < 0 else []
        pairs += [(base, near) for near in around(edge)]
    pairs += zip(any_bits(rng, 300), any_bits(rng, 300))
    pairs += [(abs(x), rng.uniform(-1, 1)) for x in any_bits(rng, 300)]
    pairs += [(rng.uniform(-100, 0), float(rng.randint(-20, 20))) for _ in range(100)]
    return list(zip(*pairs))


def exp_arguments(rng):
    xs = SPECIAL + [from_bits(bits) for bits in FUSED_EXP] + any_bits(rng, 200)
    for edge in (88.72283, -87.33654, -103.27893, -103.97208, 89.0, -104.0, 0.01083):
        xs += around(edge)
    return [xs + [rng.uniform(-104, 89) for _ in range(500)] + [rng.uniform(-1, 1) for _ in range(200)]]


def log_arguments(rng):
    xs = SPECIAL + any_bits(rng, 200) + [abs(x) for x in any_bits(rng, 300)] + around(1.0, 20) + around(0.69921875)
    return [xs + [rng.uniform(0.5, 2) for _ in range(300)] + [SMALLEST * 2**n * 1.25 for n in range(2, 40)]]


def cos_arguments(rng):
    xs = SPECIAL + [from_bits(bits) for bits in FUSED_COS] + any_bits(rng, 500)
    for edge in (2.0**-12, 0.75, math.pi / 4, 120.0):
        xs += around(edge)
    xs += [sign * f32(n * math.pi / 4) for n in range(1, 170) for sign in (1, -1)]
    xs += [f32(f32(math.pi) * f32(n / 200)) for n in range(201)]
    return [xs + [rng.uniform(-130, 130) for _ in range(300)] + [rng.uniform(100, 1e6) for _ in range(100)]]


def b64(values):
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def answers(name, columns):
    function = getattr(LIBM, f"{name}f")
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * len(columns)
    columns = [[f32(value) for value in column] for column in columns]
    return {"arguments": [b64(column) for column in columns], "results": b64([function(*row) for row in zip(*columns)])}


def made_by():
    flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    return {
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "fma": "fma" in flags,
    }


if __name__ == "__main__":
    rng = random.Random(2)
    content = {"made_by": made_by()}
    for arguments in (pow_arguments, exp_arguments, log_arguments, cos_arguments):
        name = arguments.__name__.removesuffix("_arguments")
        content[name] = answers(name, arguments(rng))
    path = pathlib.Path(__file__).resolve().parent / "libm.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
