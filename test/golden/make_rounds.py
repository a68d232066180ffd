"""Writes rounds/*.json: how Flower's strategies aggregate several clients' weights, round by round.

Flower gets float64 arrays (of the float32 numbers that clients send), so that it computes in float64 throughout: a bound
allows for the service's rounding, not Flower's. Each case has the spec of the equivalent run, and says where Flower's
rule has another form.
"""

import importlib.metadata
import logging
import os
import platform

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import numpy as np  # noqa: E402
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays  # noqa: E402
from flwr.server import strategy as strategies  # noqa: E402

from encoding import HERE, b64, f32, machine, rng_of, write  # noqa: E402

SHAPES = {"dense/kernel": [5, 3], "dense/bias": [3]}
EXAMPLES = [600, 37, 215, 4, 150]
DIFFERENCES = {
    "FedAvg": "the weighted mean of the clients' weights: one step of SGD at rate 1 over w - weights",
    "FedAvgM": "PyTorch's form, a = momentum * a + g; w = w - rate * a: with a rate that stays, Keras' a times -rate. "
    "Rounds are counted from 1: Flower sets the momentum anew in every round up to that one",
    "FedAdam": "bias correction with the exponent server_round + 1, which Keras has in its first step as 1: rounds are "
    "counted from 0. Flower's own server counts from 1, so its first step is 1.2 to 1.4 times smaller than Keras'. "
    "tau outside the root and not bias-corrected; both moments start at 0, not at the paper's tau^2",
    "FedYogi": "no bias correction; tau outside the root; the second moment starts at 0 (the paper: at least tau^2), "
    "unless the case sets it",
    "FedAdagrad": "no momentum; tau outside the root; the accumulator starts at 0 (the paper: at least tau^2), unless "
    "the case sets it",
    "FedMedian": "the median of each element, numbers of examples left aside; of an even number the mean of the two in "
    "the middle",
    "FedTrimmedAvg": "of each element the floor(beta * n) least and as many greatest left out, then the plain mean",
    "Krum": "Flower's Krum scores a client by its n - f - 2 nearest others, squared distances over all variables",
    "MultiKrum": "the clients with the best scores, averaged by number of examples: here all have the same number",
}


def locally_trained(start, optimum, curvature):
    """Four steps of SGD on the client's own loss, half curvature * (w - optimum)^2, in float32."""
    weights = f32(start)
    for _ in range(4):
        weights = weights - f32(0.1) * curvature * (weights - optimum)
    return weights


class Client:
    """`common`: the centre of the clients' optima, far from where the server starts."""

    def __init__(self, rng, name, examples, common):
        self.name = name
        self.examples = examples
        self.optimum = {label: f32(at + 0.5 * rng.standard_normal(at.shape)) for label, at in common.items()}
        self.curvature = {label: f32(rng.uniform(0.2, 2, at.shape)) for label, at in common.items()}

    def fit(self, server):
        return {label: locally_trained(server[label], self.optimum[label], self.curvature[label]) for label in SHAPES}


class Hostile(Client):
    """Sends the server's weights, moved the wrong way and a thousand times too far."""

    def fit(self, server):
        honest = super().fit(server)
        return {label: f32(server[label] - 1000 * (honest[label] - server[label])) for label in SHAPES}


def as_result(weights, examples):
    arrays = [np.float64(weights[label]) for label in SHAPES]
    return (None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(arrays), examples, {}))


def slots_of(strategy, run):
    """Flower's moments are of the difference new minus old, which is the gradient with the other sign."""
    class_name, config = run["optimizer"]["class_name"], run["optimizer"]["config"]
    held = {}
    if class_name == "SGD" and config.get("momentum"):
        held["momentum"] = [-config["learning_rate"] * a for a in strategy.momentum_vector]
    if class_name in ("Adam", "Yogi"):
        held["m"] = [-m for m in strategy.m_t]
        held["v"] = strategy.v_t
    if class_name == "Adagrad":
        held["accumulator"] = strategy.v_t
    return {slot: {label: b64(value) for label, value in zip(SHAPES, values)} for slot, values in held.items()}


