"""Adagrad: the accumulator's initial value, epsilon, decay."""

from topics.common import grid, layouts

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "accumulator 0": {"learning_rate": 0.1, "initial_accumulator_value": 0.0},
    "accumulator 1": {"learning_rate": 0.5, "initial_accumulator_value": 1.0},
    "epsilon 0": {"learning_rate": 0.1, "epsilon": 0},
    "epsilon null": {"learning_rate": 0.1, "epsilon": None},
    "epsilon 1e-2": {"learning_rate": 0.1, "epsilon": 1e-2},
    "decay": {"learning_rate": 0.1, "decay": 0.25},
}


def content():
    return {"cases": grid("Adagrad", OPTIONS) + layouts("Adagrad", {"learning_rate": 0.1})}
