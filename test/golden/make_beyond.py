"""Writes beyond.json: AdamW, Lion, LAMB and Yogi, from independent implementations.

optax and Flower compute in float64, Keras 3 in float32; a case names its reference and variant. A reference without
sparse gradients gets an equivalent: the dense gradient with zeros elsewhere if every row moves (AdamW, LAMB), or a state
for each row, used when the row is touched, if only touched rows move (Lion, Yogi).
"""

import importlib.metadata
import logging
import os
import platform

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays  # noqa: E402
from flwr.server.strategy import FedYogi  # noqa: E402

from encoding import b64, f32, machine, rng_of, write  # noqa: E402

VARIANTS = {
    "AdamW": "decoupled decay w - (w * weight_decay) * learning_rate, before the Adam step; epsilon outside the root and "
    "not bias-corrected; both moments start at 0; amsgrad: the maximum of the raw second moment",
    "Lion": "w - learning_rate * sign(beta_1 m + (1 - beta_1) g), then m; decoupled decay times the learning rate; "
    "sign(0) = 0; no epsilon; m starts at 0",
    "Lamb": "bias-corrected moments, epsilon outside the root, weight_decay * w inside the step that the trust ratio "
    "scales; ratio = norm(w) / norm(step), 1 where either is 0; both moments start at 0",
    "Yogi": "no bias correction, epsilon (tau) outside the root; m starts at 0, v at initial_accumulator_value",
}
DYADIC = {"beta_1": 0.875, "beta_2": 0.984375}
CLOSE = {"relative": 1e-6, "why": "float32 against another order of operations, or against float64"}
ROUNDED_BETAS = {
    "relative": 5e-6,
    "slots_relative": 3e-5,
    "why": "1 - beta_2 of a float32 beta_2 differs from the float64 one by 1.3e-5; it cancels in the step",
}


class OfOptax:
    """An optax transformation in float64 as a stepper over named arrays."""

    def __init__(self, make, initial):
        self.transform = make
        self.values = {name: np.float64(value) for name, value in initial.items()}
        self.state = make.init(self.values)

    def step(self, gradients):
        updates, self.state = self.transform.update(gradients, self.state, self.values)
        self.values = optax.apply_updates(self.values, updates)

    def slots(self):
        found = {}
        for part in jax.tree.leaves(self.state, is_leaf=lambda node: hasattr(node, "mu")):
            if hasattr(part, "mu"):
                found["m"] = part.mu
                if hasattr(part, "nu"):
                    found["v"] = part.nu
        return found


class OfKeras:
    """A Keras 3 optimizer (float32, JAX backend) as a stepper over named arrays."""

    def __init__(self, make, initial):
        self.names = list(initial)
        self.variables = [keras.Variable(f32(initial[name]), name=name) for name in self.names]
        self.optimizer = make
        make.build(self.variables)

    @property
    def values(self):
        return {name: np.asarray(variable) for name, variable in zip(self.names, self.variables)}

    def step(self, gradients):
        self.optimizer.apply([jax.numpy.asarray(f32(gradients[name])) for name in self.names], self.variables)

    def slots(self):
        attributes = {"m": "_momentums", "v": "_velocities", "vhat": "_velocity_hats"}
        return {
            slot: dict(zip(self.names, [np.asarray(held) for held in getattr(self.optimizer, attribute)]))
            for slot, attribute in attributes.items()
            if getattr(self.optimizer, attribute, None)
        }


class OfFlower:
    """Flower's FedYogi over one client, whose new weights are the old ones minus the gradient."""

    def __init__(self, config, initial):
        self.names = list(initial)
        self.values = {name: np.float64(value) for name, value in initial.items()}
        self.strategy = FedYogi(
            initial_parameters=ndarrays_to_parameters(list(self.values.values())),
            eta=config["learning_rate"],
            beta_1=config["beta_1"],
            beta_2=config["beta_2"],
            tau=config["epsilon"],
        )
        self.strategy.v_t = [
            np.full_like(value, config["initial_accumulator_value"]) for value in self.values.values()
        ]

    def step(self, gradients):
        client = [self.values[name] - np.float64(gradients[name]) for name in self.names]
        answer = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(client), 1, {})
        # Flower averages over the weight of one client: x * 1 / 1.
        new, _ = self.strategy.aggregate_fit(1, [(None, answer)], [])
        self.values = dict(zip(self.names, parameters_to_ndarrays(new)))

    def slots(self):
        if self.strategy.m_t is None:
            return {}
        # Flower's moment is of the difference new minus old, which is the gradient with the other sign.
        return {
            "m": {name: -held for name, held in zip(self.names, self.strategy.m_t)},
            "v": dict(zip(self.names, self.strategy.v_t)),
        }


