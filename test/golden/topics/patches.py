"""State that is overwritten between steps: hyperparameters and clips by attribute, the whole state by set_weights().

`decay` is read from the constructor only; momentum that was off in the constructor stays off.
"""

from recorder import by_variable, dense, f32, np, sparse, trajectory
from topics.schedules import IN_OPTIMIZERS, exponential, piecewise

TWO = {"A": [2, 3], "B": [4, 2]}
MIXED = by_variable(A=dense(), B=sparse(3))

PATCHES = (
    ("SGD", {"learning_rate": 0.1}, "learning rate", {2: {"learning_rate": 0.05}, 4: {"learning_rate": 0.3}}),
    ("SGD", {"learning_rate": 0.1}, "momentum late has no effect", {2: {"momentum": 0.9}}),
    ("SGD", {"learning_rate": 0.1}, "decay late has no effect", {2: {"decay": 0.9}}),
    ("SGD", {"learning_rate": 0.1, "decay": 0.5}, "decay overwritten has no effect", {2: {"decay": 0.0}}),
    ("SGD", {"learning_rate": 0.1, "decay": 0.5}, "learning rate under decay", {3: {"learning_rate": 0.2}}),
    (
        "SGD",
        {"learning_rate": 0.1, "momentum": 0.9},
        "momentum",
        {2: {"momentum": 0.5}, 4: {"momentum": 0.99}},
    ),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "momentum 0 late", {2: {"momentum": 0.0}}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "nesterov late", {3: {"nesterov": True}}),
    (
        "SGD",
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        "nesterov off",
        {3: {"nesterov": False}},
    ),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "before the first step", {0: {"learning_rate": 0.7}}),
    ("SGD", {"learning_rate": 0.1}, "lr is learning_rate", {2: {"lr": 0.5}}),
    (
        "SGD",
        {"learning_rate": 0.1},
        "several in one step",
        {2: {"learning_rate": 0.5, "clipvalue": 0.3}, 4: {"clipvalue": None}},
    ),
    ("SGD", {"learning_rate": 0.1}, "clipvalue late", {2: {"clipvalue": 0.3}}),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}, "clipvalue off", {2: {"clipvalue": None}}),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}, "clipvalue 0 late", {3: {"clipvalue": 0.0}}),
    (
        "Adam",
        {"learning_rate": 0.1},
        "learning rate",
        {2: {"learning_rate": 0.05}, 4: {"learning_rate": 0.3}},
    ),
    ("Adam", {"learning_rate": 0.1}, "betas", {2: {"beta_1": 0.5}, 3: {"beta_2": 0.9}, 5: {"beta_1": 0.99}}),
    ("Adam", {"learning_rate": 0.1}, "epsilon late", {2: {"epsilon": 0.01}}),
    ("Adam", {"learning_rate": 0.1}, "epsilon 0 late is 0", {2: {"epsilon": 0.0}}),
    ("Adam", {"learning_rate": 0.1, "beta_2": 0.5}, "amsgrad late", {3: {"amsgrad": True}}),
    ("Adam", {"learning_rate": 0.1, "beta_2": 0.5, "amsgrad": True}, "amsgrad off", {3: {"amsgrad": False}}),
    ("Adam", {"learning_rate": 0.1}, "clipvalue late", {2: {"clipvalue": 0.3}}),
    ("Adamax", {"learning_rate": 0.1}, "betas", {2: {"beta_1": 0.5}, 3: {"beta_2": 0.9}}),
    ("Adamax", {"learning_rate": 0.1}, "epsilon late", {2: {"epsilon": 0.1}}),
    ("Nadam", {"learning_rate": 0.1}, "learning rate", {2: {"learning_rate": 0.05}}),
    ("Nadam", {"learning_rate": 0.1}, "betas", {2: {"beta_1": 0.5}, 3: {"beta_2": 0.9}}),
    ("Adagrad", {"learning_rate": 0.1}, "learning rate", {2: {"learning_rate": 0.5}}),
    ("Adagrad", {"learning_rate": 0.1}, "epsilon late", {2: {"epsilon": 0.1}}),
    ("Adadelta", {"learning_rate": 1.0}, "rho", {2: {"rho": 0.5}, 4: {"learning_rate": 0.5}}),
    ("RMSprop", {"learning_rate": 0.1}, "rho", {2: {"rho": 0.5}, 4: {"learning_rate": 0.05}}),
    ("RMSprop", {"learning_rate": 0.1}, "momentum late has no effect", {2: {"momentum": 0.9}}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}, "momentum", {2: {"momentum": 0.5}}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}, "momentum 0 late", {2: {"momentum": 0.0}}),
    ("RMSprop", {"learning_rate": 0.1}, "epsilon late", {2: {"epsilon": 0.01}}),
    ("Ftrl", {"learning_rate": 0.1}, "learning rate", {2: {"learning_rate": 0.5}}),
    (
        "Ftrl",
        {"learning_rate": 0.1},
        "regularizers",
        {2: {"l1_regularization_strength": 0.3}, 4: {"l2_regularization_strength": 0.3}},
    ),
    ("Ftrl", {"learning_rate": 0.1}, "beta", {3: {"beta": 0.5}}),
    ("Ftrl", {"learning_rate": 0.1}, "power", {3: {"learning_rate_power": -1.0}}),
)


