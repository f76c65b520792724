"""The calls of a database, one story each."""

import os
from datetime import timedelta

import numpy as np
import pytest

import treering

SECOND = 1_000_000_000


def test_ten_lines(tmp_path):
    with treering.open(tmp_path / "db", sync=timedelta(milliseconds=50)) as db:
        db.append({"__name__": "cpu", "host": "a"}, 1_700_000_000 * SECOND, 0.7)
        (series,) = db.select('cpu{host=~"a.*"}')
        assert series.labels == {"__name__": "cpu", "host": "a"}
        assert series.timestamps.dtype == "datetime64[ns]"
        assert series.values.tolist() == [0.7]
        assert db.path == tmp_path / "db"
    assert db.closed
    with treering.open(tmp_path / "db", create=False) as db:
        assert db.select()[0].values.tolist() == [0.7]
        assert db.recovery()["created"] is False


def test_bits_of_values_are_kept(db):
    bits = [0x7FF8_0000_0000_0123, 0x8000_0000_0000_0000, 0x7FF0_0000_0000_0002, 1]
    values = np.array(bits, dtype="uint64").view("float64")
    db.append_columns("odd", range(4), values)
    db.flush()
    assert db.select("odd")[0].values.view("uint64").tolist() == bits


def test_series_references_are_fast_names(db):
    hosts = [db.series({"__name__": "cpu", "host": str(host)}) for host in range(3)]
    for step in range(5):
        assert db.append_rows(hosts, step, np.arange(3.0) + step) == 3
    db.append_rows(hosts, [10, 11, 12], [1, 2, 3])
    db.append(hosts[0], 20, 9)
    db.append_columns(hosts[0], [21, 22], [9.0, 9.5])
    found = {series.labels["host"]: series.values.tolist() for series in db.select("cpu")}
    assert found == {"0": [0, 1, 2, 3, 4, 1, 9, 9, 9.5], "1": [1, 2, 3, 4, 5, 2], "2": [2, 3, 4, 5, 6, 3]}
    assert hosts[0] == db.series('cpu{host="0"}') and hosts[0] != hosts[1]
    assert len({hosts[0], db.series('cpu{host="0"}')}) == 1
    assert hosts[1].labels == {"__name__": "cpu", "host": "1"}
    assert repr(hosts[1]) == '<treering.SeriesRef cpu{host="1"}>'
    with treering.in_memory() as other, pytest.raises(treering.StaleSeriesError):
        other.append(hosts[0], 1, 1.0)


def test_rows_that_do_not_fit(db):
    one = db.series("a")
    for rows, times, values in [([one], 1, [1, 2]), ([one, one], 1, [1]), ([one], [1, 2], [1])]:
        with pytest.raises(ValueError, match="values|lengths"):
            db.append_rows(rows, times, values)
    with pytest.raises(TypeError, match="SeriesRef"):
        db.append_rows(["a"], 1, [1])
    assert db.append_rows([], 1, []) == 0
    fresh = (db.series({"n": str(n)}) for n in range(3))
    assert db.append_rows(fresh, [1, 2, 3], [1, 2, 3]) == 3
    db.delete('{n=~".+"}')
    assert len(db.select()) == 0


def test_columns_longer_than_a_batch(db):
    count = (1 << 20) + 7
    times, values = np.arange(count), np.arange(count, dtype="float64")
    assert db.append_columns("long", times, values) == count
    (series,) = db.select("long")
    assert (series.timestamps.view("int64") == times).all() and (series.values == values).all()


