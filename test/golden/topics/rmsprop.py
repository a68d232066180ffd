"""RMSprop: its four rules (dense or sparse, with momentum or without), centered, epsilon, decay."""

from topics.common import EXACT, RSQRT, grid, layouts, prefixed, size

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "rho": {"learning_rate": 0.05, "rho": 0.5},
    "centered": {"learning_rate": 0.1, "centered": True},
    "momentum": {"learning_rate": 0.1, "momentum": 0.9},
    "momentum, centered": {"learning_rate": 0.1, "momentum": 0.9, "centered": True},
    "momentum, rho": {"learning_rate": 0.05, "momentum": 0.5, "rho": 0.5},
    "epsilon 0": {"learning_rate": 0.1, "epsilon": 0},
    "epsilon null": {"learning_rate": 0.1, "epsilon": None, "momentum": 0.9},
    "epsilon 1e-2": {"learning_rate": 0.1, "epsilon": 1e-2},
    "epsilon 1e-2, momentum": {"learning_rate": 0.1, "epsilon": 1e-2, "momentum": 0.9},
    "epsilon 1e-2, momentum, centered": {
        "learning_rate": 0.1,
        "epsilon": 1e-2,
        "momentum": 0.9,
        "centered": True,
    },
    "decay": {"learning_rate": 0.1, "decay": 0.25},
    "decay, momentum": {"learning_rate": 0.1, "decay": 0.25, "momentum": 0.9},
}


def sparse_bound(config, shape):
    return RSQRT if config.get("momentum") and size(shape[1:]) >= 8 else EXACT


def content():
    cases = grid("RMSprop", OPTIONS, sparse_bound=sparse_bound)
    for label in ("0.1", "momentum", "centered", "momentum, centered"):
        cases += prefixed(label, layouts("RMSprop", OPTIONS[label], sparse_bound=sparse_bound))
    return {"cases": cases}
