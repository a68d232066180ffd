"""Nadam: betas, epsilon, schedule_decay; a `decay` argument is thrown away."""

from topics.common import grid, layouts

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "betas": {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.95},
    "epsilon 0": {"learning_rate": 0.1, "epsilon": 0},
    "epsilon 1e-2": {"learning_rate": 0.1, "epsilon": 1e-2},
    "schedule_decay": {"learning_rate": 0.1, "schedule_decay": 0.5},
    "schedule_decay 1": {"learning_rate": 0.01, "schedule_decay": 1.0},
    "schedule_decay 0": {"learning_rate": 0.01, "schedule_decay": 0.0},
    "decay is discarded": {"learning_rate": 0.1, "decay": 0.5},
}


def content():
    return {"cases": grid("Nadam", OPTIONS) + layouts("Nadam", {"learning_rate": 0.1})}
