"""What the goldens of conventions share: the numbers that every trajectory starts from and is fed with.

They follow from a step's number, so that no file has to hold them; test/families/support/trajectories.ts draws the same.
Every number is exact in float32. Gradients differ in magnitude by element, so that an epsilon in another place shows.
"""

import numpy as np

from encoding import b64

STEPS = 50
SPARSE_STEPS = 12
SHAPE = (3, 4)
ROWS = (6, 2)
SEEN = (1, 2, 10, STEPS)
SCALES = np.array([2.0**-p for p in (0, 0, 1, 2, 4, 6, 8, 10, 12, 14, 17, 20)])


def draw(seed, count):
    """Numbers in [-1, 1) from a linear congruential generator (Numerical Recipes), with 24 bits each."""
    values = []
    state = seed
    for _ in range(count + 3):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 2**23 - 1)
    return np.array(values[3:])


def initial(shape=SHAPE):
    return draw(1, int(np.prod(shape))).reshape(shape).astype(np.float32)


def gradient(step):
    """The gradient of a step, from 1: every seventh element is 0, another one in each step."""
    values = draw(1000 + step, SCALES.size) * SCALES
    values[[(step + k) % 7 == 0 for k in range(SCALES.size)]] = 0
    return values.reshape(SHAPE).astype(np.float32)


def sparse_gradient(step):
    """Rows of a step, one of them twice."""
    rows = [step % 6, (2 * step + 1) % 6, step % 6]
    return rows, draw(5000 + step, len(rows) * ROWS[1]).reshape(len(rows), ROWS[1]).astype(np.float32)


def record(stepper, *, sparse=False):
    """Runs a stepper: `step(n)` makes step n, `values()` gives the variable, `slots()` the named companions."""
    last = SPARSE_STEPS if sparse else STEPS
    after = {}
    for n in range(1, last + 1):
        stepper.step(n)
        if n in SEEN or n == last:
            after[str(n)] = b64(stepper.values())
    return {
        **({"sparse": True} if sparse else {}),
        "after": after,
        "slots": {name: b64(values) for name, values in stepper.slots().items()},
    }
