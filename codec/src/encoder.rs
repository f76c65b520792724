//! Value columns of sealed chunks: from floats to bytes.
//!
//! Input: the values of one chunk. Output: bytes that [`decode_values`] gives the same bits for,
//! which is tried on every chunk before it is let go. Stale markers, which say nothing of their
//! neighbours, are set aside as patches; the rest goes to [`crate::choose`].

use crate::choose::{Patch, Room};
use crate::limits::MAX_CHUNK_SAMPLES;
use crate::residuals::Stage;
use crate::sample::is_stale;
use crate::sealed::{Encoding, decode_values};

/// Encodes the values of chunks, one after the other, in memory that it keeps.
///
/// What it finds out about a chunk is where it starts to look in the next one, so use one encoder
/// for chunks of one series or of series alike. The bytes of a chunk stand alone.
///
/// ```
/// use treering_codec::*;
///
/// let mut encoder = Encoder::new();
/// let mut bytes = Vec::new();
/// assert_eq!(encoder.encode(&[1.5, 2.25, 1.75], &mut bytes), Encoding::Decimal);
/// let mut values = Vec::new();
/// decode_values(&bytes, 3, &mut values)?;
/// assert_eq!(values, [1.5, 2.25, 1.75]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    room: Room,
    filled: Vec<f64>,
    stale: Vec<Patch>,
    decoded: Vec<f64>,
}

impl Encoder {
    /// An encoder that has seen no chunk yet and holds no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a chunk of `values` (at most [`MAX_CHUNK_SAMPLES`]) to `out`; returns its encoding.
    ///
    /// The chunk does not hold its count, which is that of its timestamp column. It is never
    /// longer than 8 bytes per value and one more.
    ///
    /// # Panics
    /// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
    pub fn encode(&mut self, values: &[f64], out: &mut Vec<u8>) -> Encoding {
        self.encode_by(values, Stage::Packed, out)
    }

    /// Like [`Self::encode`], but smaller and slower to decode: integers are coded by their
    /// entropy where that saves at least one byte in 32. For chunks that are kept long and read
    /// rarely; the decoders are the same.
    ///
    /// # Panics
    /// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
    pub fn encode_cold(&mut self, values: &[f64], out: &mut Vec<u8>) -> Encoding {
        self.encode_by(values, Stage::Coded, out)
    }

    fn encode_by(&mut self, values: &[f64], stage: Stage, out: &mut Vec<u8>) -> Encoding {
        assert!(
            values.len() <= MAX_CHUNK_SAMPLES,
            "a chunk of too many samples"
        );
        self.set_stale_aside(values);
        let column = match self.stale.is_empty() {
            true => values,
            false => self.filled.as_slice(),
        };
        self.room.encode(column, &self.stale, stage);
        let raw_len = 1 + 8 * values.len();
        if self.room.bytes().len() > raw_len || !self.gives_back(values) {
            self.room.encode_raw(values);
        }
        out.extend_from_slice(self.room.bytes());
        self.room.encoding()
    }

    /// Fills `stale` with the stale markers and, if there are any, `filled` with the column in
    /// which the value before stands in for each. A column of nothing else is left as it is.
    fn set_stale_aside(&mut self, values: &[f64]) {
        self.stale.clear();
        // Block by block, without a branch for each value.
        let has_stale = |block: &[f64]| block.iter().fold(false, |any, &v| any | is_stale(v));
        if !values.chunks(64).any(has_stale) {
            return;
        }
        let Some(&first) = values.iter().find(|&&value| !is_stale(value)) else {
            return;
        };
        let mut last = first;
        self.filled.clear();
        for (position, &value) in values.iter().enumerate() {
            match is_stale(value) {
                true => self.stale.push((position, value)),
                false => last = value,
            }
            self.filled.push(last);
        }
    }

    /// Whether the decoder makes the same bits of the bytes. It always should, and costs little
    /// beside the choice: a sealed chunk replaces the samples it was made of.
    fn gives_back(&mut self, values: &[f64]) -> bool {
        self.decoded.clear();
        let decoded = decode_values(self.room.bytes(), values.len(), &mut self.decoded);
        // Without a branch for each value, so that it is done in vectors.
        let pairs = self.decoded.iter().zip(values);
        let wrong = pairs.fold(0, |all, (one, other)| {
            all | (one.to_bits() ^ other.to_bits())
        });
        let same = decoded.is_ok() && wrong == 0;
        debug_assert!(same, "an encoder and its decoder disagree");
        same
    }
}

/// Appends a chunk of `values` to `out` by a new [`Encoder`]; see [`Encoder::encode`].
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
pub fn encode_values(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    Encoder::new().encode(values, out)
}

/// Appends a cold chunk of `values` to `out` by a new [`Encoder`]; see [`Encoder::encode_cold`].
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: no decoder would read them back.
pub fn encode_values_cold(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    Encoder::new().encode_cold(values, out)
}
