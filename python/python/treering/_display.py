"""Results as frames of other libraries, as text and as HTML with a plot.

Input: a `Result`. Output: what the method of the same name gives. Nothing that is not asked for is
imported.
"""

from __future__ import annotations

import html as _html
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._native import Result
    from ._series import Series

_TEXT_SERIES = 10
_HTML_SERIES = 20
_PLOT_SERIES = 8
_PLOT_WIDTH, _PLOT_HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 8, 24
_COLOURS = (
    "#4269d0", "#ff725c", "#6cc5b0", "#a463f2", "#97bbf5", "#9c6b4e", "#3ca951", "#ff8ab7",
)  # fmt: skip


def name_of(labels: dict[str, str]) -> str:
    """Labels as they stand in a selector: ``cpu{host="a"}``."""

    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    rest = ", ".join(f"{k}={quoted(v)}" for k, v in labels.items() if k != "__name__")
    name = labels.get("__name__", "")
    return f"{name}{{{rest}}}" if rest or not name else name


def to_arrow(result: Result) -> Any:
    """A `pyarrow.Table`."""
    import pyarrow

    return pyarrow.table(result)


def to_polars(result: Result) -> Any:
    """A polars `DataFrame`."""
    import polars

    return polars.DataFrame(result)


def to_pandas(result: Result, shape: str) -> Any:
    """A pandas `DataFrame`, long or wide."""
    import pandas

    if shape == "wide":
        columns = {}
        for one in result:
            index = pandas.DatetimeIndex(one.timestamps, tz="UTC", name="timestamp")
            columns[name_of(one.labels)] = pandas.Series(one.values, index=index)
        return pandas.DataFrame(columns)
    if shape != "long":
        raise ValueError('shape must be "long" or "wide"')
    all_series = result.to_numpy()
    counts = [len(series.values) for series in all_series]
    frame = {}
    own = {"timestamp", "value", "approximate", "histogram"}
    names = sorted({name for series in all_series for name in series.labels})
    for name in names:
        texts: dict[str, int] = {}
        codes = [
            texts.setdefault(text, len(texts)) if text is not None else -1
            for text in (series.labels.get(name) for series in all_series)
        ]
        column = name
        while column in own or (column != name and column in names):
            column = f"label_{column}"
        rows = np.repeat(np.asarray(codes, dtype=np.int32), counts)
        frame[column] = pandas.Categorical.from_codes(rows, categories=list(texts))
    times = [np.empty(0, "datetime64[ns]"), *(series.timestamps for series in all_series)]
    frame["timestamp"] = pandas.DatetimeIndex(np.concatenate(times), tz="UTC")
    values = [np.empty(0), *(series.values for series in all_series)]
    frame["value"] = np.concatenate(values)
    if any(result.histograms):
        histograms = np.full(sum(counts), None, dtype=object)
        begins = np.cumsum([0, *counts])
        for begin, found in zip(begins, result.histograms):
            for at, histogram in found.items():
                histograms[begin + at] = histogram
        frame["histogram"] = histograms
    if result.kind == "aggregate":
        frame["approximate"] = np.repeat(np.asarray(result.approximate, dtype=bool), counts)
    return pandas.DataFrame(frame, copy=False)


def text(result: Result) -> str:
    """What `repr` says: one line for the whole, one for each of the first series."""
    count = len(result)
    series = "1 series" if count == 1 else f"{count:,} series"
    head = f"<treering.Result {result.kind}: {series}, {result.samples:,} samples"
    if result.text is not None:
        return f"{head}, {result.text!r}>"
    lines = []
    for index in range(min(count, _TEXT_SERIES)):
        labels, times, values = result[index]
        line = f"  {name_of(labels)}  {len(values):,} samples"
        if len(values):
            line += f", last {values[-1]:g} at {_shown(times[-1])}"
        lines.append(line)
    if count > _TEXT_SERIES:
        lines.append(f"  and {count - _TEXT_SERIES:,} more")
    lines += [f"  note: {note}" for note in result.notes]
    return "\n".join([head + (":" if lines else ">"), *lines]) + (">" if lines else "")


