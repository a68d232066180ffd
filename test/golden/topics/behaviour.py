"""Behaviour other than numbers: configs, the order of weights, slot names, and refusals with their messages.

A message is the first lines of the exception's text. Stepwell must refuse the same things, with any message.
"""

import re
import warnings

from recorder import b64, constraint, f32, np, optimizer, plain, schedule, tf, tf_keras, weights
from topics import adadelta, adagrad, adam, adamax, ftrl, nadam, rmsprop, sgd
from topics.schedules import IN_OPTIMIZERS, TABLES

TOPICS = {
    "SGD": sgd,
    "Adam": adam,
    "Adamax": adamax,
    "Nadam": nadam,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
    "RMSprop": rmsprop,
    "Ftrl": ftrl,
}
CLIPS = (
    {"clipvalue": 0.5},
    {"clipnorm": 1.0},
    {"global_clipnorm": 2.0},
    {"clipvalue": 0.5, "clipnorm": 1},
    {"clipvalue": 1, "global_clipnorm": 2.0},
)


def names_of(opt, variables):
    return [
        entry["name"] if "name" in entry else [entry["variable"], entry["slot"]]
        for entry in weights(opt, variables)
    ]


def variables_ab():
    return {"A": tf.Variable(np.ones((2, 2), f32), name="A"), "B": tf.Variable(np.ones(3, f32), name="B")}


def step(opt, variables):
    opt.apply_gradients([(tf.ones_like(variable), variable) for variable in variables.values()])


def shorten(error):
    """The first line, without TensorFlow's frame and without the text after a set, whose order varies."""
    text = str(error).split("\n")[0]
    text = re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:.*$", "", text)
    return re.sub(r"Allowed kwargs are.*$", "Allowed kwargs are …", text)[:200]


def raised(action):
    """The exception of `action` as {type, message}, or None if there was none."""
    try:
        action()
    except Exception as error:  # noqa: BLE001: any exception is a result
        return {"type": type(error).__name__, "message": shorten(error)}
    return None


def refused(action):
    error = raised(action)
    assert error, "should have been refused"
    return error


def configs():
    """get_config() of a new optimizer, after hyperparameters were read (numbers are float32 then) and after a step."""
    listed = []
    for class_name, topic in TOPICS.items():
        options = dict(topic.OPTIONS)
        options.update({", ".join(clip): clip for clip in CLIPS})
        options["named"] = {"name": "mine"}
        if class_name != "Nadam":
            options["scheduled"] = {"learning_rate": IN_OPTIMIZERS["exponential"]}
        if class_name != "Ftrl":
            options["lr"] = {"lr": 0.7}
        for label, config in options.items():
            tf_keras.backend.clear_session()
            opt, variables = optimizer(class_name, config), variables_ab()
            entry = {
                "name": f"{class_name}, {label}",
                "optimizer": {"class_name": class_name, "config": config},
                "new": plain(opt.get_config()),
                "weights_when_new": len(opt.get_weights()),
            }
            opt.learning_rate  # noqa: B018: reading a hyperparameter makes all of them float32 variables
            entry["read"] = plain(opt.get_config())
            entry["weights_when_read"] = names_of(opt, variables)
            step(opt, variables)
            entry["stepped"] = plain(opt.get_config())
            entry["weights"] = names_of(opt, variables)
            entry["slot_names"] = list(opt.get_slot_names())
            entry["legacy_serialized"] = plain(tf_keras.optimizers.serialize(opt, use_legacy_format=True))
            entry["serialized_keys"] = {
                key: value for key, value in tf_keras.optimizers.serialize(opt).items() if key != "config"
            }
            again = raised(lambda: type(opt).from_config(opt.get_config()))
            entry["from_config"] = again or plain(type(opt).from_config(opt.get_config()).get_config())
            listed.append(entry)
    return listed


