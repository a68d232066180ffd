"""Runs one trajectory with tf_keras legacy optimizers on TensorFlow's CPU kernels and records the results.

Not a test, and computes nothing itself: every number in `expected` is TensorFlow's. Invariant: a case holds everything
that is needed to replay it (README.md describes the format), and the same call gives the same bytes.
"""

import os

# Set before TensorFlow is loaded: plain Eigen kernels on the calling thread, so that timing splits no work.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402

from encoding import b64, f32, rng_of  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

EXACT = {"ulp": 0}
ABSENT = object()


def is_member(value):
    return isinstance(value, dict) and "class_name" in value


def schedule(member):
    return getattr(tf_keras.optimizers.schedules, member["class_name"])(**member["config"])


def constraint(member):
    return getattr(tf_keras.constraints, member["class_name"])(**member["config"])


def optimizer(class_name, config):
    """A legacy optimizer from its constructor arguments. A schedule is written {class_name, config}."""
    arguments = {key: schedule(value) if is_member(value) else value for key, value in config.items()}
    return getattr(tf_keras.optimizers.legacy, class_name)(**arguments)


def plain(value):
    """Any value of get_config() as JSON. A float32 hyperparameter becomes its exact double."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, str, int, float)) or value is None:
        return value
    return plain(np.asarray(value).item())


def learning_rate(opt):
    """The learning rate of the next step, after schedule and decay. Nadam's config key `decay` is no decay."""
    if isinstance(opt, tf_keras.optimizers.legacy.Nadam):
        return float(tf.cast(opt._get_hyper("learning_rate"), tf.float32))
    return float(opt._decayed_lr(tf.float32))


def weights(opt, variables):
    """`opt.weights` in its order, each with the name that Stepwell gives it."""
    listed = []
    for weight in opt.weights:
        if weight is opt._iterations:
            listed.append({"name": "iter", "value": int(weight)})
        elif weight is getattr(opt, "_m_cache", None):
            listed.append({"name": "momentum_cache", "value": float(weight)})
        else:
            owner, slot = next(
                (name, slot)
                for name, variable in variables.items()
                for slot in opt.get_slot_names()
                if opt._slots.get(variable._unique_id, {}).get(slot) is weight
            )
            listed.append({"variable": owner, "slot": slot, "values": b64(weight)})
    return listed


def normal(scale=1.0):
    return lambda rng, shape: (rng.standard_normal(shape) * scale).astype(f32)


def eighths(rng, shape):
    """Multiples of 1/8 in [-3, 3]: sums of their squares are exact in float32 in any order."""
    return (rng.integers(-24, 25, shape) / 8).astype(f32)


def dense(values=None):
    """A plan that gives every variable a dense gradient at every step."""
    make = values or normal()
    return lambda rng, step, name, shape: make(rng, tuple(shape))


def sparse(rows, values=None):
    """A plan that gives `rows` stored rows with random indices; with more than one row, one index comes twice."""
    make = values or normal()

    def plan(rng, step, name, shape):
        indices = rng.integers(0, shape[0], rows)
        if rows > 1:
            indices[-1] = indices[0]
        return indices.tolist(), make(rng, (rows, *shape[1:]))

    return plan


def by_variable(**plans):
    """A plan for each variable. A name that is not listed gets no gradient."""
    return lambda rng, step, name, shape: plans[name](rng, step, name, shape) if name in plans else ABSENT


def by_step(plans, default):
    """A different plan at some steps (counted from 0)."""
    return lambda rng, step, name, shape: plans.get(step, default)(rng, step, name, shape)


def nothing(rng, step, name, shape):
    return None


def absent(rng, step, name, shape):
    return ABSENT


def trajectory(
    name,
    class_name,
    config,
    variables,
    plan=None,
    *,
    steps=6,
    bound=EXACT,
    patches=None,
    set_weights=None,
    order=None,
    initial=None,
    every_step=False,
    aggregate=None,
    needs=None,
):
    """One case. `variables`: name → shape, or (shape, constraint). `patches`: step → hyperparameters set before it.

    `set_weights`: step → function of (rng, get_weights() so far, earlier get_weights()) that gives the new list.
    """
    tf_keras.backend.clear_session()
    rng = rng_of(f"{class_name}/{name}")
    plan = plan or dense()
    make_initial = initial or normal()
    opt = optimizer(class_name, config)
    case = {
        "name": name,
        "optimizer": {"class_name": class_name, "config": config},
        "variables": [],
        "steps": [],
    }
    live = {}
    for label, given in variables.items():
        shape, rule = given if isinstance(given, tuple) else (given, None)
        start = np.asarray(make_initial(rng, tuple(shape)), dtype=f32).reshape(shape)
        entry = {"name": label, "shape": list(shape), "initial": b64(start)}
        if rule:
            entry["constraint"] = rule
        case["variables"].append(entry)
        live[label] = tf.Variable(start, name=label, constraint=constraint(rule) if rule else None)

    rates, after, earlier = [], [], []
    for step in range(steps):
        entry, pairs = {"gradients": {}}, []
        if step in (patches or {}):
            entry["patch"] = patches[step]
            for key, value in patches[step].items():
                setattr(opt, key, schedule(value) if is_member(value) else value)
        if step in (set_weights or {}):
            new = set_weights[step](rng, opt.get_weights(), earlier)
            opt.set_weights(new)
            entry["set_weights"] = [
                int(w) if np.asarray(w).dtype == np.int64 else {"shape": list(w.shape), "values": b64(w)}
                for w in new
            ]
        for label in order(step) if order else live:
            variable = live[label]
            gradient = plan(rng, step, label, list(variable.shape))
            if gradient is ABSENT:
                continue
            if gradient is None:
                entry["gradients"][label] = None
                pairs.append((None, variable))
            elif isinstance(gradient, tuple):
                indices, rows = gradient
                rows = np.asarray(rows, dtype=f32).reshape((len(indices), *variable.shape[1:]))
                entry["gradients"][label] = {
                    "indices": list(indices),
                    "rows": len(indices),
                    "values": b64(rows),
                }
                sparse_rows = tf.IndexedSlices(
                    tf.constant(rows),
                    tf.constant(indices, dtype=tf.int64),
                    tf.constant(variable.shape, tf.int64),
                )
                pairs.append((sparse_rows, variable))
            else:
                gradient = np.asarray(gradient, dtype=f32).reshape(variable.shape)
                entry["gradients"][label] = {"dense": b64(gradient)}
                pairs.append((tf.constant(gradient), variable))
        rates.append(learning_rate(opt))
        keywords = {}
        if aggregate is not None:
            entry["aggregate"] = keywords["experimental_aggregate_gradients"] = aggregate
        opt.apply_gradients(pairs, **keywords)
        case["steps"].append(entry)
        earlier.append(opt.get_weights())
        if step == 0 or every_step or step == steps - 1:
            after.append({"step": step + 1, "variables": {label: b64(v) for label, v in live.items()}})

    case["expected"] = {
        "after": after,
        "weights": weights(opt, live),
        "slot_names": list(opt.get_slot_names()),
        "iterations": int(opt.iterations),
        "learning_rates": rates,
        "config": plain(opt.get_config()),
    }
    if needs:
        case["needs"] = needs
    case["bound"] = bound
    return case
