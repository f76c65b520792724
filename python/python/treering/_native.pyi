"""The native part of `treering`."""

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, Unpack

from ._series import Series

class _Stream(Protocol):
    def __arrow_c_stream__(self, requested_schema: Any = None) -> object: ...

class _Array(Protocol):
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[object, object]: ...

_Time: TypeAlias = datetime.datetime | np.datetime64 | str | int
_Duration: TypeAlias = datetime.timedelta | np.timedelta64 | float | str
_Labels: TypeAlias = Mapping[str, str] | str
_Times: TypeAlias = npt.ArrayLike | _Stream | _Array
_Values: TypeAlias = npt.ArrayLike | _Stream | _Array
_Names: TypeAlias = str | Iterable[str]
_Path: TypeAlias = str | os.PathLike[str]
_Function: TypeAlias = Literal[
    "count", "sum", "min", "max", "avg", "first", "last", "stddev", "quantile", "increase", "rate"
]
_Kind: TypeAlias = Literal[
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"
]

class _OpenOptions(TypedDict, total=False):
    create: bool | None
    sync: Literal["always", "interval", "never"] | _Duration | None
    memory_bytes: int | None
    max_series: int | None
    wal_file_bytes: int | None
    wal_max_bytes: int | None
    wal_keep_bytes: int | None
    flush_interval: _Duration | None
    block_window: _Duration | None
    entropy_coding: bool | None
    reserve_bytes: int | None
    reads: Literal["mmap", "pread"] | None
    maintenance: Literal["background", "manual"] | None
    query_threads: int | None
    query_timeout: _Duration | None
    query_memory_bytes: int | None

class _NamespaceOptions(TypedDict, total=False):
    retention: _Duration | None
    retention_bytes: int | None
    block_window: _Duration | None
    max_series: int | None
    downsample: Iterable[tuple[_Duration, _Duration]] | None

class _Limits(TypedDict, total=False):
    timeout: _Duration | None
    max_series: int | None
    max_samples: int | None
    max_bytes: int | None
    lookback: _Duration | None

class _Metadata(TypedDict):
    kind: _Kind
    unit: str
    help: str

__all__ = [
    "Database",
    "Result",
    "Scan",
    "SeriesRef",
    "__version__",
    "_close_all",
    "in_memory",
    "open",
    "repair",
    "restore",
    "timestamp",
]

__version__: str

def open(path: _Path, *, read_only: bool = False, **options: Unpack[_OpenOptions]) -> Database: ...
def in_memory(**options: Unpack[_OpenOptions]) -> Database: ...
def restore(snapshot: _Path, path: _Path) -> dict[str, Any]: ...
def repair(damaged: _Path, path: _Path) -> dict[str, Any]: ...
def timestamp(time: _Time) -> int: ...
def _close_all() -> None: ...

@final
class SeriesRef:
    @property
    def labels(self) -> dict[str, str]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Result:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Series: ...
    def __iter__(self) -> Iterator[Series]: ...
    @property
    def samples(self) -> int: ...
    @property
    def kind(self) -> Literal["samples", "aggregate", "scalar", "vector", "matrix", "string"]: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def text(self) -> str | None: ...
    @property
    def approximate(self) -> list[bool]: ...
    @property
    def histograms(self) -> list[dict[int, str]]: ...
    def to_numpy(self) -> list[Series]: ...
    def to_arrow(self) -> Any: ...
    def to_pandas(self, shape: Literal["long", "wide"] = "long") -> Any: ...
    def to_polars(self) -> Any: ...
    def _repr_html_(self) -> str: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Scan:
    def __iter__(self) -> Self: ...
    def __next__(self) -> Series: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> object: ...

@final
class Database:
    def __enter__(self) -> Self: ...
    def __exit__(
        self, *exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def path(self) -> os.PathLike[str]: ...
    @property
    def read_only(self) -> bool: ...
    def series(self, labels: _Labels) -> SeriesRef: ...
    def append(self, series: _Labels | SeriesRef, timestamp: _Time, value: float) -> None: ...
    def append_columns(
        self, series: _Labels | SeriesRef, timestamps: _Times, values: _Values
    ) -> int: ...
    def append_rows(
        self, series: Iterable[SeriesRef], timestamps: _Time | _Times, values: _Values
    ) -> int: ...
    def append_arrow(
        self,
        frame: _Stream | _Array,
        *,
        timestamp: str | None = None,
        value: _Names | None = None,
        labels: _Names | None = None,
        metric: str | None = None,
    ) -> int: ...
    def select(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> Result: ...
    def scan(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> Scan: ...
    def aggregate(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        *,
        fn: _Function,
        step: _Duration | None = None,
        window: _Duration | None = None,
        by: _Names | None = None,
        without: _Names | None = None,
        quantile: float | None = None,
        top: int | None = None,
        bottom: int | None = None,
        **limits: Unpack[_Limits],
    ) -> Result: ...
    def latest(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> Result: ...
    def query(
        self, promql: str, time: _Time | None = None, **limits: Unpack[_Limits]
    ) -> Result: ...
    def query_range(
        self, promql: str, start: _Time, end: _Time, step: _Duration, **limits: Unpack[_Limits]
    ) -> Result: ...
    def explain(
        self, promql: str, start: _Time, end: _Time, step: _Duration, **limits: Unpack[_Limits]
    ) -> str: ...
    def series_labels(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> list[dict[str, str]]: ...
    def label_names(
        self,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> list[str]: ...
    def label_values(
        self,
        name: str,
        selector: str | None = None,
        start: _Time | None = None,
        end: _Time | None = None,
        **limits: Unpack[_Limits],
    ) -> list[str]: ...
    def delete(
        self, selector: str, start: _Time | None = None, end: _Time | None = None
    ) -> None: ...
    def sync(self) -> None: ...
    def flush(self) -> None: ...
    def compact(self) -> None: ...
    def maintain(self) -> bool: ...
    def refresh(self) -> bool: ...
    def snapshot(self, path: _Path) -> dict[str, Any]: ...
    def verify(self) -> dict[str, Any]: ...
    def stats(self) -> dict[str, Any]: ...
    def recovery(self) -> dict[str, Any]: ...
    def cardinality(self, limit: int = 10) -> dict[str, Any]: ...
    def namespace(self, name: str) -> Database: ...
    def create_namespace(self, name: str, **options: Unpack[_NamespaceOptions]) -> Database: ...
    def alter_namespace(self, name: str, **options: Unpack[_NamespaceOptions]) -> None: ...
    def drop_namespace(self, name: str) -> None: ...
    def namespaces(self) -> list[dict[str, Any]]: ...
    def metadata(self, metric: str) -> _Metadata | None: ...
    def set_metadata(
        self, metric: str, kind: _Kind, unit: str = "", help: str = ""
    ) -> None: ...
    def remove_metadata(self, metric: str) -> None: ...
    def all_metadata(self) -> dict[str, _Metadata]: ...
