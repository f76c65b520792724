"""SQLite and DuckDB for `cargo xtask bench rivals`.

Input: `databases.py ENGINE ingest DATABASE DATA` or `databases.py ENGINE ask DATABASE`. DATA is a
folder with `columns.bin` (time, host, then the metrics, each a column of 8 bytes a row) and
`data.json` (rows, metrics, tags). Output: of ingest one line `FIGURES {...}`; of ask one line of
JSON for each question that comes as a line of JSON: milliseconds until all rows were fetched, then
the rows as [metric, host, time, value]. The data are drawn and put into the form that each engine
likes best before the clock starts.

One row per time and host with a column for each metric, as TSBS does for databases with SQL; tags in
a table of their own.
"""

import json
import os
import sys
import time

BATCH_ROWS = 1000  # of ten metrics: 10,000 samples, as for everybody


class Data:
    def __init__(self, folder):
        with open(os.path.join(folder, "data.json"), encoding="utf-8") as file:
            about = json.load(file)
        self.rows, self.metrics, self.tags = about["rows"], about["metrics"], about["tags"]
        with open(os.path.join(folder, "columns.bin"), "rb") as file:
            self.bytes = file.read()

    def column(self, index):
        at = index * 8 * self.rows
        return memoryview(self.bytes)[at : at + 8 * self.rows]


def bucket(question, divide):
    """The number of the window that a time lies in; windows are left-open."""
    return f"(t - {question['first']}) {divide} {question['step']}"


def sql(question, divide, newest):
    """The text of a question; its rows are (host or 0, time or window, value...)."""
    names = [f"m{index}" for index in range(question["metrics"])]
    where = f"t BETWEEN {question['first']} AND {question['last']}"
    if question["hosts"] is not None:
        hosts = ", ".join(f"'host_{host}'" for host in question["hosts"])
        where += f" AND host IN (SELECT id FROM tags WHERE hostname IN ({hosts}))"
    task = question["task"]
    if task == "max":
        values = ", ".join(f"max({name})" for name in names)
        return f"SELECT 0, {bucket(question, divide)} AS w, {values} FROM cpu WHERE {where} GROUP BY w"
    if task == "mean":
        values = ", ".join(f"avg({name})" for name in names)
        return (
            f"SELECT host, {bucket(question, divide)} AS w, {values} FROM cpu"
            f" WHERE {where} GROUP BY host, w"
        )
    if task == "high":
        return f"SELECT host, t, m0 FROM cpu WHERE {where} AND m0 > 90"
    return newest(names)


def points(question, rows):
    """Rows of SQL as [metric, host, time, value]."""
    found = []
    for host, at, *values in rows:
        if question["task"] in ("max", "mean"):
            at = question["first"] - 1 + (at + 1) * question["step"]
        name = "" if question["task"] == "max" else f"host_{host}"
        for metric, value in enumerate(values):
            found.append([metric, name, at, value])
    return found


class SQLite:
    """WAL and synchronous=NORMAL, as sqlite.org/wal.html recommends for such programs."""

    divide = "/"

    def __init__(self, path):
        import sqlite3

        self.version = sqlite3.sqlite_version
        self.path = path
        self.db = sqlite3.connect(os.path.join(path, "db.sqlite"), isolation_level=None)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "cache_size = -262144",
            "mmap_size = 1073741824",
            "temp_store = MEMORY",
        ):
            self.db.execute(f"PRAGMA {pragma}").fetchall()

    def create(self, data):
        columns = ", ".join(f"m{index} REAL" for index in range(len(data.metrics)))
        self.db.execute(
            f"CREATE TABLE cpu (host INTEGER, t INTEGER, {columns}, PRIMARY KEY (host, t))"
            " WITHOUT ROWID"
        )
        names = ", ".join(f"{name} TEXT" for name in data.tags["names"])
        self.db.execute(f"CREATE TABLE tags (id INTEGER PRIMARY KEY, {names})")
        marks = ", ".join("?" for _ in data.tags["names"])
        rows = [[index, *row] for index, row in enumerate(data.tags["rows"])]
        self.db.executemany(f"INSERT INTO tags VALUES (?, {marks})", rows)
        self.db.execute("CREATE INDEX tags_hostname ON tags (hostname)")

    def prepare(self, data):
        columns = [data.column(1).cast("q"), data.column(0).cast("q")]
        columns += [data.column(2 + index).cast("d") for index in range(len(data.metrics))]
        return list(zip(*columns))

    def insert(self, rows):
        marks = ", ".join("?" for _ in rows[0])
        text = f"INSERT INTO cpu VALUES ({marks})"
        for at in range(0, len(rows), BATCH_ROWS):
            self.db.execute("BEGIN")
            self.db.executemany(text, rows[at : at + BATCH_ROWS])
            self.db.execute("COMMIT")

    def settle(self):
        self.db.execute("ANALYZE")
        self.db.execute("VACUUM")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.db.close()

    def fetch(self, text, _):
        return self.db.execute(text).fetchall()

    def newest(self, names):
        values = ", ".join(f"cpu.{name}" for name in names)
        return (
            f"SELECT cpu.host, cpu.t, {values} FROM tags JOIN cpu ON cpu.host = tags.id AND cpu.t ="
            " (SELECT max(t) FROM cpu AS other WHERE other.host = tags.id)"
        )


