#!/usr/bin/env python3
"""A second reader of what treering-codec writes, made from docs/format/chunk.md alone.

It is slow and plain on purpose: where it and the codec differ, the page is wrong or one of them is.

    read_chunk.py values COUNT FILE     a sealed value column of COUNT values
    read_chunk.py times FILE            a timestamp column
    read_chunk.py stream FILE           a stream of the head
    read_chunk.py exported FILE         an exported chunk
    read_chunk.py batch                 lines `KIND COUNT HEX` from stdin, an answer to each

Output: one line per sample: the timestamp in nanoseconds, the value's 64 bits in hexadecimal, or both.
`batch` answers on one line, samples separated by spaces, timestamp and value by a colon. Damage is an
error on stderr and exit code 1; in a batch the line starts with `error`.
"""

import struct
import sys
import zlib

MASK = (1 << 64) - 1
STALE = 0x7FF0000000000002
MAX_SAMPLES = 8192
BLOCK = 128


class Damage(Exception):
    """Bytes that no encoder wrote."""


def need(condition, what):
    if not condition:
        raise Damage(what)


def signed(word):
    """The low 64 bits of a number, as a signed one: integers wrap."""
    word &= MASK
    return word - (1 << 64) if word >> 63 else word


def unzigzag(number):
    return signed((number >> 1) ^ -(number & 1))


