"""Writes conventions/keras.json (`keras`: Keras 3 on JAX, requirements_beyond.txt) or conventions/tf_keras.json
(`tf_keras`: its optimizers since 2.11, requirements.txt): trajectories in float32 on a CPU, and what serialize() writes.
"""

import importlib.metadata
import json
import os
import platform
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402

from encoding import machine, write  # noqa: E402
from trajectory import ROWS, gradient, initial, record, sparse_gradient  # noqa: E402

PACKAGE = sys.argv[1]
if PACKAGE == "keras":
    import keras
else:
    import tensorflow as tf
    import tf_keras as keras

# Names of variables that are functions of formulas, and tf_keras' names of what Keras 3 calls otherwise.
SLOTS = {"norm": "infinity_norm", "m": "momentum", "v": "velocity", "vhat": "velocity_hat", "u": "infinity_norm"}
EPSILON = {"epsilon": 0.01}
DECAY = {"weight_decay": 0.05}
BETAS = {"beta_1": 0.8, "beta_2": 0.95}

CASES = {
    "SGD": [
        {"learning_rate": 0.1},
        {"learning_rate": 0.1, **DECAY},
        {"learning_rate": 0.1, "momentum": 0.9},
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    ],
    "Adam": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **BETAS, **EPSILON, **DECAY, "amsgrad": True}],
    "AdamW": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **EPSILON, "weight_decay": 0.1, "amsgrad": True}],
    "RMSprop": [
        {"learning_rate": 0.02},
        {"learning_rate": 0.02, "rho": 0.8, **EPSILON, **DECAY, "centered": True},
        {"learning_rate": 0.02, "momentum": 0.9, **EPSILON},
        {"learning_rate": 0.02, "momentum": 0.9, **EPSILON, "centered": True},
    ],
    "Adagrad": [{"learning_rate": 0.1}, {"learning_rate": 0.1, "initial_accumulator_value": 0.01, **EPSILON, **DECAY}],
    "Adadelta": [{"learning_rate": 0.5}, {"learning_rate": 1.0, "rho": 0.8, **EPSILON, **DECAY}],
    "Adamax": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **BETAS, **EPSILON, **DECAY}],
    "Nadam": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **BETAS, **EPSILON, **DECAY}],
    "Ftrl": [
        {"learning_rate": 0.1},
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.3,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ],
    "Lion": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **BETAS, **DECAY}],
    "Lamb": [{"learning_rate": 0.02}, {"learning_rate": 0.02, **BETAS, **EPSILON, **DECAY}],
}
SPARSE = ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam"]
SPARSE_CONFIG = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9}}


class OfKeras:
    def __init__(self, class_name, config, sparse):
        self.sparse = sparse
        first = initial(ROWS) if sparse else initial()
        self.variable = keras.Variable(first, name="w") if PACKAGE == "keras" else tf.Variable(first, name="w")
        self.optimizer = getattr(keras.optimizers, class_name)(**config)
        self.optimizer.build([self.variable])

    def step(self, n):
        if self.sparse:
            rows, values = sparse_gradient(n)
            gradient_ = tf.IndexedSlices(tf.constant(values), tf.constant(rows), ROWS)
        elif PACKAGE == "keras":
            gradient_ = keras.ops.convert_to_tensor(gradient(n))
        else:
            gradient_ = tf.constant(gradient(n))
        self.optimizer.apply_gradients([(gradient_, self.variable)])

    def values(self):
        return np.asarray(self.variable)

    def slots(self):
        held = self.optimizer.variables
        found = {}
        for each in held if not callable(held) else held():
            if tuple(each.shape) != tuple(self.variable.shape):
                continue
            # `w_momentum`, `adam/w_momentum`, `Adam/m/w:0` by version.
            parts = each.name.split(":")[0].split("/")
            name = parts[-1].removeprefix("w_") if parts[-1] != "w" else parts[-2]
            name = SLOTS.get(name, name)
            # tf_keras makes a velocity that no step reads.
            if name != "momentum" or getattr(self.optimizer, "momentum", 1) > 0:
                found[name] = np.asarray(each)
        return found


def title(class_name, config):
    return class_name + " " + ", ".join(f"{key} {value}" for key, value in config.items())


def main():
    cases, forms = [], []
    for class_name, configs in CASES.items():
        if not hasattr(keras.optimizers, class_name):
            continue
        for config in configs:
            stepper = OfKeras(class_name, config, False)
            optimizer = {"module": "keras.optimizers", "class_name": class_name, "config": config}
            cases.append({"name": title(class_name, config), "optimizer": optimizer, **record(stepper)})
        form = keras.optimizers.serialize(getattr(keras.optimizers, class_name)())
        forms.append({"name": class_name, "form": json.loads(json.dumps(form, default=float))})
    if PACKAGE == "tf_keras":
        for class_name in SPARSE:
            config = {"learning_rate": 0.1, **SPARSE_CONFIG.get(class_name, {})}
            cases.append({
                "name": f"{title(class_name, config)}, sparse",
                "optimizer": {"module": "keras.optimizers", "class_name": class_name, "config": config},
                **record(OfKeras(class_name, config, True), sparse=True),
            })
        # The older form of Keras 2.11 to 2.15.
        for optimizer in [keras.optimizers.Lion(), keras.optimizers.legacy.Adam()]:
            form = keras.optimizers.serialize(optimizer, use_legacy_format=True)
            forms.append({"name": f"{form['class_name']}, older form", "form": json.loads(json.dumps(form, default=float))})
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 10, warmup_target=0.7, warmup_steps=5)
    form = keras.optimizers.serialize(keras.optimizers.SGD(schedule, momentum=0.9, weight_decay=0.01))
    forms.append({"name": "SGD with a schedule", "form": json.loads(json.dumps(form, default=float))})
    packages = ["keras", "jax"] if PACKAGE == "keras" else ["tf_keras", "tensorflow_cpu"]
    made_by = {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
        "numpy": np.__version__,
        **machine(),
    }
    write(f"conventions/{PACKAGE}", made_by, {"bound": 5e-6, "slots_bound": 3e-5, "cases": cases, "forms": forms})


main()