CONSTRUCTORS = (
    ("SGD", {"momentum": -0.1}),
    ("SGD", {"momentum": 1.1}),
    ("RMSprop", {"momentum": -0.1}),
    ("RMSprop", {"momentum": 1.1}),
    ("Adagrad", {"initial_accumulator_value": -0.1}),
    ("Ftrl", {"initial_accumulator_value": -0.1}),
    ("Ftrl", {"learning_rate_power": 0.1}),
    ("Ftrl", {"l1_regularization_strength": -0.1}),
    ("Ftrl", {"l2_regularization_strength": -0.1}),
    ("Ftrl", {"l2_shrinkage_regularization_strength": -0.1}),
    ("Nadam", {"schedule_decay": -0.1}),
    ("Nadam", {"learning_rate": IN_OPTIMIZERS["exponential"]}),
    ("SGD", {"unknown": 1}),
    ("Adam", {"momentum": 0.9}),
    ("SGD", {"clipnorm": -1}),
    ("Adam", {"clipvalue": -1}),
    ("Adam", {"global_clipnorm": -0.5}),
    ("SGD", {"decay": -0.1}),
    ("SGD", {"lr": -0.1}),
    ("SGD", {"decay": None}),
    ("SGD", {"clipnorm": 1.0, "global_clipnorm": 1.0}),
    ("Ftrl", {"lr": -0.1}),
    ("SGD", {"clipnorm": -1, "unknown": 1}),
    ("SGD", {"unknown": 1, "clipnorm": -1}),
    ("SGD", {"momentum": 2.0, "clipnorm": -1}),
    # Accepted without a warning:
    ("SGD", {"learning_rate": -1.0}),
    ("Adam", {"beta_1": 2.0}),
    ("Adam", {"beta_2": -1.0}),
    ("RMSprop", {"rho": 5.0}),
    ("Ftrl", {"beta": -1.0}),
    ("Adam", {"epsilon": -1.0}),
    ("SGD", {"clipnorm": 0}),
    ("SGD", {"clipvalue": 0.0}),
    ("SGD", {"clipnorm": None, "global_clipnorm": None, "clipvalue": None}),
    ("Nadam", {"decay": -0.1}),
    ("Nadam", {"decay": 0.5}),
    ("SGD", {"momentum": 1.0}),
    ("SGD", {"name": None}),
    ("SGD", {"name": ""}),
    ("RMSprop", {"name": None}),
    ("Ftrl", {"learning_rate_power": 0.0}),
    ("SGD", {"learning_rate": IN_OPTIMIZERS["exponential"], "lr": 0.5}),
)


def constructors():
    listed = []
    for number, (class_name, config) in enumerate(CONSTRUCTORS):
        tf_keras.backend.clear_session()
        entry = {
            "name": f"{number + 1}: {class_name} {', '.join(config)}",
            "optimizer": {"class_name": class_name, "config": config},
        }
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            entry["error"] = raised(lambda: optimizer(class_name, config))
            if entry["error"] is None:
                tf_keras.backend.clear_session()
                entry["config"] = plain(optimizer(class_name, config).get_config())
        if caught:
            entry["warnings"] = sorted({str(warning.message) for warning in caught})
        listed.append(entry)
    return listed


def sparse_of(indices, shape):
    return tf.IndexedSlices(
        tf.ones((len(indices), *shape[1:])), tf.constant(indices, tf.int64), tf.constant(shape)
    )


def steps():
    """Steps that are refused, and what they had changed by then."""
    listed = []
    constrained = lambda: tf.Variable(
        np.ones((3, 2), f32), name="A", constraint=constraint({"class_name": "NonNeg", "config": {}})
    )
    free = lambda: tf.Variable(np.ones((3, 2), f32), name="A")
    situations = {
        "all gradients null": (free, lambda a: [(None, a)]),
        "a constraint and a sparse gradient": (constrained, lambda a: [(sparse_of([0], [3, 2]), a)]),
        "a constraint and an empty sparse gradient": (constrained, lambda a: [(sparse_of([], [3, 2]), a)]),
        "another shape": (free, lambda a: [(tf.ones((2, 3)), a)]),
        "an index too large": (free, lambda a: [(sparse_of([3], [3, 2]), a)]),
        "a negative index": (free, lambda a: [(sparse_of([-1], [3, 2]), a)]),
        "an empty list": (free, lambda a: []),
        "one of two null": (free, lambda a: [(tf.ones((3, 2)), a), (None, tf.Variable(1.0, name="B"))]),
        "a variable twice": (free, lambda a: [(tf.ones((3, 2)), a), (tf.ones((3, 2)), a)]),
    }
    for class_name in TOPICS:
        for label, (make, pairs) in situations.items():
            tf_keras.backend.clear_session()
            opt, variable = optimizer(class_name, {"learning_rate": 0.1}), make()
            error = raised(lambda: opt.apply_gradients(pairs(variable)))
            created = len(opt.weights)
            listed.append(
                {
                    "name": f"{class_name}, {label}",
                    "error": error,
                    "weights_created": created,
                    "iterations": int(opt.iterations),
                    "variable": b64(variable),
                }
            )
    return listed


