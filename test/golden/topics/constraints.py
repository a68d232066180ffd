"""The five constraints: alone (input → output), and applied after dense steps.

Alone, inputs of multiples of 1/8 have exact norms, so the outputs are equal bit for bit; ordinary inputs have bounds.
"""

from recorder import (
    EXACT,
    b64,
    by_variable,
    constraint,
    dense,
    eighths,
    f32,
    normal,
    np,
    rng_of,
    sparse,
    tf,
    trajectory,
)
from topics.common import NORM, show


def member(class_name, **config):
    return {"class_name": class_name, "config": config}


NORMED = {
    "MaxNorm": member("MaxNorm"),
    "MaxNorm 0.5": member("MaxNorm", max_value=0.5),
    "MaxNorm 100": member("MaxNorm", max_value=100),
    "UnitNorm": member("UnitNorm"),
    "MinMaxNorm": member("MinMaxNorm"),
    "MinMaxNorm 1 to 2": member("MinMaxNorm", min_value=1.0, max_value=2.0),
    "MinMaxNorm, rate 0.3": member("MinMaxNorm", min_value=0.5, max_value=1.5, rate=0.3),
    "MinMaxNorm, min above max": member("MinMaxNorm", min_value=3.0, max_value=1.0),
}
AXES = (
    ([4, 3], (0, 1, [0, 1], None, -1)),
    ([7], (0, None)),
    ([3, 3, 2, 4], ([0, 1, 2], 0, 3, [0, 3], -2)),
    ([67, 3], (0, 1)),
    ([], (None,)),
    ([2, 33], ([1], 0)),
    ([1, 5], (0,)),
)
MADE = {"multiples of 1/8": eighths, "ordinary": normal(1.5)}


def alone(name, rule, shape, values, bound):
    output = constraint(rule)(tf.constant(np.asarray(values, f32).reshape(shape)))
    return {
        "name": name,
        "constraint": rule,
        "shape": shape,
        "input": b64(values),
        "output": b64(output),
        "bound": bound,
    }


def normed():
    listed = []
    for label, rule in NORMED.items():
        for shape, axes in AXES:
            for axis in axes:
                for kind, make in MADE.items():
                    given = member(rule["class_name"], **rule["config"], axis=axis)
                    name = f"{label}, {show(shape)}, axis {axis}, {kind}"
                    values = np.asarray(make(rng_of(name), tuple(shape)), f32)
                    listed.append(alone(name, given, shape, values, EXACT if make is eighths else NORM))
    for label, rule in NORMED.items():
        listed.append(alone(f"{label}, zeros", rule, [3, 2], np.zeros((3, 2), f32), EXACT))
        listed.append(alone(f"{label}, squares that overflow", rule, [2, 2], [[1e20, 1], [2e20, 2]], EXACT))
        listed.append(
            alone(f"{label}, squares that underflow", rule, [2, 2], [[1e-25, 1], [2e-25, 2]], EXACT)
        )
        listed.append(
            alone(f"{label}, an infinity and a NaN", rule, [2, 3], [[np.inf, np.nan, 1], [1, 2, -2]], EXACT)
        )
    return listed


def elementwise():
    special = [1.5, -2.0, 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30]
    listed = [alone("NonNeg, special values", member("NonNeg"), [9], special, EXACT)]
    for shape in ([], [8], [5, 3], [67]):
        values = normal()(rng_of(f"NonNeg {shape}"), tuple(shape))
        listed.append(alone(f"NonNeg, {show(shape)}", member("NonNeg"), shape, values, EXACT))
    for size in (2, 3, 4, 5, 6, 7):
        shape = [size, size, 2, 3]
        values = normal()(rng_of(f"Radial {size}"), tuple(shape))
        listed.append(
            alone(f"RadialConstraint, {show(shape)}", member("RadialConstraint"), shape, values, EXACT)
        )
    return listed


def trajectories():
    optimizers = (
        ("SGD", {"learning_rate": 0.5}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
        ("Adam", {"learning_rate": 0.1}),
        ("Adamax", {"learning_rate": 0.1}),
        ("Nadam", {"learning_rate": 0.1}),
        ("Adagrad", {"learning_rate": 0.5}),
        ("Adadelta", {"learning_rate": 1.0}),
        ("RMSprop", {"learning_rate": 0.1}),
        ("Ftrl", {"learning_rate": 0.5}),
    )
    rules = (
        ("MaxNorm", member("MaxNorm", max_value=1.0, axis=0), [2, 3], NORM),
        ("UnitNorm", member("UnitNorm", axis=1), [3, 2], NORM),
        ("MinMaxNorm", member("MinMaxNorm", min_value=0.5, max_value=1.0, rate=0.5, axis=0), [2, 3], NORM),
        ("NonNeg", member("NonNeg"), [7], EXACT),
        ("RadialConstraint", member("RadialConstraint"), [2, 2, 1, 1], EXACT),
    )
    cases = []
    for turn, (class_name, config) in enumerate(optimizers):
        momentum = " with momentum" if "momentum" in config else ""
        for offset, (label, rule, shape, bound) in enumerate(rules):
            cases.append(
                trajectory(
                    f"{class_name}{momentum}, {label}",
                    class_name,
                    config,
                    {"A": (shape, rule), "B": [3]},
                    steps=5,
                    bound=bound,
                )
            )
    holes = lambda rng, step, name, shape: (
        None if name == "A" and step in (0, 2) else dense()(rng, step, name, shape)
    )
    cases += [
        trajectory(
            "no constraint where there is no gradient",
            "SGD",
            {"learning_rate": 0.5},
            {"A": ([2, 3], member("NonNeg")), "B": ([4], member("NonNeg"))},
            holes,
            steps=4,
            every_step=True,
        ),
        trajectory(
            "all five in one run",
            "Adam",
            {"learning_rate": 0.1},
            {
                "A": ([4, 3], member("MaxNorm", max_value=1)),
                "B": ([3, 4], member("UnitNorm", axis=[0, 1])),
                "C": ([5], member("NonNeg")),
                "D": ([3, 3, 2, 2], member("MinMaxNorm", axis=[0, 1, 2])),
                "E": ([5, 5, 1, 2], member("RadialConstraint")),
                "F": [2],
            },
            steps=5,
            bound=NORM,
        ),
        trajectory(
            "after a clip",
            "SGD",
            {"learning_rate": 0.5, "clipvalue": 0.3},
            {"A": ([7], member("NonNeg"))},
            steps=5,
        ),
        trajectory(
            "beside a sparse variable",
            "Adam",
            {"learning_rate": 0.1},
            {"A": ([7], member("NonNeg")), "B": [5, 3]},
            by_variable(A=dense(), B=sparse(3)),
            steps=5,
        ),
        trajectory(
            "NonNeg, -0 stays",
            "SGD",
            {"learning_rate": 1.0},
            {"A": ([4], member("NonNeg"))},
            dense(eighths),
            steps=6,
            initial=eighths,
            every_step=True,
        ),
    ]
    return cases


def content():
    return {"alone": normed() + elementwise(), "cases": trajectories()}
