//! Sizes of whole corpora, and times of all codecs in turn.
//!
//! Input: codecs and chunks. Output: bytes per sample, where every chunk was decoded and compared
//! bit for bit; CPU nanoseconds per sample of this thread, one per round. A chunk that does not
//! come back ends the bench.

use std::collections::HashSet;

use rustix::time::{ClockId, clock_gettime};
use treering_benches::Result;

use crate::codec::{Codec, Column, Decoded, Holds, is_same};

/// A round repeats what takes less than this, so that the clock's own cost does not show.
const ROUND_NANOS: f64 = 4e6;

/// Bytes by which a chunk names the timestamp column it shares.
const REFERENCE_BYTES: usize = 2;

/// A codec and what it holds.
pub(crate) struct Entry {
    pub(crate) codec: Box<dyn Codec>,
    pub(crate) holds: Holds,
}

/// Bytes per sample over all chunks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) whole: f64,
    /// Each distinct column once, and a reference a chunk.
    pub(crate) shared: f64,
}

/// Nanoseconds per sample, one per round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speed {
    pub(crate) encode: Vec<f64>,
    pub(crate) decode: Vec<f64>,
}

impl Entry {
    pub(crate) fn new(codec: impl Codec + 'static, holds: Holds) -> Self {
        Self {
            codec: Box::new(codec),
            holds,
        }
    }

    /// Encodes, decodes and compares every chunk.
    pub(crate) fn size(&mut self, columns: &[Column<'_>]) -> Result<Size> {
        let (mut bytes, mut out) = (Vec::new(), Decoded::default());
        let (mut whole, mut shared, mut samples) = (0, 0, 0);
        let mut seen = HashSet::new();
        for (index, &column) in columns.iter().enumerate() {
            bytes.clear();
            self.codec.encode(column, &mut bytes);
            out.clear();
            self.codec.decode(&bytes, column.values.len(), &mut out);
            if !is_same(self.holds, column, &out) {
                let (name, holds) = (self.codec.name(), self.holds);
                return Err(format!("{name} ({holds:?}) changed chunk {index}").into());
            }
            whole += bytes.len();
            shared += REFERENCE_BYTES;
            if seen.insert(column.nanos) {
                shared += bytes.len();
            }
            samples += column.values.len();
        }
        Ok(Size {
            whole: whole as f64 / samples as f64,
            shared: shared as f64 / samples as f64,
        })
    }
}

/// Times all entries in turn, `rounds` times.
pub(crate) fn speeds(
    entries: &mut [Entry],
    columns: &[Column<'_>],
    rounds: usize,
) -> Result<Vec<Speed>> {
    let mut speeds = vec![Speed::default(); entries.len()];
    let mut runs: Vec<Run<'_>> = Vec::new();
    for entry in &mut *entries {
        runs.push(Run::new(entry, columns)?);
    }
    for _ in 0..rounds {
        for (speed, run) in speeds.iter_mut().zip(&mut runs) {
            speed.encode.push(run.encode());
            speed.decode.push(run.decode()?);
        }
    }
    Ok(speeds)
}

/// One codec over the same chunks again and again.
struct Run<'a> {
    entry: &'a mut Entry,
    columns: &'a [Column<'a>],
    samples: usize,
    chunks: Vec<Vec<u8>>,
    encode_repeats: usize,
    decode_repeats: usize,
    buffer: Vec<u8>,
    out: Decoded,
}

impl<'a> Run<'a> {
    fn new(entry: &'a mut Entry, columns: &'a [Column<'a>]) -> Result<Self> {
        let encode = |column: &Column<'_>| {
            let mut bytes = Vec::new();
            entry.codec.encode(*column, &mut bytes);
            bytes.shrink_to_fit();
            bytes
        };
        let mut run = Self {
            chunks: columns.iter().map(encode).collect(),
            samples: columns.iter().map(|column| column.values.len()).sum(),
            entry,
            columns,
            encode_repeats: 1,
            decode_repeats: 1,
            buffer: Vec::new(),
            out: Decoded::default(),
        };
        let repeats = |nanos: f64, samples| (ROUND_NANOS / (nanos * samples as f64)).ceil();
        run.encode();
        run.encode_repeats = repeats(run.encode(), run.samples) as usize;
        run.decode()?;
        run.decode_repeats = repeats(run.decode()?, run.samples) as usize;
        Ok(run)
    }

    fn encode(&mut self) -> f64 {
        let start = cpu_nanos();
        for _ in 0..self.encode_repeats {
            for &column in self.columns {
                self.buffer.clear();
                self.entry.codec.encode(column, &mut self.buffer);
                std::hint::black_box(&self.buffer);
            }
        }
        self.per_sample(cpu_nanos() - start, self.encode_repeats)
    }

    /// Decodes into one buffer, which stays in the nearest caches.
    fn decode(&mut self) -> Result<f64> {
        let start = cpu_nanos();
        for _ in 0..self.decode_repeats {
            for (chunk, column) in self.chunks.iter().zip(self.columns) {
                self.out.clear();
                let count = column.values.len();
                self.entry.codec.decode(chunk, count, &mut self.out);
                std::hint::black_box(&self.out);
            }
        }
        let nanos = cpu_nanos() - start;
        match (self.columns.last(), self.entry.holds) {
            (Some(&last), holds) if !is_same(holds, last, &self.out) => {
                Err(format!("{} changed the last chunk", self.entry.codec.name()).into())
            }
            _ => Ok(self.per_sample(nanos, self.decode_repeats)),
        }
    }

    fn per_sample(&self, nanos: f64, repeats: usize) -> f64 {
        nanos / (self.samples * repeats).max(1) as f64
    }
}

/// The middle of several figures.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many times longer `slow` takes: the median over rounds, so that both saw the same machine.
pub(crate) fn times_longer(slow: &[f64], fast: &[f64]) -> f64 {
    let ratios: Vec<f64> = slow
        .iter()
        .zip(fast)
        .map(|(slow, fast)| slow / fast)
        .collect();
    median(&ratios)
}

/// CPU time of this thread.
fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