def keras_names(config, **names):
    return {names.get(key, key): value for key, value in config.items()}


def of_optax(class_name, config):
    make = {"AdamW": optax.adamw, "Lion": optax.lion, "Lamb": optax.lamb}[class_name]
    given = {"weight_decay": 0.0, **keras_names(config, beta_1="b1", beta_2="b2", epsilon="eps")}
    return lambda initial: OfOptax(make(**given), initial)


def of_keras(class_name, config):
    given = dict(config)
    if isinstance(given.get("learning_rate"), dict):
        rate = given["learning_rate"]
        given["learning_rate"] = getattr(keras.optimizers.schedules, rate["class_name"])(**rate["config"])
    return lambda initial: OfKeras(getattr(keras.optimizers, class_name)(**given), initial)


def of_flower(class_name, config):
    return lambda initial: OfFlower(config, initial)


REFERENCES = {"optax": of_optax, "keras": of_keras, "flwr": of_flower}


def scattered(indices, rows, shape):
    whole = np.zeros(shape, np.float64)
    np.add.at(whole, indices, np.float64(rows))
    return whole


def case(name, class_name, config, shapes, *, by, steps=6, bound=CLOSE, gradients=None, initial=None, rows=0):
    """With `rows`, every gradient is sparse and has that many stored rows."""
    rng = rng_of(f"{class_name}/{name}")
    start = {
        label: f32(initial(rng, shape) if initial else rng.standard_normal(shape)).reshape(shape)
        for label, shape in shapes.items()
    }
    lazy = rows and class_name in ("Lion", "Yogi")
    split = (
        {(label, row): value[row] for label, value in start.items() for row in range(len(value))}
        if lazy
        else None
    )
    make = REFERENCES[by](class_name, config)
    runs = {key: make({key[0]: value}) for key, value in split.items()} if lazy else {None: make(start)}
    gather = lambda read: (
        {
            label: np.stack([np.asarray(read(runs[label, row])[label]) for row in range(shape[0])])
            for label, shape in shapes.items()
        }
        if lazy
        else read(runs[None])
    )

    entries, after = [], []
    for step in range(steps):
        entry, whole = {}, {}
        for label, shape in shapes.items():
            if rows:
                indices = rng.integers(0, shape[0], rows)
                indices[-1] = indices[0]
                values = rng.standard_normal((rows, *shape[1:])).astype(f32)
                entry[label] = {"indices": indices.tolist(), "rows": rows, "values": b64(values)}
                whole[label] = scattered(indices, values, shape)
                for row in sorted(set(indices.tolist())) if lazy else ():
                    runs[label, row].step({label: whole[label][row]})
            else:
                values = gradients(rng, step, shape) if gradients else rng.standard_normal(shape)
                values = f32(values).reshape(shape)
                entry[label] = {"dense": b64(values)}
                whole[label] = np.float64(values)
        if not lazy:
            runs[None].step(whole)
        entries.append({"gradients": entry})
        if step in (0, steps - 1):
            values = gather(lambda run: run.values)
            after.append({"step": step + 1, "variables": {label: b64(values[label]) for label in shapes}})

    slots = ["m"] if class_name == "Lion" else ["m", "v"] + (["vhat"] if config.get("amsgrad") else [])
    held = {}
    for slot in slots:
        start_of = {
            label: np.full(shape[1:], config.get("initial_accumulator_value", 0.0) if slot == "v" else 0.0)
            for label, shape in shapes.items()
        }
        held[slot] = gather(lambda run: run.slots().get(slot) or start_of)
    weights = [{"name": "iter", "value": steps}]
    weights += [
        {"variable": label, "slot": slot, "values": b64(held[slot][label])}
        for slot in slots
        for label in shapes
    ]
    return {
        "name": f"{class_name}, {name}",
        "reference": f"{by} {importlib.metadata.version(by)}",
        "variant": VARIANTS[class_name],
        "optimizer": {"class_name": class_name, "config": config},
        "variables": [
            {"name": label, "shape": list(shape), "initial": b64(start[label])}
            for label, shape in shapes.items()
        ],
        "steps": entries,
        "expected": {"after": after, "weights": weights, "slot_names": slots, "iterations": steps},
        "bound": bound,
    }


ONE, SEVERAL, TABLE = {"A": [17]}, {"A": [5, 3], "B": [3], "C": []}, {"A": [6, 3]}


