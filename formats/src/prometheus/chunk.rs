//! Chunks: samples of one series, compressed.
//!
//! Input: a chunk's encoding and its bytes. Output: its samples. Floats are Gorilla's (Pelkonen et
//! al., 2015) with deltas of deltas of other widths; histograms are in `histogram.rs`.

use treering::SampleColumns;

use super::{MILLISECOND, histogram};
use crate::bits::{Bits, Xor};
use crate::error::{Error, Result};

/// Encodings by their number in files.
const XOR: u8 = 1;
const HISTOGRAM: u8 = 2;
const FLOAT_HISTOGRAM: u8 = 3;

/// Bits of a delta of deltas behind one to four ones.
const WIDTHS: [u32; 4] = [14, 17, 20, 64];

/// Bytes in front of the samples: how many there are.
const COUNT_BYTES: usize = 2;

/// Adds the samples of a chunk to those before it. Offsets of errors are within the bytes.
///
/// # Errors
///
/// Corrupt when the bytes are no such chunk, or its samples do not follow those that are there;
/// unsupported for an encoding that is not known. What was added until then stays.
pub fn decode(encoding: u8, bytes: &[u8], samples: &mut SampleColumns) -> Result<()> {
    let count = match bytes.first_chunk::<COUNT_BYTES>() {
        Some(count) => u16::from_be_bytes(*count),
        None => return Err(Error::corrupt(0, "a chunk without a count of samples")),
    };
    let rest = bytes.get(COUNT_BYTES..).unwrap_or_default();
    let moved = |error: Error| error.moved(COUNT_BYTES as u64);
    match encoding {
        XOR => floats(count, rest, samples).map_err(moved),
        HISTOGRAM => histogram::whole(count, rest, samples).map_err(moved),
        FLOAT_HISTOGRAM => histogram::float(count, rest, samples).map_err(moved),
        other => Err(Error::unsupported(0, format!("chunk encoding {other}"))),
    }
}

fn floats(count: u16, bytes: &[u8], samples: &mut SampleColumns) -> Result<()> {
    let bits = &mut Bits::new(bytes);
    let (mut times, mut value) = (Times::default(), Xor::default());
    for number in 0..count {
        let time = match number {
            0 => times.first(bits.varint()?),
            1 => times.second(bits.uvarint()?),
            _ => {
                let change = match bits.ones(4)? as usize {
                    0 => 0,
                    ones => bits.signed(WIDTHS.get(ones - 1).copied().unwrap_or(64))?,
                };
                times.next(change)
            }
        };
        let value = match number {
            0 => {
                value = Xor::first(bits)?;
                value.value()
            }
            _ => value.next(bits)?,
        };
        push(samples, time, value)?;
    }
    Ok(())
}

/// Milliseconds by what changes in their distance.
#[derive(Debug, Default)]
pub(super) struct Times {
    time: i64,
    delta: i64,
}

impl Times {
    pub(super) fn first(&mut self, time: i64) -> i64 {
        self.time = time;
        time
    }

    pub(super) fn second(&mut self, delta: u64) -> i64 {
        // As in Go, what does not fit wraps; the order of samples is checked where they are added.
        self.delta = delta as i64;
        self.time = self.time.wrapping_add(self.delta);
        self.time
    }

    pub(super) fn next(&mut self, change: i64) -> i64 {
        self.delta = self.delta.wrapping_add(change);
        self.time = self.time.wrapping_add(self.delta);
        self.time
    }
}

/// Nanoseconds of a sample that follows those before it.
pub(super) fn after(samples: &SampleColumns, time: i64) -> Result<i64> {
    let nanoseconds = time.checked_mul(MILLISECOND);
    let nanoseconds = nanoseconds
        .ok_or_else(|| Error::corrupt(0, format!("{time} ms do not fit into nanoseconds")))?;
    match samples.timestamps.last() {
        Some(&last) if last >= nanoseconds => Err(Error::corrupt(
            0,
            format!(
                "a sample of {time} ms behind one of {} ms",
                last / MILLISECOND
            ),
        )),
        _ => Ok(nanoseconds),
    }
}

fn push(samples: &mut SampleColumns, time: i64, value: f64) -> Result<()> {
    let time = after(samples, time)?;
    if !samples.histograms.is_empty() {
        samples.histograms.push(None);
    }
    samples.timestamps.push(time);
    samples.values.push(value);
    Ok(())
}
