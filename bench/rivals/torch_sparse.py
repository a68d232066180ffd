"""Sparse Adagrad in torch. The process reads one command per line from standard input and answers each with one line.

Arguments: rows width count folder. The folder holds indices (int32), values and initial (float32), little endian.
`run N` takes N steps and answers their microseconds; `rows` writes the named rows of the table to folder/touched.

Best form found: unique + index_add_, then the touched rows are read, computed in place and copied back.
torch.optim.Adagrad on a sparse gradient (which it coalesces by sorting) takes about 1.3 times as long.
"""

import sys
import time

import numpy
import torch

ROWS, WIDTH, COUNT = (int(word) for word in sys.argv[1:4])
FOLDER = sys.argv[4]
LEARNING_RATE, EPSILON, INITIAL_ACCUMULATOR = 0.001, 1e-7, 0.1

torch.set_num_threads(1)


def load(name, dtype, shape):
    return torch.from_numpy(numpy.fromfile(f"{FOLDER}/{name}", dtype=dtype).reshape(shape).copy())


indices = load("indices", "<i4", (COUNT,)).long()
values = load("values", "<f4", (COUNT, WIDTH))
table = load("initial", "<f4", (ROWS, WIDTH))
accumulator = torch.full((ROWS, WIDTH), INITIAL_ACCUMULATOR)


def step():
    unique, places = torch.unique(indices, sorted=False, return_inverse=True)
    gradient = torch.zeros(len(unique), WIDTH).index_add_(0, places, values)
    sums = accumulator.index_select(0, unique).addcmul_(gradient, gradient)
    accumulator.index_copy_(0, unique, sums)
    moved = table.index_select(0, unique).addcdiv_(gradient, sums.sqrt_().add_(EPSILON), value=-LEARNING_RATE)
    table.index_copy_(0, unique, moved)


with torch.inference_mode():
    print("ready", flush=True)
    for line in sys.stdin:
        order, *count = line.split()
        if order == "run":
            start = time.perf_counter()
            for _ in range(int(count[0])):
                step()
            print((time.perf_counter() - start) * 1e6, flush=True)
        else:
            table.index_select(0, indices).numpy().tofile(f"{FOLDER}/touched")
            print("written", flush=True)
