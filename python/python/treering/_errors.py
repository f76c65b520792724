"""What calls fail with. Every class is an `Error`; some are also what Python programs expect."""

from __future__ import annotations

import errno


class Error(Exception):
    """Anything that goes wrong in a database."""


class CorruptError(Error):
    """A file holds bytes that were not written there: `file`, at `offset`."""

    file: str | None
    offset: int | None

    def __init__(self, text: str = "", *, file: str | None = None, offset: int | None = None) -> None:
        super().__init__(text)
        self.file = file
        self.offset = offset


class LimitError(Error):
    """A limit was reached: its name is `limit`, its value `value`, where that is known."""

    limit: str | None
    value: int | None

    def __init__(self, text: str = "", *, limit: str | None = None, value: int | None = None) -> None:
        super().__init__(text)
        self.limit = limit
        self.value = value


class VersionError(Error):
    """The database was written by a newer release."""


class LockedError(Error):
    """Another process, or another open in this one, writes to the database."""


class NotADatabaseError(Error):
    """The directory holds no database, or something else."""


class PoisonedError(Error):
    """An earlier failure to write stopped all writes; queries still answer. Open it again."""


class ReadOnlyError(Error):
    """The database was opened for reading only."""


class ClosedError(Error, ValueError):
    """The database was closed."""


class ForkError(Error, RuntimeError):
    """The database was opened by the process that this one was forked from."""


class InternalError(Error, RuntimeError):
    """A defect of the library, caught; please report it."""


class LabelError(Error, ValueError):
    """Labels or a selector are malformed."""


class ArgumentError(Error, ValueError):
    """An argument or an option has a value outside its range."""


class FrameError(Error, ValueError):
    """Arrow data that cannot be read."""


class ExpiredError(Error, ValueError):
    """A sample is older than its namespace keeps."""


class QueryError(Error, ValueError):
    """A PromQL query is malformed, or cannot be evaluated over the data that it found."""


class QueryTimeoutError(Error, TimeoutError):
    """A question took longer than it may."""


class CancelledError(Error):
    """A question was ended from outside."""


class NamespaceError(Error, LookupError):
    """There is no namespace of this name, or it was dropped."""


class StaleSeriesError(Error, LookupError):
    """A `SeriesRef` of another open, or of another namespace."""


class DiskError(Error, OSError):
    """The operating system refused a file operation."""


class DiskFullError(DiskError):
    """The disk is full. Nothing was changed; queries go on."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.errno = errno.ENOSPC
