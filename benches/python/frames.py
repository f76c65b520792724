"""Frames in and samples out, from Python: ours beside DuckDB, pandas with Parquet, and tsink.

Input: nothing; ten million samples of a thousand series are made (`--quick`: 500,000), as machines
are measured, all series at once. Output: one RESULT line per figure, and with `--json FILE` the same
as JSON; an answer that differs between two of them is an error.

Each writes to a folder of its own until the data is in files, in the way that its documentation
shows for a frame, and is asked for all samples as numpy arrays by series, for one series, and for
averages by hour and machine. Times are wall-clock seconds of one run; reads are the best of three.
tsink takes and gives an object for each sample, so it gets a twentieth of the rows, and its figures are
per million samples like all others.
"""

from __future__ import annotations

import argparse
import gc
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import treering

SERIES = 1000
SECOND = 1_000_000_000
BEGIN = 1_793_491_200 * SECOND
HOUR = 3600 * SECOND
READS = 3
ONE = "host-0500"

figures: list[dict[str, Any]] = []


def figure(name: str, value: float, unit: str) -> None:
    """Notes and prints a figure."""
    figures.append({"metric": f"python.{name}", "value": value, "unit": unit, "target": None, "met": None})
    print(f"RESULT python.{name} {value:.4g} {unit} target none", flush=True)


def data(rows: int) -> pa.Table:
    """Rows in order of time: every 10 seconds one of each host, a walk with two decimals."""
    steps = rows // SERIES
    random = np.random.default_rng(11)
    walks = np.round(50 + np.cumsum(random.normal(0, 0.5, (steps, SERIES)), axis=0), 2)
    times = BEGIN + np.repeat(np.arange(1, steps + 1) * 10 * SECOND, SERIES)
    names = pa.array([f"host-{number:04}" for number in range(SERIES)])
    hosts = pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(SERIES, dtype="int32"), steps)), names)
    # Without a zone: DuckDB has none at nanoseconds.
    stamps = pa.array(times).cast(pa.timestamp("ns"))
    return pa.table({"timestamp": stamps, "host": hosts, "value": walks.reshape(-1)})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    begin = time.perf_counter()
    answer = call()
    return time.perf_counter() - begin, answer


def best(call: Callable[[], Any]) -> tuple[float, Any]:
    runs = [timed(call) for _ in range(READS)]
    return min(run[0] for run in runs), runs[-1][1]


class Ours:
    name = "treering"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = treering.open(folder / "db")

    def write(self, table: pa.Table) -> None:
        self.db.append_arrow(table, metric="load")
        self.db.flush()

    def settle(self) -> None:
        self.db.compact()

    def everything(self) -> Any:
        return self.db.select("load").to_numpy()

    def total(self, answer: Any) -> tuple[int, float]:
        return sum(len(one.values) for one in answer), sum(float(one.values.sum()) for one in answer)

    def one(self) -> np.ndarray:
        values: np.ndarray = self.db.select(f'load{{host="{ONE}"}}')[0].values
        return values

    def hourly(self, end: int) -> dict[str, list[float]]:
        found = self.db.aggregate("load", BEGIN, end, fn="avg", step="1h", by="host")
        return {labels["host"]: values.tolist() for labels, _, values in found}

    def close(self) -> None:
        self.db.close()


class Duck:
    name = "duckdb"

    def __init__(self, folder: Path) -> None:
        import duckdb

        self.folder = folder
        self.db = duckdb.connect(str(folder / "file.duckdb"))
        self.db.execute("create table load (timestamp timestamp_ns, host varchar, value double)")

    def write(self, table: pa.Table) -> None:
        self.db.register("frame", table)
        self.db.execute("insert into load select timestamp, host, value from frame")
        self.db.unregister("frame")
        self.db.execute("checkpoint")

    def settle(self) -> None:
        pass

    def everything(self) -> Any:
        return self.db.execute("select host, timestamp, value from load order by host, timestamp").fetchnumpy()

    def total(self, answer: Any) -> tuple[int, float]:
        return len(answer["value"]), float(answer["value"].sum())

    def one(self) -> np.ndarray:
        query = "select timestamp, value from load where host = ? order by timestamp"
        values: np.ndarray = self.db.execute(query, [ONE]).fetchnumpy()["value"]
        return values

    def hourly(self, end: int) -> dict[str, list[float]]:
        query = f"""select host, (epoch_ns(timestamp) - {BEGIN} - 1) // {HOUR} as hour, avg(value) from load
                    group by all order by host, hour"""
        answer: dict[str, list[float]] = {}
        for host, _, value in self.db.execute(query).fetchall():
            answer.setdefault(host, []).append(value)
        return answer

    def close(self) -> None:
        self.db.close()


