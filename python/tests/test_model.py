"""Random appends, deletes and flushes beside a dict of dicts, which must answer the same."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import treering

NAMES = st.sampled_from(["cpu", "mem"])
HOSTS = st.sampled_from(["", "a", "b"])
TIMES = st.integers(-50, 50)
VALUES = st.floats(width=64)


def key(name: str, host: str) -> tuple[tuple[str, str], ...]:
    labels = {"__name__": name, "host": host}
    return tuple(sorted((k, v) for k, v in labels.items() if v))


def bits(value: float) -> int:
    return int(np.float64(value).view("uint64"))


class Model(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.db = treering.in_memory()
        self.series: dict[tuple, dict[int, int]] = {}

    def teardown(self):
        if hasattr(self, "db"):
            self.db.close()

    def note(self, name, host, times, values):
        into = self.series.setdefault(key(name, host), {})
        into.update(zip(times, map(bits, values)))

    @rule(name=NAMES, host=HOSTS, time=TIMES, value=VALUES)
    def append(self, name, host, time, value):
        self.db.append({"__name__": name, "host": host}, time, value)
        self.note(name, host, [time], [value])

    @rule(name=NAMES, host=HOSTS, samples=st.lists(st.tuples(TIMES, VALUES), max_size=10))
    def append_columns(self, name, host, samples):
        times, values = [t for t, _ in samples], [v for _, v in samples]
        labels = {"__name__": name, "host": host}
        array = np.array(times, dtype="datetime64[ns]")
        assert self.db.append_columns(labels, array, np.array(values)) == len(samples)
        self.note(name, host, times, values)

    @rule(hosts=st.lists(HOSTS, max_size=3), time=TIMES, value=VALUES)
    def append_rows(self, hosts, time, value):
        refs = [self.db.series({"__name__": "cpu", "host": host}) for host in hosts]
        self.db.append_rows(refs, time, [value] * len(hosts))
        for host in hosts:
            self.note("cpu", host, [time], [value])

    @rule(rows=st.lists(st.tuples(NAMES, HOSTS, TIMES, VALUES), max_size=12))
    def append_frame(self, rows):
        import pyarrow as pa

        names, hosts, times, values = zip(*rows) if rows else ([], [], [], [])
        columns = {
            "__name__": pa.array(names, pa.string()),
            "host": pa.array(hosts, pa.string()),
            "timestamp": pa.array(times, pa.int64()),
            "value": pa.array(values, pa.float64()),
        }
        assert self.db.append_arrow(pa.table(columns)) == len(rows)
        for name, host, time, value in rows:
            self.note(name, host, [time], [value])

    @rule(name=NAMES, ends=st.tuples(TIMES, TIMES))
    def delete(self, name, ends):
        start, end = min(ends), max(ends)
        self.db.delete(name, start, end)
        for labels, samples in self.series.items():
            if ("__name__", name) in labels:
                for time in [time for time in samples if start <= time <= end]:
                    del samples[time]

    @rule()
    def flush(self):
        self.db.flush()

    @rule()
    def compact(self):
        self.db.flush()
        self.db.compact()

    @rule(name=NAMES, ends=st.tuples(TIMES, TIMES))
    def select(self, name, ends):
        start, end = min(ends), max(ends)
        result = self.db.select(name, start, end)
        found = {tuple(sorted(one.labels.items())): dict(columns(one)) for one in result}
        assert found == self.inside(name, start, end)
        scanned = {tuple(sorted(one.labels.items())): dict(columns(one)) for one in self.db.scan(name, start, end)}
        assert scanned == found

    @rule(name=NAMES, start=TIMES, step=st.integers(1, 30), count=st.integers(1, 4))
    def count_windows(self, name, start, step, count):
        end = start + step * count
        found = self.db.aggregate(name, start, end, fn="count", step=np.timedelta64(step, "ns"), by=[])
        windows: dict[int, int] = {}
        for samples in self.inside(name, start + 1, end).values():
            for time, value in samples.items():
                if value != 0x7FF0_0000_0000_0002:
                    at = start + -(-(time - start) // step) * step
                    windows[at] = windows.get(at, 0) + 1
        answer = {}
        if len(found):
            answer = dict(zip(found[0].timestamps.view("int64").tolist(), found[0].values.tolist()))
        assert answer == windows

    @invariant()
    def everything_is_there(self):
        if not hasattr(self, "db"):
            return
        found = {tuple(sorted(one.labels.items())): dict(columns(one)) for one in self.db.select()}
        assert found == {labels: samples for labels, samples in self.series.items() if samples}

    def inside(self, name, start, end):
        inside = {}
        for labels, samples in self.series.items():
            kept = {time: value for time, value in samples.items() if start <= time <= end}
            if ("__name__", name) in labels and kept:
                inside[labels] = kept
        return inside


def columns(series):
    times = series.timestamps.view("int64").tolist()
    assert times == sorted(set(times))
    return zip(times, series.values.view("uint64").tolist())


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=20)
