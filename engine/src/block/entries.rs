//! Reading the entries of one series in a group of the directory.
//!
//! Input: the bytes of a group from the series on, and which chunks are wanted. Output: a
//! [`ChunkRef`] for each of them, or sums of several where those will do. Invariant: the reader ends
//! behind the series; a chunk lies inside the values section.

use std::ops::Range;

use treering_codec::Stats;
use treering_codec::varint::Reader;

use super::chunk_ref::{ChunkRef, Need, Values};
use super::format::{
    KIND_BITS, KIND_CONSTANT, KIND_PLAIN, KIND_STEPPED, KIND_SUMMED, STRIDDEN_CHUNKS,
    STRIDE_CHUNKS, length,
};

/// Chunks of a stride before version 3.
const OLD_STRIDE_CHUNKS: usize = 8;

/// What carries over from one series of a group to the next.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) columns: Vec<u32>,
    pub(super) expected: i64,
    /// Offset in the values section of the next chunk.
    pub(super) values: u64,
    /// Where in the group the statistics of constant chunks are, of which each has others.
    pub(super) constants: Vec<usize>,
}

/// The chunks of the current columns that overlap a range of time.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) columns: Vec<u32>,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Whether it holds no more than the last of them.
    pub(super) is_newest: bool,
    /// Index of the first of them.
    pub(super) start: usize,
    pub(super) spans: Vec<Span>,
}

/// What the column of a chunk tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    pub(super) count: u32,
    pub(super) column: u32,
}

impl Window {
    fn span(&self, index: usize) -> Option<Span> {
        self.spans.get(index.checked_sub(self.start)?).copied()
    }

    fn chunks(&self) -> Range<usize> {
        self.start..self.start + self.spans.len()
    }

    /// Those of `chunks`, if they all overlap the range.
    fn spans(&self, chunks: &Range<usize>) -> Option<&[Span]> {
        let start = chunks.start.checked_sub(self.start)?;
        self.spans.get(start..start + chunks.len())
    }
}

impl Series {
    /// Reads the columns of the next series.
    pub(super) fn read_columns(&mut self, reader: &mut Reader<'_>) -> treering_codec::Result<()> {
        // Every chunk has an entry of at least one byte.
        let chunks = reader.length(reader.remaining(), "more chunks than the group has bytes")?;
        if chunks == 0 {
            return match self.columns.is_empty() {
                true => Err(malformed(reader, "a series without columns")),
                false => Ok(()),
            };
        }
        self.columns.clear();
        while self.columns.len() < chunks {
            let left = chunks - self.columns.len();
            let first = self.expected.checked_add(reader.varint_i64()?);
            let first = first
                .and_then(|first| u32::try_from(first).ok())
                .ok_or_else(|| malformed(reader, "a column number out of range"))?;
            let run = match left {
                1 => 1,
                _ => reader.length(left, "a run of columns longer than the series")?,
            };
            if run == 0 {
                return Err(malformed(reader, "an empty run of columns"));
            }
            self.columns.extend((first..=u32::MAX).take(run));
            self.expected = i64::from(first) + run as i64;
        }
        Ok(())
    }
}

/// What an entry tells.
struct Entry {
    values: Values,
    summaries: u32,
    stats: Option<Stats>,
    is_stepped: bool,
}

/// The entries of one series.
pub(super) struct Entries<'a> {
    /// The whole group.
    pub(super) group: &'a [u8],
    /// The values section.
    pub(super) values: &'a Range<u64>,
    /// Nanoseconds of a step, or 0.
    pub(super) step: i64,
    /// Whether strides begin with their length.
    pub(super) has_sums: bool,
    /// Where the series begins in the group.
    pub(super) base: usize,
    /// Which chunks are wanted, if any.
    pub(super) window: Option<&'a Window>,
    /// What is wanted of those.
    pub(super) need: Need<'a>,
}

