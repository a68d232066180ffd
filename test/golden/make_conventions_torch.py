"""Writes conventions/torch.json: trajectories of torch.optim in float32 on a CPU. Needs requirements_torch.txt."""

import platform

import numpy as np
import torch

from encoding import machine, write
from trajectory import ROWS, gradient, initial, record, sparse_gradient

BOUND = 2e-6
# The names in state_dict, but for `sum`, which is a function of formulas.
SLOTS = {"sum": "state_sum"}
EPS = {"eps": 0.01}
DECAY = {"weight_decay": 0.05}

CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, **DECAY},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, **DECAY},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    "Adam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": [0.8, 0.95], **EPS, **DECAY, "amsgrad": True},
        {"lr": 0.02, **DECAY, "decoupled_weight_decay": True, "maximize": True},
    ],
    "AdamW": [{"lr": 0.02}, {"lr": 0.02, **EPS, "weight_decay": 0.1, "amsgrad": True}],
    "NAdam": [
        {"lr": 0.02},
        {"lr": 0.02, **EPS, **DECAY, "momentum_decay": 0.1},
        {"lr": 0.02, **DECAY, "decoupled_weight_decay": True},
    ],
    "RAdam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": [0.8, 0.9], **EPS, **DECAY},
        {"lr": 0.02, **DECAY, "decoupled_weight_decay": True},
    ],
    "Adamax": [{"lr": 0.02}, {"lr": 0.02, **EPS, **DECAY}],
    "Adagrad": [
        {"lr": 0.1},
        {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, **EPS, **DECAY},
    ],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.8, **EPS, **DECAY}],
    "RMSprop": [
        {},
        {"alpha": 0.9, **EPS, **DECAY, "centered": True},
        {"momentum": 0.9, **EPS},
        {"momentum": 0.9, "centered": True, **EPS},
    ],
    "Rprop": [{}, {"lr": 0.1, "etas": [0.6, 1.5], "step_sizes": [0.01, 0.5]}],
    "ASGD": [{}, {"lr": 0.1, "lambd": 0.1, "t0": 5, **DECAY}],
}
# PyTorch's Adam takes no sparse gradients; SparseAdam is its rule for them.
SPARSE = [
    ("SGD", "SGD", {"lr": 0.1}),
    ("SGD", "SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", "Adagrad", {"lr": 0.1}),
    ("Adam", "SparseAdam", {"lr": 0.02}),
]


class OfTorch:
    def __init__(self, class_name, config, sparse):
        self.sparse = sparse
        self.variable = torch.nn.Parameter(torch.from_numpy(initial(ROWS) if sparse else initial()))
        self.optimizer = getattr(torch.optim, class_name)([self.variable], **config)

    def step(self, n):
        if self.sparse:
            rows, values = sparse_gradient(n)
            self.variable.grad = torch.sparse_coo_tensor([rows], torch.from_numpy(values), ROWS)
        else:
            self.variable.grad = torch.from_numpy(gradient(n))
        self.optimizer.step()

    def values(self):
        return self.variable.detach().numpy().copy()

    def slots(self):
        state = self.optimizer.state_dict()["state"].get(0, {})
        found = {}
        for name, held in state.items():
            if torch.is_tensor(held) and held.shape == self.variable.shape:
                dense = held.to_dense() if held.is_sparse else held
                found[SLOTS.get(name, name)] = dense.numpy().copy()
        return found


def title(class_name, config):
    return class_name + " " + ", ".join(f"{key} {value}" for key, value in config.items())


def main():
    torch.set_num_threads(1)
    cases = []
    for class_name, configs in CASES.items():
        for config in configs:
            optimizer = {"module": "torch.optim", "class_name": class_name, "config": config}
            cases.append({
                "name": title(class_name, config),
                "optimizer": optimizer,
                **record(OfTorch(class_name, config, False)),
            })
    for ours, theirs, config in SPARSE:
        optimizer = {"module": "torch.optim", "class_name": ours, "config": config}
        cases.append({
            "name": f"{title(theirs, config)}, sparse",
            "optimizer": optimizer,
            **record(OfTorch(theirs, config, True), sparse=True),
        })
    made_by = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        **machine(),
    }
    write("conventions/torch", made_by, {"bound": BOUND, "slots_bound": BOUND, "cases": cases})


main()
