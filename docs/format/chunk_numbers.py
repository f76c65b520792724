"""Numbers out of bytes and bits, and sequences of them: the words at the top of chunk.md, "Sequences"
and "Entropy-coded sequences"."""

import struct

MASK = (1 << 64) - 1
STALE = 0x7FF0000000000002
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
