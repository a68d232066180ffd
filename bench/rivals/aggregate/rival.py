"""Means and medians of many clients' arrays in numpy and Flower. The process reads one command per line from standard
input and answers each with one line.

Arguments: work, clients, turn, folder. The folder holds base (float32, little endian); client n sends it rotated by
n * turn elements, times 1 + n / 64. `run N` does the work N times and answers the microseconds; `result` writes the
outcome to folder/result; `peak` answers the peak memory in bytes, without the memory after the imports (Linux).
"""

import os
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import numpy  # noqa: E402

WORK, CLIENTS, TURN, FOLDER = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

if WORK.startswith("flower"):
    from flwr.server.strategy import aggregate as flower


def bytes_of(figure):
    """VmRSS is the resident memory, VmHWM its peak since the last reset."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(figure)) * 1024


with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
at_start = bytes_of("VmRSS")
base = numpy.fromfile(f"{FOLDER}/base", dtype="<f4")


def sent(client):
    return numpy.roll(base, -client * TURN) * numpy.float32(1 + client / 64)


def held():
    return [sent(client) for client in range(CLIENTS)]


def timed(function):
    start = time.perf_counter()
    outcome = function()
    return outcome, (time.perf_counter() - start) * 1e6


def weight_of(client):
    return numpy.float32(client % 7 + 1)


TOTAL = sum(float(weight_of(client)) for client in range(CLIENTS))


def mean_as_they_arrive():
    """Uses one array to receive into and one to add to; only the adding is timed."""
    accumulator, received = numpy.zeros_like(base), numpy.empty_like(base)

    def work():
        spent = timed(lambda: accumulator.fill(0))[1]
        for client in range(CLIENTS):
            numpy.copyto(received, sent(client))
            spent += timed(lambda: numpy.add(accumulator, received, out=accumulator))[1]
        return accumulator, spent + timed(lambda: numpy.divide(accumulator, CLIENTS, out=accumulator))[1]

    return work


def mean_in_place():
    arrays, accumulator = held(), numpy.empty_like(base)

    def mean():
        numpy.copyto(accumulator, arrays[0])
        for array in arrays[1:]:
            numpy.add(accumulator, array, out=accumulator)
        return numpy.divide(accumulator, CLIENTS, out=accumulator)

    return lambda: timed(mean)


def weighted_mean_in_place():
    arrays, accumulator, product = held(), numpy.empty_like(base), numpy.empty_like(base)

    def mean():
        numpy.multiply(arrays[0], weight_of(0), out=accumulator)
        for client, array in enumerate(arrays[1:], 1):
            numpy.add(accumulator, numpy.multiply(array, weight_of(client), out=product), out=accumulator)
        return numpy.divide(accumulator, numpy.float32(TOTAL), out=accumulator)

    return lambda: timed(mean)


def median():
    arrays = held()
    return lambda: timed(lambda: numpy.median(arrays, axis=0))


def of_flower(aggregate, weight=lambda client: 1):
    results = [([array], weight(client)) for client, array in enumerate(held())]
    return lambda: timed(lambda: aggregate(results)[0])


WORKS = {
    "mean_as_they_arrive": mean_as_they_arrive,
    "mean_in_place": mean_in_place,
    "weighted_mean_in_place": weighted_mean_in_place,
    "median": median,
    "flower_mean": lambda: of_flower(flower.aggregate),
    "flower_weighted_mean": lambda: of_flower(flower.aggregate, lambda client: int(weight_of(client))),
    "flower_trimmed_mean": lambda: of_flower(lambda results: flower.aggregate_trimmed_avg(results, 0.2)),
    "flower_krum": lambda: of_flower(lambda results: flower.aggregate_krum(results, 2, 0)),
}

work = WORKS[WORK]()
print("ready", flush=True)
outcome = None
for line in sys.stdin:
    order, *count = line.split()
    if order == "run":
        total = 0.0
        for _ in range(int(count[0])):
            outcome, spent = work()
            total += spent
        print(total, flush=True)
    elif order == "peak":
        print(bytes_of("VmHWM") - at_start, flush=True)
    else:
        numpy.asarray(outcome, dtype="<f4").tofile(f"{FOLDER}/result")
        print("written", flush=True)