def to_bits(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def from_bits(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def quotient(integer, scale):
    """The bits of integer / 10^scale: one IEEE division of two floats."""
    return to_bits(float(integer) / float(10**scale))


class Bytes:
    """Bytes from the front."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        need(self.at + count <= len(self.data), "the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        number = 0
        for index in range(10):
            byte = self.byte()
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                need(number <= MASK, "a varint beyond 64 bits")
                return number
        raise Damage("a varint of more than ten bytes")

    def zigzag(self):
        return unzigzag(self.varint())

    def number(self):
        """One f64 in 1 to 9 bytes; its bits."""
        head = self.byte()
        if head < 160:
            return to_bits(float(head))
        if head <= 178:
            return quotient(self.zigzag(), head - 160)
        if 192 <= head <= 199:
            return int.from_bytes(self.take(head - 191).ljust(8, b"\0"), "big")
        need(head == 224, "an unknown head of a number")
        return STALE

    def packed(self, count, width):
        """Numbers side by side from the least significant bit on, to a whole byte."""
        word = int.from_bytes(self.take((count * width + 7) // 8), "little")
        return [word >> (index * width) & ((1 << width) - 1) for index in range(count)]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(self.at == len(self.data), "bytes after the last value")


class Bits:
    """Bits from the least significant one of each byte on."""

    def __init__(self, data):
        self.word = int.from_bytes(data, "little")
        self.left = 8 * len(data)

    def take(self, count):
        need(count <= self.left, "the bits end early")
        field = self.word & ((1 << count) - 1)
        self.word >>= count
        self.left -= count
        return field

    def ones(self, most):
        """The ones that come next, at most `most`, and the zero behind fewer of them."""
        count = 0
        while count < most and self.take(1):
            count += 1
        return count

    def window(self):
        low, width = self.take(6), self.take(6) + 1
        need(low + width <= 64, "a window beyond 64 bits")
        return low, width

    def end(self):
        need(self.left < 8 and self.word == 0, "bits after the last value")


# Sequences.


def sequence(data, count):
    head = data.byte()
    need(head < 32, "an unknown head of a sequence")
    transform = head & 3
    unit = data.varint() if head & 4 else 1
    origin = data.zigzag() if head & 8 else 0
    step = data.zigzag() if transform >= 2 else 0
    residuals = coded(data, count) if head & 16 else packed_blocks(data, count)
    out = []
    last, slope = origin, unit * step
    for index, residual in enumerate(residuals):
        if transform == 0:
            last = origin + unit * residual
        elif transform == 1:
            last += unit * residual
        elif transform == 2:
            slope += unit * residual
            last += slope
        else:
            last = origin + unit * (index * step + residual)
        out.append(signed(last))
    return out


def packed_blocks(data, count):
    out = []
    base = 0
    while len(out) < count:
        filled = min(BLOCK, count - len(out))
        base, block = packed_block(data, filled, base)
        out += block
    return out


def packed_block(data, count, base):
    head = data.byte()
    width = head & 63
    need(width <= 56, "a width beyond 56 bits")
    if head & 64:
        base += data.zigzag()
    form, positions, patches = 0, [], []
    if head & 128:
        patch_count, form = data.byte(), data.byte()
        need(1 <= form & 127 <= 64, "a width of patches beyond 64 bits")
        positions = patch_positions(data, patch_count, count) if form & 128 else data.take(patch_count)
        patches = data.packed(patch_count, form & 127)
    block = [base + field for field in data.packed(count, width)]
    for position, patch in zip(positions, patches):
        need(position < count, "a patch beyond its block")
        if form & 128:
            block[position] += unzigzag(patch) << width
        else:
            block[position] = base + unzigzag(patch)
    return base, block


def patch_positions(data, patch_count, count):
    if (7 * patch_count + 7) // 8 <= (count + 7) // 8:
        positions = data.packed(patch_count, 7)
    else:
        flags = data.packed(count, 1)
        positions = [position for position, flag in enumerate(flags) if flag]
    need(len(positions) == patch_count, "patches without a position")
    need(all(a < b for a, b in zip(positions, positions[1:])), "positions that do not rise")
    return positions


# Entropy-coded sequences.


def coded(data, count):
    bits = Bits(data.data[data.at :])
    size = bits.take(4)
    need(4 <= size <= 10, "an unknown number of states")
    bins = coded_bins(bits, 1 << size)
    table = coded_states(bins, size)
    states = [bits.take(size), bits.take(size)]
    out = []
    for index in range(count):
        low, width, more, base = table[states[index % 2]]
        out.append(low + bits.take(width))
        states[index % 2] = base + bits.take(more)
    padding = bits.left % 8
    need(bits.take(padding) == 0, "padding that is not zero")
    data.at = len(data.data) - bits.left // 8
    return out


def coded_bins(bits, total):
    """(lower end, width, weight) of each bin."""
    count = gamma(bits) + 1
    need(count <= 256, "more bins than a table has")
    low = unzigzag(bits.take(bits.take(7)))
    width, rest = 0, total
    bins = []
    for index in range(count):
        if index:
            low += gamma(bits)
        width += unzigzag(gamma(bits))
        need(0 <= width <= 46, "a bin beyond 46 bits")
        weight = gamma(bits) + 1 if index < count - 1 else rest
        rest -= weight
        bins.append((low, width, weight))
        low += 1 << width
        need(weight >= 1 and rest >= 0, "weights beyond the states")
    return bins


def coded_states(bins, size):
    """(lower end, width, bits to read, base) of each state."""
    total = 1 << size
    owners = [0] * total
    position = 0
    for index, (_, _, weight) in enumerate(bins):
        for _ in range(weight):
            owners[position] = index
            position = (position + 5 * (1 << (size - 3)) + 3) % total
    seen = [weight for _, _, weight in bins]
    table = []
    for owner in owners:
        number = seen[owner]
        seen[owner] += 1
        more = size - (number.bit_length() - 1)
        low, width, _ = bins[owner]
        table.append((low, width, more, (number << more) - total))
    return table


def gamma(bits):
    zeros = 0
    while not bits.take(1):
        zeros += 1
        need(zeros < 64, "a gamma code beyond 64 bits")
    return (1 << zeros | bits.take(zeros)) - 1


# Sealed value columns: lists of bits.


def values(data, count):
    need(count <= MAX_SAMPLES, "more samples than a chunk has")
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


def quotients(data, count, nested):
    head = data.varint()
    divisor = head >> 1
    need(1 <= divisor < 1 << 32, "a divisor out of range")
    integers = sequence(data, count)
    ulps = sequence(data, count) if head & 1 else [0] * count
    bits = [to_bits(float(integer) / float(divisor)) for integer in integers]
    return [(word + ulp) & MASK for word, ulp in zip(bits, ulps)]


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
    10: quotients,
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


# Streams: pairs of nanoseconds and bits.


class Stream:
    """What both sides of a stream know."""

    UNITS = (1, 1_000, 1_000_000, 1_000_000_000)

    def __init__(self, bits):
        self.bits = bits
        self.time, self.delta, self.unit = 0, 0, 2
        self.value = 0
        self.floating = False
        self.base = 0  # the last value among floats
        self.low, self.width = 0, 0
        self.integer, self.scale, self.slope, self.level = 0, 0, 0, 128
        self.k = self.k_of_level()

    def sample(self, is_first):
        if is_first:
            self.time = signed(self.bits.take(64))
            changed = self.bits.take(1)
        else:
            changed = self.time_and_flag()
        if changed:
            self.value = self.changed_value()
        return self.time, self.value

    def time_and_flag(self):
        control = self.bits.ones(2)
        changed = control == 1
        dod = 0
        if control == 2:
            dod = self.dod()
            changed = self.bits.take(1)
        self.delta = signed(self.delta + dod * self.UNITS[self.unit])
        self.time = signed(self.time + self.delta)
        return changed

    def dod(self):
        ones = self.bits.ones(4)
        if ones < 4:
            return unzigzag(self.bits.take((3, 7, 12, 20)[ones]) + 1)
        self.unit = self.bits.take(2)
        return unzigzag(self.bits.take(self.bits.take(6) + 1))

    def changed_value(self):
        if self.floating:
            return self.float_code()
        return self.integer_code()

    def float_code(self):
        control = self.bits.ones(2)
        if control == 2:
            return self.event()
        if control == 1:
            self.low, self.width = self.bits.window()
        self.base ^= self.bits.take(self.width) << self.low
        return self.base

    def integer_code(self):
        ones = self.bits.ones(12)
        if ones == 12:
            return self.event()
        return self.integer_from(ones << self.k | self.bits.take(self.k), False)

    def integer_from(self, zigzag, is_event):
        predicted = self.integer + (self.slope >> 3)
        integer = signed(predicted + unzigzag(zigzag))
        step = signed(integer - self.integer)
        if not is_event or abs(step) >> 8 < abs(self.slope):
            self.slope = signed(self.slope + step - (self.slope >> 3))
        self.integer = integer
        bits = zigzag.bit_length()
        if is_event:
            bits = min(bits, self.k + 16)
        self.k = self.k_of_level()
        self.level += (32 * bits - self.level) >> 3
        return quotient(self.integer, self.scale)

    def k_of_level(self):
        return min(max((self.level + 16) // 32 - 1, 0), 40)

    def event(self):
        event = self.bits.take(3)
        if event == 0 and not self.floating:
            return self.integer_from(self.bits.take(self.bits.take(6) + 1), True)
        if event == 1:
            return STALE
        if event == 2:
            low, width = self.bits.window()
            return self.value ^ self.bits.take(width) << low
        if event == 3 and not self.floating:
            self.floating = True
            self.base = 0 if self.value == STALE else self.value
            self.low, self.width = 0, 0
            return self.float_code()
        need(event == 4, "an unknown event")
        self.rescale(self.bits.take(5))
        return self.integer_code()

    def rescale(self, scale):
        need(scale <= 22, "a decimal scale out of range")
        digits = scale - self.scale
        self.scale = scale
        if self.floating:
            self.floating = False
            self.integer, self.slope = 0, 0
            return
        if digits > 0:
            self.integer = signed(self.integer * 10**digits)
            self.slope = signed(self.slope * 10**digits)
            self.level = min(self.level + 106 * digits, 2048)
        else:
            self.integer = divide(self.integer, 10**-digits)
            self.slope = divide(self.slope, 10**-digits)
            self.level = max(self.level + 106 * digits, 0)
        self.k = self.k_of_level()


def divide(integer, divisor):
    """Division towards zero."""
    return integer // divisor if integer >= 0 else -(-integer // divisor)


def stream(data):
    data = Bytes(data)
    need(data.byte() == 0x3F, "not a stream")
    count = data.varint()
    need(count <= 8 * len(data.data), "more samples than bits")
    state = Stream(Bits(data.rest()))
    out = [state.sample(index == 0) for index in range(count)]
    state.bits.end()
    return out


# Exported chunks: pairs of nanoseconds and bits.


def exported(data):
    need(len(data) >= 4, "the bytes end early")
    body = Bytes(data[:-4])
    need(body.byte() == 1, "an unknown version")
    need(zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little"), "a wrong checksum")
    need(body.byte() == 1, "an unknown value kind")
    count = body.varint()
    need(1 <= count <= MAX_SAMPLES, "more samples than a chunk has")
    timestamps = times(body.take(body.varint()))
    floats = values(body.take(body.varint()), count)
    body.end()
    need(len(timestamps) == count, "columns of different length")
    need(all(a < b for a, b in zip(timestamps, timestamps[1:])), "timestamps that do not increase")
    return list(zip(timestamps, floats))


# The command line.


def read(kind, count, data):
    """The samples of one chunk, one text each."""
    if kind == "values":
        return [f"{bits:016x}" for bits in values(data, count)]
    if kind == "times":
        return [str(timestamp) for timestamp in times(data)]
    pairs = {"stream": stream, "exported": exported}[kind](data)
    return [f"{timestamp}:{bits:016x}" for timestamp, bits in pairs]


def batch():
    for line in sys.stdin:
        kind, count, data = (line.rstrip("\n").split(" ") + [""])[:3]
        try:
            print(" ".join(read(kind, int(count), bytes.fromhex(data))))
        except Damage as damage:
            print(f"error: {damage}")


def main(words):
    if words == ["batch"]:
        return batch()
    if len(words) < 2 or words[0] not in ("values", "times", "stream", "exported"):
        sys.exit(__doc__)
    with open(words[-1], "rb") as file:
        data = file.read()
    try:
        for sample in read(words[0], int(words[1]) if words[0] == "values" else 0, data):
            print(sample.replace(":", " "))
    except Damage as damage:
        sys.exit(f"{words[-1]}: {damage}")


if __name__ == "__main__":
    main(sys.argv[1:])
