"""Ten lines of Treering: python ten_lines.py DIR."""

import sys
from pathlib import Path

import treering

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "treering-example")

with treering.open(folder / "db") as db:
    db.append({"__name__": "cpu", "host": "a"}, 1700000000000000000, 0.7)
    for labels, timestamps, values in db.select('cpu{host=~"a.*"}'):
        for time, value in zip(timestamps, values):
            print(time, value)
