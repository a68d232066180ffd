"""Writes the golden files that TensorFlow makes. `python make.py [topic …]`; README.md describes the format.

Deterministic: no clock, seeded gradients, one thread. Running it twice on one machine gives identical bytes.
"""

import importlib
import platform
import sys
import warnings

from encoding import machine, write
from recorder import np, tf, tf_keras

TOPICS = (
    "sgd",
    "adam",
    "adamax",
    "nadam",
    "adagrad",
    "adadelta",
    "rmsprop",
    "ftrl",
    "clips",
    "schedules",
    "constraints",
    "patches",
    "extremes",
    "behaviour",
    "nones",
)


def made_by():
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tf_keras": tf_keras.__version__,
        "numpy": np.__version__,
        **machine(),
        "threads": 1,
        "onednn": False,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for topic in sys.argv[1:] or TOPICS:
        write(topic, made_by(), importlib.import_module(f"topics.{topic}").content())
