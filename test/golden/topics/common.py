"""Shapes, plans and bounds that the optimizers' topics share."""

from recorder import EXACT, by_variable, dense, normal, np, nothing, sparse, trajectory

RSQRT = {
    "relative": 2e-6,
    "why": "TensorFlow approximates rsqrt on whole groups of 8 elements (AVX packets); 1/sqrt(x) is wanted here",
}
POW = {
    "relative": 2e-5,
    "why": "TensorFlow's x^p on whole groups of 8 elements is a packet approximation; Ftrl differences amplify it",
}
NORM = {
    "relative": 5e-6,
    "why": "TensorFlow adds a norm's squares in packets of 8; another order may differ by an ulp, cancellation adds to it",
}

DENSE_SHAPES = ([], [1], [3], [7], [8], [17], [5, 3], [4, 8], [33], [67], [3, 5, 2], [2, 3, 3, 2], [1, 1])
SPARSE_SHAPES = ([10, 6], [12], [5, 1], [6, 8], [4, 3, 3], [7, 17])
ROW_LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 23, 31, 33, 47, 67)


def size(shape):
    return int(np.prod(shape, dtype=int))


def show(shape):
    return "x".join(str(n) for n in shape) or "scalar"


def worst(*bounds):
    """The bound of a case that uses several kernels."""
    return max(bounds, key=lambda bound: bound.get("relative", 0.0))


def prefixed(prefix, cases):
    return [{**case, "name": f"{prefix}: {case['name']}"} for case in cases]


def grid(
    class_name, options, dense_bound=lambda config, shape: EXACT, sparse_bound=lambda config, shape: EXACT
):
    """Every option dense (two shapes in turn, and several variables) and sparse (two shapes in turn, and mixed)."""
    cases = []
    for turn, (label, config) in enumerate(options.items()):
        shapes = [DENSE_SHAPES[(2 * turn + i) % len(DENSE_SHAPES)] for i in range(2)]
        for shape in shapes:
            cases.append(
                trajectory(
                    f"{label}, dense {show(shape)}",
                    class_name,
                    config,
                    {"A": shape},
                    steps=8,
                    bound=dense_bound(config, shape),
                )
            )
        several = {"A": [5, 3], "B": [3], "C": []}
        cases.append(
            trajectory(
                f"{label}, dense, three variables",
                class_name,
                config,
                several,
                steps=4,
                bound=dense_bound(config, [5, 3]),
            )
        )
        for i in range(2):
            shape = SPARSE_SHAPES[(2 * turn + i) % len(SPARSE_SHAPES)]
            cases.append(
                trajectory(
                    f"{label}, sparse {show(shape)}",
                    class_name,
                    config,
                    {"A": shape},
                    sparse(4 + i),
                    steps=6,
                    bound=sparse_bound(config, shape),
                )
            )
        mixed = by_variable(A=dense(), B=sparse(3), C=dense())
        cases.append(
            trajectory(
                f"{label}, dense and sparse in one step",
                class_name,
                config,
                {"A": [2, 3], "B": [5, 4], "C": [3]},
                mixed,
                steps=5,
                bound=worst(dense_bound(config, [2, 3]), sparse_bound(config, [5, 4])),
            )
        )
    return cases


def layouts(
    class_name, config, dense_bound=lambda config, shape: EXACT, sparse_bound=lambda config, shape: EXACT
):
    """Cases that do not depend on options: every shape, row lengths in steps, missing gradients, late variables."""
    several = {"A": [5, 3], "B": [4]}
    cases = []
    for shape in DENSE_SHAPES:
        cases.append(
            trajectory(
                f"dense {show(shape)}",
                class_name,
                config,
                {"A": shape},
                steps=4,
                bound=dense_bound(config, shape),
            )
        )
    for shape in SPARSE_SHAPES:
        cases.append(
            trajectory(
                f"sparse {show(shape)}",
                class_name,
                config,
                {"A": shape},
                sparse(5),
                steps=4,
                bound=sparse_bound(config, shape),
            )
        )
    ladder = {f"r{n}": [2, n] for n in ROW_LENGTHS}
    cases.append(
        trajectory(
            "row lengths 1 to 67, sparse",
            class_name,
            config,
            ladder,
            sparse(2),
            steps=2,
            bound=sparse_bound(config, [2, 67]),
        )
    )
    empty = lambda rng, step, name, shape: (
        ([], np.zeros((0, *shape[1:]))) if step in (1, 3) else sparse(3)(rng, step, name, shape)
    )
    cases.append(
        trajectory(
            "an empty list of indices in steps 2 and 4",
            class_name,
            config,
            {"A": [5, 3]},
            empty,
            steps=5,
            every_step=True,
            bound=sparse_bound(config, [5, 3]),
        )
    )
    first_empty = lambda rng, step, name, shape: (
        ([], np.zeros((0, *shape[1:]))) if step == 0 else sparse(3)(rng, step, name, shape)
    )
    cases.append(
        trajectory(
            "an empty list of indices in the first step",
            class_name,
            config,
            {"A": [5, 3]},
            first_empty,
            steps=3,
            every_step=True,
            bound=sparse_bound(config, [5, 3]),
        )
    )
    same = lambda rng, step, name, shape: ([2, 2, 2, 0, 2], normal()(rng, (5, *shape[1:])))
    cases.append(
        trajectory(
            "one index four times",
            class_name,
            config,
            {"A": [4, 5]},
            same,
            steps=4,
            bound=sparse_bound(config, [4, 5]),
        )
    )
    swap = lambda rng, step, name, shape: (dense() if step % 2 else sparse(3))(rng, step, name, shape)
    cases.append(
        trajectory(
            "sparse and dense in turn",
            class_name,
            config,
            {"A": [4, 5]},
            swap,
            steps=6,
            bound=worst(dense_bound(config, [4, 5]), sparse_bound(config, [4, 5])),
        )
    )
    holes = lambda rng, step, name, shape: (
        nothing(rng, step, name, shape)
        if (name, step % 3) in (("A", 1), ("B", 2))
        else dense()(rng, step, name, shape)
    )
    cases.append(
        trajectory(
            "null gradients in some steps",
            class_name,
            config,
            several,
            holes,
            steps=6,
            bound=dense_bound(config, [5, 3]),
        )
    )
    late = lambda step: ["A"] if step < 2 else ["C", "A"] if step < 4 else ["B", "A", "C"]
    cases.append(
        trajectory(
            "variables that come later, in another order",
            class_name,
            config,
            {"A": [2, 3], "B": [4], "C": []},
            dense(),
            steps=6,
            order=late,
            every_step=True,
            bound=dense_bound(config, [2, 3]),
        )
    )
    cases.append(
        trajectory(
            "names with a path, not aggregated",
            class_name,
            config,
            {"dense/kernel": [4, 3], "dense/bias": [3], "emb": [6, 2]},
            lambda rng, step, name, shape: (sparse(3) if name == "emb" else dense())(rng, step, name, shape),
            steps=4,
            aggregate=False,
            bound=worst(dense_bound(config, [4, 3]), sparse_bound(config, [6, 2])),
        )
    )
    both = by_variable(A=dense(), B=sparse(2))
    cases.append(trajectory("fifty steps", class_name, config, {"A": [3], "B": [3, 2]}, both, steps=50))
    return cases
