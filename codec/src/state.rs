//! What the next bits of a stream mean: the state that encoder and decoder share, and the codes.
//!
//! Input and output: bit fields. Invariant: each `put_*` leaves the state exactly as the matching
//! read leaves it; all arithmetic wraps, so any timestamps and values are representable.

use crate::bits::{BitReader, BitWriter};
use crate::decimal::{self, POW10};
use crate::error::{Error, Result};
use crate::sample::STALE_MARKER_BITS;
use crate::varint::{unzigzag, zigzag};
use crate::xor::Window;

/// Time units in nanoseconds, by their number on disk.
const UNITS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];
const MILLISECOND: u8 = 2;
/// Payload bits of the time codes with 0, 1, 2, 3 leading ones; one more one is the escape.
pub(crate) const TIME_BITS: [u32; 4] = [3, 7, 12, 20];
const TIME_ESCAPE: u32 = TIME_BITS.len() as u32;
/// Ones that end the Rice code: what follows is an event.
pub(crate) const RICE_ESCAPE: u32 = 12;
pub(crate) const EVENT_BITS: u32 = 3;
/// Largest Rice parameter: with the ones it still fits one 57-bit read.
const MAX_RICE: u32 = 40;
/// The running mean of bit lengths is kept in 1/32 bit and moves by 1/8.
const LEVEL_SHIFT: u32 = 5;
const LEVEL_GAIN: u32 = 3;
const FIRST_LEVEL: u16 = 4 << LEVEL_SHIFT;
/// The slope is kept times eight and moves by 1/8.
const SLOPE_SHIFT: u32 = 3;
/// log2(10) in 1/32 bit.
const LEVEL_PER_DIGIT: i32 = 106;

/// The state after a sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) timestamp: i64,
    /// Last difference of timestamps.
    pub(crate) delta: i64,
    /// Bits of the last value.
    pub(crate) bits: u64,
    /// Integers: the last integer. Floats: bits of the last value that was not a stale marker.
    pub(crate) reference: u64,
    /// Mean step of the integers, times eight.
    slope: i64,
    /// Mean bit length of the residuals, times 32.
    level: u16,
    /// Parameter of the next Rice code.
    pub(crate) rice: u8,
    /// Number of the time unit.
    pub(crate) unit: u8,
    /// Decimal scale of the integers.
    pub(crate) scale: u8,
    /// Whether values are XORed instead of being integers.
    pub(crate) floating: bool,
    /// Floats: where the bits of the last XOR were.
    pub(crate) window: Window,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// What may come instead of an ordinary value code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The value is the stale marker.
    Stale,
    /// Integers of another scale follow; the value's own code comes next.
    Rescale(u8),
    /// Floats follow; the value's own code comes next.
    Floats,
    /// Integers of this scale follow; the value's own code comes next.
    Ints(u8),
    /// A residual too large for the Rice code.
    Large,
    /// One value by its XOR with the one before, changing no mode.
    Odd,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            timestamp: 0,
            delta: 0,
            bits: 0,
            reference: 0,
            slope: 0,
            level: FIRST_LEVEL,
            rice: rice_for(FIRST_LEVEL),
            unit: MILLISECOND,
            scale: 0,
            floating: false,
            window: Window::none(),
        }
    }

    /// Moves to `timestamp`; returns the difference of differences in nanoseconds.
    #[inline]
    pub(crate) fn advance_to(&mut self, timestamp: i64) -> i64 {
        let delta = timestamp.wrapping_sub(self.timestamp);
        let dod = delta.wrapping_sub(self.delta);
        self.timestamp = timestamp;
        self.delta = delta;
        dod
    }

    /// Moves by the last difference and `dod`; returns the timestamp.
    #[inline]
    pub(crate) fn advance_by(&mut self, dod: i64) -> i64 {
        self.delta = self.delta.wrapping_add(dod);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        self.timestamp
    }

    pub(crate) fn start_floats(&mut self) {
        self.floating = true;
        self.reference = if self.bits == STALE_MARKER_BITS {
            0
        } else {
            self.bits
        };
        self.window = Window::none();
    }

    pub(crate) fn start_ints(&mut self, scale: u8) {
        self.floating = false;
        self.scale = scale;
        self.reference = 0;
        self.slope = 0;
    }

    /// Changes the scale of the integers, so that their history keeps its meaning.
    pub(crate) fn rescale(&mut self, scale: u8) {
        let int = self.reference as i64;
        let level = i32::from(self.level);
        if scale >= self.scale {
            let digits = scale - self.scale;
            let factor = decimal::int_power(digits);
            self.reference = int.wrapping_mul(factor) as u64;
            self.slope = self.slope.wrapping_mul(factor);
            self.level =
                (level + i32::from(digits) * LEVEL_PER_DIGIT).min(64 << LEVEL_SHIFT) as u16;
        } else {
            let digits = self.scale - scale;
            let factor = decimal::int_power(digits);
            self.reference = (int / factor) as u64;
            self.slope /= factor;
            self.level = (level - i32::from(digits) * LEVEL_PER_DIGIT).max(0) as u16;
        }
        self.scale = scale;
        self.rice = rice_for(self.level);
    }

    #[inline(always)]
    fn predicted(&self) -> i64 {
        (self.reference as i64).wrapping_add(self.slope >> SLOPE_SHIFT)
    }

    /// Takes the integer with this zigzagged residual as the last one.
    ///
    /// The slope moves by an eighth of what the step is beside it, which is the residual.
    #[inline(always)]
    pub(crate) fn settle(&mut self, zigzagged: u64) {
        let residual = unzigzag(zigzagged);
        self.reference = self.predicted().wrapping_add(residual) as u64;
        self.slope = self.slope.wrapping_add(residual);
        self.learn(64 - zigzagged.leading_zeros());
    }

    /// Moves the level. The Rice parameter follows one value behind, so that a decoder knows
    /// where the next code ends before it has worked out this one.
    #[inline(always)]
    fn learn(&mut self, bit_length: u32) {
        let level = i32::from(self.level);
        let target = (bit_length << LEVEL_SHIFT) as i32;
        self.rice = rice_for(self.level);
        self.level = (level + ((target - level) >> LEVEL_GAIN)) as u16;
    }
}