def hyperparameters():
    return [
        trajectory(
            f"{class_name}{' ' + repr(config.get('momentum')) if 'momentum' in config else ''}, {label}",
            class_name,
            config,
            TWO,
            MIXED,
            steps=6,
            patches=patches,
            every_step=True,
        )
        for class_name, config, label, patches in PATCHES
    ]


def norms():
    """Exact norms: one gradient element, or several whose squares are exact."""
    threes = lambda rng, step, name, shape: (
        np.resize(np.array([3, -4, 0, 0, 12], f32), shape) * f32(0.5 + step)
    )
    cases = []
    for class_name in ("SGD", "Adam"):
        config = {"learning_rate": 0.1}
        cases += [
            trajectory(
                f"{class_name}, clipnorm late",
                class_name,
                config,
                {"A": [5], "B": [2]},
                threes,
                steps=5,
                patches={2: {"clipnorm": 1.0}, 4: {"clipnorm": 50.0}},
            ),
            trajectory(
                f"{class_name}, global_clipnorm late",
                class_name,
                config,
                {"A": [5], "B": [2]},
                threes,
                steps=5,
                patches={2: {"global_clipnorm": 1.0}, 4: {"global_clipnorm": None}},
            ),
        ]
    cases.append(
        trajectory(
            "SGD, clipnorm off",
            "SGD",
            {"learning_rate": 0.1, "clipnorm": 1.0},
            {"A": [5]},
            threes,
            steps=4,
            patches={2: {"clipnorm": None}},
        )
    )
    return cases


def schedules():
    cases = []
    for label, rule in IN_OPTIMIZERS.items():
        for class_name, config in (
            ("SGD", {"learning_rate": 0.2, "momentum": 0.9}),
            ("Adam", {"learning_rate": 0.2}),
        ):
            cases.append(
                trajectory(
                    f"{class_name}, {label} set late",
                    class_name,
                    config,
                    {"A": [2, 3]},
                    steps=7,
                    patches={2: {"learning_rate": rule}},
                )
            )
    first, second = exponential(decay_steps=2, decay_rate=0.5), piecewise([4], [0.5, 0.25])
    cases += [
        trajectory(
            "Adam, a schedule replaced by a number",
            "Adam",
            {"learning_rate": first},
            {"A": [2, 3]},
            steps=6,
            patches={2: {"learning_rate": 0.05}, 4: {"learning_rate": 0.01}},
        ),
        trajectory(
            "SGD, a schedule replaced by a schedule",
            "SGD",
            {"learning_rate": first},
            {"A": [2, 3]},
            steps=6,
            patches={3: {"learning_rate": second}},
        ),
        trajectory(
            "SGD, number, schedule, number, schedule",
            "SGD",
            {"learning_rate": 0.3, "decay": 0.1},
            {"A": [2, 3]},
            steps=8,
            patches={2: {"learning_rate": first}, 4: {"learning_rate": 0.7}, 6: {"learning_rate": second}},
        ),
        trajectory(
            "SGD, a schedule before the first step",
            "SGD",
            {},
            {"A": [2, 3]},
            steps=4,
            patches={0: {"learning_rate": first}},
        ),
    ]
    return cases


