"""The six learning-rate schedules: tables of their values, and schedules inside optimizers, with decay too.

A table holds the values that an optimizer sees: the step is the iterations as a float32 scalar.
"""

from recorder import EXACT, b64, by_variable, dense, plain, schedule, sparse, tf, trajectory

STEPS = [
    *range(61),
    99,
    100,
    101,
    200,
    250,
    500,
    999,
    1000,
    1001,
    4096,
    10000,
    65535,
    1000000,
    16777216,
    16777217,
]


def member(class_name, **config):
    return {"class_name": class_name, "config": config}


def exponential(**config):
    return member("ExponentialDecay", initial_learning_rate=0.1, **config)


def inverse(**config):
    return member("InverseTimeDecay", initial_learning_rate=0.1, **config)


def polynomial(**config):
    return member("PolynomialDecay", initial_learning_rate=0.1, **config)


def cosine(**config):
    return member("CosineDecay", initial_learning_rate=0.1, **config)


def restarts(**config):
    return member("CosineDecayRestarts", initial_learning_rate=0.1, **config)


def piecewise(boundaries, values):
    return member("PiecewiseConstantDecay", boundaries=boundaries, values=values)


TABLES = {
    "exponential": exponential(decay_steps=10, decay_rate=0.96),
    "exponential, staircase": exponential(decay_steps=10, decay_rate=0.5, staircase=True),
    "exponential, decay_steps 7, rate 0.9": exponential(decay_steps=7, decay_rate=0.9),
    "exponential, decay_steps 3.5": exponential(decay_steps=3.5, decay_rate=0.7),
    "exponential, growing": exponential(decay_steps=20, decay_rate=1.1),
    "exponential, decay_steps 0": exponential(decay_steps=0, decay_rate=0.9),
    "inverse time": inverse(decay_steps=1, decay_rate=0.5),
    "inverse time, decay_steps 7": inverse(decay_steps=7, decay_rate=0.3),
    "inverse time, staircase": inverse(decay_steps=4, decay_rate=0.5, staircase=True),
    "polynomial": polynomial(decay_steps=50),
    "polynomial, power 0.5": polynomial(decay_steps=40, end_learning_rate=0.01, power=0.5),
    "polynomial, power 2": polynomial(decay_steps=30, end_learning_rate=0.001, power=2.0),
    "polynomial, power 0": polynomial(decay_steps=10, end_learning_rate=0.01, power=0.0),
    "polynomial, cycle": polynomial(decay_steps=10, end_learning_rate=0.01, cycle=True),
    "polynomial, cycle, power 0.7": polynomial(decay_steps=7, end_learning_rate=0.01, power=0.7, cycle=True),
    "polynomial, end above start": polynomial(decay_steps=25, end_learning_rate=0.5),
    "piecewise": piecewise([10, 20, 40], [0.1, 0.05, 0.01, 0.001]),
    "piecewise, fractional boundaries": piecewise([2.5, 7.25], [1.0, 0.5, 0.1]),
    "piecewise, one boundary": piecewise([0], [0.1, 0.2]),
    "cosine": cosine(decay_steps=50),
    "cosine, alpha": cosine(decay_steps=30, alpha=0.1),
    "cosine, alpha 0.3, decay_steps 7": cosine(decay_steps=7, alpha=0.3),
    "cosine, warm-up": cosine(decay_steps=40, warmup_target=1.0, warmup_steps=10),
    "cosine, warm-up from 0, alpha": member(
        "CosineDecay",
        initial_learning_rate=0.0,
        decay_steps=20,
        alpha=0.05,
        warmup_target=0.3,
        warmup_steps=7,
    ),
    "cosine, warmup_steps without a target": cosine(decay_steps=40, warmup_steps=10),
    "cosine restarts": restarts(first_decay_steps=8),
    "cosine restarts, t_mul 1": restarts(first_decay_steps=10, t_mul=1.0),
    "cosine restarts, t_mul 1.5, m_mul 0.8": restarts(first_decay_steps=5, t_mul=1.5, m_mul=0.8),
    "cosine restarts, t_mul 3, alpha": restarts(first_decay_steps=4, t_mul=3.0, m_mul=0.9, alpha=0.1),
    "cosine restarts, t_mul 1.1": restarts(first_decay_steps=10, t_mul=1.1, alpha=0.2),
    "cosine restarts, t_mul 1, m_mul 0.5": restarts(first_decay_steps=6, t_mul=1.0, m_mul=0.5, alpha=0.05),
}
IN_OPTIMIZERS = {
    "exponential": exponential(decay_steps=3, decay_rate=0.7),
    "exponential, staircase": exponential(decay_steps=3, decay_rate=0.5, staircase=True),
    "inverse time": inverse(decay_steps=2, decay_rate=0.5),
    "inverse time, staircase": inverse(decay_steps=3, decay_rate=0.5, staircase=True),
    "polynomial": polynomial(decay_steps=8, end_learning_rate=0.01, power=0.5),
    "polynomial, cycle": polynomial(decay_steps=3, end_learning_rate=0.01, power=2.0, cycle=True),
    "piecewise": piecewise([2, 5], [0.1, 0.05, 0.01]),
    "cosine": cosine(decay_steps=8, alpha=0.1),
    "cosine, warm-up": cosine(decay_steps=6, warmup_target=0.3, warmup_steps=3),
    "cosine restarts": restarts(first_decay_steps=3, t_mul=2.0, m_mul=0.8),
}
OPTIMIZERS = (
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("Adam", {}),
    ("Adamax", {}),
    ("RMSprop", {}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Ftrl", {"beta": 0.1}),
)


def tables():
    listed = []
    for name, rule in TABLES.items():
        made = schedule(rule)
        values = [float(made(tf.constant(step, tf.float32))) for step in STEPS]
        listed.append(
            {
                "name": name,
                "schedule": rule,
                "config": plain(made.get_config()),
                "steps": STEPS,
                "values": b64(values),
                "bound": EXACT,
            }
        )
    return listed


def content():
    cases = []
    variables = {"A": [2, 3], "B": [4, 2]}
    mixed = by_variable(A=dense(), B=sparse(3))
    for turn, (name, rule) in enumerate(IN_OPTIMIZERS.items()):
        for offset in range(3):
            class_name, options = OPTIMIZERS[(3 * turn + offset) % len(OPTIMIZERS)]
            label = f"{class_name}{' with momentum' if 'momentum' in options else ''}, {name}"
            cases.append(
                trajectory(
                    label,
                    class_name,
                    {"learning_rate": rule, **options},
                    variables,
                    mixed,
                    steps=10,
                )
            )
        cases.append(
            trajectory(
                f"SGD, {name}, decay",
                "SGD",
                {"learning_rate": rule, "decay": 0.25},
                {"A": [5]},
                steps=12,
            )
        )
    return {"tables": tables(), "cases": cases}