/// The Rice parameter for residuals of this mean bit length: one bit less, rounded.
#[inline(always)]
const fn rice_for(level: u16) -> u8 {
    let rounded = (level as usize + (1 << (LEVEL_SHIFT - 1))) >> LEVEL_SHIFT;
    RICE[rounded % RICE.len()]
}

/// The Rice parameter by rounded mean bit length, which is at most 64.
const RICE: [u8; 128] = {
    let mut all = [0; 128];
    let mut length = 1;
    while length < all.len() {
        let rice = length - 1;
        all[length] = if rice > MAX_RICE as usize {
            MAX_RICE as u8
        } else {
            rice as u8
        };
        length += 1;
    }
    all
};

/// `dod` in units of number `unit`, when it is a whole number of them.
#[inline]
fn in_unit(dod: i64, unit: u8) -> Option<i64> {
    // Constant divisors become multiplications.
    let (quotient, remainder) = match unit {
        0 => (dod, 0),
        1 => (dod / 1_000, dod % 1_000),
        2 => (dod / 1_000_000, dod % 1_000_000),
        _ => (dod / 1_000_000_000, dod % 1_000_000_000),
    };
    (remainder == 0).then_some(quotient)
}

/// The code of a difference of differences that is not zero, and its bits; the bit that tells
/// whether the value changed comes next. Writes what is too large for that, and returns no bits.
#[inline]
pub(crate) fn time_code(writer: &mut BitWriter, state: &mut State, dod: i64) -> (u64, u32) {
    if let Some(units) = in_unit(dod, state.unit) {
        let code = zigzag(units) - 1;
        let length = (64 - code.leading_zeros()) as usize;
        let heal = state.unit < MILLISECOND && length > 12 && in_unit(dod, MILLISECOND).is_some();
        if let Some(&ones) = TIME_ONES.get(length)
            && !heal
        {
            let ones = u32::from(ones);
            let unary = (1u64 << ones) - 1;
            return (
                0b11 | unary << 2 | code << (ones + 3),
                3 + ones + TIME_BITS[ones as usize % TIME_BITS.len()],
            );
        }
    }
    writer.put(0b11, 2);
    put_time_escape(writer, state, dod);
    (0, 0)
}

/// Leading ones of the time code of a number of so many bits.
const TIME_ONES: [u8; TIME_BITS[3] as usize + 1] = {
    let mut all = [0; TIME_BITS[3] as usize + 1];
    let mut length = 0;
    while length < all.len() {
        while TIME_BITS[all[length] as usize] < length as u32 {
            all[length] += 1;
        }
        length += 1;
    }
    all
};

/// Writes a difference that is large or of another unit: the unit, a length, and the number.
#[cold]
fn put_time_escape(writer: &mut BitWriter, state: &mut State, dod: i64) {
    let (unit, units) = (0u8..4)
        .rev()
        .find_map(|unit| Some((unit, in_unit(dod, unit)?)))
        .unwrap_or((0, dod));
    state.unit = unit;
    let code = zigzag(units);
    let bits = (64 - code.leading_zeros()).max(1);
    let head = ((1 << TIME_ESCAPE) - 1) | u64::from(unit) << TIME_ESCAPE;
    writer.put(
        head | u64::from(bits - 1) << (TIME_ESCAPE + 2),
        TIME_ESCAPE + 8,
    );
    writer.put(code, bits);
}

