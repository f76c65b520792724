"""Treering: an embedded time-series storage engine.

A database is a directory. A program opens it in process, appends labelled samples, and asks:

    >>> import treering
    >>> db = treering.in_memory()
    >>> db.append({"__name__": "cpu", "host": "a"}, "2026-11-01T12:00:00Z", 0.7)
    >>> db.select('cpu{host=~"a.*"}')[0].values
    array([0.7])

Times are given as aware datetimes, numpy's datetime64 (UTC), pandas' Timestamps, ISO 8601 texts with
a zone or integers of nanoseconds since 1970; lengths of time as timedelta, seconds or texts such as
``"5m"``. Results are sequences of `Series`, and Arrow streams that pyarrow, polars, pandas and DuckDB
read without copying.
"""

from ._errors import (
    ArgumentError,
    CancelledError,
    ClosedError,
    CorruptError,
    DiskError,
    DiskFullError,
    Error,
    ExpiredError,
    ForkError,
    FrameError,
    InternalError,
    LabelError,
    LimitError,
    LockedError,
    NamespaceError,
    NotADatabaseError,
    PoisonedError,
    QueryError,
    QueryTimeoutError,
    ReadOnlyError,
    StaleSeriesError,
    VersionError,
)
from ._native import (
    Database,
    Result,
    Scan,
    SeriesRef,
    __version__,
    in_memory,
    open,
    repair,
    restore,
    timestamp,
)
from ._series import Series

__all__ = [
    "ArgumentError",
    "CancelledError",
    "ClosedError",
    "CorruptError",
    "Database",
    "DiskError",
    "DiskFullError",
    "Error",
    "ExpiredError",
    "ForkError",
    "FrameError",
    "InternalError",
    "LabelError",
    "LimitError",
    "LockedError",
    "NamespaceError",
    "NotADatabaseError",
    "PoisonedError",
    "QueryError",
    "QueryTimeoutError",
    "ReadOnlyError",
    "Result",
    "Scan",
    "Series",
    "SeriesRef",
    "StaleSeriesError",
    "VersionError",
    "__version__",
    "in_memory",
    "open",
    "repair",
    "restore",
    "timestamp",
]
