"""Writes groups.json: a transformer block's parameters after 100 steps of AdamW with the usual two parameter groups,
weight decay for matrices and none for biases and norms.

An implementation of its own in float64 of what torch.optim.AdamW documents: it needs nothing but Python 3. Gradients
follow from integers, so that the test makes the same ones without a file of them.

    python3 make_groups.py
"""
import json
import math
import pathlib

WIDTH = 8
SHAPES = {
    "attention/in/kernel": [WIDTH, 3 * WIDTH],
    "attention/in/bias": [3 * WIDTH],
    "attention/out/kernel": [WIDTH, WIDTH],
    "attention/out/bias": [WIDTH],
    "norm_1/scale": [WIDTH],
    "norm_1/bias": [WIDTH],
    "mlp/in/kernel": [WIDTH, 4 * WIDTH],
    "mlp/in/bias": [4 * WIDTH],
    "mlp/out/kernel": [4 * WIDTH, WIDTH],
    "mlp/out/bias": [WIDTH],
    "norm_2/scale": [WIDTH],
    "norm_2/bias": [WIDTH],
}
STEPS, RATE, DECAY, BETA_1, BETA_2, EPS = 100, 0.01, 0.1, 0.9, 0.999, 1e-8


def noise(seed):
    """A multiple of 1/256 in [-1, 1), exact in every format."""
    mixed = (seed * 1103515245 + 12345) % 2**31
    return ((mixed >> 12) % 512 - 256) / 256


def train(place, count, decay):
    values = []
    for at in range(count):
        w, m, v = noise(1000 * place + at), 0.0, 0.0
        for t in range(1, STEPS + 1):
            g = noise(7919 * t + 1000 * place + at)
            w *= 1 - RATE * decay
            m = BETA_1 * m + (1 - BETA_1) * g
            v = BETA_2 * v + (1 - BETA_2) * g * g
            corrected = m / (1 - BETA_1**t)
            w -= RATE * corrected / (math.sqrt(v / (1 - BETA_2**t)) + EPS)
        values.append(w)
    return values


variables = [
    {
        "name": name,
        "shape": shape,
        "values": train(place, math.prod(shape), DECAY if len(shape) == 2 else 0),
    }
    for place, (name, shape) in enumerate(SHAPES.items())
]
config = {"lr": RATE, "betas": [BETA_1, BETA_2], "eps": EPS, "weight_decay": DECAY}
golden = {"steps": STEPS, "config": config, "variables": variables}
pathlib.Path(__file__).with_name("groups.json").write_text(json.dumps(golden) + "\n")
