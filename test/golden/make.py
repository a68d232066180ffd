"""Writes every golden file of this folder with TensorFlow. `python make.py [topic …]`; README.md describes the format.

Deterministic: no clock, seeded gradients, one thread. Running it twice on one machine gives identical bytes.
"""

import importlib
import json
import pathlib
import platform
import sys
import warnings

from recorder import np, tf, tf_keras

HERE = pathlib.Path(__file__).resolve().parent
CPU_FLAGS = ("sse4_1", "avx", "avx2", "fma", "avx512f")
TOPICS = (
    "sgd", "adam", "adamax", "nadam", "adagrad", "adadelta", "rmsprop", "ftrl", "clips",
    "schedules", "constraints", "patches", "extremes", "behaviour",
)


def made_by():
    """What the bits depend on. Vector width decides where TensorFlow approximates rsqrt and pow; libc makes its powf."""
    flags = set()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = set(cpuinfo.read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tf_keras": tf_keras.__version__,
        "numpy": np.__version__,
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "threads": 1,
        "onednn": False,
    }


def line(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write(topic, content):
    """Keys of the head on a line each, cases on a line each, so that a change shows as the lines of its cases."""
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    head = {"topic": topic, "made_by": made_by(), **{k: v for k, v in content.items() if k not in lists}}
    parts = [f"{line(key)}: {line(value)}" for key, value in head.items()]
    for key, value in lists.items():
        names = [case["name"] for case in value]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{topic}.{key}: names come twice: {sorted(twice)}"
        parts.append(f"{line(key)}: [\n" + ",\n".join(line(case) for case in value) + "\n]")
    (HERE / f"{topic}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")
    print(topic, {key: len(value) for key, value in lists.items()})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for topic in sys.argv[1:] or TOPICS:
        write(topic, importlib.import_module(f"topics.{topic}").content())
