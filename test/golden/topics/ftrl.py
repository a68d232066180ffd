"""Ftrl: the three regularizers, beta, powers, the accumulator's initial value; `lr` is ignored."""

from topics.common import EXACT, POW, grid, layouts, prefixed, size

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "accumulator 1": {"learning_rate": 0.5, "initial_accumulator_value": 1.0},
    "l1": {"learning_rate": 0.1, "l1_regularization_strength": 0.5},
    "l2": {"learning_rate": 0.1, "l2_regularization_strength": 0.5},
    "l1, l2": {"learning_rate": 0.1, "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.1},
    "shrinkage": {"learning_rate": 0.1, "l2_shrinkage_regularization_strength": 0.05},
    "beta": {"learning_rate": 0.1, "beta": 0.2},
    "everything": {
        "learning_rate": 0.1,
        "l1_regularization_strength": 0.1,
        "l2_regularization_strength": 0.1,
        "l2_shrinkage_regularization_strength": 0.05,
        "beta": 0.2,
    },
    "decay": {"learning_rate": 0.1, "decay": 0.25, "beta": 0.1},
    "power 0": {"learning_rate": 0.1, "learning_rate_power": 0.0},
    "power -0.7": {"learning_rate": 0.1, "learning_rate_power": -0.7},
    "power -1": {"learning_rate": 0.1, "learning_rate_power": -1.0, "l1_regularization_strength": 0.1},
    "lr is ignored": {"learning_rate": 0.1, "lr": 5.0},
}


def dense_bound(config, shape):
    return EXACT if config.get("learning_rate_power", -0.5) == -0.5 or size(shape) < 8 else POW


def sparse_bound(config, shape):
    return EXACT if config.get("learning_rate_power", -0.5) == -0.5 or size(shape[1:]) < 8 else POW


def content():
    cases = grid("Ftrl", OPTIONS, dense_bound, sparse_bound)
    for label in ("0.1", "everything"):
        cases += prefixed(label, layouts("Ftrl", OPTIONS[label], dense_bound, sparse_bound))
    return {"cases": cases}
