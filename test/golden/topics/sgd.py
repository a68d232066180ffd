"""SGD: plain, momentum, Nesterov."""

from topics.common import grid, layouts, prefixed

OPTIONS = {
    "defaults": {},
    "0.1": {"learning_rate": 0.1},
    "decay": {"learning_rate": 0.1, "decay": 0.5},
    "nesterov without momentum": {"learning_rate": 0.1, "nesterov": True},
    "momentum": {"learning_rate": 0.1, "momentum": 0.9},
    "momentum, decay": {"learning_rate": 0.05, "momentum": 0.5, "decay": 0.01},
    "nesterov": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "momentum 1": {"learning_rate": 0.01, "momentum": 1.0},
    "learning rate 0": {"learning_rate": 0.0, "momentum": 0.9},
    "negative learning rate": {"learning_rate": -0.1},
}


def content():
    cases = grid("SGD", OPTIONS)
    for label, config in (("plain", {"learning_rate": 0.1}), ("momentum", OPTIONS["momentum"])):
        cases += prefixed(label, layouts("SGD", config))
    return {"cases": cases}