def test_ranges_are_closed_and_windows_are_left_open(db):
    db.append_columns('cpu{host="a"}', [0, 10 * SECOND, 20 * SECOND], [1.0, 5.0, 3.0])
    db.append_columns('cpu{host="b"}', [10 * SECOND], [7.0])
    assert db.select('cpu{host="a"}', 0, 10 * SECOND)[0].values.tolist() == [1.0, 5.0]
    found = db.aggregate("cpu", 0, 20 * SECOND, fn="max", step="10s", by="host")
    assert [series.labels for series in found] == [{"host": "a"}, {"host": "b"}]
    assert found[0].values.tolist() == [5.0, 3.0]
    assert found[0].timestamps.view("int64").tolist() == [10 * SECOND, 20 * SECOND]
    assert found.kind == "aggregate" and found.approximate == [False, False]
    (total,) = db.aggregate("cpu", fn="sum", by=[])
    assert total.values.tolist() == [16.0]
    (largest,) = db.aggregate("cpu", fn="max", top=1)
    assert largest.labels["host"] == "b"
    (median,) = db.aggregate('cpu{host="a"}', fn="quantile", quantile=0.5)
    assert median.values.tolist() == [3.0]
    (rest,) = db.aggregate("cpu", fn="count", without=["host"])
    assert rest.labels == {"__name__": "cpu"} and rest.values.tolist() == [4.0]
    assert len(db.aggregate("cpu", 2**63 - 1, fn="count")) == 0


@pytest.mark.parametrize(
    "what",
    [
        {"fn": "mean"},
        {"fn": 1},
        {"fn": "quantile"},
        {"fn": "max", "quantile": 0.5},
        {"fn": "max", "step": "1m"},
        {"fn": "max", "by": "a", "without": "b"},
        {"fn": "max", "top": 1, "bottom": 1},
        {"fn": "max", "top": -1},
        {"fn": "max", "by": 7},
        {"fn": "max", "by": [7]},
        {"fn": "max", "speed": 9},
        {},
    ],
    ids=repr,
)
def test_aggregates_that_make_no_sense(db, what):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        db.aggregate("cpu", **what)


def test_promql(db):
    times = np.arange(21) * 15 * SECOND
    db.append_columns('requests_total{job="api"}', times, np.arange(21) * 30.0)
    found = db.query("sum by (job) (rate(requests_total[2m]))", 300 * SECOND)
    assert found.kind == "vector" and found[0].labels == {"job": "api"}
    assert found[0].values[0] == pytest.approx(2)
    matrix = db.query_range("rate(requests_total[2m])", 120 * SECOND, 300 * SECOND, "1m")
    assert matrix.kind == "matrix" and matrix[0].values == pytest.approx([2, 2, 2, 2])
    assert db.query("1 + 1").kind == "scalar" and db.query("1 + 1")[0].values[0] == 2
    text = db.query('"hello"')
    assert text.kind == "string" and text.text == "hello" and len(text) == 0
    noted = db.query("rate(requests[2m])", 300 * SECOND)
    assert len(noted) == 0
    db.append_columns("requests", times, np.arange(21.0))
    noted = db.query("rate(requests[2m])", 300 * SECOND)
    assert "might not be a counter" in noted.notes[0]
    assert "requests_total[2m]" in db.explain("rate(requests_total[2m])", 0, 300 * SECOND, "1m")
    assert len(db.query("requests_total", 310 * SECOND, lookback="5s")) == 0
    with pytest.raises(treering.QueryError, match="1:10: parse error"):
        db.query("sum(rate(requests_total))")
    with pytest.raises(ValueError):
        db.query_range("up", 0, 1, 0)


def test_latest_labels_and_deletes(db):
    for host in "ab":
        db.append_columns({"__name__": "cpu", "host": host}, [1, 2], [1.0, 2.0])
    assert [series.values.tolist() for series in db.latest("cpu")] == [[2.0], [2.0]]
    assert [series.values.tolist() for series in db.latest("cpu", end=1)] == [[1.0], [1.0]]
    assert db.label_names() == ["__name__", "host"]
    assert db.label_values("host", "cpu") == ["a", "b"]
    assert db.series_labels('cpu{host="b"}') == [{"__name__": "cpu", "host": "b"}]
    db.delete('cpu{host="a"}', end=1)
    db.delete('cpu{host="b"}')
    assert [(s.labels["host"], s.values.tolist()) for s in db.select()] == [("a", [2.0])]


