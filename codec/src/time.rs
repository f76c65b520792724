//! Timestamp columns of sealed chunks.
use crate::error::{Error, Result};
use crate::limits::MAX_CHUNK_SAMPLES;
use crate::varint::{Reader, put_u64};

/// What the head of a timestamp column tells without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSummary {
    /// Timestamps in the column.
    pub count: usize,
    /// The first one (0 when there is none).
    pub first: i64,
    /// The last one (0 when there is none).
    pub last: i64,
    /// Whether each is greater than the one before it.
    pub increasing: bool,
}

/// Appends the column `timestamps` (at most [`MAX_CHUNK_SAMPLES`]) to `out`.
///
/// # Panics
/// When there are more than [`MAX_CHUNK_SAMPLES`]: nothing could read them back.
pub fn encode_timestamps(timestamps: &[i64], out: &mut Vec<u8>) {
    assert!(
        timestamps.len() <= MAX_CHUNK_SAMPLES,
        "a column of too many timestamps"
    );
    out.push(0);
    put_u64(out, timestamps.len() as u64);
    for timestamp in timestamps {
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
}

/// Appends the timestamps of a column to `out`.
pub fn decode_timestamps(bytes: &[u8], out: &mut Vec<i64>) -> Result<()> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != 0 {
        return Err(Error::Unsupported {
            offset: 0,
            what: "timestamp encoding",
            found: 1,
        });
    }
    let count = reader.length(MAX_CHUNK_SAMPLES, "a count above the limit")?;
    for _ in 0..count {
        out.push(reader.i64()?);
    }
    Ok(())
}

/// The summary at the head of a column.
pub fn summarize_timestamps(bytes: &[u8]) -> Result<TimeSummary> {
    let mut out = Vec::new();
    decode_timestamps(bytes, &mut out)?;
    Ok(TimeSummary {
        count: out.len(),
        first: out.first().copied().unwrap_or(0),
        last: out.last().copied().unwrap_or(0),
        increasing: out.is_sorted_by(|a, b| a < b),
    })
}
