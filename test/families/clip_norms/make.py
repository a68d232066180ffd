"""Bounds that AdaptiveQuantile gives after each step, as float32 arithmetic in numpy computes them.

The arithmetic is that of TensorFlow Privacy's QuantileEstimatorQuery with geometric update, without noise: shares are
means of indicators that are shifted by a half. The exponential is rounded from float64, which is correctly rounded in
all but a few of 2^32 cases.

    python make.py > bounds.json
"""

import json
import platform

import numpy as np

F = np.float32


def bounds(norms, initial, target, rate, expected):
    """The bound before each step, and after the last one."""
    bound = F(initial)
    found = [float(bound)]
    for step in norms:
        shifted = F(sum(0.5 if F(norm) <= bound else -0.5 for norm in step))
        share = F(shifted / F(expected or len(step))) + F(0.5)
        held = min(F(1), max(F(0), share))
        update = F(rate) * (held - F(target))
        bound = bound * F(np.exp(np.float64(-update)))
        found.append(float(bound))
    return found


def main():
    random = np.random.default_rng(2021)
    cases = []
    for initial, target, rate, expected, scale in [
        (0.1, 0.5, 0.2, None, 1.0),
        (0.1, 0.5, 0.2, 100, 1.0),
        (10.0, 0.9, 0.5, None, 0.01),
        (1.0, 0.0, 0.2, None, 3.0),
        (1.0, 1.0, 1.0, None, 1000.0),
        (2.0, 0.25, 0.0, 7, 2.0),
        (1e-6, 0.5, 3.0, None, 1e4),
    ]:
        norms = [
            [float(F(scale * abs(random.standard_normal()))) for _ in range(random.integers(1, 12))]
            for _ in range(40)
        ]
        cases.append({
            "config": {
                "initial_l2_norm_clip": initial,
                "target_unclipped_quantile": target,
                "learning_rate": rate,
                "expected_num_records": expected,
            },
            "norms": norms,
            "bounds": bounds(norms, initial, target, rate, expected),
        })
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    print(json.dumps({"versions": versions, "cases": cases}))


main()
