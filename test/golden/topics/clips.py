"""clipvalue, clipnorm and global_clipnorm, alone and together, on dense gradients and on sparse ones with duplicates.

Gradients of multiples of 1/8 have exact sums of squares in any order, so those cases are equal bit for bit.
"""

from recorder import EXACT, by_step, by_variable, dense, eighths, f32, np, sparse, trajectory
from topics.common import NORM

SGD = ("SGD", {"learning_rate": 0.1})
MOMENTUM = ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True})
OPTIMIZERS = (
    SGD,
    MOMENTUM,
    ("Adam", {"learning_rate": 0.1}),
    ("Adamax", {"learning_rate": 0.1}),
    ("Nadam", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("RMSprop", {"learning_rate": 0.1}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}),
    ("Ftrl", {"learning_rate": 0.1}),
)
CLIPS = {
    "clipvalue": {"clipvalue": 0.5},
    "clipnorm": {"clipnorm": 1.5},
    "global_clipnorm": {"global_clipnorm": 1.5},
    "clipvalue, clipnorm": {"clipvalue": 0.5, "clipnorm": 1.0},
    "clipvalue, global_clipnorm": {"clipvalue": 0.5, "global_clipnorm": 1.0},
}
PROPAGATE = {"non_finite": "propagate"}


def name_of(class_name, config):
    return class_name + (" with momentum" if config.get("momentum") else "")


def every_optimizer():
    """Small rows (below 8 elements), so that Adadelta's and RMSprop's rsqrt is exact too."""
    cases = []
    variables = {"A": [2, 3], "B": [5, 2], "C": []}
    for class_name, config in OPTIMIZERS:
        for label, clip in CLIPS.items():
            mixed = by_variable(A=dense(eighths), B=sparse(4, eighths), C=dense(eighths))
            cases.append(
                trajectory(
                    f"{name_of(class_name, config)}, {label}",
                    class_name,
                    {**config, **clip},
                    variables,
                    mixed,
                    steps=4,
                )
            )
    return cases


def thresholds():
    """Clips far below, near and far above the norm. The factor is always applied, so even c = 100 changes bits."""
    cases = []
    for key in ("clipvalue", "clipnorm", "global_clipnorm"):
        for c in (0.1, 1.7, 2.9, 3.4, 100.0):
            config = {"learning_rate": 0.1, key: c}
            cases.append(
                trajectory(
                    f"{key} {c}, dense", "SGD", config, {"A": [5, 3], "B": [7]}, dense(eighths), steps=3
                )
            )
            cases.append(
                trajectory(
                    f"{key} {c}, sparse", "SGD", config, {"A": [5, 3], "B": [7]}, sparse(4, eighths), steps=3
                )
            )
    return cases


def rounded_norms():
    """Ordinary gradients, where the order of additions changes the result."""
    cases = []
    shapes = {"A": [12, 9], "B": [67], "C": []}
    for class_name, config in (
        SGD,
        MOMENTUM,
        ("Adam", {"learning_rate": 0.1}),
        ("Adagrad", {"learning_rate": 0.1}),
    ):
        for label, clip in CLIPS.items():
            bound = EXACT if label == "clipvalue" else NORM
            name = f"rounded norms, {name_of(class_name, config)}, {label}"
            cases.append(
                trajectory(f"{name}, dense", class_name, {**config, **clip}, shapes, steps=4, bound=bound)
            )
            rows = by_variable(A=sparse(9), B=sparse(5), C=dense())
            cases.append(
                trajectory(
                    f"{name}, sparse", class_name, {**config, **clip}, shapes, rows, steps=4, bound=bound
                )
            )
    return cases


def duplicates():
    """Rows 1 and 2 at one index and 4 at another: the norm is that of the stored rows, √21, not that of their sums."""
    rows = lambda rng, step, name, shape: ([3, 3, 0], [[1.0], [2.0], [4.0]])
    cases = []
    for key in ("clipvalue", "clipnorm", "global_clipnorm"):
        for class_name, config in (SGD, ("Adam", {"learning_rate": 0.1})):
            cases.append(
                trajectory(
                    f"stored rows count, {class_name}, {key}",
                    class_name,
                    {**config, key: 1.5},
                    {"A": [4, 1]},
                    rows,
                    steps=3,
                )
            )
    return cases


def edges():
    zeros = lambda rng, shape: np.zeros(shape, f32)
    huge = lambda rng, shape: np.full(shape, 1e20, f32)
    tiny = lambda rng, shape: np.full(shape, 1e-25, f32)
    strange = lambda value: lambda rng, shape: np.concatenate([[value], eighths(rng, (shape[0] - 1,))])
    one = {"A": [5]}
    cases = []
    for key in ("clipvalue", "clipnorm", "global_clipnorm"):
        on = {"learning_rate": 0.1, key: 1.0}
        off = {"learning_rate": 0.1, key: 0.0}
        cases += [
            trajectory(f"{key}, zero gradient", "SGD", on, one, dense(zeros), steps=2),
            trajectory(f"{key} 0", "SGD", off, one, dense(eighths), steps=2),
            trajectory(f"{key} 0, zero gradient", "SGD", off, one, dense(zeros), steps=2),
            trajectory(f"{key}, squares that overflow", "SGD", on, one, dense(huge), steps=2),
            trajectory(f"{key}, squares that underflow", "SGD", on, one, dense(tiny), steps=2),
            trajectory(f"{key} 1e38", "SGD", {"learning_rate": 0.1, key: 1e38}, one, dense(eighths), steps=2),
            trajectory(
                f"{key}, an infinity", "SGD", on, one, dense(strange(np.inf)), steps=2, needs=PROPAGATE
            ),
            trajectory(
                f"{key}, minus infinity, sparse",
                "SGD",
                on,
                {"A": [5, 1]},
                lambda rng, step, name, shape: ([1, 1, 4], [[-np.inf], [2.0], [-1.5]]),
                steps=2,
                needs=PROPAGATE,
            ),
            trajectory(f"{key}, a NaN", "SGD", on, one, dense(strange(np.nan)), steps=2, needs=PROPAGATE),
            trajectory(
                f"{key}, a NaN in one of two variables",
                "SGD",
                on,
                {"A": [5], "B": [3]},
                by_variable(A=dense(strange(np.nan)), B=dense(eighths)),
                steps=2,
                needs=PROPAGATE,
            ),
            trajectory(
                f"{key}, no rows in step 1",
                "SGD",
                on,
                {"A": [5, 2]},
                by_step({0: lambda rng, step, name, shape: ([], np.zeros((0, 2)))}, sparse(3, eighths)),
                steps=2,
            ),
            trajectory(
                f"{key}, decay and momentum",
                "SGD",
                {"learning_rate": 0.1, "decay": 0.5, "momentum": 0.9, key: 1.0},
                {"A": [4, 3]},
                dense(eighths),
                steps=6,
            ),
            trajectory(
                f"{key}, null gradient of B",
                "SGD",
                on,
                {"A": [4], "B": [3]},
                by_variable(A=dense(eighths), B=lambda *_: None),
                steps=2,
            ),
        ]
    return cases


def content():
    return {"cases": every_optimizer() + thresholds() + rounded_norms() + duplicates() + edges()}