impl Entries<'_> {
    /// Reads past the entries of `chunks` chunks; appends the wanted ones.
    pub(super) fn read(
        &self,
        reader: &mut Reader<'_>,
        chunks: usize,
        series: &mut Series,
        out: &mut Vec<ChunkRef>,
    ) -> treering_codec::Result<()> {
        if chunks < STRIDDEN_CHUNKS {
            return self.read_some(reader, 0..chunks, series, out);
        }
        let wanted = self.window.map_or(0..0, Window::chunks);
        let mut start = 0;
        while start < chunks {
            let left = chunks - start;
            let what = "a stride of more chunks than are left";
            let head = match self.has_sums {
                true => reader.length(2 * STRIDE_CHUNKS.min(left) + 1, what)?,
                false => 2 * OLD_STRIDE_CHUNKS.min(left),
            };
            if head < 2 {
                return Err(malformed(reader, "a stride without chunks"));
            }
            let stride = start..start + head / 2;
            start = stride.end;
            let bytes = reader.length(reader.remaining(), "a stride leaves its group")?;
            let values = reader.varint()?;
            let sum = match head & 1 {
                1 => self.read_sum(reader, &stride)?,
                _ => None,
            };
            let after = series.values.saturating_add(values);
            let end = reader.remaining().saturating_sub(bytes);
            series.constants.clear();
            if stride.end <= wanted.start || stride.start >= wanted.end {
                reader.take(bytes)?;
            } else if let Some(sum) = sum {
                out.push(sum);
                reader.take(bytes)?;
            } else {
                self.read_some(reader, stride, series, out)?;
                if reader.remaining() != end || series.values != after {
                    return Err(malformed(reader, "a stride is not as long as it says"));
                }
            }
            series.values = after;
        }
        series.constants.clear();
        Ok(())
    }

    /// Reads the statistics of a stride; what they sum up, if that will do.
    fn read_sum(
        &self,
        reader: &mut Reader<'_>,
        stride: &Range<usize>,
    ) -> treering_codec::Result<Option<ChunkRef>> {
        let spans = self.window.and_then(|window| window.spans(stride));
        let ends = spans.and_then(|spans| spans.first().zip(spans.last()));
        let (Need::Sums(suffices), Some(spans), Some((first, last))) = (self.need, spans, ends)
        else {
            Stats::skip(reader)?;
            return Ok(None);
        };
        let count = spans.iter().map(|span| span.count).sum();
        let stats = Stats::decode(reader, count)?;
        let is_enough = suffices.suffices(&stats, first.min_time, last.max_time);
        Ok(is_enough.then_some(ChunkRef {
            min_time: first.min_time,
            max_time: last.max_time,
            count,
            column: first.column,
            values: Values::Summed,
            summaries: 0,
            stats: Some(stats),
            step: 0,
        }))
    }

    fn read_some(
        &self,
        reader: &mut Reader<'_>,
        chunks: Range<usize>,
        series: &mut Series,
        out: &mut Vec<ChunkRef>,
    ) -> treering_codec::Result<()> {
        for index in chunks {
            let Some(span) = self.window.and_then(|window| window.span(index)) else {
                self.pass_entry(reader, series)?;
                continue;
            };
            let entry = self.read_entry(reader, span.count, series)?;
            out.push(ChunkRef {
                min_time: span.min_time,
                max_time: span.max_time,
                count: span.count,
                column: span.column,
                values: entry.values,
                summaries: entry.summaries,
                stats: entry.stats,
                step: if entry.is_stepped { self.step } else { 0 },
            });
        }
        Ok(())
    }

    fn read_entry(
        &self,
        reader: &mut Reader<'_>,
        samples: u32,
        series: &mut Series,
    ) -> treering_codec::Result<Entry> {
        let tag = reader.varint()?;
        let (kind, number) = (tag & ((1 << KIND_BITS) - 1), tag >> KIND_BITS);
        let mut summaries = 0;
        let stats = match kind {
            KIND_CONSTANT => {
                let stats = self.read_constant(reader, samples, number, series)?;
                return Ok(Entry {
                    values: Values::Constant(stats.first),
                    summaries,
                    stats: Some(stats),
                    is_stepped: false,
                });
            }
            KIND_SUMMED => Some(Stats::decode(reader, samples)?),
            KIND_PLAIN => None,
            KIND_STEPPED if self.step > 0 => {
                let most = usize::try_from(number).unwrap_or(usize::MAX);
                let what = "step summaries longer than their chunk";
                summaries = reader.length(most.min(u32::MAX as usize), what)? as u32;
                let what = "more samples than a chunk can count";
                let samples = reader.length(u32::MAX as usize, what)? as u32;
                Some(Stats::decode(reader, samples)?)
            }
            _ => return Err(malformed(reader, UNKNOWN_KIND)),
        };
        let offset = self.values.start + series.values;
        let bytes = self.take_values(reader, number, series)? - summaries;
        Ok(Entry {
            values: Values::Encoded { offset, bytes },
            summaries,
            stats,
            is_stepped: kind == KIND_STEPPED,
        })
    }

    /// Passes over the entry of a chunk that is not wanted.
    fn pass_entry(
        &self,
        reader: &mut Reader<'_>,
        series: &mut Series,
    ) -> treering_codec::Result<()> {
        let tag = reader.varint()?;
        let (kind, number) = (tag & ((1 << KIND_BITS) - 1), tag >> KIND_BITS);
        match kind {
            KIND_CONSTANT => {
                if number == 0 {
                    series.constants.push(self.base + reader.offset());
                    Stats::skip(reader)?;
                }
                return Ok(());
            }
            KIND_SUMMED => Stats::skip(reader)?,
            KIND_PLAIN => {}
            KIND_STEPPED if self.step > 0 => {
                reader.skip_varints(2)?;
                Stats::skip(reader)?;
            }
            _ => return Err(malformed(reader, UNKNOWN_KIND)),
        }
        self.take_values(reader, number, series).map(|_| ())
    }

    /// Moves on in the values section by those of one chunk; how many bytes they are.
    fn take_values(
        &self,
        reader: &Reader<'_>,
        number: u64,
        series: &mut Series,
    ) -> treering_codec::Result<u32> {
        let end = series.values.checked_add(number);
        let end = end.filter(|end| *end <= length(self.values));
        let (end, bytes) = end
            .zip(u32::try_from(number).ok())
            .ok_or_else(|| malformed(reader, "a chunk leaves the values section"))?;
        series.values = end;
        Ok(bytes)
    }

    fn read_constant(
        &self,
        reader: &mut Reader<'_>,
        samples: u32,
        number: u64,
        series: &mut Series,
    ) -> treering_codec::Result<Stats> {
        let distance = usize::try_from(number).unwrap_or(usize::MAX);
        let stats = if distance == 0 {
            series.constants.push(self.base + reader.offset());
            Stats::decode(reader, samples)?
        } else {
            let known = series.constants.len().checked_sub(distance);
            let at = known.and_then(|index| series.constants.get(index));
            let at = at.ok_or_else(|| malformed(reader, "a constant without a value"))?;
            let before = self.group.get(*at..).unwrap_or_default();
            Stats::decode(&mut Reader::new(before), samples)?
        };
        if stats.stale != 0 {
            return Err(malformed(reader, "a constant with stale markers"));
        }
        Ok(stats)
    }
}

const UNKNOWN_KIND: &str = "an unknown kind of chunk entry";

fn malformed(reader: &Reader<'_>, what: &'static str) -> treering_codec::Error {
    treering_codec::Error::Malformed {
        offset: reader.offset(),
        what,
    }
}
