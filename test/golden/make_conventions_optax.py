"""Writes conventions/optax.json: trajectories of optax in float32 on a CPU. Needs requirements_beyond.txt."""

import importlib.metadata
import os
import platform

os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from encoding import machine, write  # noqa: E402
from trajectory import gradient, initial, record  # noqa: E402

# The last gradient's name means the gradient of the step in formulas.
SLOTS = {"g": "previous"}
NAMES = ("mu", "nu", "nu_max", "m", "v", "n", "g")
RATE = {"learning_rate": 0.02}
EPS = {"eps": 0.01, "eps_root": 0.001}
B = {"b1": 0.8, "b2": 0.95}
DECAY = {"weight_decay": 0.05}

CASES = {
    "adamw": [RATE, {**RATE, **B, **EPS, **DECAY}, {**RATE, **B, "weight_decay": 0.0, "nesterov": True}],
    "nadamw": [RATE, {**RATE, **B, **EPS, **DECAY}],
    "lion": [RATE, {**RATE, **B, **DECAY}],
    "lamb": [RATE, {**RATE, **B, **EPS, **DECAY}],
    "yogi": [RATE, {**RATE, **B, "eps": 0.01}],
    "adan": [RATE, {**RATE, **B, "b3": 0.9, **EPS, **DECAY}],
    "radam": [RATE, {**RATE, **B, **EPS, "threshold": 4.0}],
    "amsgrad": [RATE, {**RATE, **B, **EPS}],
    "novograd": [RATE, {**RATE, "b1": 0.8, "b2": 0.5, **EPS, **DECAY}],
    "adabelief": [RATE, {**RATE, **B, "eps": 0.01, "eps_root": 0.001}],
}
# radam computes its threshold from 1 - b2 ** t in float32. XLA's power is one unit off powf there, and the difference
# leaves few digits.
WIDER = {"radam": {"bound": 2e-5}}


class OfOptax:
    def __init__(self, name, config):
        self.variable = jax.numpy.asarray(initial())
        self.transform = getattr(optax, name)(**config)
        self.state = self.transform.init(self.variable)

    def step(self, n):
        updates, self.state = self.transform.update(jax.numpy.asarray(gradient(n)), self.state, self.variable)
        self.variable = optax.apply_updates(self.variable, updates)

    def values(self):
        return np.asarray(self.variable)

    def slots(self):
        moments = self.state[0]
        found = {name: np.asarray(getattr(moments, name)) for name in NAMES if hasattr(moments, name)}
        # A number for the whole variable is in every element here.
        return {SLOTS.get(name, name): np.broadcast_to(held, self.variable.shape) for name, held in found.items()}


def main():
    cases = [
        {
            "name": f"{name} " + ", ".join(f"{key} {value}" for key, value in config.items()),
            "optimizer": {"module": "optax", "class_name": name, "config": config},
            **(WIDER.get(name, {}) if config is RATE else {}),
            **record(OfOptax(name, config)),
        }
        for name, configs in CASES.items()
        for config in configs
    ]
    made_by = {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in ("optax", "jax", "numpy")},
        **machine(),
    }
    write("conventions/optax", made_by, {"bound": 5e-6, "slots_bound": 5e-6, "cases": cases})


main()
