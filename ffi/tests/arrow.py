"""Reads an answer of the C library with pyarrow, by the Arrow C stream interface.

Argument: the shared library. Output: exit code 0 when the table is what was appended.
"""

import ctypes
import sys

import pyarrow as pa


class Handle(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint64)]


class String(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Label(ctypes.Structure):
    _fields_ = [("name", String), ("value", String)]


library = ctypes.CDLL(sys.argv[1])
library.treering_error_message.restype = ctypes.c_char_p
library.treering_error_message.argtypes = [Handle]
error = Handle()


def call(name, *arguments):
    status = getattr(library, name)(*arguments, ctypes.byref(error))
    assert status == 0, (name, status, library.treering_error_message(error))


def append(db, pairs, times, values):
    labels = [Label(String(n.encode(), len(n)), String(v.encode(), len(v))) for n, v in pairs]
    call(
        "treering_append_columns",
        db,
        (Label * len(labels))(*labels),
        ctypes.c_size_t(len(labels)),
        (ctypes.c_int64 * len(times))(*times),
        (ctypes.c_double * len(values))(*values),
        ctypes.c_size_t(len(times)),
    )


db, result = Handle(), Handle()
call("treering_open_in_memory", None, ctypes.byref(db))
many = list(range(100_000))
append(db, [("__name__", "cpu"), ("host", "a")], many, [float(at) for at in many])
append(db, [("__name__", "cpu"), ("zone", "z")], [7], [-0.5])
selector = b"cpu"
call(
    "treering_select",
    db,
    selector,
    ctypes.c_size_t(len(selector)),
    ctypes.c_int64(-(2**63)),
    ctypes.c_int64(2**63 - 1),
    None,
    ctypes.byref(result),
)
stream = ctypes.create_string_buffer(5 * ctypes.sizeof(ctypes.c_void_p))
address = ctypes.addressof(stream)
call("treering_result_arrow", result, ctypes.c_void_p(address))
call("treering_close", db)

table = pa.RecordBatchReader._import_from_c(address).read_all()
table.validate(full=True)
text = pa.dictionary(pa.int32(), pa.string())
expected = [("__name__", text), ("host", text), ("zone", text)]
expected += [("timestamp", pa.timestamp("ns", "UTC")), ("value", pa.float64())]
assert [(field.name, field.type) for field in table.schema] == expected, table.schema
assert table.num_rows == 100_001, table.num_rows
columns = [table.column(name).cast(pa.string()).to_pylist() for name in ("__name__", "host", "zone")]
rows = list(zip(*columns))
assert table.column("value").to_pylist() == [float(at) for at in many] + [-0.5]
assert table.column("timestamp").cast(pa.int64()).to_pylist() == many + [7]
assert set(rows[:-1]) == {("cpu", "a", None)} and rows[-1] == ("cpu", None, "z"), rows[-1]
print(f"pyarrow {pa.__version__}: {table.num_rows} rows as they were appended")
