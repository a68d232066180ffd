"""What Keras does with None for each argument of its optimizers, schedules, constraints and initializers.

"absent": the same results as without the argument; "refused": an exception, at the latest when it is used; "own": None
has a meaning of its own.
"""

import inspect

from recorder import np, tf, tf_keras

LEGACY = ("SGD", "Adam", "Adamax", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Ftrl")
SCHEDULES = {
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 3},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 3},
    "PiecewiseConstantDecay": {"boundaries": [2], "values": [0.1, 0.2]},
}
CONSTRAINTS = ("MaxNorm", "MinMaxNorm", "UnitNorm")
INITIALIZERS = (
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Orthogonal "
    "RandomNormal RandomUniform TruncatedNormal VarianceScaling"
).split()
KEYWORDS = ("clipnorm", "clipvalue", "global_clipnorm", "decay", "lr")


def parameters(make):
    return [key for key in inspect.signature(make).parameters if key not in ("self", "args", "kwargs")]


def stepped(make, config):
    opt, variable = make(**config), tf.Variable([1.0, 2.0])
    for _ in range(2):
        opt.apply_gradients([(tf.constant([0.1, 0.2]), variable)])
    return variable.numpy().tobytes()


def rates(make, config):
    return [float(make(**config)(tf.constant(float(step)))) for step in range(5)]


def constrained(make, config):
    return make(**config)(tf.constant([[1.0, 2.0], [3.0, 4.0]])).numpy().tobytes()


def initial(make, config):
    return make(**config)((2, 2)).numpy().tobytes()


def outcome(run, make, config, key):
    try:
        given = run(make, {**config, key: None})
    except Exception:  # noqa: BLE001: any exception is a result
        return "refused"
    return "absent" if given == run(make, config) else "own"


def family(name, run, module, configs, more=()):
    cases = []
    for class_name, config in configs.items():
        make = getattr(module, class_name)
        for key in dict.fromkeys((*parameters(make.__init__), *more)):
            # Without momentum nothing reads nesterov; without a seed nothing is the same twice.
            beside = {"momentum": 0.9} if key == "nesterov" else {}
            if name == "initializers" and key != "seed" and "seed" in parameters(make.__init__):
                beside = {"seed": 3}
            cases.append(
                {
                    "name": f"{class_name}.{key}",
                    "family": name,
                    "class_name": class_name,
                    "config": {**config, **beside},
                    "key": key,
                    "none": outcome(run, make, {**config, **beside}, key),
                }
            )
    return cases


def content():
    np.random.seed(0)
    return {
        "nones": [
            *family("optimizers", stepped, tf_keras.optimizers.legacy, {name: {} for name in LEGACY}, KEYWORDS),
            *family("schedules", rates, tf_keras.optimizers.schedules, SCHEDULES),
            *family("constraints", constrained, tf_keras.constraints, {name: {} for name in CONSTRAINTS}),
            *family("initializers", initial, tf_keras.initializers, {name: {} for name in INITIALIZERS}),
        ]
    }
