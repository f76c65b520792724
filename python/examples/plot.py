"""A day of two machines: append a frame, ask by PromQL, draw what comes back: python plot.py DIR.

Written as a notebook would be, cell by cell; the plot goes to DIR/plot.png.
"""

# %% A day of measurements, every 15 seconds: a wide frame, a column for each metric.
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import treering

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
times = pd.date_range("2026-11-01", periods=5760, freq="15s", tz="UTC")
random = np.random.default_rng(7)
frames = []
for host, phase in [("web-1", 0.0), ("web-2", 0.7)]:
    day = np.sin(np.linspace(0, 2 * np.pi, len(times)) + phase)
    requests = np.cumsum(random.poisson(40 * (1.5 + day)))
    load = 0.6 + 0.3 * day + random.normal(0, 0.05, len(times))
    frames.append(pd.DataFrame({"time": times, "host": host, "requests_total": requests, "load": load}))

# %% One database on disk, one call for all of it.
db = treering.open(folder / "metrics.db")
count = db.append_arrow(pd.concat(frames))
print(f"{count:,} samples, {db.stats()['series']} series")

# %% PromQL over the day, every five minutes.
start, end = times[0], times[-1]
rates = db.query_range("sum by (host) (rate(requests_total[10m]))", start, end, "5m")
print(rates)

# %% The engine's own aggregates: the highest load of each hour.
peaks = db.aggregate("load", start, end, fn="max", step="1h", by="host")
print(peaks.to_pandas(shape="wide").head())

# %% Arrays go to matplotlib as they are.
figure, (above, below) = plt.subplots(2, 1, figsize=(9, 6), sharex=True, layout="constrained")
for labels, timestamps, values in rates:
    above.plot(timestamps, values, label=labels["host"])
for labels, timestamps, values in db.select("load"):
    below.plot(timestamps, values, linewidth=0.4, alpha=0.6)
for labels, timestamps, values in peaks:
    below.plot(timestamps, values, "o-", markersize=3, label=f"{labels['host']}, highest of the hour")
above.set_ylabel("requests per second")
below.set_ylabel("load")
above.legend()
below.legend()
figure.savefig(folder / "plot.png", dpi=120)
db.close()
