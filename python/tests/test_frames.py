"""Frames of pyarrow, pandas, polars and DuckDB, in and out, long and wide."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import treering

SECOND = 1_000_000_000
TIMES = np.array([1, 2, 3, 4], dtype="datetime64[s]")
LONG = {
    "timestamp": TIMES.astype("datetime64[ns]"),
    "__name__": ["cpu", "mem", "cpu", "mem"],
    "host": ["a", "a", None, "b"],
    "value": [1.0, 2.0, 3.0, 4.0],
}
LONG_SERIES = {
    ("cpu", None): [(3, 3.0)],
    ("cpu", "a"): [(1, 1.0)],
    ("mem", "a"): [(2, 2.0)],
    ("mem", "b"): [(4, 4.0)],
}


def found(db, *names):
    out = {}
    for labels, times, values in db.select():
        key = tuple(labels.get(name) for name in names or ("__name__", "host"))
        seconds = (times.view("int64") // SECOND).tolist()
        out[key] = list(zip(seconds, values.tolist()))
    return out


def arrow_types():
    times = pa.array(LONG["timestamp"])
    text = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.uint64(), pa.large_string())]  # fmt: skip
    units = [pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "Asia/Tokyo"),
             pa.timestamp("s"), pa.int64()]  # fmt: skip
    numbers = [pa.float64(), pa.float32(), pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64()]
    for number in range(max(len(text), len(units), len(numbers))):
        kind, unit, value = (all_[number % len(all_)] for all_ in (text, units, numbers))
        yield pytest.param(
            pa.table(
                {
                    "timestamp": times.cast(unit),
                    "__name__": pa.array(LONG["__name__"]).cast(kind),
                    "host": pa.array(LONG["host"]).cast(kind),
                    "value": pa.array(LONG["value"]).cast(value),
                }
            ),
            id=f"{kind}-{unit}-{value}",
        )


@pytest.mark.parametrize("table", list(arrow_types()))
def test_long_frames_of_every_type(db, table):
    assert db.append_arrow(table) == 4
    assert found(db) == LONG_SERIES


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame(LONG),
        lambda: pd.DataFrame(LONG).set_index("timestamp"),
        lambda: pd.DataFrame(LONG).set_index("timestamp").rename_axis(None),
        lambda: pd.DataFrame(LONG).astype({"host": "category"}).assign(
            timestamp=lambda frame: frame.timestamp.dt.tz_localize("UTC")
        ),
        lambda: pl.DataFrame(LONG),
        lambda: pl.DataFrame(LONG).with_columns(pl.col("host").cast(pl.Categorical)),
        lambda: pl.DataFrame(LONG).lazy().collect(),
        lambda: pa.table(LONG),
        lambda: pa.record_batch(LONG),
        lambda: pa.concat_tables([pa.table(LONG).slice(0, 1), pa.table(LONG).slice(1)]),
        lambda: pa.table(LONG).to_reader(max_chunksize=1),
        lambda: duckdb_relation(pa.table(LONG)),
        lambda: ArrayOnly(pa.record_batch(LONG)),
    ],
    ids=["pandas", "index", "nameless", "categories", "polars", "categorical", "lazy", "table", "batch",
         "chunks", "reader", "duckdb", "array"],
)  # fmt: skip
def test_long_frames_of_every_library(db, make):
    assert db.append_arrow(make()) == 4
    assert found(db) == LONG_SERIES


class ArrayOnly:
    """A producer that has no stream."""

    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


def duckdb_relation(table):
    duckdb = pytest.importorskip("duckdb")
    return duckdb.from_arrow(table)


def test_wide_frames(db):
    frame = pd.DataFrame(
        {"host": ["a", "a", "b"], "cpu": [1.0, None, 3.0], "mem": [4, 5, 6]},
        index=pd.to_datetime([1, 2, 3], unit="s", utc=True),
    )
    assert db.append_arrow(frame) == 5
    assert found(db) == {
        ("cpu", "a"): [(1, 1.0)],
        ("cpu", "b"): [(3, 3.0)],
        ("mem", "a"): [(1, 4.0), (2, 5.0)],
        ("mem", "b"): [(3, 6.0)],
    }


def test_columns_by_name(db):
    table = pa.table({"when": TIMES, "then": TIMES, "level": [1, 2, 3, 4], "site": ["x"] * 4, "n": [0] * 4})
    with pytest.raises(ValueError, match="which column has the times"):
        db.append_arrow(table)
    with pytest.raises(TypeError, match="then"):
        db.append_arrow(table, timestamp="when", value="level")
    assert db.append_arrow(table, timestamp="when", value="level", labels=["site"], metric="water") == 4
    assert found(db, "__name__", "site") == {("water", "x"): [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]}
    assert db.append_arrow(table, timestamp="when", value=["level", "n"], labels=[]) == 8
    assert set(found(db, "__name__")) == {("water",), ("level",), ("n",)}


@pytest.mark.parametrize(
    ("columns", "named", "error", "word"),
    [
        ({"timestamp": TIMES}, {}, ValueError, "no column of values"),
        ({"value": [1.0] * 4}, {}, ValueError, "which column"),
        ({"timestamp": [1.5] * 4, "value": [1.0] * 4}, {}, ValueError, "which column"),
        ({"timestamp": [1.5] * 4, "value": [1.0] * 4}, {"timestamp": "timestamp"}, TypeError, "nanoseconds"),
        ({"timestamp": [None, 1, 2, 3], "value": [1.0] * 4}, {}, ValueError, "no time in row 0"),
        ({"timestamp": TIMES, "value": ["1"] * 4}, {}, ValueError, "no column of values|used twice"),
        ({"timestamp": TIMES, "value": [1.0] * 4, "ok": [True] * 4}, {}, TypeError, "ok"),
        ({"timestamp": TIMES, "value": [1.0] * 4}, {"labels": ["host"]}, ValueError, "host"),
        ({"timestamp": TIMES, "value": [1.0] * 4}, {"value": "timestamp"}, ValueError, "twice"),
        ({"timestamp": TIMES, "value": [1.0] * 4}, {"labels": "value"}, ValueError, "no column of values"),
        ({"timestamp": TIMES, "cpu": [1.0] * 4}, {"metric": "x"}, ValueError, "metric="),
        ({"timestamp": TIMES, "value": [1.0] * 4}, {"value": 7}, TypeError, "value"),
        ({"timestamp": np.array(["9999-01-01"] * 4, "datetime64[s]"), "value": [1.0] * 4}, {}, OverflowError, "2262"),
    ],
)  # fmt: skip
def test_frames_that_are_not_clear_are_refused(db, columns, named, error, word):
    with pytest.raises(error, match=word):
        db.append_arrow(pa.table(columns), **named)
    assert len(db.select()) == 0


@pytest.mark.parametrize("thing", [None, 7, "table", [1, 2], {"a": 1}, object(), np.zeros(3)], ids=repr)
def test_what_is_no_frame(db, thing):
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        db.append_arrow(thing)


def test_producers_that_misbehave(db):
    class Wrong:
        def __arrow_c_stream__(self, requested_schema=None):
            return "no capsule"

    class Raises:
        def __arrow_c_stream__(self, requested_schema=None):
            raise KeyError("mine")

    def breaks():
        yield pa.record_batch(LONG)
        raise RuntimeError("half way")

    with pytest.raises(TypeError):
        db.append_arrow(Wrong())
    with pytest.raises(KeyError, match="mine"):
        db.append_arrow(Raises())
    reader = pa.RecordBatchReader.from_batches(pa.record_batch(LONG).schema, breaks())
    with pytest.raises(treering.FrameError, match="half way"):
        db.append_arrow(reader)
    capsule = pa.table(LONG).__arrow_c_stream__()

    class Twice:
        def __arrow_c_stream__(self, requested_schema=None):
            return capsule

    db.append_arrow(Twice())
    with pytest.raises(treering.FrameError, match="released"):
        db.append_arrow(Twice())
    with pytest.raises(TypeError, match="single column"):
        db.append_arrow(pa.chunked_array([[1, 2]]))


def test_later_rows_win_and_nan_is_a_value(db):
    table = pa.table({"timestamp": [1, 1, 2], "host": ["a"] * 3, "value": [1.0, 2.0, float("nan")]})
    assert db.append_arrow(table) == 3
    values = db.select()[0].values
    assert values[0] == 2.0 and np.isnan(values[1])


def test_many_pieces_and_series_keep_their_order(db):
    count = (1 << 20) + 100_000
    host = np.arange(count) % 1000
    codes = pa.DictionaryArray.from_arrays(pa.array(host.astype("int16")), [f"h{n:03}" for n in range(1000)])
    table = pa.table({"timestamp": np.arange(count), "host": codes, "value": np.arange(float(count))})
    assert db.append_arrow(table, metric="cpu") == count
    result = db.select("cpu")
    assert len(result) == 1000 and result.samples == count
    for number in (0, 499, 999):
        labels, times, values = result[number]
        expected = np.arange(number, count, 1000)
        assert labels["host"] == f"h{number:03}"
        assert (times.view("int64") == expected).all() and (values == expected).all()


@pytest.fixture
def filled(db):
    db.append_arrow(pa.table(LONG))
    return db


def test_results_as_arrow(filled):
    table = pa.table(filled.select())
    assert table.column_names == ["__name__", "host", "timestamp", "value"]
    assert table.schema.field("timestamp").type == pa.timestamp("ns", "UTC")
    assert table["host"].to_pylist() == [None, "a", "a", "b"]
    assert table["value"].to_pylist() == [3.0, 1.0, 2.0, 4.0]
    assert filled.select().to_arrow().equals(table)
    assert pa.table(filled.scan()).equals(table)
    assert pa.table(filled.select("nothing")).num_rows == 0
    assert pa.schema(filled.select()).names == table.column_names
    assert "approximate" in pa.table(filled.aggregate(fn="max")).column_names
    with treering.in_memory() as copy:
        assert copy.append_arrow(filled.select()) == 4
        assert found(copy) == LONG_SERIES


def test_results_in_other_libraries(filled):
    result = filled.select()
    assert pl.DataFrame(result).equals(result.to_polars())
    assert result.to_polars()["value"].sum() == 10.0
    assert pl.from_arrow(pa.table(result)).height == 4
    frame = result.to_pandas()
    assert frame["value"].tolist() == [3.0, 1.0, 2.0, 4.0]
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert frame["host"].isna().tolist() == [True, False, False, False]
    assert pa.table(result).to_pandas()["value"].tolist() == frame["value"].tolist()
    wide = result.to_pandas(shape="wide")
    assert list(wide.columns) == ["cpu", 'cpu{host="a"}', 'mem{host="a"}', 'mem{host="b"}']
    assert wide["cpu"].dropna().tolist() == [3.0]
    assert result.to_pandas("wide").shape == (4, 4)
    assert filled.select("nothing").to_pandas().shape == (0, 2)
    with pytest.raises(ValueError, match="shape"):
        result.to_pandas(shape="round")


def test_results_in_sql(filled):
    duckdb = pytest.importorskip("duckdb")
    result = filled.select()
    assert result.samples == 4
    answer = duckdb.sql("select host, sum(value) from result group by host order by host nulls last")
    assert answer.fetchall() == [("a", 3.0), ("b", 4.0), (None, 3.0)]


def test_labels_named_as_columns(db):
    db.append({"value": "1", "label_value": "2", "timestamp": "3"}, 1, 5.0)
    names = ["label_label_value", "label_timestamp", "label_value", "timestamp", "value"]
    assert sorted(pa.table(db.select()).column_names) == names
    assert sorted(db.select().to_pandas().columns) == names


def test_large_series_are_shared_not_copied(db):
    count = 200_000
    db.append_columns("big", np.arange(count), np.random.default_rng(2).random(count))
    result = db.select("big")
    _, times, values = result[0]
    stream = pa.table(result)
    assert stream["value"].num_chunks == 1
    assert stream["value"].chunk(0).buffers()[1].address == values.ctypes.data
    assert stream["timestamp"].chunk(0).buffers()[1].address == times.ctypes.data
    assert not values.flags.writeable and not times.flags.writeable
    with pytest.raises(ValueError):
        values[0] = 1
    del result, stream
    assert values.sum() > 0 and len(times) == count


def test_histograms_are_texts_in_promql(tmp_path):
    """A database with native histograms, which the engine keeps for its own tests."""
    golden = Path(__file__).parents[2] / "engine/tests/golden/beside.db"
    with treering.open(shutil.copytree(golden, tmp_path / "db"), read_only=True) as db:
        samples = db.select('cpu{host="h"}')[0]
        stale = samples.values.view("uint64") == 0x7FF0_0000_0000_0002
        assert 0 < stale.sum() < len(stale)
        end = samples.timestamps[-1]
        result = db.query('cpu{host="h"}[1h]', end)
        table = pa.table(result)
        assert table.column_names == ["__name__", "host", "timestamp", "value", "histogram"]
        texts = table["histogram"].to_pylist()
        assert [text is None for text in texts] == [value is not None for value in table["value"].to_pylist()]
        assert result.histograms == [{at: text for at, text in enumerate(texts) if text is not None}]
        assert len(result.histograms[0]) > 10
        column = result.to_pandas()["histogram"]
        assert [None if pd.isna(text) else text for text in column] == texts
        assert all(text.startswith("{count:") for text in result.histograms[0].values())
        (floats,) = db.query('histogram_count(cpu{host="h"})', end).to_numpy()
        assert floats.values[0] >= 0
        assert "histogram" not in pa.table(db.query("vector(1)")).column_names


def test_repr_and_html(filled):
    filled.append_columns({"__name__": "<script>", "q": 'a"b\\'}, range(5000), np.sin(np.arange(5000)))
    result = filled.select()
    text = repr(result)
    assert text.startswith("<treering.Result samples: 5 series, 5,004 samples:")
    assert '<script>{q="a\\"b\\\\"}  5,000 samples' in text
    page = result._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert page.count("<polyline") == 1 and page.count("<circle") == 4
    # Thinned: no more points than can be seen.
    assert len(page) < 60_000
    import xml.etree.ElementTree as tree

    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    assert tree.fromstring(svg).tag.endswith("svg")
    assert repr(filled.select("nothing")) == "<treering.Result samples: 0 series, 0 samples>"
    assert "svg" not in filled.select("nothing")._repr_html_()
    assert "'hi'" in repr(filled.query('"hi"')) and "hi" in filled.query('"hi"')._repr_html_()


@pytest.mark.parametrize("values", [[np.nan] * 3, [np.inf, -np.inf, 1.0], [1e308, -1e308, 0.0], [5.0] * 3])
def test_plots_of_odd_values(db, values):
    db.append_columns("odd", [1, 2, 3], values)
    page = db.select("odd")._repr_html_()
    for word in ("nan,", ",nan", "inf,", ",inf"):
        assert word not in page
