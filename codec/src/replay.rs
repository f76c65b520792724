//! The fast way through a stream: ordinary samples, decoded in registers.
//!
//! Input: the bits of a stream and the state at a sample. Output: samples in two columns, up to
//! the first that is not ordinary (an event, a change of unit, a very wide code) or too near to
//! the end of the bytes; [`crate::state::read_sample`] reads that one. Invariant: position and
//! state are those that the slow way would have reached.
//!
//! Where timestamps are regular, branches are foretold and cheaper than looking codes up; where
//! they are not, a table tells the lengths, so that a sample costs one load instead of a guess.
//! Sources: tables and the branchless refill are F. Giesen's, "Reading bits in far too many ways"
//! (2018).

use crate::decimal::power;
use crate::state::{EVENT_BITS, RICE_ESCAPE, State, TIME_BITS, settle_large, unit_of};
use crate::varint::unzigzag;
use crate::xor::{WINDOW_BITS, Window};

/// Samples in a row on the same step, after which the next is expected there too.
const REGULAR: u32 = 16;
/// Samples that are taken at once where they are like the one before, one zero bit each.
const RUN: usize = 8;
const RUN_MASK: u64 = (1 << RUN) - 1;
/// Bits of the first code that tell how long it is.
const CODE_BITS: u32 = 6;

/// Where things are in the bits of a sample, before those of its value.
#[derive(Debug, Clone, Copy)]
struct Code {
    /// Mask of the code of the difference of differences, and what is added to it.
    mask: u32,
    more: u8,
    /// Bits before it.
    start: u8,
    /// Bits before the one that tells whether the value changed.
    flag: u8,
    /// Bits in all; 0 for what has to be read the slow way.
    length: u8,
}

static CODES: [Code; 1 << CODE_BITS] = codes();

const fn codes() -> [Code; 1 << CODE_BITS] {
    let same = Code {
        mask: 0,
        more: 0,
        start: 0,
        flag: 0,
        length: 1,
    };
    let mut all = [same; 1 << CODE_BITS];
    let mut bits = 0;
    while bits < all.len() {
        if bits & 3 == 1 {
            all[bits].length = 2;
        } else if bits & 3 == 3 {
            let ones = (bits >> 2).trailing_ones() as usize;
            all[bits].length = 0;
            if ones < TIME_BITS.len() {
                let flag = 2 + ones as u32 + 1 + TIME_BITS[ones];
                all[bits] = Code {
                    mask: (1 << TIME_BITS[ones]) - 1,
                    more: 1,
                    start: 2 + ones as u8 + 1,
                    flag: flag as u8,
                    length: flag as u8 + 1,
                };
            }
        }
        bits += 1;
    }
    all
}

/// Bits read ahead of a position.
#[derive(Debug, Clone, Copy)]
struct Ahead<'a> {
    /// The next bits, lowest first.
    word: u64,
    /// How many of them are there; more may be set, rightly.
    left: u32,
    /// The bytes after them.
    rest: &'a [u8],
}

impl<'a> Ahead<'a> {
    /// The bits at `position`, with too few bytes none.
    fn at(bytes: &'a [u8], position: usize) -> Self {
        let mut ahead = Self {
            word: 0,
            left: 0,
            rest: bytes.get(position / 8..).unwrap_or_default(),
        };
        if ahead.refill() {
            ahead.skip((position % 8) as u32);
        }
        ahead
    }

    /// Reads on until there are at least 56 bits; whether the bytes reached.
    #[inline(always)]
    fn refill(&mut self) -> bool {
        let Some(more) = self.rest.first_chunk() else {
            return false;
        };
        self.word |= u64::from_le_bytes(*more) << self.left;
        self.rest = &self.rest[(63 - self.left as usize) / 8..];
        self.left |= 56;
        true
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.word >>= bits;
        self.left -= bits;
    }

    /// The next `bits` (less than 64, and as many as there are).
    #[inline(always)]
    fn take(&mut self, bits: u32) -> u64 {
        let value = self.word & ((1 << bits) - 1);
        self.skip(bits);
        value
    }

    /// The position in `bytes`, of which these are.
    fn position(&self, bytes: &[u8]) -> usize {
        8 * (bytes.len() - self.rest.len()) - self.left as usize
    }
}

/// Decodes samples from bit `position` of `bytes` on into both columns, which have the same number
/// of places, those of `times` all zero; returns how many.
#[inline(always)]
pub(crate) fn run(
    bytes: &[u8],
    position: &mut usize,
    state: &mut State,
    times: &mut [i64],
    values: &mut [f64],
) -> usize {
    let mut ahead = Ahead::at(bytes, *position);
    if ahead.left == 0 {
        return 0;
    }
    let read = match state.floating {
        true => read_codes::<true>(&mut ahead, state, times, values),
        false => read_codes::<false>(&mut ahead, state, times, values),
    };
    *position = ahead.position(bytes);
    let times = times.get_mut(..read.done).unwrap_or_default();
    let values = values.get_mut(..read.done).unwrap_or_default();
    for time in times {
        *time = state.advance_by(*time);
    }
    let (before, after) = values.split_at_mut(read.same.min(read.done));
    before.fill(f64::from_bits(state.bits));
    if !state.floating {
        to_floats(after, state.scale);
    }
    if let Some(last) = after.last() {
        state.bits = last.to_bits();
    }
    read.done
}

/// What [`read_codes`] read.
struct Codes {
    /// Samples.
    done: usize,
    /// How many of them come before the first that changed.
    same: usize,
}