def case(
    name, strategy, arguments, optimizer, aggregator, *, bound, rounds=6, examples=EXAMPLES, hostile=0, accumulator=0
):
    """`accumulator`: the value of Flower's second moment before the first round."""
    rng = rng_of(f"rounds/{strategy}/{name}")
    common = {label: rng.choice([-4, 4], shape) for label, shape in SHAPES.items()}
    clients = [
        (Hostile if index < hostile else Client)(rng, f"client-{index}", number, common)
        for index, number in enumerate(examples)
    ]
    server = {label: np.float64(f32(rng.uniform(-1, 1, shape))) for label, shape in SHAPES.items()}
    initial = server
    flower = getattr(strategies, strategy.replace("MultiKrum", "Krum"))(
        initial_parameters=ndarrays_to_parameters(list(server.values())), **arguments
    )
    if accumulator:
        flower.v_t = [np.full(shape, accumulator) for shape in SHAPES.values()]
    first = 0 if strategy == "FedAdam" else 1
    run = {
        "optimizer": optimizer,
        "aggregation": {"mode": "round", "quorum": len(clients), "payload": "weights", "aggregator": aggregator},
    }
    entries = []
    for number in range(first, first + rounds):
        sent = [client.fit(server) for client in clients]
        results = [as_result(weights, client.examples) for weights, client in zip(sent, clients)]
        new, _ = flower.aggregate_fit(number, results, [])
        server = dict(zip(SHAPES, parameters_to_ndarrays(new)))
        assert all(value.dtype == np.float64 for value in server.values())
        entries.append(
            {
                "contributions": [
                    {
                        "client_id": client.name,
                        "weight": client.examples,
                        "weights": {label: b64(values) for label, values in weights.items()},
                    }
                    for client, weights in zip(clients, sent)
                ],
                "after": {label: b64(values) for label, values in server.items()},
            }
        )
    return {
        "name": f"{strategy}, {name}",
        "reference": f"flwr {importlib.metadata.version('flwr')}, flwr.server.strategy.{type(flower).__name__}",
        "arguments": arguments,
        "first_server_round": first,
        "difference": DIFFERENCES[strategy],
        "run": run,
        "variables": [
            {"name": label, "shape": shape, "initial": b64(initial[label])} for label, shape in SHAPES.items()
        ],
        "rounds": entries,
        "slots": slots_of(flower, run),
        "bound": bound,
    }


def member(class_name, **config):
    return {"class_name": class_name, "config": config}


WEIGHTED = member("WeightedMean")
SGD = member("SGD", learning_rate=1.0)
MEANS = {
    "relative": 4e-7,
    "why": "about six roundings to float32 of 6e-8 each (differences, products, sum, mean, step), against float64. "
    "Seen: 2.3e-7 with forty clients, otherwise 1.9e-7",
}
ADAPTIVE = {
    "relative": 4e-7,
    "slots_relative": 3e-6,
    "why": "as for the means; 1 - beta of a float32 beta is up to 1e-6 off, which mostly cancels in the step. Deltas stay "
    "far above tau: otherwise recorded weights, which answer Flower's server and not ours, drive the two apart. "
    "Seen: 1.8e-7, slots 1.0e-6",
}
CHOICES = {"relative": 1.3e-7, "why": "w - (w - x) is x but for two roundings of 6e-8; seen: 5.5e-8"}