def test_namespaces_have_options_of_their_own(disk):
    power = disk.create_namespace("power", retention="365d", downsample=[("7d", "5m")])
    power.append("watts", 2_000_000_000 * SECOND, 5.0)
    assert len(disk.select()) == 0 and len(disk.namespace("power").select("watts")) == 1
    disk.alter_namespace("power", max_series=1000)
    (_, info) = disk.namespaces()
    assert info["name"] == "power" and info["options"]["max_series"] == 1000
    assert info["options"]["retention"] == timedelta(days=365)
    assert info["options"]["downsample"] == [{"after": timedelta(days=7), "step": timedelta(minutes=5)}]
    disk.alter_namespace("power", retention=None, downsample=None)
    assert disk.namespaces()[1]["options"]["retention"] is None
    disk.drop_namespace("power")
    with pytest.raises(treering.NamespaceError, match="power"):
        power.append("watts", 1, 5.0)
    with pytest.raises(LookupError):
        disk.namespace("power")
    with pytest.raises(TypeError, match="color"):
        disk.create_namespace("x", color="red")


def test_metadata(db):
    db.set_metadata("sent", "counter", unit="bytes", help="Bytes sent.")
    assert db.metadata("sent") == {"kind": "counter", "unit": "bytes", "help": "Bytes sent."}
    assert db.all_metadata().keys() == {"sent"}
    db.remove_metadata("sent")
    assert db.metadata("sent") is None
    with pytest.raises(ValueError, match="counter"):
        db.set_metadata("sent", "speedometer")


def test_reports_and_copies(disk, tmp_path):
    disk.append_columns("cpu", range(1000), np.arange(1000.0))
    disk.flush()
    disk.compact()
    assert disk.maintain() is False
    assert disk.stats()["block_samples"] == 1000
    report = disk.verify()
    assert report["problems"] == [] and report["blocks"] >= 1
    assert disk.cardinality()["top_metrics"] == [["cpu", 1]]
    copy = disk.snapshot(tmp_path / "monday")
    assert copy["blocks"] == report["blocks"] and isinstance(copy["took"], timedelta)
    treering.restore(tmp_path / "monday", tmp_path / "tuesday")
    with treering.open(tmp_path / "tuesday", read_only=True) as tuesday:
        assert tuesday.read_only and tuesday.select().samples == 1000
        with pytest.raises(treering.ReadOnlyError):
            tuesday.append("cpu", 1, 1.0)
    disk.sync()
    with treering.open(disk.path, read_only=True) as reader:
        disk.append("cpu", 5000, 1.0)
        assert reader.refresh() and reader.select().samples == 1001
    disk.close()
    treering.repair(disk.path, tmp_path / "mended")
    with treering.open(tmp_path / "mended", read_only=True) as mended:
        assert mended.select().samples == 1001


