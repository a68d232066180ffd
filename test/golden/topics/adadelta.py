"""Adadelta: rho, epsilon, decay. Below 8 elements TensorFlow's rsqrt is 1/sqrt(x), and the bits agree."""

from topics.common import EXACT, RSQRT, grid, layouts, size

OPTIONS = {
    "defaults": {},
    "1.0": {"learning_rate": 1.0},
    "rho": {"learning_rate": 1.0, "rho": 0.5},
    "epsilon 0": {"learning_rate": 1.0, "epsilon": 0},
    "epsilon null": {"learning_rate": 1.0, "epsilon": None},
    "epsilon 1e-2": {"learning_rate": 1.0, "epsilon": 1e-2},
    "decay": {"learning_rate": 1.0, "decay": 0.25},
}


def dense_bound(config, shape):
    return EXACT if size(shape) < 8 else RSQRT


def sparse_bound(config, shape):
    return EXACT if size(shape[1:]) < 8 else RSQRT


def content():
    options = grid("Adadelta", OPTIONS, dense_bound, sparse_bound)
    return {"cases": options + layouts("Adadelta", {"learning_rate": 1.0}, dense_bound, sparse_bound)}
