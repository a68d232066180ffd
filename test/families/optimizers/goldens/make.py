"""Writes what other libraries compute for the optimizers that Keras' legacy family lacks.

    python make.py keras    # with keras==3.15.1 and tensorflow==2.21.0: AdamW, Lion, Lamb
    python make.py optax    # with optax==0.2.8 and jax==0.10.2: Lamb and Lion with weight decay
    python make.py flower   # with flwr==1.41.0: FedYogi as Yogi

Each writes one file beside itself, in the form of test/golden/README.md. The bounds are not 0 where the other library
computes 1 - beta in float64 or adds in another order.
"""
import base64
import importlib.metadata
import json
import os
import pathlib
import sys

import numpy as np

STEPS = 10
ROUNDING = {"relative": 2e-5, "why": "1 - beta is a float64 difference there, a float32 one here; norms add in another order"}
EXACT = {"ulp": 0}


def encode(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def gradients(shape, seed):
    """Ordinary gradients, one of them zero everywhere and one zero in part."""
    random = np.random.RandomState(seed)
    steps = [draw(random, shape) * np.float32(10.0 ** random.uniform(-2, 1)) for _ in range(STEPS)]
    steps = [np.asarray(step) for step in steps]
    steps[3][...] = 0
    steps[6].reshape(-1)[::2] = 0
    return steps


def initial(shape, seed):
    return draw(np.random.RandomState(seed + 1000), shape)


def draw(random, shape):
    """A scalar shape gives an array too, not a number."""
    return np.asarray(random.standard_normal(shape), np.float32)


def case(name, optimizer, start, steps, results, slots, bound):
    shape = list(start.shape)
    after = [{"step": k + 1, "variables": {"A": encode(w)}} for k, w in enumerate(results)]
    return {
        "name": name,
        "optimizer": optimizer,
        "variables": [{"name": "A", "shape": shape, "initial": encode(start)}],
        "steps": [{"gradients": {"A": {"dense": encode(g)}}} for g in steps],
        "expected": {
            "after": after,
            "weights": [{"variable": "A", "slot": slot, "values": encode(v)} for slot, v in slots.items()],
        },
        "bound": bound,
    }


def make_keras():
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    table = [
        ("AdamW", {"learning_rate": 0.1}, ["m", "v"], ROUNDING),
        ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.5, "beta_2": 0.9, "epsilon": 0.01}, ["m", "v"], ROUNDING),
        ("AdamW", {"learning_rate": 0.1, "beta_2": 0.5, "amsgrad": True}, ["m", "v", "vhat"], ROUNDING),
        ("Lion", {"learning_rate": 0.1}, ["m"], EXACT),
        ("Lion", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.75}, ["m"], EXACT),
        ("Lion", {"learning_rate": 0.01, "weight_decay": 0.5}, ["m"], EXACT),
        ("Lamb", {"learning_rate": 0.1}, ["m", "v"], ROUNDING),
        ("Lamb", {"learning_rate": 0.01, "beta_1": 0.5, "epsilon": 0.01}, ["m", "v"], ROUNDING),
    ]
    for seed, (class_name, config, slots, bound) in enumerate(table):
        for shape in ([], [7], [3, 5]):
            start = initial(shape, seed)
            steps = gradients(shape, seed)
            variable = keras.Variable(start)
            optimizer = getattr(keras.optimizers, class_name)(**config)
            results = []
            for g in steps:
                optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
                results.append(variable.numpy())
            own = [v.numpy() for v in optimizer.variables][2:]
            yield case(f"{class_name} {config} {shape}", {"class_name": class_name, "config": config}, start, steps,
                       results, dict(zip(slots, own)), bound)
    zero = np.zeros([5], np.float32)
    variable = keras.Variable(zero)
    optimizer = keras.optimizers.Lamb(learning_rate=0.1)
    results = []
    steps = gradients([5], 99)
    for g in steps:
        optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
        results.append(variable.numpy())
    yield case("Lamb from zero", {"class_name": "Lamb", "config": {"learning_rate": 0.1}}, zero, steps, results, {}, ROUNDING)


def make_optax():
    import jax.numpy as jnp
    import optax

    table = [
        ("Lamb", {"learning_rate": 0.05, "weight_decay": 0.3, "epsilon": 1e-6}, lambda c: optax.lamb(
            c["learning_rate"], weight_decay=c["weight_decay"], eps=c["epsilon"])),
        ("Lion", {"learning_rate": 0.05, "weight_decay": 0.3}, lambda c: optax.lion(
            c["learning_rate"], b1=0.9, b2=0.99, weight_decay=c["weight_decay"])),
    ]
    for seed, (class_name, config, build) in enumerate(table):
        for shape in ([], [7], [3, 5]):
            start = initial(shape, 50 + seed)
            steps = gradients(shape, 50 + seed)
            w = jnp.asarray(start)
            solver = build(config)
            state = solver.init(w)
            results = []
            for g in steps:
                updates, state = solver.update(jnp.asarray(g), state, w)
                w = optax.apply_updates(w, updates)
                results.append(np.asarray(w))
            yield case(f"{class_name} {config} {shape}", {"class_name": class_name, "config": config}, start, steps,
                       results, {}, ROUNDING)


def make_flower():
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.server.strategy import FedYogi

    table = [
        {"learning_rate": 0.1, "initial_accumulator_value": 0},
        {"learning_rate": 0.01, "beta_2": 0.99, "epsilon": 0.001, "initial_accumulator_value": 1e-6},
        {"learning_rate": 0.5, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1, "initial_accumulator_value": 0.01},
    ]
    for seed, config in enumerate(table):
        for shape in ([7], [3, 5]):
            start = initial(shape, 80 + seed)
            strategy = FedYogi(
                initial_parameters=ndarrays_to_parameters([start]),
                eta=config["learning_rate"],
                beta_1=config.get("beta_1", 0.9),
                beta_2=config.get("beta_2", 0.999),
                tau=config.get("epsilon", 0.001),
                min_fit_clients=1,
            )
            strategy.v_t = [np.full(shape, config["initial_accumulator_value"], np.float32)]
            steps, results = [], []
            for number, wanted in enumerate(gradients(shape, 80 + seed)):
                current = strategy.current_weights[0]
                # The server sees weights, not gradients: what it makes of their difference is the gradient.
                client = (current - wanted).astype(np.float32)
                steps.append(-(client - current))
                fit = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([client]), 1, {})
                new, _ = strategy.aggregate_fit(number + 1, [(None, fit)], [])
                results.append(parameters_to_ndarrays(new)[0])
            slots = {"m": -strategy.m_t[0], "v": strategy.v_t[0]}
            yield case(f"Yogi {config} {shape}", {"class_name": "Yogi", "config": config}, start, steps, results, slots,
                       ROUNDING)


def main():
    maker = sys.argv[1]
    packages = {"keras": ["keras", "tensorflow"], "optax": ["optax", "jax"], "flower": ["flwr"]}[maker]
    cases = list({"keras": make_keras, "optax": make_optax, "flower": make_flower}[maker]())
    versions = {name: importlib.metadata.version(name) for name in [*packages, "numpy"]}
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in cases)
    path = pathlib.Path(__file__).with_name(f"{maker}.json")
    path.write_text(f'{{"made_by":{json.dumps(versions)},\n"cases":[\n{lines}\n]}}\n')
    print(f"{path.name}: {len(cases)} cases")


main()
