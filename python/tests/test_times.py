"""Times from everything that programs have, exact to the nanosecond, and refusals that say why."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treering

SECOND = 1_000_000_000
NOON = 1_793_534_400 * SECOND  # 2026-11-01T12:00:00Z


@pytest.mark.parametrize(
    "time",
    [
        NOON,
        np.int64(NOON),
        np.uint64(NOON),
        datetime(2026, 11, 1, 12, tzinfo=timezone.utc),
        datetime(2026, 11, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        np.datetime64("2026-11-01T12:00:00"),
        np.datetime64("2026-11-01T12"),
        np.datetime64(NOON, "ns"),
        pd.Timestamp("2026-11-01T12:00:00Z"),
        pd.Timestamp("2026-11-01T13:00:00", tz="Europe/Berlin"),
        "2026-11-01T12:00:00Z",
        "2026-11-01 12:00Z",
        "2026-11-01T12:00:00.000000000z",
        "2026-11-01T07:30:00-04:30",
        " 2026-11-01T12:00:00+0000 ",
    ],
    ids=repr,
)
def test_one_moment_has_many_names(time):
    assert treering.timestamp(time) == NOON


@pytest.mark.parametrize(
    ("time", "error", "word"),
    [
        (1.5, TypeError, "float"),
        (np.float64(1.5), TypeError, "float"),
        (True, TypeError, "bool"),
        (None, TypeError, "NoneType"),
        ([1], TypeError, "list"),
        (date(2026, 11, 1), TypeError, "date"),
        (timedelta(1), TypeError, "timedelta"),
        (np.timedelta64(1, "s"), TypeError, "timedelta"),
        (datetime(2026, 11, 1), ValueError, "time zone"),
        (pd.Timestamp("2026-11-01"), ValueError, "time zone"),
        (pd.NaT, ValueError, "NaT"),
        (np.datetime64("NaT"), ValueError, "NaT"),
        (np.datetime64(1, "ps"), ValueError, "ps"),
        ("2026-11-01", ValueError, "time zone"),
        ("2026-11-01T12:00:00", ValueError, "time zone"),
        ("2026-02-29T12:00:00Z", ValueError, "no such day"),
        ("2026-11-01T24:00:00Z", ValueError, "write it as"),
        ("2026-11-01T12:00:00.Z", ValueError, "write it as"),
        ("2026-11-01T12:00:00.0123456789Z", ValueError, "write it as"),
        ("yesterday", ValueError, "write it as"),
        ("", ValueError, "write it as"),
        ("9999-01-01T00:00:00Z", ValueError, "1677 to 2262"),
        (2**63, OverflowError, "1677 to 2262"),
        (datetime(9999, 1, 1, tzinfo=timezone.utc), OverflowError, "1677 to 2262"),
        (np.datetime64("9999-01-01"), OverflowError, "1677 to 2262"),
    ],
    ids=repr,
)
def test_what_would_be_guessed_is_refused(time, error, word):
    with pytest.raises(error, match=word):
        treering.timestamp(time)


@given(st.datetimes(min_value=datetime(1678, 1, 1), max_value=datetime(2261, 1, 1)))
def test_datetimes_and_their_texts_are_exact(naive):
    aware = naive.replace(tzinfo=timezone.utc)
    micros = (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    assert treering.timestamp(aware) == micros * 1000
    assert treering.timestamp(aware.isoformat()) == micros * 1000
    assert treering.timestamp(np.datetime64(naive)) == micros * 1000


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_nanoseconds_of_pandas_are_kept(nanos):
    if pd.Timestamp.min.value <= nanos <= pd.Timestamp.max.value:
        assert treering.timestamp(pd.Timestamp(nanos, tz="UTC")) == nanos
    assert treering.timestamp(np.datetime64(nanos, "ns")) == nanos
    text = f"{np.datetime64(nanos, 'ns')}Z"
    assert treering.timestamp(text) == nanos


@pytest.mark.parametrize(
    "step", [90, 90.0, "1m30s", "90s", "90000ms", timedelta(seconds=90), np.timedelta64(90, "s")]
)
def test_lengths_of_time(db, step):
    db.append_columns("cpu", [0, 90 * SECOND], [1.0, 2.0])
    found = db.query_range("cpu", 0, 180 * SECOND, step)
    assert len(found[0].values) == 3


@pytest.mark.parametrize("step", [None, True, "", "m", "5", "5x", [], object(), -1, -0.5, float("nan")])
def test_lengths_that_are_none(db, step):
    with pytest.raises((TypeError, ValueError)):
        db.query_range("cpu", 0, 1, step)


@pytest.mark.parametrize("unit", ["W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_columns_of_every_unit(db, unit):
    times = np.array([1, 2], dtype=f"datetime64[{unit}]")
    assert db.append_columns("cpu", times, [1.0, 2.0]) == 2
    found = db.select("cpu")[0].timestamps
    assert (found == times.astype("datetime64[ns]")).all()


def test_columns_of_months_are_their_first_days(db):
    db.append_columns("cpu", np.array(["2026-02", "2026-03"], dtype="datetime64[M]"), [1.0, 2.0])
    assert [str(time)[:10] for time in db.select("cpu")[0].timestamps] == ["2026-02-01", "2026-03-01"]


@pytest.mark.parametrize(
    "times",
    [
        [NOON, NOON + 1],
        (NOON, NOON + 1),
        np.array([NOON, NOON + 1], dtype=">i8"),
        np.array([NOON, NOON + 1], dtype="uint64"),
        np.array([NOON, 7, NOON + 1, 8])[::2],
        [datetime(2026, 11, 1, 12, tzinfo=timezone.utc), np.datetime64(NOON + 1, "ns")],
        ["2026-11-01T12:00:00Z", "2026-11-01T12:00:00.000000001Z"],
        pd.DatetimeIndex([NOON, NOON + 1], tz="UTC"),
        pd.Series(pd.DatetimeIndex([NOON, NOON + 1], tz="America/Lima")),
        pd.Series([NOON, NOON + 1]),
        memoryview(np.array([NOON, NOON + 1])),
    ],
    ids=lambda times: type(times).__name__,
)
def test_columns_of_every_kind(db, times):
    db.append_columns("cpu", times, [1, 2])
    assert db.select("cpu")[0].timestamps.view("int64").tolist() == [NOON, NOON + 1]


@pytest.mark.parametrize(
    ("times", "error"),
    [
        ([1.0, 2.0], TypeError),
        ([True, False], TypeError),
        ([b"1", b"2"], TypeError),
        ([None, None], TypeError),
        ([[1, 2]], ValueError),
        (np.array(["NaT", "2026-01-01"], dtype="datetime64[s]"), ValueError),
        (np.array(["9999-01-01", "2026-01-01"], dtype="datetime64[s]"), OverflowError),
        (np.array([2**63, 1], dtype="uint64"), OverflowError),
        ([1], ValueError),
        (object(), (TypeError, ValueError)),
    ],
    ids=repr,
)
def test_columns_that_are_refused_leave_nothing(db, times, error):
    with pytest.raises(error):
        db.append_columns("cpu", times, [1.0, 2.0])
    assert len(db.select()) == 0
