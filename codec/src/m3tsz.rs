//! Streams of M3's encoder (M3TSZ), read only: the way in for data that M3DB wrote.
//!
//! Input: the bytes of one series' block and how its namespace was set up. Output: nanoseconds and
//! floats. Written from the facts on `docs/format/m3tsz.md`; the source is m3db/m3,
//! `src/dbnode/encoding/m3tsz`. The stream says less than it holds: unit and integer mode come from
//! outside, and a stream read with the wrong ones gives an error or other numbers.
//!
//! Invariant: a sample takes at least two bits, so output is bounded by four samples per byte.

use crate::error::{Error, Result};

/// Most samples that one byte of an M3TSZ stream can stand for, hence the bound of what
/// [`decode_m3tsz`] allocates: 16 bytes of output for each of them.
pub const MAX_M3TSZ_SAMPLES_PER_BYTE: usize = 4;

/// The unit in which M3 counts the time between samples; numbers as in its time-unit marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum M3TimeUnit {
    /// Seconds, M3's default.
    Second = 1,
    /// Milliseconds.
    Millisecond = 2,
    /// Microseconds.
    Microsecond = 3,
    /// Nanoseconds.
    Nanosecond = 4,
    /// Minutes; as a namespace's unit only, times cannot be counted in it.
    Minute = 5,
    /// Hours, likewise.
    Hour = 6,
    /// Days, likewise.
    Day = 7,
    /// Years of 365 days, likewise.
    Year = 8,
}

impl M3TimeUnit {
    const ALL: [Self; 8] = [
        Self::Second,
        Self::Millisecond,
        Self::Microsecond,
        Self::Nanosecond,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Year,
    ];

    /// Nanoseconds of one unit.
    pub const fn nanoseconds(self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        match self {
            Self::Second => SECOND,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
            Self::Minute => 60 * SECOND,
            Self::Hour => 3_600 * SECOND,
            Self::Day => 86_400 * SECOND,
            Self::Year => 365 * 86_400 * SECOND,
        }
    }

    /// Bits of the widest difference of differences; `None` where M3 has no way to count.
    fn widest(self) -> Option<u32> {
        match self {
            Self::Second | Self::Millisecond => Some(32),
            Self::Microsecond | Self::Nanosecond => Some(64),
            Self::Minute | Self::Hour | Self::Day | Self::Year => None,
        }
    }
}