def html(result: Result) -> str:
    """A plot and a table of the first series, for notebooks."""
    rows = []
    for index in range(min(len(result), _HTML_SERIES)):
        labels, times, values = result[index]
        cells = [name_of(labels), f"{len(values):,}"]
        if len(values):
            cells += [_shown(times[0]), _shown(times[-1]), f"{values[-1]:g}"]
        else:
            cells += ["", "", ""]
        colour = _COLOURS[index] if index < _PLOT_SERIES else "transparent"
        mark = f'<td style="color:{colour}">&#9632;</td>'
        rows.append(f"<tr>{mark}{''.join(f'<td>{_html.escape(cell)}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "series", "samples", "first", "last", "value"))
    more = len(result) - _HTML_SERIES
    parts = [_plot(result)]
    if result.text is not None:
        parts.append(f"<p>{_html.escape(result.text)}</p>")
    parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    parts += [f"<p>and {more:,} more series</p>"] if more > 0 else []
    parts += [f"<p>{_html.escape(note)}</p>" for note in result.notes]
    return f"<div>{''.join(parts)}</div>"


def _shown(time: np.datetime64) -> str:
    text = np.datetime_as_string(time, unit="auto")
    return f"{text}Z" if "T" in text else text


def _plot(result: Result) -> str:
    """An SVG of the first series: lines through what is finite, thinned to what can be seen."""
    thin = [_thinned(result[index]) for index in range(min(len(result), _PLOT_SERIES))]
    shown = [(index, points) for index, points in enumerate(thin) if len(points[0])]
    if not shown:
        return ""
    first = min(float(times[0]) for _, (times, _) in shown)
    last = max(float(times[-1]) for _, (times, _) in shown)
    low = min(float(values.min()) for _, (_, values) in shown)
    high = max(float(values.max()) for _, (_, values) in shown)
    width, height = _PLOT_WIDTH - _LEFT - _RIGHT, _PLOT_HEIGHT - _TOP - _BOTTOM
    lines = []
    with np.errstate(all="ignore"):
        for index, (times, values) in shown:
            xs = _LEFT + (times - first) / ((last - first) or 1.0) * width
            # Halves, so that the span of two huge values does not overflow.
            span = (high / 2 - low / 2) or 0.5
            ys = _TOP + height - (values / 2 - low / 2) / span * height
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys))
            lines.append(_line(points, _COLOURS[index], len(times)))
    ends = [np.datetime64(int(end), "ns") for end in (first, last)]
    floor = _PLOT_HEIGHT - 8
    words = [
        f'<text x="{_LEFT - 4}" y="{_TOP + 10}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{_LEFT - 4}" y="{_TOP + height}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{_LEFT}" y="{floor}">{_shown(ends[0])}</text>',
        f'<text x="{_PLOT_WIDTH - _RIGHT}" y="{floor}" text-anchor="end">{_shown(ends[1])}</text>',
    ]
    frame = (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.3"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PLOT_WIDTH}" height="{_PLOT_HEIGHT}" '
        f'viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}" font-size="11" fill="currentColor">'
        f"{frame}{''.join(lines)}{''.join(words)}</svg>"
    )


def _line(points: str, colour: str, count: int) -> str:
    if count == 1:
        x, y = points.split(",")
        return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>'


def _thinned(series: Series) -> tuple[Any, Any]:
    """The smallest and the largest value of each column of pixels, in order of time."""
    finite = np.isfinite(series.values)
    times = series.timestamps.view("int64")[finite].astype("float64")
    values = series.values[finite]
    most = _PLOT_WIDTH - _LEFT - _RIGHT
    if len(values) <= 2 * most:
        return times, values
    edges = np.linspace(0, len(values), most + 1).astype("int64")[:-1]
    # The places of the extremes, piece by piece of about equal size.
    pieces = np.split(np.arange(len(values)), edges[1:])
    keep = np.unique(
        np.concatenate([[p[values[p].argmin()], p[values[p].argmax()]] for p in pieces if len(p)])
    )
    return times[keep], values[keep]