def rewind(rng, now, earlier):
    """The state after step 1: slots and iterations go back, variables stay."""
    return earlier[0]


def shift(count):
    def new(rng, now, earlier):
        return [np.int64(count), *[(w * f32(0.5) + f32(0.125)).astype(f32) for w in map(f32, now[1:])]]

    return new


def without_iterations(rng, now, earlier):
    return now[1:]


def with_unused_vhat(rng, now, earlier):
    """3N + 1 weights for an Adam that keeps 2N + 1, as an optimizer of Keras 1 stored them."""
    count = (len(now) - 1) // 2
    return [*now, *[np.ones_like(w) for w in now[1 : 1 + count]]]


def weights():
    cases = []
    for class_name, config in (
        ("SGD", {"learning_rate": 0.1, "decay": 0.5}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
        ("Adam", {"learning_rate": 0.1}),
        ("Adam", {"learning_rate": 0.1, "amsgrad": True, "beta_2": 0.5}),
        ("Adamax", {"learning_rate": 0.1}),
        ("Nadam", {"learning_rate": 0.1}),
        ("Adagrad", {"learning_rate": 0.1}),
        ("Adadelta", {"learning_rate": 1.0}),
        ("RMSprop", {"learning_rate": 0.1}),
        ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9, "centered": True}),
        ("Ftrl", {"learning_rate": 0.1, "beta": 0.2}),
    ):
        label = (
            f"{class_name}{''.join(', ' + key for key in config if key not in ('learning_rate', 'beta_2'))}"
        )
        dense_only = class_name == "RMSprop" and config.get("centered")
        plan = dense() if dense_only else MIXED
        cases.append(
            trajectory(
                f"{label}: weights go back",
                class_name,
                config,
                TWO,
                plan,
                steps=6,
                set_weights={3: rewind},
                every_step=True,
            )
        )
        cases.append(
            trajectory(
                f"{label}: other weights, iteration 100",
                class_name,
                config,
                TWO,
                plan,
                steps=5,
                set_weights={2: shift(100)},
                every_step=True,
            )
        )
    for class_name in ("Adagrad", "Adadelta", "RMSprop"):
        cases.append(
            trajectory(
                f"{class_name}: a list without iter starts at 0",
                class_name,
                {"learning_rate": 0.1, "decay": 0.5},
                TWO,
                MIXED,
                steps=5,
                set_weights={3: without_iterations},
            )
        )
    cases.append(
        trajectory(
            "Adam: unused vhat are dropped",
            "Adam",
            {"learning_rate": 0.1},
            TWO,
            MIXED,
            steps=5,
            set_weights={3: with_unused_vhat},
        )
    )
    cases.append(
        trajectory(
            "SGD with a schedule: iteration 1000",
            "SGD",
            {"learning_rate": exponential(decay_steps=100, decay_rate=0.5)},
            TWO,
            MIXED,
            steps=4,
            set_weights={2: shift(1000)},
        )
    )
    cases.append(
        trajectory(
            "Adam: iteration 2000000",
            "Adam",
            {"learning_rate": 0.1},
            TWO,
            MIXED,
            steps=4,
            set_weights={2: shift(2000000)},
        )
    )
    cases.append(
        trajectory(
            "Adam: weights and learning rate set before one step",
            "Adam",
            {"learning_rate": 0.1},
            TWO,
            MIXED,
            steps=5,
            set_weights={3: rewind},
            patches={3: {"learning_rate": 0.5}},
        )
    )
    return cases


def content():
    return {"cases": hyperparameters() + norms() + schedules() + weights()}