def test_damage_is_told_with_its_place(tmp_path):
    with treering.open(tmp_path / "db", sync="never") as db:
        db.append_columns("cpu", range(1000), np.random.default_rng(1).random(1000))
        db.flush()
    block = max((tmp_path / "db" / "blocks").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(block.read_bytes())
    data[len(data) // 4] ^= 0xFF
    block.write_bytes(data)
    with treering.open(tmp_path / "db", reads="pread") as db:
        problems = db.verify()["problems"]
        assert problems and os.fspath(problems[0]["file"]).endswith(block.name)
        with pytest.raises(treering.CorruptError) as caught:
            db.select()
    assert caught.value.file == str(block) and caught.value.offset >= 0


def test_limits_are_named(tmp_path):
    with treering.in_memory(max_series=3) as db:
        for name in "abc":
            db.append(name, 1, 1.0)
        with pytest.raises(treering.LimitError, match="series limit") as caught:
            db.append("d", 1, 1.0)
        assert caught.value.limit == "series limit" and caught.value.value == 3
        with pytest.raises(treering.LimitError):
            db.select(max_series=1)
        with pytest.raises(treering.LimitError):
            db.select(max_samples=1)
    with pytest.raises(treering.ArgumentError, match="memory_bytes"):
        treering.in_memory(memory_bytes=1)
    with pytest.raises(treering.NotADatabaseError):
        treering.open(tmp_path / "missing", create=False)


@pytest.mark.parametrize(
    "options",
    [{"sync": "sometimes"}, {"reads": "telepathy"}, {"speed": 1}, {"max_series": -1}, {"max_series": 2**70},
     {"create": "yes"}, {"flush_interval": -1}],
    ids=repr,
)  # fmt: skip
def test_options_that_make_no_sense(tmp_path, options):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        treering.open(tmp_path / "db", **options)


def test_one_writer_at_a_time(disk):
    with pytest.raises(treering.LockedError, match="in use"):
        treering.open(disk.path)


def test_closed_means_closed(tmp_path):
    db = treering.open(tmp_path / "db")
    ref = db.series("cpu")
    other = db.create_namespace("other")
    result, scan = db.select(), db.scan()
    db.close()
    db.close()
    assert other.closed and "closed" in repr(db)
    calls = [
        lambda: db.append("cpu", 1, 1.0),
        lambda: db.append(ref, 1, 1.0),
        lambda: db.append_columns("cpu", [], []),
        lambda: db.append_rows([ref], 1, [1.0]),
        lambda: db.append_arrow(result),
        lambda: db.select(),
        lambda: other.select(),
        lambda: db.scan(),
        lambda: db.query("up"),
        lambda: db.stats(),
        lambda: db.verify(),
        lambda: db.series("x"),
        lambda: db.namespaces(),
        lambda: db.all_metadata(),
        lambda: db.__exit__(None, None, None) or db.flush(),
    ]
    for call in calls:
        with pytest.raises(treering.ClosedError):
            call()
    with pytest.raises(ValueError):
        db.sync()
    assert list(scan) == [] and len(result) == 0


def test_what_is_under_way_outlives_close(tmp_path):
    db = treering.open(tmp_path / "db")
    for host in range(50):
        db.append_columns({"__name__": "cpu", "host": f"{host:02}"}, range(100), np.full(100, host))
    db.flush()
    result, scan, stream = db.select(), db.scan(), db.scan()
    first = next(scan)
    arrays = result[7]
    db.close()
    del db, result
    rest = list(scan)
    assert [int(series.values[0]) for series in [first, *rest]] == list(range(50))
    assert arrays.values.tolist() == [7.0] * 100
    import pyarrow

    assert pyarrow.table(stream).num_rows == 5000
    with pytest.raises(ValueError, match="read already"):
        pyarrow.table(stream)


def test_errors_are_what_python_expects():
    for ours, theirs in [
        (treering.ClosedError, ValueError),
        (treering.QueryError, ValueError),
        (treering.LabelError, ValueError),
        (treering.QueryTimeoutError, TimeoutError),
        (treering.DiskError, OSError),
        (treering.NamespaceError, LookupError),
        (treering.ForkError, RuntimeError),
    ]:
        assert issubclass(ours, theirs) and issubclass(ours, treering.Error)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ({"host": 1}, TypeError),
        ({1: "host"}, TypeError),
        (7, TypeError),
        (None, TypeError),
        (["cpu"], TypeError),
        ({"x" * 100_000: "y"}, treering.LimitError),
        ({str(n): "y" for n in range(2000)}, ValueError),
        ("cpu{", treering.LabelError),
        ("cpu\udc80", UnicodeEncodeError),
        ({"a": "\udc80"}, UnicodeEncodeError),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_labels_that_are_refused(db, labels, error):
    with pytest.raises(error):
        db.append(labels, 1, 1.0)
    assert len(db.select()) == 0


def test_a_disk_that_refuses_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises((OSError, treering.Error)):
        treering.open(tmp_path / "file")
    with pytest.raises(TypeError):
        treering.open(7)
    with pytest.raises((ValueError, OSError, treering.Error)):
        treering.open("a\0b")
