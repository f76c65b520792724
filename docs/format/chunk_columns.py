"""Columns: "Sealed value columns", lists of bits, and "Timestamp columns", lists of nanoseconds, of
chunk.md."""

import struct

from chunk_numbers import MASK, Bits, Bytes, Damage, from_bits, need
from chunk_numbers import quotient, sequence, signed, to_bits

MAX_SAMPLES = 8192


# Sealed value columns: lists of bits.


def beside(data):
    """The value column of a chunk and its section of extras, or None: "Extras" of the page."""
    if data[:1] != b"\x40":
        return data, None
    data = Bytes(data[1:])
    column = data.take(data.varint())
    return column, data.rest()


def values(data, count):
    need(count <= MAX_SAMPLES, "more samples than a chunk has")
    data = beside(data)[0]
    out = column(Bytes(data), count, "patched dictionary")
    need(len(data) <= 1 + 8 * max(count, 1), "longer than a column ever is")
    return out


def column(data, count, nested):
    kind, encoding = divmod(data.byte(), 32)
    need(kind == 1, "an unknown value kind")
    out = READERS.get(encoding, unknown)(data, count, nested)
    data.end()
    need(len(out) == count, "another count than was asked for")
    return out


def unknown(data, count, nested):
    raise Damage("an unknown encoding")


def raw(data, count, nested):
    return list(struct.unpack(f"<{count}Q", data.take(8 * count)))


def constant(data, count, nested):
    return [data.number()] * count


def xor(data, count, nested):
    bits = Bits(data.rest())
    out = []
    low, width = 0, 0
    for index in range(count):
        if index == 0:
            out.append(bits.take(64))
            continue
        control = bits.ones(2)
        if control == 2:
            low, width = bits.window()
        change = bits.take(width) << low if control else 0
        out.append(out[-1] ^ change)
    bits.end()
    return out


def scale_of(data):
    scale = data.byte()
    need(scale <= 22, "a decimal scale out of range")
    return scale


def decimal(data, count, nested):
    scale = scale_of(data)
    return [quotient(integer, scale) for integer in sequence(data, count)]


def decimal_ulps(data, count, nested):
    scale = scale_of(data)
    integers = sequence(data, count)
    ulps = sequence(data, count)
    return [(quotient(integer, scale) + ulp) & MASK for integer, ulp in zip(integers, ulps)]


def dictionary(data, count, nested):
    need("dictionary" in nested, "a dictionary inside of a dictionary")
    distinct = data.varint()
    need(distinct <= 256, "a dictionary of too many values")
    inner = data.take(data.varint())
    words = column(Bytes(inner), distinct, "")
    indexes = sequence(data, count)
    need(all(0 <= index < distinct for index in indexes), "an index beyond its dictionary")
    return [words[index] for index in indexes]


def ordered(data, count, nested):
    def bits(integer):
        return (integer ^ ((integer >> 63 & MASK) >> 1)) & MASK

    return [bits(integer) for integer in sequence(data, count)]


def patched(data, count, nested):
    need("patched" in nested, "patches inside of patches")
    patches = []
    position = 0
    for _ in range(data.varint()):
        position += data.varint()
        need(position < count, "a patch beyond its column")
        patches.append((position, data.number()))
        position += 1
    out = column(Bytes(data.rest()), count, "dictionary")
    for position, bits in patches:
        out[position] = bits
    return out


def decimal_32(data, count, nested):
    scale = data.byte()
    corrected = scale & 128
    scale &= 127
    need(scale <= 22, "a decimal scale out of range")
    integers = sequence(data, count)
    ulps = sequence(data, count) if corrected else [0] * count
    return [widened(narrowed(quotient(m, scale)) + u & 0xFFFFFFFF) for m, u in zip(integers, ulps)]


def narrowed(bits):
    """The bits of the f32 that is nearest to an f64."""
    try:
        return struct.unpack("<I", struct.pack("<f", from_bits(bits)))[0]
    except OverflowError:
        return 0xFF800000 if bits >> 63 else 0x7F800000


def widened(word):
    """The bits of an f32 as an f64; NaNs keep their payload and become quiet."""
    sign, exponent, mantissa = word >> 31, word >> 23 & 255, word & 0x7FFFFF
    if exponent == 255:
        quiet = 1 << 51 if mantissa else 0
        return sign << 63 | 0x7FF << 52 | mantissa << 29 | quiet
    if exponent == 0:
        return sign << 63 | to_bits(mantissa * 2.0**-149)
    return sign << 63 | exponent + 896 << 52 | mantissa << 29


def over_divisor(data, count, nested):
    head = data.varint()
    divisor = head >> 1
    need(0 < divisor < 1 << 32, "a divisor out of range")
    integers = sequence(data, count)
    ulps = sequence(data, count) if head & 1 else [0] * count
    return [to_bits(float(m) / float(divisor)) + u & MASK for m, u in zip(integers, ulps)]


def split(data, count, nested):
    tail = data.byte()
    need(36 <= tail <= 56, "tails of an unknown length")
    distinct = data.varint()
    need(distinct <= 256, "a dictionary of too many fronts")
    fronts = sequence(data, distinct)
    indexes = sequence(data, count)
    need(all(0 <= index < distinct for index in indexes), "an index beyond its dictionary")
    tails = data.packed(count, tail)
    return [(fronts[i] << tail | rest) & MASK for i, rest in zip(indexes, tails)]


READERS = {
    0: raw,
    1: constant,
    2: xor,
    3: decimal,
    4: decimal_ulps,
    5: dictionary,
    6: ordered,
    7: patched,
    8: decimal_32,
    9: split,
    10: over_divisor,
}


# Timestamp columns: lists of nanoseconds.


def times(data):
    data = Bytes(data)
    tag = data.byte()
    count = data.varint()
    need(count <= MAX_SAMPLES, "more samples than a chunk has")
    out = []
    if count:
        out = times_body(tag & 127, data, count)
    data.end()
    increasing = all(a < b for a, b in zip(out, out[1:]))
    need(increasing == bool(tag & 128), "a tag of other timestamps")
    return out


def times_body(tag, data, count):
    if tag == 0:
        return list(struct.unpack(f"<{count}q", data.take(8 * count)))
    need(tag in (1, 2), "an unknown timestamp encoding")
    digits = data.byte()
    first = data.zigzag() * 10 ** (digits & 15)
    unit = data.zigzag() * 10 ** (digits >> 4)
    if tag == 1:
        return [signed(first + index * unit) for index in range(count)]
    last = data.zigzag()
    steps = sequence(data, count)
    out = [signed(first + unit * step) for step in steps]
    need(out[0] == signed(first) and steps[-1] == last, "a summary of other timestamps")
    return out
