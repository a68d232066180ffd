"""Adam: betas, epsilon (0 and None become 1e-7), amsgrad, decay."""

from recorder import by_step, by_variable, dense, f32, nothing, np, trajectory
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


def zeros(rng, shape):
    return np.zeros(shape, f32)


def at_iteration(iterations):
    return lambda rng, weights, earlier: [np.int64(iterations), *weights[1:]]


def powers():
    """Steps at which libc's powf is not the nearest float32 to beta_2 ^ T.

    Variables that are zero until then show an ulp of the rate; a weight of ordinary size would hide it.
    """
    late = by_variable(A=dense(), B=by_step({30: dense()}, nothing))
    return [
        trajectory("900 steps", "Adam", {}, {"A": [2]}, steps=900),
        trajectory(
            "beta_2 0.997, a first gradient in step 31",
            "Adam",
            {"beta_2": 0.997},
            {"A": [2], "B": [8]},
            late,
            steps=31,
            initial=zeros,
        ),
        trajectory(
            "defaults, step 3606",
            "Adam",
            {},
            {"A": [8]},
            steps=2,
            initial=zeros,
            set_weights={1: at_iteration(3605)},
        ),
    ]


def content():
    cases = grid("Adam", OPTIONS) + layouts("Adam", {"learning_rate": 0.1})
    cases += prefixed("amsgrad", layouts("Adam", OPTIONS["amsgrad"]))
    return {"cases": cases + powers()}