def set_weights():
    listed = []
    for class_name, config in (("SGD", {"momentum": 0.9}), *((name, {}) for name in TOPICS)):
        label = f"{class_name}{' with momentum' if config else ''}"
        lists = {
            "one short at the end": lambda opt: opt.get_weights()[:-1],
            "without iter": lambda opt: opt.get_weights()[1:],
            "one too many": lambda opt: [*opt.get_weights(), np.zeros(3, f32)],
            "empty": lambda opt: [],
            "the last of another shape": lambda opt: [*opt.get_weights()[:-1], np.zeros((9, 9), f32)],
            "its own": lambda opt: opt.get_weights(),
        }
        for what, make in lists.items():
            tf_keras.backend.clear_session()
            opt, variables = optimizer(class_name, config), variables_ab()
            step(opt, variables)
            error = raised(lambda: opt.set_weights(make(opt)))
            listed.append(
                {
                    "name": f"{label}: {what}",
                    "optimizer": {"class_name": class_name, "config": config},
                    "weights": names_of(opt, variables),
                    "error": error,
                    "iterations": int(opt.iterations),
                }
            )
        for what, count in (("empty", 0), ("iter alone", 1)):
            tf_keras.backend.clear_session()
            opt = optimizer(class_name, config)
            error = raised(lambda: opt.set_weights([np.int64(5)] * count))
            listed.append(
                {
                    "name": f"{label}, new: {what}",
                    "optimizer": {"class_name": class_name, "config": config},
                    "weights": [],
                    "error": error,
                    "iterations": int(opt.iterations),
                }
            )
    return listed


def schedules():
    listed = []
    for name, rule in {
        **TABLES,
        **{f"{key}, in an optimizer": rule for key, rule in IN_OPTIMIZERS.items()},
    }.items():
        made = schedule(rule)
        listed.append(
            {
                "name": name,
                "schedule": rule,
                "config": plain(made.get_config()),
                "serialized": plain(tf_keras.optimizers.schedules.serialize(made)),
                "error": None,
            }
        )
    for number, (boundaries, values) in enumerate(
        (([1, 2], [0.1, 0.2]), ([1], [0.1]), ([1], [0.1, 0.2, 0.3]))
    ):
        rule = {
            "class_name": "PiecewiseConstantDecay",
            "config": {"boundaries": boundaries, "values": values},
        }
        listed.append(
            {
                "name": f"piecewise of wrong lengths {number + 1}",
                "schedule": rule,
                "error": refused(lambda: schedule(rule)),
            }
        )
    return listed


def constraints():
    listed = []
    for class_name, config in (
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 3, "axis": [0, 1]}),
        ("UnitNorm", {}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"rate": 0.5, "axis": None}),
        ("NonNeg", {}),
        ("RadialConstraint", {}),
    ):
        made = constraint({"class_name": class_name, "config": config})
        listed.append(
            {
                "name": f"{class_name} {', '.join(config)}".strip(),
                "class_name": class_name,
                "given": config,
                "config": plain(made.get_config()),
                "error": None,
            }
        )
    radial = constraint({"class_name": "RadialConstraint", "config": {}})
    for shape in ([3], [3, 3], [3, 3, 2], [1, 1, 2, 2], [3, 5, 1, 1], [5, 3, 1, 1]):
        listed.append(
            {
                "name": f"RadialConstraint on {shape}",
                "class_name": "RadialConstraint",
                "shape": shape,
                "given": {},
                "error": raised(lambda: radial(tf.ones(shape))),
            }
        )
    for shape, axis in (([3], 1), ([3, 2], 2), ([3, 2], -3), ([], 0)):
        made = constraint({"class_name": "MaxNorm", "config": {"axis": axis}})
        listed.append(
            {
                "name": f"MaxNorm on {shape}, axis {axis}",
                "class_name": "MaxNorm",
                "shape": shape,
                "given": {"axis": axis},
                "error": raised(lambda: made(tf.ones(shape))),
            }
        )
    for alias in (
        "max_norm",
        "maxnorm",
        "MaxNorm",
        "non_neg",
        "nonneg",
        "unit_norm",
        "unitnorm",
        "min_max_norm",
        "minmaxnorm",
        "radial_constraint",
        "radialconstraint",
        "nothing",
    ):
        error = raised(lambda: tf_keras.constraints.get(alias))
        listed.append(
            {
                "name": f"alias {alias}",
                "alias": alias,
                "error": error,
                "class_name": None if error else type(tf_keras.constraints.get(alias)).__name__,
            }
        )
    return listed


def content():
    return {
        "configs": configs(),
        "constructors": constructors(),
        "step_outcomes": steps(),
        "set_weights": set_weights(),
        "schedules": schedules(),
        "constraints": constraints(),
    }