#[inline]
pub(crate) fn unit_of(unit: u8) -> i64 {
    UNITS[usize::from(unit & 3)]
}

#[cold]
fn read_time_escape(reader: &mut BitReader<'_>, state: &mut State) -> i64 {
    reader.skip(TIME_ESCAPE);
    state.unit = reader.take(2) as u8;
    let bits = reader.take(6) as u32 + 1;
    unzigzag(reader.take_wide(bits)).wrapping_mul(unit_of(state.unit))
}

/// Writes the `length` (at most 28) bits of `head` and the integer of the next value; settles it.
#[inline(always)]
pub(crate) fn put_int(
    writer: &mut BitWriter,
    state: &mut State,
    int: i64,
    (head, length): (u64, u32),
) {
    let residual = int.wrapping_sub(state.predicted());
    let code = zigzag(residual);
    let rice = u32::from(state.rice);
    let ones = code >> rice;
    if ones >= u64::from(RICE_ESCAPE) {
        return put_large(writer, state, code, (head, length));
    }
    let ones = ones as u32;
    let low = code & ((1 << rice) - 1);
    let field = ((1u64 << ones) - 1) | low << (ones + 1);
    let bits = ones + 1 + rice;
    if length + bits <= 64 {
        // One field is half the time of two.
        writer.put(head | field << length, length + bits);
    } else {
        writer.put(head, length);
        writer.put(field, bits);
    }
    state.reference = int as u64;
    state.slope = state.slope.wrapping_add(residual);
    state.learn(64 - code.leading_zeros());
}

#[cold]
#[inline(never)]
fn put_large(writer: &mut BitWriter, state: &mut State, code: u64, (head, length): (u64, u32)) {
    writer.put(head, length);
    put_event(writer, state, Event::Large);
    let bits = (64 - code.leading_zeros()).max(1);
    writer.put(u64::from(bits - 1), 6);
    writer.put(code, bits);
    settle_large(state, code);
}

/// A jump tells nothing about the slope, but many of them raise the Rice parameter.
#[inline(always)]
pub(crate) fn settle_large(state: &mut State, code: u64) {
    let int = state.predicted().wrapping_add(unzigzag(code));
    let step = int.wrapping_sub(state.reference as i64);
    // The first integer after a start is a jump whose next step is unknown, so zero.
    if state.slope != 0 && step.unsigned_abs() >> 8 < state.slope.unsigned_abs() {
        state.slope = state
            .slope
            .wrapping_add(step.wrapping_sub(state.slope >> SLOPE_SHIFT));
    }
    state.learn((64 - code.leading_zeros()).min(u32::from(state.rice) + 16));
    state.reference = int as u64;
}

/// Writes an event in the mode of `state`.
#[cold]
pub(crate) fn put_event(writer: &mut BitWriter, state: &State, event: Event) {
    let (number, argument) = match event {
        Event::Large => (0, None),
        Event::Stale => (1, None),
        Event::Odd => (2, None),
        Event::Floats => (3, None),
        Event::Rescale(scale) | Event::Ints(scale) => (4, Some(scale)),
    };
    if state.floating {
        writer.put(0b11, 2);
    } else {
        writer.put((1 << RICE_ESCAPE) - 1, RICE_ESCAPE);
    }
    writer.put(number, EVENT_BITS);
    if let Some(scale) = argument {
        writer.put(u64::from(scale), 5);
    }
}

/// Writes one value among integers by its XOR with the value before.
pub(crate) fn put_odd(writer: &mut BitWriter, state: &State, bits: u64) {
    put_event(writer, state, Event::Odd);
    let xor = bits ^ state.bits;
    let window = Window::around(xor);
    window.put(writer);
    window.put_bits(writer, xor);
}

/// Writes a float by its XOR with the last one that was not a stale marker.
#[inline]
pub(crate) fn put_xor(writer: &mut BitWriter, state: &mut State, bits: u64) {
    let xor = bits ^ state.reference;
    state.reference = bits;
    if state.window.suits(xor) {
        writer.put(0, 1);
    } else {
        writer.put(0b01, 2);
        state.window = Window::around(xor);
        state.window.put(writer);
    }
    state.window.put_bits(writer, xor);
}

