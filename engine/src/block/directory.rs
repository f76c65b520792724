//! The directory of a block that is being written: which chunks each series has.
//!
//! Input: per series, in order, its timestamp columns and an entry for each chunk. Output: the
//! directory section, in groups of series that are read as one, and the group table. Invariant: a
//! group can be read by itself; what a series has in common with the one before costs one byte.

use treering_codec::Stats;
use treering_codec::varint::{put_i64, put_u64};

use super::format::{
    GROUP_BYTES, KIND_BITS, KIND_CONSTANT, KIND_PLAIN, KIND_STEPPED, KIND_SUMMED, NEAR_CONSTANTS,
    STRIDDEN_CHUNKS, STRIDE_CHUNKS,
};
use super::summaries::{Fold, samples, step_window};
use crate::error::{Error, Result};

/// Most series in a group: a look-up of one reads past the others.
const GROUP_SERIES: u32 = 32;

/// A group takes no more series once it has this many bytes.
const GROUP_FULL_BYTES: usize = 1024;

/// What the directory says of one chunk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    /// Values of `bytes` encoded bytes, which follow those of the chunk before; with statistics
    /// when there are enough samples to make them worth their bytes.
    Values { bytes: u64, stats: Option<Stats> },
    /// The same value throughout, held by the statistics; it has no encoded values.
    Constant(Stats),
    /// Rows of steps: `bytes` of values and summaries, of which the last `summaries` are these;
    /// statistics of all samples.
    Stepped {
        bytes: u64,
        summaries: u32,
        stats: Stats,
    },
}

/// Builds the directory.
#[derive(Debug, Default)]
pub(super) struct DirectoryWriter {
    bytes: Vec<u8>,
    groups: Vec<u8>,
    /// Series so far.
    series: u32,
    group_series: u32,
    group_start: usize,
    /// Offset in the values section of the next chunk.
    values: u64,
    state: GroupState,
    stride: Vec<u8>,
}

/// What a series is coded against: the series before it in its group.
#[derive(Debug, Default)]
struct GroupState {
    columns: Vec<u32>,
    /// The column that would cost least.
    expected: i64,
    constants: Constants,
    stats: Vec<u8>,
}

/// Encoded statistics of constant chunks that later ones may be the same as, one after the other.
#[derive(Debug, Default)]
struct Constants {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Constants {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many constants ago `stats` came last, 1 for the last one; 0, and from now on it is the
    /// last, when it is none of those that are near.
    fn find_or_add(&mut self, stats: &[u8]) -> u64 {
        let starts = self.ends.iter().rev().skip(1).chain(&[0]);
        let ranges = starts.zip(self.ends.iter().rev()).take(NEAR_CONSTANTS);
        for (distance, (start, end)) in (1..).zip(ranges) {
            if self.bytes.get(*start..*end) == Some(stats) {
                return distance;
            }
        }
        self.bytes.extend_from_slice(stats);
        self.ends.push(self.bytes.len());
        0
    }
}

impl DirectoryWriter {
    /// Adds the next series; `columns` and `entries` have one element for each chunk.
    /// So have `times`: its first and last timestamp.
    pub(super) fn add(
        &mut self,
        columns: &[u32],
        entries: &[Entry],
        times: &[(i64, i64)],
    ) -> Result<()> {
        let full = self.bytes.len() - self.group_start >= GROUP_FULL_BYTES;
        if self.series == 0 || self.group_series >= GROUP_SERIES || full {
            self.begin_group()?;
        }
        self.state.put_columns(columns, &mut self.bytes);
        if entries.len() < STRIDDEN_CHUNKS {
            for entry in entries {
                self.values += self.state.put_entry(entry, &mut self.bytes);
            }
        } else {
            let mut rest = entries;
            let mut times = times;
            while !rest.is_empty() {
                let (stride, after) = rest.split_at(stride_length(times).min(rest.len()));
                times = times.get(stride.len()..).unwrap_or_default();
                rest = after;
                self.put_stride(stride);
            }
            self.state.constants.clear();
        }
        self.series += 1;
        self.group_series += 1;
        Ok(())
    }

    /// The directory section and the group table.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<u8>)> {
        offset_of(self.bytes.len())?;
        Ok((self.bytes, self.groups))
    }

    fn begin_group(&mut self) -> Result<()> {
        self.group_start = self.bytes.len();
        self.group_series = 0;
        self.state = GroupState::default();
        self.groups.reserve(GROUP_BYTES);
        self.groups.extend_from_slice(&self.series.to_le_bytes());
        self.groups
            .extend_from_slice(&offset_of(self.group_start)?.to_le_bytes());
        put_u64(&mut self.bytes, self.values);
        Ok(())
    }