def adamw():
    base = {"learning_rate": 0.1, "weight_decay": 0.1, "epsilon": 1e-7}
    plain = {"learning_rate": 0.01, "weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    schedule = {
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.5},
    }
    tiny = {**base, **DYADIC, "epsilon": 1e-12}
    return [
        case("usual betas", "AdamW", plain, SEVERAL, by="keras", steps=10, bound=ROUNDED_BETAS),
        case("dyadic betas", "AdamW", {**base, **DYADIC}, SEVERAL, by="keras", steps=10),
        case("large epsilon", "AdamW", {**base, **DYADIC, "epsilon": 0.01}, ONE, by="keras"),
        case("amsgrad", "AdamW", {**base, **DYADIC, "amsgrad": True}, ONE, by="keras", steps=8),
        case("scheduled", "AdamW", {**base, **DYADIC, "learning_rate": schedule}, ONE, by="keras"),
        case("no epsilon to speak of", "AdamW", tiny, SEVERAL, by="optax", steps=10),
        case("sparse", "AdamW", tiny, TABLE, by="optax", rows=4),
    ]


def lion():
    usual = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99}
    return [
        case("usual betas", "Lion", usual, SEVERAL, by="optax", steps=10, bound=ROUNDED_BETAS),
        case(
            "weight decay",
            "Lion",
            {**usual, "weight_decay": 0.1},
            SEVERAL,
            by="optax",
            steps=10,
            bound=ROUNDED_BETAS,
        ),
        case("dyadic betas", "Lion", {"learning_rate": 0.1, **DYADIC, "weight_decay": 0.05}, ONE, by="optax"),
        case("as Keras 3 has it", "Lion", {**usual, "weight_decay": 0.01}, ONE, by="keras"),
        case(
            "zero gradients stand still",
            "Lion",
            usual,
            ONE,
            by="optax",
            steps=3,
            gradients=lambda rng, step, shape: np.zeros(shape),
        ),
        case(
            "sparse, untouched rows wait",
            "Lion",
            {**usual, "weight_decay": 0.1},
            TABLE,
            by="optax",
            rows=3,
            bound=ROUNDED_BETAS,
        ),
    ]


def lamb():
    usual = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6}
    dyadic = {**usual, **DYADIC, "learning_rate": 0.1}
    return [
        case("usual betas", "Lamb", usual, SEVERAL, by="optax", steps=10, bound=ROUNDED_BETAS),
        case("dyadic betas", "Lamb", dyadic, SEVERAL, by="optax", steps=10),
        case("weight decay", "Lamb", {**dyadic, "weight_decay": 0.1}, SEVERAL, by="optax", steps=10),
        case(
            "weights of 0: the ratio is 1",
            "Lamb",
            dyadic,
            SEVERAL,
            by="optax",
            initial=lambda rng, shape: np.zeros(shape),
        ),
        case(
            "no gradient at first: the ratio is 1",
            "Lamb",
            dyadic,
            ONE,
            by="optax",
            gradients=lambda rng, step, shape: np.zeros(shape) if step < 2 else rng.standard_normal(shape),
        ),
        case("as Keras 3 has it", "Lamb", dyadic, SEVERAL, by="keras"),
        case("sparse", "Lamb", {**dyadic, "weight_decay": 0.1}, TABLE, by="optax", rows=4),
    ]


def yogi():
    usual = {
        "learning_rate": 0.01,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-3,
        "initial_accumulator_value": 1e-6,
    }
    dyadic = {**usual, **DYADIC, "learning_rate": 0.1}
    return [
        case("usual betas", "Yogi", usual, SEVERAL, by="flwr", steps=10, bound=ROUNDED_BETAS),
        case("dyadic betas", "Yogi", dyadic, SEVERAL, by="flwr", steps=10),
        case("accumulator 0", "Yogi", {**dyadic, "initial_accumulator_value": 0.0}, ONE, by="flwr"),
        case(
            "a second moment that shrinks",
            "Yogi",
            {**dyadic, "initial_accumulator_value": 4.0},
            ONE,
            by="flwr",
            gradients=lambda rng, step, shape: rng.standard_normal(shape) * 0.5,
        ),
        case(
            "zero gradients",
            "Yogi",
            dyadic,
            ONE,
            by="flwr",
            steps=4,
            gradients=lambda rng, step, shape: np.zeros(shape) if step % 2 else rng.standard_normal(shape),
        ),
        case("sparse, untouched rows wait", "Yogi", dyadic, TABLE, by="flwr", rows=3),
    ]


if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.ERROR)
    versions = {name: importlib.metadata.version(name) for name in ("optax", "jax", "keras", "flwr", "numpy")}
    write(
        "beyond",
        {"python": platform.python_version(), **versions, **machine()},
        {"cases": adamw() + lion() + lamb() + yogi()},
    )
