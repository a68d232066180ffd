"""Signed zeros, tiny and huge numbers, infinities and NaN, in gradients and in variables.

TensorFlow runs its kernels with subnormals flushed to zero, operands and results alike.
"""

from recorder import EXACT, f32, normal, np, sparse, trajectory

OPTIMIZERS = (
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"learning_rate": 0.1}),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True}),
    ("Adamax", {"learning_rate": 0.1}),
    ("Nadam", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("RMSprop", {"learning_rate": 0.1}),
    ("RMSprop", {"learning_rate": 0.1, "centered": True}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.1,
        },
    ),
)
KINDS = {
    "zeros of both signs": [0.0, -0.0, 0.0, -0.0, 1.0, -1.0],
    "tiny": [1e-20, -1e-20, 1e-30, -1e-30, 1e-25, 1e-19],
    "near the smallest normal": [1.2e-38, -1.2e-38, 2e-38, 1e-37, -1e-36, 1e-35],
    "subnormal": [1e-39, -1e-39, 1e-45, -5e-41, 1.17e-38, 1e-38],
    "huge": [1e20, -1e20, 1e19, -1e18, 3e19, 1e15],
    "largest": [3.4e38, -3.4e38, 1e38, -1e30, 1e25, 1e10],
    "steep": [1e-10, 1e10, -1e-5, 1e5, 1.0, -1e-15],
}
STARTS = {"ones": [1.0, -1.0, 0.5, 2.0, -0.25, 3.0], "zeros": [0.0, -0.0, 0.0, -0.0, 0.0, -0.0]}
STRANGE = [np.inf, -np.inf, np.nan, 1.0, -1.0, 0.0]


def label_of(class_name, config):
    extras = [
        key
        for key in ("momentum", "nesterov", "amsgrad", "centered", "l1_regularization_strength")
        if key in config
    ]
    return " ".join([class_name, *extras])


def turned(values, step):
    return np.roll(np.array(values, f32), step)


def bound_of(class_name, config, kind, start):
    """Rules in which an operation meets a subnormal: flushing only the stored results is not enough."""
    if kind not in ("near the smallest normal", "subnormal"):
        return EXACT
    absolute = 1e-37 if start == "ones" or class_name == "SGD" else 1e-30
    if class_name == "RMSprop" and config.get("momentum"):
        absolute = 1e-33
    return {
        "absolute": absolute,
        "why": "TensorFlow flushes the subnormals of every operation; flushing what is stored differs by this much",
    }


def content():
    cases = []
    for class_name, config in OPTIMIZERS:
        for kind, values in KINDS.items():
            for start, initial in STARTS.items():
                fixed = lambda rng, shape, initial=initial: np.resize(np.array(initial, f32), shape)
                whole = lambda rng, step, name, shape, values=values: turned(
                    values, step if name == "B" else 0
                )
                rows = lambda rng, step, name, shape, values=values: (
                    [2, 0, 2],
                    np.stack([turned(values, step), turned(values, 1), turned(values, step + 3)])[
                        :, : shape[1]
                    ],
                )
                plan = lambda rng, step, name, shape, whole=whole, rows=rows: (
                    rows if name == "S" else whole
                )(rng, step, name, shape)
                cases.append(
                    trajectory(
                        f"{label_of(class_name, config)}, {kind}, from {start}",
                        class_name,
                        config,
                        {"A": [6], "B": [6], "S": [3, 4]},
                        plan,
                        steps=4,
                        initial=fixed,
                        every_step=True,
                        bound=bound_of(class_name, config, kind, start),
                    )
                )
        strange = lambda rng, step, name, shape: (
            turned(STRANGE, 0) if step == 1 else normal()(rng, tuple(shape))
        )
        cases.append(
            trajectory(
                f"{label_of(class_name, config)}, infinities and NaN in step 2",
                class_name,
                config,
                {"A": [6]},
                strange,
                steps=4,
                every_step=True,
                needs={"non_finite": "propagate"},
            )
        )
        odd_rows = lambda rng, step, name, shape: (
            ([1, 0, 1], np.array([[np.inf, 1], [np.nan, -1], [-np.inf, 2]], f32))
            if step == 1
            else sparse(2)(rng, step, name, shape)
        )
        cases.append(
            trajectory(
                f"{label_of(class_name, config)}, infinities and NaN in rows of step 2",
                class_name,
                config,
                {"S": [3, 2]},
                odd_rows,
                steps=4,
                every_step=True,
                needs={"non_finite": "propagate"},
            )
        )
    cases.append(
        trajectory(
            "Ftrl, accumulator 0 and zero gradient, dense and sparse",
            "Ftrl",
            {"learning_rate": 0.1, "initial_accumulator_value": 0.0},
            {"A": [3], "S": [3, 2]},
            lambda rng, step, name, shape: np.zeros(3) if name == "A" else ([0], np.zeros((1, 2))),
            steps=2,
        )
    )
    cases.append(trajectory("Ftrl, learning rate 0", "Ftrl", {"learning_rate": 0.0}, {"A": [3]}, steps=2))
    cases.append(
        trajectory(
            "Adagrad, accumulator 0 and zero gradient",
            "Adagrad",
            {"learning_rate": 0.1, "initial_accumulator_value": 0.0},
            {"A": [3]},
            lambda *_: np.zeros(3),
            steps=2,
        )
    )
    return {"cases": cases}
