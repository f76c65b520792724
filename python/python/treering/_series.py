"""One series of a result."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Series(NamedTuple):
    """Labels, timestamps (`datetime64[ns]`, UTC, rising) and values of one series.

    The arrays are read-only: results, arrays and Arrow streams show the same memory.
    """

    labels: dict[str, str]
    timestamps: npt.NDArray[np.datetime64]
    values: npt.NDArray[np.float64]
