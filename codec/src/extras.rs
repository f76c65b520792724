//! Extras: what the samples of a chunk may have beside their floats.
//!
//! Input: histograms and start timestamps by place. Output: a section of bytes, and back; a chunk
//! of kind [`ValueKind::Extended`](crate::ValueKind::Extended) that has it behind the floats.
//! Invariant: where a sample is a histogram, its float is the stale marker, so that whoever reads
//! floats alone passes over it.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::histogram::{Histogram, same};
use crate::histograms;
use crate::tag;
use crate::varint::{Reader, put_bytes, put_i64, put_u64};

/// What samples have beside their floats, by their place among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// Place and histogram of the samples that are one, by rising place.
    pub histograms: Vec<(u32, Arc<Histogram>)>,
    /// Places of samples in a row, and the time since which all of them count, in nanoseconds since
    /// the Unix epoch; rising, disjoint, none empty. The start of the others is not known.
    pub starts: Vec<(Range<u32>, i64)>,
}

/// How a section of extras is laid out. The decoder is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtrasForm {
    /// Histogram after histogram: quick to write.
    Single,
    /// A column for each bucket: small.
    Columns,
    /// As `Columns`, coded by entropy: smaller, slower to read.
    Cold,
}

impl Extras {
    /// None at all.
    pub const fn new() -> Self {
        Self {
            histograms: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    /// Takes all of them out, and keeps the memory.
    pub fn clear(&mut self) {
        self.histograms.clear();
        self.starts.clear();
    }

    /// Adds those of the sample at `place`, which lies behind all that were added so far; a start
    /// of 0 is not known.
    pub fn push(&mut self, place: u32, histogram: Option<Arc<Histogram>>, start: i64) {
        if let Some(histogram) = histogram {
            self.histograms.push((place, histogram));
        }
        if start != 0 {
            self.push_starts(place..place.saturating_add(1), start);
        }
    }

    /// Says that the samples at `places`, which lie behind those of which a start is known, count
    /// since `start`.
    pub fn push_starts(&mut self, places: Range<u32>, start: i64) {
        if places.is_empty() || start == 0 {
            return;
        }
        match self.starts.last_mut() {
            Some((before, same)) if before.end == places.start && *same == start => {
                before.end = places.end;
            }
            _ => self.starts.push((places, start)),
        }
    }

    /// The histogram of the sample at `place`.
    pub fn histogram(&self, place: u32) -> Option<&Arc<Histogram>> {
        let at = self.histograms.binary_search_by_key(&place, |one| one.0);
        at.ok()
            .and_then(|at| self.histograms.get(at))
            .map(|one| &one.1)
    }

    /// Since when the sample at `place` counts, or 0.
    pub fn start(&self, place: u32) -> i64 {
        let at = self.starts.partition_point(|run| run.0.end <= place);
        let run = self.starts.get(at).filter(|run| run.0.contains(&place));
        run.map_or(0, |run| run.1)
    }

    /// Those of the samples at `places`, whose first is then at 0.
    #[must_use]
    pub fn slice(&self, places: Range<u32>) -> Self {
        let mut slice = Self::new();
        let from = self.histograms.partition_point(|one| one.0 < places.start);
        let rest = self.histograms.get(from..).unwrap_or_default();
        let inside = rest.iter().take_while(|one| one.0 < places.end);
        let moved = inside.map(|one| (one.0 - places.start, Arc::clone(&one.1)));
        slice.histograms.extend(moved);
        let from = self.starts.partition_point(|run| run.0.end <= places.start);
        for (run, start) in self.starts.get(from..).unwrap_or_default() {
            if run.start >= places.end {
                break;
            }
            let first = run.start.max(places.start) - places.start;
            slice.push_starts(first..run.end.min(places.end) - places.start, *start);
        }
        slice
    }

    /// Those of some of the samples: of the ones at `places`, whatever their order, which then
    /// count up from 0.
    #[must_use]
    pub fn pick(&self, places: impl IntoIterator<Item = u32>) -> Self {
        let mut picked = Self::new();
        if self.is_empty() {
            return picked;
        }
        for (at, place) in (0..).zip(places) {
            picked.push(at, self.histogram(place).cloned(), self.start(place));
        }
        picked
    }

    /// As columns for `count` samples: of each the histogram that it is, if any, and its start or
    /// 0. A column is empty where no sample has anything in it.
    pub fn spread(&self, count: usize) -> (Vec<Option<Arc<Histogram>>>, Vec<i64>) {
        let (mut histograms, mut starts) = (Vec::new(), Vec::new());
        if !self.histograms.is_empty() {
            histograms.resize(count, None);
        }
        for (place, histogram) in &self.histograms {
            if let Some(slot) = histograms.get_mut(*place as usize) {
                *slot = Some(Arc::clone(histogram));
            }
        }
        if !self.starts.is_empty() {
            starts.resize(count, 0);
        }
        for (places, start) in &self.starts {
            let end = (places.end as usize).min(count);
            if let Some(slots) = starts.get_mut(places.start as usize..end) {
                slots.fill(*start);
            }
        }
        (histograms, starts)
    }

    /// Bytes of heap that they take, histograms included, whoever shares them.
    pub fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>() + size_of::<Histogram>();
        let histograms = self.histograms.iter();
        let histograms = histograms.map(|one| counts + one.1.heap_bytes());
        histograms.sum::<usize>()
            + self.histograms.capacity() * size_of::<(u32, Arc<Histogram>)>()
            + self.starts.capacity() * size_of::<(Range<u32>, i64)>()
    }

    /// Whether both are the same, every number bit for bit.
    pub fn is_identical(&self, other: &Self) -> bool {
        let pairs = || self.histograms.iter().zip(&other.histograms);
        self.starts == other.starts
            && self.histograms.len() == other.histograms.len()
            && pairs().all(|(a, b)| a.0 == b.0 && a.1.is_identical(&b.1))
    }
}

const STARTS: u8 = 1;
const HISTOGRAMS: u8 = 2;
const SINGLE: u8 = 4;
/// The counts of histograms are the sums of their buckets, and are left out.
const SUMMED: u8 = 8;

/// Appends a section of `extras`, of which there must be some. Histograms must be well-formed
/// ([`Histogram::fault`]); buckets that count +0.0 stay away.
pub fn encode_extras(extras: &Extras, form: ExtrasForm, out: &mut Vec<u8>) {
    let head = out.len();
    let has = |any: bool, flag: u8| if any { flag } else { 0 };
    out.push(has(!extras.starts.is_empty(), STARTS));
    if !extras.histograms.is_empty() {
        put_places(&extras.histograms, out);
        let all: Vec<&Histogram> = extras.histograms.iter().map(|one| &*one.1).collect();
        let is_summed = is_summed(&all);
        let columns = form != ExtrasForm::Single
            && histograms::put_columns(&all, is_summed, form == ExtrasForm::Cold, out);
        if !columns {
            all.iter().for_each(|histogram| histogram.put(out));
        }
        let flags = HISTOGRAMS | has(!columns, SINGLE) | has(columns && is_summed, SUMMED);
        if let Some(head) = out.get_mut(head) {
            *head |= flags;
        }
    }
    if !extras.starts.is_empty() {
        put_starts(&extras.starts, out);
    }
}

/// The extras of a section; `count` is how many samples there are.
///
/// Allocates at most a small multiple of the bytes, or what
/// [`MAX_HISTOGRAM_CELLS`](crate::MAX_HISTOGRAM_CELLS) buckets take.
///
/// # Errors
/// [`Error`] when the bytes are cut, damaged, too long, of a newer version, or name a sample beyond
/// `count`.
pub fn decode_extras(bytes: &[u8], count: usize) -> Result<Extras> {
    let mut reader = Reader::new(bytes);
    let flags = read_flags(&mut reader)?;
    let mut extras = Extras::new();
    if flags & HISTOGRAMS != 0 {
        let places = read_places(&mut reader, count)?;
        let held: usize = places.iter().map(Range::len).sum();
        let found = match flags & SINGLE {
            0 => histograms::read_columns(&mut reader, held, flags & SUMMED != 0)?,
            _ => read_single(&mut reader, held)?,
        };
        let places = places.into_iter().flatten();
        let found = found.into_iter().map(Arc::new);
        extras.histograms = places.zip(found).collect();
    }
    if flags & STARTS != 0 {
        extras.starts = read_starts(&mut reader, count)?;
    }
    if !reader.is_empty() {
        return Err(malformed(&reader, "bytes behind the last extra"));
    }
    Ok(extras)
}

/// Whether a section of extras has histograms, without decoding it.
///
/// # Errors
/// [`Error`] when there is no byte, or it is of a newer version.
pub fn has_histograms(bytes: &[u8]) -> Result<bool> {
    Ok(read_flags(&mut Reader::new(bytes))? & HISTOGRAMS != 0)
}

/// Appends the chunk of kind [`ValueKind::Extended`](crate::ValueKind::Extended) that has `extras`, a
/// section, beside `values`, a sealed value column.
pub fn join_extras(values: &[u8], extras: &[u8], out: &mut Vec<u8>) {
    out.push(tag::extended_byte());
    put_bytes(out, values);
    out.extend_from_slice(extras);
}

/// The value column of a sealed chunk and its section of extras, if it is of kind
/// [`ValueKind::Extended`](crate::ValueKind::Extended). Decodes neither.
///
/// # Errors
/// [`Error`] when the length of the column leaves the bytes.
pub fn split_extras(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>)> {
    if bytes.first() != Some(&tag::extended_byte()) {
        return Ok((bytes, None));
    }
    let mut reader = Reader::new(bytes);
    reader.u8()?;
    let values = reader.bytes()?;
    Ok((values, Some(reader.rest())))
}

fn read_flags(reader: &mut Reader<'_>) -> Result<u8> {
    let offset = reader.offset();
    let flags = reader.u8()?;
    if flags > STARTS | HISTOGRAMS | SINGLE | SUMMED {
        return Err(Error::Unsupported {
            offset,
            what: "form of extras",
            found: flags.into(),
        });
    }
    let is_histogram = flags & HISTOGRAMS != 0;
    let wrong = flags == 0
        || !is_histogram && flags != STARTS
        || flags & SINGLE != 0 && flags & SUMMED != 0;
    if wrong {
        return Err(Error::Malformed {
            offset,
            what: "extras of no kind",
        });
    }
    Ok(flags)
}

/// The places as runs: their number, then of each the gap before it and its length.
fn put_places(histograms: &[(u32, Arc<Histogram>)], out: &mut Vec<u8>) {
    let runs = || histograms.chunk_by(|before, after| before.0 + 1 == after.0);
    put_u64(out, runs().count() as u64);
    let mut end = 0;
    for run in runs() {
        let first = run.first().map_or(0, |one| one.0);
        put_u64(out, u64::from(first - end));
        put_u64(out, run.len() as u64);
        end = first + run.len() as u32;
    }
}

fn read_places(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Range<u32>>> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let most = reader.remaining() / 2;
    let runs = reader.length(most, "more runs of histograms than the bytes can hold")?;
    if runs == 0 {
        return Err(malformed(reader, "histograms without a place"));
    }
    let mut places: Vec<Range<u32>> = Vec::with_capacity(runs);
    let mut end = 0u32;
    for _ in 0..runs {
        let what = "a histogram beyond its samples";
        let gap = reader.length((count - end) as usize, what)? as u32;
        let length = reader.length((count - end - gap) as usize, what)? as u32;
        if length == 0 {
            return Err(malformed(reader, "an empty run of histograms"));
        }
        places.push(end + gap..end + gap + length);
        end += gap + length;
    }
    Ok(places)
}

fn read_single(reader: &mut Reader<'_>, held: usize) -> Result<Vec<Histogram>> {
    // The shortest one takes eight bytes.
    if held > reader.remaining() / 8 {
        return Err(malformed(reader, "more histograms than the bytes can hold"));
    }
    (0..held).map(|_| Histogram::read(reader)).collect()
}

/// Starts as runs: their number, then of each the gap before it, its length, and the difference to
/// the start before.
fn put_starts(starts: &[(Range<u32>, i64)], out: &mut Vec<u8>) {
    put_u64(out, starts.len() as u64);
    let (mut end, mut before) = (0, 0i64);
    for (places, start) in starts {
        put_u64(out, u64::from(places.start - end));
        put_u64(out, places.len() as u64);
        put_i64(out, start.wrapping_sub(before));
        (end, before) = (places.end, *start);
    }
}

fn read_starts(reader: &mut Reader<'_>, count: usize) -> Result<Vec<(Range<u32>, i64)>> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let most = reader.remaining() / 3;
    let runs = reader.length(most, "more runs of starts than the bytes can hold")?;
    let mut starts = Vec::with_capacity(runs);
    let (mut end, mut before) = (0u32, 0i64);
    for _ in 0..runs {
        let what = "a start beyond its samples";
        let gap = reader.length((count - end) as usize, what)? as u32;
        let length = reader.length((count - end - gap) as usize, what)? as u32;
        let start = before.wrapping_add(reader.varint_i64()?);
        if length == 0 || start == 0 {
            return Err(malformed(reader, "a run of starts without any"));
        }
        starts.push((end + gap..end + gap + length, start));
        (end, before) = (end + gap + length, start);
    }
    match runs {
        0 => Err(malformed(reader, "starts without a place")),
        _ => Ok(starts),
    }
}

/// Whether every count is, bit for bit, what [`bucket_sum`] makes of the buckets.
fn is_summed(histograms: &[&Histogram]) -> bool {
    histograms.iter().all(|one| {
        let sum = bucket_sum(one);
        // The bits of a NaN are not the same on every CPU.
        !sum.is_nan() && same(sum, one.count)
    })
}

/// All observations that are in buckets: added up in order, the zero bucket first.
pub(crate) fn bucket_sum(histogram: &Histogram) -> f64 {
    let buckets = histogram.positive.iter().chain(&histogram.negative);
    buckets.fold(histogram.zero_count, |sum, bucket| sum + bucket.1)
}

fn malformed(reader: &Reader<'_>, what: &'static str) -> Error {
    Error::Malformed {
        offset: reader.offset(),
        what,
    }
}
