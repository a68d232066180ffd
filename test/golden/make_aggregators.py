"""Writes aggregators/robust.json: how numpy and Flower's functions aggregate several clients' arrays.

Both get float64 arrays of the float32 numbers that clients send, so that a bound allows for our rounding alone.
Flower has no geometric median: this file has Weiszfeld's iteration in float64, run until it converges.
"""

import importlib.metadata
import os
import platform

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import numpy as np  # noqa: E402
from flwr.server.strategy import aggregate as flower  # noqa: E402

from encoding import HERE, b64, f32, machine, rng_of, write  # noqa: E402

SHAPES = {"dense/kernel": [7, 5], "dense/bias": [5], "scale": []}

EXACT = {"ulp": 0}
MEANS = {"relative": 1e-6, "why": "our mean is a float32 sum in the order of the contributions, then divided"}
POINT = {"relative": 2e-6, "why": "our points between iterations are float32"}


def sent(name, clients, hostile):
    """Arrays of clients around a common vector. The last `hostile` clients send its opposite, times a hundred."""
    rng = rng_of(name)
    common = {label: rng.standard_normal(shape) for label, shape in SHAPES.items()}
    spread = lambda: {label: f32(at + 0.3 * rng.standard_normal(at.shape)) for label, at in common.items()}
    honest = [spread() for _ in range(clients - hostile)]
    return honest + [{label: f32(-100 * at) for label, at in spread().items()} for _ in range(hostile)]


def as_results(contributions):
    return [([np.float64(one[label]) for label in SHAPES], 1) for one in contributions]


def flat(contributions):
    return np.array([np.concatenate([np.ravel(np.float64(one[label])) for label in SHAPES]) for one in contributions])


def split(vector):
    parts, at = [], 0
    for shape in SHAPES.values():
        size = int(np.prod(shape))
        parts.append(vector[at : at + size].reshape(shape))
        at += size
    return parts


def numpy_median(contributions, _weights):
    """In float32: the mean of the middle two is a float32 sum, halved."""
    return [np.median(np.array([one[label] for one in contributions]), axis=0) for label in SHAPES]


def flower_trimmed(ratio):
    return lambda contributions, _: flower.aggregate_trimmed_avg(as_results(contributions), ratio)


def flower_krum(byzantine, selected=0):
    return lambda contributions, _: flower.aggregate_krum(as_results(contributions), byzantine, selected)


def numpy_krum(byzantine):
    """The paper's definition, without Flower."""

    def krum(contributions, _):
        points = flat(contributions)
        squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        np.fill_diagonal(squares, np.inf)
        scores = np.sort(squares, axis=1)[:, : len(points) - byzantine - 2].sum(axis=1)
        return split(points[np.argmin(scores)])

    return krum


def weiszfeld(contributions, weights):
    points, weights = flat(contributions), np.float64(weights)
    center = np.median(points, axis=0)
    for _ in range(20000):
        factors = weights / np.maximum(np.linalg.norm(points - center, axis=1), 1e-12)
        moved = (factors[:, None] * points).sum(axis=0) / factors.sum()
        if np.array_equal(moved, center):
            break
        center = moved
    return split(center)


def case(name, reference, member, make, *, clients, hostile=0, weights=None, bound=EXACT):
    class_name, config = member
    contributions = sent(f"{class_name} {name}", clients, hostile)
    made = make(contributions, weights or [1] * clients)
    return {
        "name": f"{class_name}, {name}",
        "reference": reference,
        "aggregator": {"class_name": class_name, "config": config},
        "contributions": [{label: b64(one[label]) for label in SHAPES} for one in contributions],
        **({"weights": weights} if weights else {}),
        "expected": {label: b64(f32(value)) for label, value in zip(SHAPES, made)},
        "bound": bound,
    }


def robust():
    numpy = f"numpy {np.__version__}"
    of_flower = lambda function: f"flwr {importlib.metadata.version('flwr')}, aggregate.{function}"
    median = ("Median", {})
    trimmed = lambda ratio: ("TrimmedMean", {"trim_ratio": ratio})
    krum = lambda byzantine: ("Krum", {"byzantine": byzantine})
    multi = lambda byzantine, selected: ("MultiKrum", {"byzantine": byzantine, "selected": selected})
    exact = ("GeometricMedian", {"iterations": 1000, "tolerance": 0})
    trimming, choosing = of_flower("aggregate_trimmed_avg"), of_flower("aggregate_krum")
    own = f"{numpy}, Weiszfeld in make_aggregators.py"
    return [
        case("one client", f"{numpy}, median", median, numpy_median, clients=1),
        case("five", f"{numpy}, median", median, numpy_median, clients=5, hostile=1),
        case("ten", f"{numpy}, median", median, numpy_median, clients=10, hostile=3),
        case("a hundred", f"{numpy}, median", median, numpy_median, clients=100, hostile=20),
        case("a hundred and thirty", f"{numpy}, median", median, numpy_median, clients=130, hostile=20),
        case("none left out", trimming, trimmed(0), flower_trimmed(0), clients=4),
        case("a tenth of thirty", trimming, trimmed(0.1), flower_trimmed(0.1), clients=30, hostile=2),
        case("29 of a hundred", trimming, trimmed(0.29), flower_trimmed(0.29), clients=100, hostile=20),
        case("two hostile of nine", choosing, krum(2), flower_krum(2), clients=9, hostile=2),
        case("nobody hostile", choosing, krum(0), flower_krum(0), clients=5),
        case("by the definition", f"{numpy}, Krum in make_aggregators.py", krum(3), numpy_krum(3), clients=12, hostile=3),
        case("three of nine", choosing, multi(2, 3), flower_krum(2, 3), clients=9, hostile=2, bound=MEANS),
        case("all but four of twelve", choosing, multi(2, None), flower_krum(2, 8), clients=12, hostile=2, bound=MEANS),
        case("six alike", own, exact, weiszfeld, clients=6, bound=POINT),
        case("three hostile of ten", own, exact, weiszfeld, clients=10, hostile=3, bound=POINT),
        case(
            "by weight",
            own,
            exact,
            weiszfeld,
            clients=8,
            hostile=3,
            weights=[600, 37, 215, 4, 150, 80.5, 20, 90],
            bound=POINT,
        ),
    ]


if __name__ == "__main__":
    (HERE / "aggregators").mkdir(exist_ok=True)
    made_by = {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("flwr", "numpy")},
        **machine(),
    }
    write("aggregators/robust", made_by, {"cases": robust()})
