#!/usr/bin/env python3
"""A second reader of what treering-codec writes, made from docs/format/chunk.md alone.

It is slow and plain on purpose: where it and the codec differ, the page is wrong or one of them is.
chunk_numbers.py, chunk_columns.py, chunk_extras.py and chunk_streams.py follow the page, part by part.

    read_chunk.py values COUNT FILE     a sealed value column of COUNT values, without its extras
    read_chunk.py extras COUNT FILE     a section of extras of COUNT samples
    read_chunk.py beside COUNT FILE     the extras beside a sealed value column
    read_chunk.py times FILE            a timestamp column
    read_chunk.py stream FILE           a stream of the head
    read_chunk.py exported FILE         an exported chunk
    read_chunk.py batch                 lines `KIND COUNT HEX` from stdin, an answer to each

Output: one line per sample: the timestamp in nanoseconds, the value's 64 bits in hexadecimal, or both. Of
extras one line per histogram, then one per run of starts; behind those of an exported chunk too.
`batch` answers on one line, samples separated by spaces, timestamp and value by a colon. Damage is an
error on stderr and exit code 1; words that make no sense are one with exit code 2. In a batch either is
a line that starts with `error`.
"""

import sys
import zlib

sys.dont_write_bytecode = True  # What the imports below compile does not belong into docs/.

from chunk_columns import MAX_SAMPLES, beside, times, values
from chunk_extras import texts
from chunk_numbers import Bytes, Damage, need
from chunk_streams import stream


COUNTED = ("values", "extras", "beside")


class Misuse(Exception):
    """Words that ask for nothing."""


def exported(data):
    """Pairs of nanoseconds and bits, texts of extras: "Exported chunks" of the page."""
    need(len(data) >= 4, "the bytes end early")
    body = Bytes(data[:-4])
    need(body.byte() == 1, "an unknown version")
    need(zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little"), "a wrong checksum")
    kind = body.byte()
    need(kind in (1, 2), "an unknown value kind")
    count = body.varint()
    need(1 <= count <= MAX_SAMPLES, "more samples than a chunk has")
    timestamps = times(body.take(body.varint()))
    column = body.take(body.varint())
    need(column[:1] and column[0] >> 5 == kind, "another value kind than the column's")
    floats = values(column, count)
    body.end()
    need(len(timestamps) == count, "columns of different length")
    need(all(a < b for a, b in zip(timestamps, timestamps[1:])), "timestamps that do not increase")
    return list(zip(timestamps, floats)), extras_of(column, count)


def extras_of(column, count):
    section = beside(column)[1]
    return [] if section is None else texts(section, count)


def read(kind, count, data):
    """The samples of one chunk, one text each."""
    if kind == "values":
        return [f"{bits:016x}" for bits in values(data, count)]
    if kind == "times":
        return [str(timestamp) for timestamp in times(data)]
    if kind in ("extras", "beside"):
        return {"extras": texts, "beside": extras_of}[kind](data, count)
    pairs, behind = exported(data) if kind == "exported" else (stream(data), [])
    return [f"{timestamp}:{bits:016x}" for timestamp, bits in pairs] + behind


def kind_of(word):
    if word not in COUNTED + ("times", "stream", "exported"):
        raise Misuse(f"`{word}` is none of {', '.join(COUNTED)}, times, stream, exported, batch")
    return word


def count_of(word):
    if not (word.isascii() and word.isdigit() and len(word) < 20):
        raise Misuse(f"COUNT is `{word}`, which is no number of values")
    return int(word)


def asked(line):
    """Kind, count and bytes of a line of a batch."""
    words = line.rstrip("\n").split(" ")
    if len(words) != 3:
        raise Misuse("a line of a batch is KIND COUNT HEX")
    try:
        data = bytes.fromhex(words[2])
    except ValueError:
        raise Misuse("HEX is no hexadecimal number") from None
    return kind_of(words[0]), count_of(words[1]), data


def batch():
    for line in sys.stdin:
        try:
            print(" ".join(read(*asked(line))))
        except (Damage, Misuse) as error:
            print(f"error: {error}")


def one(words):
    if not words:
        raise Misuse("what to read is missing; the head of this file has the words")
    kind = kind_of(words[0])
    names = ["COUNT", "FILE"] if kind in COUNTED else ["FILE"]
    if len(words) != 1 + len(names):
        raise Misuse(f"`{kind}` takes {' and '.join(names)}")
    count = count_of(words[1]) if kind in COUNTED else 0
    try:
        with open(words[-1], "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:
        raise Misuse(f"{words[-1]} cannot be read: {error}") from None
    for sample in read(kind, count, data):
        print(sample.replace(":", " "))


def main(words):
    try:
        if words == ["batch"]:
            batch()
        else:
            one(words)
    except Damage as damage:
        sys.exit(f"{words[-1]}: {damage}")
    except Misuse as misuse:
        print(f"read_chunk.py: {misuse}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