/// Decodes one M3TSZ stream: appends timestamps in nanoseconds and values, and returns how many.
///
/// `default_unit` and `int_optimized` are those of the namespace that wrote it (M3's defaults are
/// seconds and `true`). Annotations are skipped. No bytes at all are a stream of no samples.
///
/// Values come out as M3 would give them, bit for bit. With integer optimisation M3 rounds when it
/// *writes* (values within an ulp of a short decimal, -0.0); what is lost there stays lost.
///
/// # Errors
/// [`Error::Truncated`] when the end marker is missing, [`Error::Malformed`] and
/// [`Error::Unsupported`] when the bytes are not such a stream. Nothing is appended then.
pub fn decode_m3tsz(
    bytes: &[u8],
    default_unit: M3TimeUnit,
    int_optimized: bool,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<usize> {
    let (times_before, values_before) = (timestamps.len(), values.len());
    let result = decode(bytes, default_unit, int_optimized, timestamps, values);
    if result.is_err() {
        timestamps.truncate(times_before);
        values.truncate(values_before);
    }
    result.map(|()| timestamps.len() - times_before)
}

fn decode(
    bytes: &[u8],
    default_unit: M3TimeUnit,
    int_optimized: bool,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut bits = Bits::new(bytes);
    let mut times = Times::new(bits.take(64)? as i64, default_unit);
    let mut numbers = Numbers::new(int_optimized);
    let mut is_first = true;
    while let Some(timestamp) = times.next(&mut bits)? {
        values.push(numbers.next(&mut bits, is_first)?);
        timestamps.push(timestamp);
        is_first = false;
    }
    bits.finished()
}

/// What the two bits behind a marker's opcode say.
enum Marker {
    End,
    Annotation,
    TimeUnit,
}

/// Where the timestamps stand.
struct Times {
    timestamp: i64,
    delta: i64,
    /// `None` until a marker says the unit: the start was no multiple of the default one.
    unit: Option<M3TimeUnit>,
}

impl Times {
    fn new(start: i64, default_unit: M3TimeUnit) -> Self {
        let is_multiple = start % default_unit.nanoseconds() == 0;
        Self {
            timestamp: start,
            delta: 0,
            unit: is_multiple.then_some(default_unit),
        }
    }

    /// The next timestamp; `None` at the end marker.
    fn next(&mut self, bits: &mut Bits<'_>) -> Result<Option<i64>> {
        let mut is_new_unit = false;
        while let Some(marker) = bits.take_marker() {
            match marker {
                Marker::End => return Ok(None),
                Marker::Annotation => bits.skip_annotation()?,
                Marker::TimeUnit => {
                    let unit = take_unit(bits)?;
                    is_new_unit |= self.unit != Some(unit);
                    self.unit = Some(unit);
                }
            }
        }
        let dod = if is_new_unit {
            bits.take(64)? as i64
        } else {
            self.take_dod(bits)?
        };
        self.delta = self.delta.wrapping_add(dod);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        if is_new_unit {
            self.delta = 0;
        }
        Ok(Some(self.timestamp))
    }

    /// A difference of differences in the present unit, as nanoseconds.
    fn take_dod(&self, bits: &mut Bits<'_>) -> Result<i64> {
        let counted = self.unit.and_then(|unit| Some((unit, unit.widest()?)));
        let Some((unit, widest)) = counted else {
            return Err(bits.malformed("a timestamp without a unit to count in"));
        };
        let mut width = widest;
        for bucket in [0, 7, 9, 12] {
            if bits.take(1)? == 0 {
                width = bucket;
                break;
            }
        }
        let dod = match width {
            0 => 0,
            _ => (bits.take(width)? << (64 - width)) as i64 >> (64 - width),
        };
        Ok(dod.wrapping_mul(unit.nanoseconds()))
    }
}

fn take_unit(bits: &mut Bits<'_>) -> Result<M3TimeUnit> {
    let offset = bits.offset();
    let found = bits.take(8)?;
    let known = M3TimeUnit::ALL.into_iter();
    let mut known = known.filter(|unit| *unit as u64 == found);
    known.next().ok_or(Error::Unsupported {
        offset,
        what: "M3 time unit",
        found,
    })
}

/// Where the values stand: an integer over a power of ten, or the bits of a float.
struct Numbers {
    int_optimized: bool,
    is_float: bool,
    float: u64,
    /// The last XOR, which makes the window of the next.
    xor: u64,
    /// M3 adds up integers as floats; above 2^53 that rounds.
    int: f64,
    significant: u32,
    scale: usize,
}

/// Powers of ten by which integers are divided.
const SCALES: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

impl Numbers {
    fn new(int_optimized: bool) -> Self {
        Self {
            int_optimized,
            is_float: !int_optimized,
            float: 0,
            xor: 0,
            int: 0.0,
            significant: 0,
            scale: 0,
        }
    }

    fn next(&mut self, bits: &mut Bits<'_>, is_first: bool) -> Result<f64> {
        match (self.int_optimized, is_first) {
            (false, true) => self.take_float(bits)?,
            (false, false) => self.take_xor(bits)?,
            (true, true) => self.take_anew(bits)?,
            (true, false) => self.take_step(bits)?,
        }
        if self.is_float {
            return Ok(f64::from_bits(self.float));
        }
        match SCALES.get(self.scale) {
            Some(power) if self.scale > 0 => Ok(self.int / power),
            _ => Ok(self.int),
        }
    }

    fn take_step(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        match bits.take(1)? {
            1 if self.is_float => self.take_xor(bits),
            1 => self.take_difference(bits),
            _ => match bits.take(1)? {
                1 => Ok(()),
                _ => self.take_anew(bits),
            },
        }
    }

    /// A float whole, or an integer with what is new about its width and scale.
    fn take_anew(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        self.is_float = bits.take(1)? == 1;
        if self.is_float {
            return self.take_float(bits);
        }
        if bits.take(1)? == 1 {
            self.significant = match bits.take(1)? {
                0 => 0,
                _ => bits.take(6)? as u32 + 1,
            };
        }
        if bits.take(1)? == 1 {
            self.scale = bits.take(3)? as usize;
            if self.scale >= SCALES.len() {
                return Err(bits.malformed("an M3 scale beyond 10^6"));
            }
        }
        self.take_difference(bits)
    }

    fn take_difference(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        let is_added = bits.take(1)? == 1;
        let difference = match self.significant {
            0 => 0.0,
            significant => bits.take(significant)? as f64,
        };
        self.int += if is_added { difference } else { -difference };
        Ok(())
    }

    fn take_float(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        self.float = bits.take(64)?;
        self.xor = self.float;
        Ok(())
    }

    fn take_xor(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        if bits.take(1)? == 0 {
            self.xor = 0;
            return Ok(());
        }
        let (lead, len) = if bits.take(1)? == 1 {
            (bits.take(6)? as u32, bits.take(6)? as u32 + 1)
        } else if self.xor == 0 {
            // A window of no bits: M3 never writes it, and reads it as no change.
            return Ok(());
        } else {
            let (lead, trail) = (self.xor.leading_zeros(), self.xor.trailing_zeros());
            (lead, 64 - lead - trail)
        };
        let Some(trail) = 64u32.checked_sub(lead + len) else {
            return Err(bits.malformed("an XOR beyond 64 bits"));
        };
        self.xor = bits.take(len)? << trail;
        self.float ^= self.xor;
        Ok(())
    }
}

/// Bits, the most significant of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The 64 bits at the position, zeros beyond the end.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.position / 8..).unwrap_or_default();
        let (word, next) = match rest.first_chunk::<9>() {
            Some(&[a, b, c, d, e, f, g, h, next]) => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), next)
            }
            None => {
                let byte = |at: usize| rest.get(at).copied().unwrap_or(0);
                let word = (0..8).fold(0, |word, at| word << 8 | u64::from(byte(at)));
                (word, byte(8))
            }
        };
        let shift = self.position % 8;
        word << shift | u64::from(next) >> (8 - shift)
    }

    fn remaining(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.position)
    }

    /// The next `count` (1 to 64) bits.
    #[inline]
    fn take(&mut self, count: u32) -> Result<u64> {
        if self.remaining() < count as usize {
            let offset = self.bytes.len();
            return Err(Error::Truncated { offset });
        }
        let value = self.peek() >> (64 - count);
        self.position += count as usize;
        Ok(value)
    }

    /// The marker that comes next, if one does: 1 0000 0000, a difference that no encoder writes,
    /// and two bits of which 11 is none.
    #[inline]
    fn take_marker(&mut self) -> Option<Marker> {
        const BITS: usize = 11;
        let next = self.peek() >> (64 - BITS);
        if next >> 2 != 0x100 || self.remaining() < BITS {
            return None;
        }
        let marker = match next & 3 {
            0 => Marker::End,
            1 => Marker::Annotation,
            2 => Marker::TimeUnit,
            _ => return None,
        };
        self.position += BITS;
        Some(marker)
    }

    /// Passes over length and bytes of an annotation: zig-zag varint of the length less one.
    fn skip_annotation(&mut self) -> Result<()> {
        let mut zigzag = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(8)?;
            zigzag |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                let length = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                let length = usize::try_from(length).ok().and_then(|l| l.checked_add(1));
                let bits = length.and_then(|length| length.checked_mul(8));
                return match bits.filter(|&bits| bits <= self.remaining()) {
                    Some(bits) => {
                        self.position += bits;
                        Ok(())
                    }
                    None => Err(self.malformed("an annotation longer than its stream")),
                };
            }
        }
        Err(self.malformed("an annotation's length beyond 64 bits"))
    }

    fn offset(&self) -> usize {
        self.position / 8
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed {
            offset: self.offset(),
            what,
        }
    }

    /// Nothing but padding follows the end marker.
    fn finished(&self) -> Result<()> {
        match self.remaining() < 8 {
            true => Ok(()),
            false => Err(self.malformed("bytes after the end of the stream")),
        }
    }
}