def optimizers():
    far_apart = [10_000, 1, 100, 3, 1000]
    cases = [
        case("five clients", "FedAvg", {}, SGD, WEIGHTED, bound=MEANS),
        case("weights far apart", "FedAvg", {}, SGD, WEIGHTED, bound=MEANS, examples=far_apart),
        case("one client", "FedAvg", {}, SGD, WEIGHTED, bound=MEANS, examples=[12]),
        case("ten rounds of forty clients", "FedAvg", {}, SGD, WEIGHTED, bound=MEANS, rounds=10, examples=EXAMPLES * 8),
    ]
    momenta = (("momentum 0.9", 1.0, 0.9), ("momentum 0.5, rate 0.3", 0.3, 0.5), ("rate 0.5", 0.5, 0.0))
    for name, rate, momentum in momenta:
        given = {"server_learning_rate": rate, "server_momentum": momentum}
        server = member("SGD", learning_rate=rate, momentum=momentum)
        cases.append(case(name, "FedAvgM", given, server, WEIGHTED, bound={**MEANS, "slots_relative": 1e-6}))

    reddi, other = {"beta_1": 0.9, "beta_2": 0.99}, {"beta_1": 0.8, "beta_2": 0.95}
    for strategy, class_name, sets in (
        ("FedAdam", "Adam", ((0.1, 1e-3, reddi), (0.3, 0.01, other))),
        ("FedYogi", "Yogi", ((0.01, 1e-3, reddi), (0.1, 0.01, other))),
        ("FedAdagrad", "Adagrad", ((0.1, 1e-3, {}), (0.03, 0.01, {}))),
    ):
        for eta, tau, betas in sets:
            given = {"eta": eta, "tau": tau, **betas}
            config = {"learning_rate": eta, "epsilon": tau, **betas}
            if class_name == "Adam":
                server = member(class_name, **config)
                cases.append(case(f"tau {tau:g}", strategy, given, server, WEIGHTED, bound=ADAPTIVE))
                continue
            for start in (0.0, tau * tau) + ((9.0,) if class_name == "Yogi" else ()):
                server = member(class_name, **config, initial_accumulator_value=start)
                name = f"tau {tau:g}, accumulator {start:g}"
                cases.append(case(name, strategy, given, server, WEIGHTED, bound=ADAPTIVE, accumulator=start))
    return cases


def robust():
    seven = [10, 20, 30, 40, 50, 60, 70]
    trimmed = lambda beta: member("TrimmedMean", trim_ratio=beta)
    krum = lambda hostile: member("Krum", byzantine=hostile)
    return [
        case("five clients", "FedMedian", {}, SGD, member("Median"), bound=CHOICES),
        case(
            "six clients, one hostile",
            "FedMedian",
            {},
            SGD,
            member("Median"),
            bound=CHOICES,
            examples=seven[:6],
            hostile=1,
        ),
        case("a fifth of five", "FedTrimmedAvg", {"beta": 0.2}, SGD, trimmed(0.2), bound=MEANS),
        case(
            "three tenths of seven, two hostile",
            "FedTrimmedAvg",
            {"beta": 0.3},
            SGD,
            trimmed(0.3),
            bound=MEANS,
            examples=seven,
            hostile=2,
        ),
        case("five clients", "Krum", {"num_malicious_clients": 1}, SGD, krum(1), bound=CHOICES),
        case(
            "seven clients, two hostile",
            "Krum",
            {"num_malicious_clients": 2},
            SGD,
            krum(2),
            bound=CHOICES,
            examples=seven,
            hostile=2,
        ),
        case(
            "three of seven, two hostile",
            "MultiKrum",
            {"num_malicious_clients": 2, "num_clients_to_keep": 3},
            SGD,
            member("MultiKrum", byzantine=2, selected=3),
            bound=MEANS,
            examples=[25] * 7,
            hostile=2,
        ),
    ]


if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.ERROR)
    (HERE / "rounds").mkdir(exist_ok=True)
    made_by = {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("flwr", "numpy")},
        **machine(),
    }
    write("rounds/optimizers", made_by, {"cases": optimizers()})
    write("rounds/robust", made_by, {"cases": robust()})
