"""Streams of the head, pairs of nanoseconds and bits: "Streams" of chunk.md."""

from chunk_numbers import STALE, Bits, Bytes, need, quotient, signed, unzigzag


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