    /// A stride begins with its length and that of its values, so that it can be skipped, and with
    /// statistics of all of it, so that it need not be read.
    fn put_stride(&mut self, entries: &[Entry]) {
        self.stride.clear();
        self.state.constants.clear();
        let mut values = 0;
        for entry in entries {
            values += self.state.put_entry(entry, &mut self.stride);
        }
        let sum = sum(entries);
        let is_summed = u64::from(sum.is_some());
        put_u64(&mut self.bytes, (entries.len() as u64) << 1 | is_summed);
        put_u64(&mut self.bytes, self.stride.len() as u64);
        put_u64(&mut self.bytes, values);
        if let Some(sum) = sum {
            sum.encode(&mut self.bytes);
        }
        self.bytes.extend_from_slice(&self.stride);
        self.values += values;
    }
}

/// How many chunks the next stride has: up to the end of a day, if they are enough to be worth
/// statistics of their own, or of an hour, so that windows of days and of hours hold whole strides.
fn stride_length(times: &[(i64, i64)]) -> usize {
    let most = times.len().min(STRIDE_CHUNKS);
    let ends = |chunks: usize| {
        let (Some(last), Some(next)) = (times.get(chunks - 1), times.get(chunks)) else {
            return false;
        };
        let apart = |nanos: i64| step_window(last.1, nanos) != step_window(next.0, nanos);
        chunks >= DAY_CHUNKS && apart(DAY) || chunks >= HOUR_CHUNKS && apart(DAY / 24)
    };
    (1..most).find(|&chunks| ends(chunks)).unwrap_or(most)
}

/// Chunks from which on a stride ends with its day.
const DAY_CHUNKS: usize = 8;

/// Chunks from which on a stride ends with its hour.
const HOUR_CHUNKS: usize = 16;

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;

/// The statistics of a stride, where all of its chunks have some and reading them costs more.
fn sum(entries: &[Entry]) -> Option<Stats> {
    if entries.len() < STRIDDEN_CHUNKS {
        return None;
    }
    let mut fold = Fold::default();
    for entry in entries {
        match entry {
            Entry::Values { stats, .. } => fold.add(&(*stats)?),
            Entry::Constant(stats) => fold.add(stats),
            Entry::Stepped { .. } => return None,
        }
    }
    Some(fold.stats())
}

impl GroupState {
    fn put_columns(&mut self, columns: &[u32], out: &mut Vec<u8>) {
        if self.columns == columns {
            out.push(0);
            return;
        }
        put_u64(out, columns.len() as u64);
        let mut rest = columns;
        while let Some(&first) = rest.first() {
            let ascending = (first..)
                .zip(rest)
                .take_while(|(next, column)| next == *column);
            let run = ascending.count();
            put_i64(out, i64::from(first) - self.expected);
            // The last run needs no length when one column is left.
            if rest.len() > 1 {
                put_u64(out, run as u64);
            }
            self.expected = i64::from(first) + run as i64;
            rest = rest.get(run..).unwrap_or_default();
        }
        self.columns.clear();
        self.columns.extend_from_slice(columns);
    }

    /// Appends an entry; returns how many bytes of values it stands for.
    fn put_entry(&mut self, entry: &Entry, out: &mut Vec<u8>) -> u64 {
        match entry {
            Entry::Values {
                bytes,
                stats: Some(stats),
            } => {
                put_u64(out, bytes << KIND_BITS | KIND_SUMMED);
                stats.encode(out);
                *bytes
            }
            Entry::Values { bytes, stats: None } => {
                put_u64(out, bytes << KIND_BITS | KIND_PLAIN);
                *bytes
            }
            Entry::Constant(stats) => {
                self.stats.clear();
                stats.encode(&mut self.stats);
                let distance = self.constants.find_or_add(&self.stats);
                put_u64(out, distance << KIND_BITS | KIND_CONSTANT);
                if distance == 0 {
                    out.extend_from_slice(&self.stats);
                }
                0
            }
            Entry::Stepped {
                bytes,
                summaries,
                stats,
            } => {
                put_u64(out, bytes << KIND_BITS | KIND_STEPPED);
                put_u64(out, u64::from(*summaries));
                put_u64(out, samples(stats));
                stats.encode(out);
                *bytes
            }
        }
    }
}

fn offset_of(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| {
        let hint = "write the samples into several blocks";
        Error::limit(
            "directory limit of a block",
            u32::MAX.into(),
            "a block",
            hint,
        )
    })
}