class DuckDB:
    """Defaults; rows come as Arrow tables, as its documentation recommends for bulk loads."""

    divide = "//"

    def __init__(self, path):
        import duckdb

        self.version = duckdb.__version__
        self.path = path
        self.db = duckdb.connect(os.path.join(path, "db.duckdb"))

    def create(self, data):
        columns = ", ".join(f"m{index} DOUBLE" for index in range(len(data.metrics)))
        self.db.execute(f"CREATE TABLE cpu (t BIGINT, host BIGINT, {columns})")
        names = ", ".join(f"{name} VARCHAR" for name in data.tags["names"])
        self.db.execute(f"CREATE TABLE tags (id BIGINT, {names})")
        marks = ", ".join("?" for _ in data.tags["names"])
        rows = [[index, *row] for index, row in enumerate(data.tags["rows"])]
        self.db.executemany(f"INSERT INTO tags VALUES (?, {marks})", rows)

    def prepare(self, data):
        import pyarrow

        columns = {}
        for index in range(2 + len(data.metrics)):
            kind = pyarrow.int64() if index < 2 else pyarrow.float64()
            name = ["t", "host"][index] if index < 2 else f"m{index - 2}"
            buffer = pyarrow.py_buffer(data.column(index))
            columns[name] = pyarrow.Array.from_buffers(kind, data.rows, [None, buffer])
        return self.cut(pyarrow.table(columns))

    def cut(self, table):
        return [table]

    def insert(self, tables):
        for table in tables:
            self.db.register("given", table)
            self.db.execute("INSERT INTO cpu SELECT * FROM given")
            self.db.unregister("given")

    def settle(self):
        self.db.execute("CHECKPOINT")
        self.db.close()

    def fetch(self, text, is_long):
        # Rows cost less than tables up to some thousands of them.
        return self.db.sql(text).to_arrow_table() if is_long else self.db.execute(text).fetchall()

    def newest(self, names):
        # A fifth of what arg_max by host takes, a thirtieth of DISTINCT ON.
        values = ", ".join(f"cpu.{name}" for name in names)
        return (
            f"SELECT cpu.host, cpu.t, {values} FROM cpu JOIN"
            " (SELECT host, max(t) AS t FROM cpu GROUP BY host) AS newest"
            " ON cpu.host = newest.host AND cpu.t = newest.t"
        )


class DuckDBBatches(DuckDB):
    """The same in batches of 10,000 samples, a transaction and its sync each."""

    def cut(self, table):
        return [table.slice(at, BATCH_ROWS) for at in range(0, table.num_rows, BATCH_ROWS)]


ENGINES = {"sqlite": SQLite, "duckdb": DuckDB, "duckdb_batches": DuckDBBatches}


def ingest(kind, path, folder):
    data = Data(folder)
    engine = kind(path)
    engine.create(data)
    prepared = engine.prepare(data)
    millions = data.rows * len(data.metrics) / 1e6
    wall, cpu = time.perf_counter(), time.process_time()
    engine.insert(prepared)
    wall, ended = time.perf_counter() - wall, time.process_time()
    engine.settle()
    settled = time.process_time()
    figures = {
        "rate": millions * 1e6 / wall,
        "cpu": (ended - cpu) / millions,
        "settled_cpu": (settled - cpu) / millions,
    }
    print("FIGURES " + json.dumps(figures), flush=True)


def as_rows(fetched):
    if isinstance(fetched, list):
        return fetched
    return zip(*(column.to_pylist() for column in fetched.columns))


def ask(kind, path):
    engine = kind(path)
    print(json.dumps({"version": engine.version}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        text = sql(question, engine.divide, engine.newest)
        at = time.perf_counter()
        fetched = engine.fetch(text, question["task"] == "high")
        took = time.perf_counter() - at
        found = points(question, as_rows(fetched))
        print(json.dumps({"ms": took * 1e3, "points": found}), flush=True)


if __name__ == "__main__":
    _, name, what, *folders = sys.argv
    {"ingest": ingest, "ask": ask}[what](ENGINES[name], *folders)
