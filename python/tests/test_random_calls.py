"""Random calls in random order with arguments of every kind, good and bad: no crash, no odd error.

The ordinary run makes 20,000 calls; TREERING_PYTHON_CALLS asks for another number, and
TREERING_PYTHON_SEED for another sequence. Whatever goes wrong, the exception is one of Python's own
for bad arguments, or one of ours; an InternalError is a failure, and so is a process that dies.
"""

import faulthandler
import os
import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import numpy as np

import treering

ALLOWED = (treering.Error, TypeError, ValueError, OverflowError, LookupError, OSError, MemoryError)


def things(world, rng):
    """Something that a call may be given."""
    import pyarrow as pa

    pick = rng.randrange
    makers = [
        lambda: None,
        lambda: pick(-5, 5),
        lambda: rng.choice([2**31, 2**63 - 1, -(2**63), 2**64, 2**200, -(2**200)]),
        lambda: rng.choice([0.5, float("nan"), float("inf"), -1e300]),
        lambda: rng.choice(["", "cpu", 'cpu{host="a"}', "{", "sum(cpu)", "rate(cpu[5m])", "1 +", "5m", "\0", "x" * 5000]),
        lambda: rng.choice(["max", "quantile", "always", "2026-11-01T12:00:00Z", "value", "timestamp", "host"]),
        lambda: rng.choice([b"", b"cpu", bytearray(9), memoryview(b"12345678")]),
        lambda: rng.choice([{}, {"__name__": "cpu"}, {"host": "a"}, {"host": 1}, {1: 2}, {"a": "\udc80"}]),
        lambda: rng.choice([True, False, object(), Ellipsis, print, int]),
        lambda: rng.choice([datetime.now(timezone.utc), datetime(2026, 1, 1), timedelta(seconds=5), timedelta(-1)]),
        lambda: np.arange(pick(6)) * 10**9,
        lambda: np.random.default_rng(pick(9)).random(pick(6)),
        lambda: np.zeros((2, 2)),
        lambda: np.array(["2026-11-01", "NaT"], dtype="datetime64[ns]"),
        lambda: np.broadcast_to(np.int64(1), (2**50,)),
        lambda: np.arange(4)[::-1],
        lambda: [],
        lambda: list(range(pick(5))),
        lambda: [None, "a", 3],
        lambda: range(pick(5)),
        lambda: pa.table({"timestamp": [1, 2], "host": ["a", None], "value": [1.0, 2.0]}),
        lambda: pa.table({"timestamp": [1, None], "cpu": [1.0, None]}),
        lambda: pa.array([1, 2, 3]),
        lambda: pa.table({}),
        lambda: rng.choice(world),
        lambda: [one for one in world if isinstance(one, treering.SeriesRef)][:5],
    ]
    return rng.choice(makers)()


KEYWORDS = [
    "start", "end", "fn", "step", "window", "by", "without", "quantile", "top", "bottom", "timeout", "max_series",
    "max_samples", "max_bytes", "lookback", "value", "labels", "timestamp", "metric", "retention", "kind", "no_such",
    "limit", "shape", "index",
]  # fmt: skip

# What waits for the disk is asked for more rarely.
SLOW = {"flush", "compact", "maintain", "verify", "sync", "close", "__exit__", "drop_namespace"}
METHODS = {
    "Database": [
        name
        for name in dir(treering.Database)
        if not name.startswith("_") and name not in ("snapshot", "path", "closed", "read_only")
    ] + ["__exit__", "__enter__", "__repr__"],
    "Result": ["__len__", "__getitem__", "__iter__", "to_numpy", "to_arrow", "to_pandas", "to_polars", "__repr__",
               "_repr_html_", "__arrow_c_stream__", "__arrow_c_schema__", "__eq__"],
    "Scan": ["__iter__", "__next__", "__arrow_c_stream__", "__repr__"],
    "SeriesRef": ["__eq__", "__hash__", "__repr__", "__lt__"],
}  # fmt: skip
GOOD = {
    "append": lambda rng: (rng.choice(["cpu", {"__name__": "mem", "host": "b"}]), rng.randrange(10**12), rng.random()),
    "append_columns": lambda rng: ("cpu", np.arange(5) * 10**9, np.arange(5.0)),
    "series": lambda rng: ({"__name__": "cpu", "host": rng.choice("abc")},),
    "select": lambda rng: ("cpu",),
    "query": lambda rng: ("sum(cpu)", 10**10),
    "query_range": lambda rng: ("cpu", 0, 10**10, 1),
    "namespace": lambda rng: ("default",),
}


def call(world, rng):
    target = rng.choice(world)
    kind = type(target).__name__
    name = rng.choice(METHODS[kind])
    if name in SLOW and rng.random() < 0.8:
        return
    if name in GOOD and rng.random() < 0.5:
        arguments, named = GOOD[name](rng), {}
    else:
        arguments = [things(world, rng) for _ in range(rng.randrange(4))]
        named = {rng.choice(KEYWORDS): things(world, rng) for _ in range(rng.randrange(3))}
    try:
        made = getattr(target, name)(*arguments, **named)
        if name == "__iter__" and kind == "Result":
            made = list(made)
    except StopIteration:
        return
    except treering.InternalError as error:
        raise AssertionError(f"{kind}.{name}(*{arguments!r}, **{named!r})") from error
    except ALLOWED:
        return
    if type(made).__name__ in METHODS:
        world.append(made)
    if len(world) > 40:
        world.pop(rng.randrange(len(world)))


def run(calls: int, seed: int) -> None:
    rng = random.Random(seed)
    world = []
    for _ in range(calls):
        if not any(isinstance(one, treering.Database) and not one.closed for one in world):
            world.append(treering.in_memory(maintenance="manual", memory_bytes=64 << 20))
        call(world, rng)


def test_random_calls_never_crash(tmp_path):
    calls = int(os.environ.get("TREERING_PYTHON_CALLS", "20000"))
    seed = int(os.environ.get("TREERING_PYTHON_SEED", "1"))
    print(f"{calls} calls with TREERING_PYTHON_SEED={seed}")
    program = [sys.executable, "-X", "faulthandler", __file__, str(calls), str(seed)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, (seed, done.returncode, done.stdout[-2000:], done.stderr[-4000:])


if __name__ == "__main__":
    faulthandler.enable()
    run(int(sys.argv[1]), int(sys.argv[2]))