/// Reads the next sample into `state`.
#[inline(always)]
pub(crate) fn read_sample(
    reader: &mut BitReader<'_>,
    state: &mut State,
    first: bool,
) -> Result<()> {
    let word = reader.peek();
    if first {
        state.timestamp = reader.take_wide(64) as i64;
        if reader.take(1) == 1 {
            read_value(reader, state, reader.peek(), 0)?;
        }
    } else if word & 1 == 0 {
        reader.skip(1);
        state.advance_by(0);
    } else if word & 2 == 0 {
        state.advance_by(0);
        // The longest Rice code still fits the bits peeked at.
        read_value(reader, state, word >> 2, 2)?;
    } else {
        let dod = read_time(reader, state, word >> 2);
        state.advance_by(dod);
        if reader.take(1) == 1 {
            read_value(reader, state, reader.peek(), 0)?;
        }
    }
    if reader.is_overrun() {
        return Err(Error::Truncated {
            offset: reader.offset(),
        });
    }
    Ok(())
}

/// Reads a difference of differences, at `word` and two bits beyond the reader.
#[inline(always)]
fn read_time(reader: &mut BitReader<'_>, state: &mut State, word: u64) -> i64 {
    let ones = word.trailing_ones();
    let Some(&bits) = TIME_BITS.get(ones as usize) else {
        reader.skip(2);
        return read_time_escape(reader, state);
    };
    reader.skip(2 + ones + 1 + bits);
    let code = (word >> (ones + 1)) & ((1 << bits) - 1);
    unzigzag(code + 1).wrapping_mul(unit_of(state.unit))
}

/// Reads a changed value, at `word` and `ahead` bits beyond the reader.
#[inline(always)]
fn read_value(reader: &mut BitReader<'_>, state: &mut State, word: u64, ahead: u32) -> Result<()> {
    if !state.floating {
        let ones = word.trailing_ones();
        if ones >= RICE_ESCAPE {
            reader.skip(ahead + RICE_ESCAPE);
            return read_events(reader, state);
        }
        let rice = u32::from(state.rice);
        reader.skip(ahead + ones + 1 + rice);
        let low = (word >> (ones + 1)) & ((1 << rice) - 1);
        state.settle(u64::from(ones) << rice | low);
        state.bits = decimal::to_f64(state.reference as i64, state.scale).to_bits();
    } else if word & 3 == 3 {
        reader.skip(ahead + 2);
        return read_events(reader, state);
    } else {
        reader.skip(ahead);
        read_xor(reader, state);
    }
    Ok(())
}

#[inline]
fn read_xor(reader: &mut BitReader<'_>, state: &mut State) {
    if reader.take(1) == 1 {
        reader.skip(1);
        state.window = Window::read(reader);
    }
    state.reference ^= state.window.read_bits(reader);
    state.bits = state.reference;
}

/// Reads events until the value itself was read.
#[cold]
#[inline(never)]
fn read_events(reader: &mut BitReader<'_>, state: &mut State) -> Result<()> {
    let offset = reader.offset();
    let malformed = |what| Error::Malformed { offset, what };
    match reader.take(EVENT_BITS) {
        0 if !state.floating => {
            let bits = reader.take(6) as u32 + 1;
            settle_large(state, reader.take_wide(bits));
            state.bits = decimal::to_f64(state.reference as i64, state.scale).to_bits();
        }
        1 => state.bits = STALE_MARKER_BITS,
        2 => state.bits ^= Window::read(reader).read_bits(reader),
        3 if !state.floating => {
            state.start_floats();
            read_plain(reader, state, malformed("a change of mode without a value"))?;
        }
        4 => {
            let scale = reader.take(5) as u8;
            if usize::from(scale) >= POW10.len() {
                return Err(malformed("a decimal scale out of range"));
            }
            if state.floating {
                state.start_ints(scale)
            } else {
                state.rescale(scale)
            }
            read_plain(
                reader,
                state,
                malformed("a change of scale without a value"),
            )?;
        }
        _ => return Err(malformed("an unknown event in a stream")),
    }
    Ok(())
}

/// Reads the value after a change of mode, which only a large residual may complicate.
fn read_plain(reader: &mut BitReader<'_>, state: &mut State, refusal: Error) -> Result<()> {
    let word = reader.peek();
    if state.floating {
        if word & 3 == 3 {
            return Err(refusal);
        }
        read_xor(reader, state);
        return Ok(());
    }
    if word.trailing_ones() < RICE_ESCAPE {
        return read_value(reader, state, word, 0);
    }
    if (word >> RICE_ESCAPE) & ((1 << EVENT_BITS) - 1) != 0 {
        return Err(refusal);
    }
    reader.skip(RICE_ESCAPE);
    read_events(reader, state)
}
