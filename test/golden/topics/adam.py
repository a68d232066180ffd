"""Adam: betas, epsilon (0 and None become 1e-7), amsgrad, decay."""

from topics.common import grid, layouts, prefixed

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "betas": {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.95},
    "betas 0": {"learning_rate": 0.05, "beta_1": 0.0, "beta_2": 0.0},
    "epsilon 0": {"learning_rate": 0.1, "epsilon": 0},
    "epsilon null": {"learning_rate": 0.1, "epsilon": None},
    "epsilon 1e-2": {"learning_rate": 0.1, "epsilon": 1e-2},
    "amsgrad": {"learning_rate": 0.1, "amsgrad": True, "beta_2": 0.5},
    "decay": {"learning_rate": 0.1, "decay": 0.25},
    "amsgrad, decay": {"learning_rate": 0.2, "amsgrad": True, "beta_2": 0.9, "decay": 0.1},
}


def content():
    cases = grid("Adam", OPTIONS) + layouts("Adam", {"learning_rate": 0.1})
    cases += prefixed("amsgrad", layouts("Adam", OPTIONS["amsgrad"]))
    return {"cases": cases}