/// Makes values of integers that stand in their places.
#[inline(always)]
fn to_floats(values: &mut [f64], scale: u8) {
    let ints = |value: &f64| value.to_bits() as i64 as f64;
    if scale == 0 {
        values.iter_mut().for_each(|value| *value = ints(value));
    } else {
        let divisor = power(scale);
        values
            .iter_mut()
            .for_each(|value| *value = ints(value) / divisor);
    }
}

/// Reads codes: differences of differences that are not zero into `times`; into `values` the bits
/// of the last float or, among integers, the last integer.
#[inline(always)]
fn read_codes<const FLOATING: bool>(
    ahead: &mut Ahead<'_>,
    state: &mut State,
    times: &mut [i64],
    values: &mut [f64],
) -> Codes {
    let count = times.len().min(values.len());
    let (times, values) = (&mut times[..count], &mut values[..count]);
    let mut now = *state;
    let mut bits = *ahead;
    let unit = unit_of(now.unit);
    let mut regular = REGULAR;
    let (mut done, mut same) = (0, usize::MAX);
    while done < count {
        if regular >= REGULAR {
            let read = read_regular::<FLOATING>(&mut bits, &mut now, &mut values[done..]);
            same = same.min(done.saturating_add(read.same));
            done += read.done;
            regular = 0;
            continue;
        }
        if !bits.refill() {
            break;
        }
        let code = &CODES[(bits.word & ((1 << CODE_BITS) - 1)) as usize];
        if code.length == 0 {
            break;
        }
        let number = u64::from((bits.word >> code.start) as u32 & code.mask);
        let dod = unzigzag(number + u64::from(code.more)).wrapping_mul(unit);
        let changed = bits.word >> code.flag & 1 != 0;
        let length = u32::from(code.length);
        bits.skip(length);
        if changed {
            let read = match FLOATING {
                true => read_float(&mut bits, &mut now),
                false => read_int(&mut bits, &mut now, 0),
            };
            if !read {
                // The sample is left to the slow way, from its start.
                bits.left += length;
                break;
            }
            same = same.min(done);
        }
        regular = if code.more == 0 { regular + 1 } else { 0 };
        times[done] = dod;
        values[done] = f64::from_bits(now.reference);
        done += 1;
    }
    *ahead = bits;
    *state = now;
    Codes { done, same }
}

/// As [`read_codes`], up to the first difference of differences that is not zero.
#[inline(always)]
fn read_regular<const FLOATING: bool>(
    ahead: &mut Ahead<'_>,
    state: &mut State,
    values: &mut [f64],
) -> Codes {
    let (mut bits, mut now) = (*ahead, *state);
    let (mut done, mut same) = (0, usize::MAX);
    while done < values.len() && bits.refill() {
        if bits.word & 3 == 1 {
            let read = if FLOATING {
                let mut after = bits;
                after.skip(2);
                let read = read_float(&mut after, &mut now);
                bits = if read { after } else { bits };
                read
            } else {
                read_int(&mut bits, &mut now, 2)
            };
            if !read {
                break;
            }
            same = same.min(done);
        } else if bits.word & 1 != 0 {
            break;
        } else if bits.word & RUN_MASK == 0
            && let Some(places) = values[done..].first_chunk_mut::<RUN>()
        {
            *places = [f64::from_bits(now.reference); RUN];
            bits.skip(RUN as u32);
            done += RUN;
            continue;
        } else {
            bits.skip(1);
        }
        values[done] = f64::from_bits(now.reference);
        done += 1;
    }
    (*ahead, *state) = (bits, now);
    Codes { done, same }
}

/// Reads an integer's Rice code behind `before` bits; false, with nothing changed, where there is
/// another.
#[inline(always)]
fn read_int(bits: &mut Ahead<'_>, now: &mut State, before: u32) -> bool {
    // The first zero behind them, in one chain of as few steps as can be.
    let zero = (!bits.word >> before << before).trailing_zeros();
    let rice = u32::from(now.rice);
    let length = zero + 1 + rice;
    if zero >= before + RICE_ESCAPE {
        return read_large(bits, now, before);
    }
    if length > bits.left {
        return false;
    }
    let low = bits.word >> (zero + 1) & ((1 << rice) - 1);
    bits.skip(length);
    now.settle(u64::from(zero - before) << rice | low);
    true
}

/// Reads a residual too large for a Rice code; false, with nothing changed, where there is another
/// event.
#[inline(always)]
fn read_large(bits: &mut Ahead<'_>, now: &mut State, before: u32) -> bool {
    let mut after = *bits;
    after.skip(before + RICE_ESCAPE);
    if after.take(EVENT_BITS) != 0 {
        return false;
    }
    let length = after.take(6) as u32 + 1;
    if length > 56 || !after.refill() {
        return false;
    }
    let code = after.take(length);
    *bits = after;
    settle_large(now, code);
    true
}

/// Reads a float's XOR; false, with nothing changed but for bits read ahead, where there is
/// something else.
#[inline(always)]
fn read_float(bits: &mut Ahead<'_>, now: &mut State) -> bool {
    let mut window = now.window;
    let mut after = *bits;
    let head = after.word;
    if head & 1 == 0 {
        after.skip(1);
    } else if head & 2 == 0 {
        after.skip(2);
        window = Window::of(after.take(WINDOW_BITS));
    } else {
        return false;
    }
    if !after.refill() {
        return false;
    }
    let width = window.width();
    let xor = if width <= 56 {
        after.take(width)
    } else {
        let low = after.take(32);
        if !after.refill() {
            return false;
        }
        low | after.take(width - 32) << 32
    };
    *bits = after;
    now.window = window;
    now.reference ^= window.place(xor);
    true
}
