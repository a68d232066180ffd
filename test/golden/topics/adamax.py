"""Adamax: betas, epsilon, decay."""

from topics.common import grid, layouts

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "betas": {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.95},
    "epsilon 0": {"learning_rate": 0.1, "epsilon": 0},
    "epsilon null": {"learning_rate": 0.1, "epsilon": None},
    "epsilon 1e-2": {"learning_rate": 0.1, "epsilon": 1e-2},
    "decay": {"learning_rate": 0.1, "decay": 0.25},
}


def content():
    return {"cases": grid("Adamax", OPTIONS) + layouts("Adamax", {"learning_rate": 0.1})}