class Parquet:
    name = "parquet"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "load.parquet"

    def write(self, table: pa.Table) -> None:
        table.to_pandas().to_parquet(self.path)

    def settle(self) -> None:
        pass

    def everything(self) -> Any:
        frame = pd.read_parquet(self.path).sort_values(["host", "timestamp"])
        return {name: frame[name].to_numpy() for name in ("host", "timestamp", "value")}

    def total(self, answer: Any) -> tuple[int, float]:
        return len(answer["value"]), float(answer["value"].sum())

    def one(self) -> np.ndarray:
        frame = pd.read_parquet(self.path, filters=[("host", "==", ONE)])
        values: np.ndarray = frame.sort_values("timestamp")["value"].to_numpy()
        return values

    def hourly(self, end: int) -> dict[str, list[float]]:
        frame = pd.read_parquet(self.path)
        hours = (frame["timestamp"].astype("int64") - BEGIN - 1) // HOUR
        means = frame.groupby(["host", hours], observed=True)["value"].mean()
        return {host: one.tolist() for host, one in means.groupby(level=0, observed=True)}

    def close(self) -> None:
        pass


class Tsink:
    name = "tsink"

    def __init__(self, folder: Path) -> None:
        import tsink

        self.folder, self.tsink = folder, tsink
        builder = tsink.TsinkStorageBuilder()
        builder.with_data_path(str(folder / "db"))
        builder.with_timestamp_precision(tsink.TimestampPrecision.NANOSECONDS)
        builder.with_retention_enforced(False)
        self.db = builder.build()

    def write(self, table: pa.Table) -> None:
        tsink, batch = self.tsink, []
        labels = {host: [tsink.Label(name="host", value=host)] for host in pc.unique(table["host"]).to_pylist()}
        stamps = table["timestamp"].cast(pa.int64()).to_pylist()
        for stamp, host, value in zip(stamps, table["host"].to_pylist(), table["value"].to_pylist()):
            point = tsink.DataPoint(value=tsink.Value.F64(value), timestamp=stamp)
            batch.append(tsink.Row(metric="load", labels=labels[host], data_point=point))
            if len(batch) == 10_000:
                self.db.insert_rows(batch)
                batch = []
        self.db.insert_rows(batch)

    def settle(self) -> None:
        pass

    def everything(self) -> Any:
        found = self.db.select_all("load", 0, 2**63 - 1)
        answer = []
        for one in sorted(found, key=lambda one: one.labels[0].value):
            stamps = np.array([point.timestamp for point in one.data_points])
            answer.append((stamps, np.array([point.value.v for point in one.data_points])))
        return answer

    def total(self, answer: Any) -> tuple[int, float]:
        return sum(len(values) for _, values in answer), sum(float(values.sum()) for _, values in answer)

    def one(self) -> np.ndarray:
        labels = [self.tsink.Label(name="host", value=ONE)]
        return np.array([point.value.v for point in self.db.select("load", labels, 0, 2**63 - 1)])

    def hourly(self, end: int) -> dict[str, list[float]]:
        return {}

    def close(self) -> None:
        self.db.close()


def measure(kind: Any, table: pa.Table, end: int) -> None:
    name, millions = kind.name, len(table) / 1e6
    expected = (len(table), pc.sum(table["value"]).as_py())
    one = table.filter(pc.equal(table["host"].combine_chunks().cast(pa.string()), ONE))["value"].to_numpy()
    folder = Path(tempfile.mkdtemp(prefix=f"python-{name}-"))
    try:
        store = kind(folder)
        seconds, _ = timed(lambda: store.write(table))
        figure(f"{name}.append", seconds / millions, "s/M")
        store.settle()
        seconds, answer = best(store.everything)
        count, total = store.total(answer)
        if count != expected[0] or not np.isclose(total, expected[1], rtol=1e-9):
            raise SystemExit(f"{name} answers {count} samples of sum {total}, not {expected}")
        figure(f"{name}.read_all", seconds / millions, "s/M")
        del answer
        seconds, values = best(store.one)
        if not np.array_equal(values, one):
            raise SystemExit(f"{name} has other samples of {ONE}")
        figure(f"{name}.read_one", seconds * 1e3, "ms")
        seconds, hours = best(lambda: store.hourly(end))
        if hours:
            check_hours(name, table, hours)
            figure(f"{name}.hourly", seconds * 1e3, "ms")
        store.close()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        figure(f"{name}.size", size / len(table), "B/sample")
    finally:
        shutil.rmtree(folder)


def check_hours(name: str, table: pa.Table, hours: dict[str, list[float]]) -> None:
    """The averages of one host, from the data itself."""
    chosen = table.filter(pc.equal(table["host"].combine_chunks().cast(pa.string()), ONE))
    numbers = (chosen["timestamp"].cast(pa.int64()).to_numpy() - BEGIN - 1) // HOUR
    values = chosen["value"].to_numpy()
    means = [values[numbers == hour].mean() for hour in np.unique(numbers)]
    if len(hours) != SERIES or not np.allclose(hours[ONE], means, rtol=1e-9):
        raise SystemExit(f"{name} has other averages")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    table = data(500_000 if given.quick else 10_000_000)
    end = BEGIN + -(-(len(table) // SERIES * 10 * SECOND) // HOUR) * HOUR
    print(f"{len(table):,} samples of {SERIES:,} series")
    for kind in (Ours, Duck, Parquet):
        measure(kind, table, end)
    measure(Tsink, table.slice(0, len(table) // 20 // SERIES * SERIES), end)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
