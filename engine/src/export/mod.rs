//! Exporting: the samples of a range of series hashes and of time, as chunks that stand alone.
//!
//! Input: a view, and the sequence up to which it holds every change. Output: chunks, series in
//! label order and each in order of time; `format` has their bytes. Chunks of blocks go through
//! without being decoded where no other run of their series, no delete and no end of the range
//! meets them; everything else is merged and encoded anew. Invariant: of one series no more is
//! decoded at a time than overlaps.

mod format;

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use treering_codec::{
    ExtrasForm, encode_extras, encode_timestamps, encode_values, join_extras, summarize_timestamps,
};
use treering_index::{Labels, Selector};

use crate::block::{Block, ChunkRef, READ_AS_ONE, Values};
use crate::db::{Db, bounds};
use crate::error::{Error, Result};
use crate::limits::CHUNK_SAMPLES;
use crate::options::QueryLimits;
use crate::query::guard::{Buffers, Guard};
use crate::query::merge::{Clusters, Merged, Merger};
use crate::query::plan::{Wanted, select_some};
use crate::query::run::{Run, RunSource, SeriesRuns};
use crate::query::select::SeriesSet;
use crate::query::series::Columns;
use crate::shared::Shared;
use crate::source::SampleColumns;
use crate::space::Space;

/// Samples of one series, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportedChunk {
    /// The series.
    pub labels: Labels,
    /// Its hash: [`Labels::hash64`].
    pub hash: u64,
    /// Timestamp of the first sample, in nanoseconds since the Unix epoch.
    pub min_time: i64,
    /// Timestamp of the last sample.
    pub max_time: i64,
    /// How many samples it holds, stale markers included; 1 to 8192.
    pub count: u32,
    /// The samples, for [`ExportedChunk::decode`]; the format is in `docs/format/chunk.md`.
    pub bytes: Vec<u8>,
}

impl ExportedChunk {
    /// The samples of an exported chunk: any bytes give their samples or an error. Takes at most
    /// 128 KiB of memory. Where a sample is a histogram, the value is the stale marker.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for damaged bytes, [`Error::Version`] and [`Error::Unsupported`] for
    /// those of a newer release; all of them name the file `exported chunk`.
    pub fn decode(bytes: &[u8]) -> Result<Columns> {
        let chunk = format::decode(bytes, false)?;
        Ok(Columns {
            timestamps: chunk.timestamps,
            values: chunk.values,
        })
    }

    /// The samples of an exported chunk with all that they have: histograms, and the times since
    /// which they count. `Batch::samples` takes them as they are. Memory beyond that of
    /// [`ExportedChunk::decode`] is a small multiple of the bytes, or 16 MiB.
    ///
    /// # Errors
    /// As [`ExportedChunk::decode`].
    pub fn decode_samples(bytes: &[u8]) -> Result<SampleColumns> {
        format::decode(bytes, true)
    }
}

/// The samples of a range of hashes and of time; an iterator of [`ExportedChunk`]. Made by
/// [`Db::export`].
#[derive(Debug)]
pub struct Export {
    sequence: u64,
    set: SeriesSet,
    first: i64,
    last: i64,
    series: Option<Exporting>,
    buffers: Buffers,
    merger: Merger,
    failed: bool,
}

/// The series at hand.
#[derive(Debug)]
struct Exporting {
    labels: Labels,
    hash: u64,
    runs: Vec<Run>,
    /// Indices of runs that overlap in time, cluster by cluster.
    clusters: std::iter::Peekable<std::vec::IntoIter<Vec<usize>>>,
    /// Samples that are not in a chunk yet, from `at` on.
    columns: Merged,
    at: usize,
}

impl Db {
    /// The samples of this namespace whose series hash ([`Labels::hash64`], the function
    /// [`SERIES_HASH`](crate::SERIES_HASH)) lies in `hashes` and whose timestamp lies in `range`:
    /// series in label order, each in chunks in order of time that decode alone. What was deleted
    /// or has expired is left out. Appends, flushes and compaction go on.
    ///
    /// Every change up to [`Export::sequence`] is in the export, and perhaps some later ones:
    /// whoever writes the export into an empty database, and then applies what [`Db::frames_since`]
    /// gives of this namespace from that sequence on, has its samples. Metadata and options are in
    /// `Db::all_metadata` and `Db::namespaces`.
    ///
    /// Of what was downsampled
    /// ([`NamespaceOptions::downsample`](crate::NamespaceOptions::downsample)) the export has the
    /// samples that are left, the last of each step; **what the steps had in all (count, sum and so
    /// on) stays behind**. A [`Db::snapshot`] keeps it.
    ///
    /// The memory that the export works in counts as that of a query, for as long as it is kept.
    ///
    /// ```
    /// use treering::{Batch, Db, ExportedChunk, labels};
    ///
    /// let db = Db::in_memory()?;
    /// db.append(&Batch::new().sample(labels! { "__name__" => "cpu" }, 1, 0.5))?;
    /// let export = db.export(.., ..)?;
    /// let since = export.sequence();
    /// for chunk in export {
    ///     let columns = ExportedChunk::decode(&chunk?.bytes)?;
    ///     assert_eq!(columns.values, [0.5]);
    /// }
    /// assert_eq!(db.frames_since(since)?.count(), 0);
    /// # Ok::<(), treering::Error>(())
    /// ```
    ///
    /// # Errors
    /// A closed database, a dropped namespace, damage found while the series are listed.
    pub fn export(
        &self,
        hashes: impl RangeBounds<u64>,
        range: impl RangeBounds<i64>,
    ) -> Result<Export> {
        let shared = self.shared()?;
        shared.check_open()?;
        self.space().check()?;
        let horizon = self.space().horizon(shared.now());
        let range = bounds(&range).map(|(first, last)| (first.max(horizon), last));
        let range = range.filter(|(first, last)| first <= last);
        let hashes = hashes_of(&hashes).filter(|_| range.is_some());
        let wanted = |labels: &Labels| {
            let hash = labels.hash64();
            hashes.is_some_and(|(least, most)| (least..=most).contains(&hash))
        };
        let (first, last) = range.unwrap_or((0, 0));
        let limits = QueryLimits {
            series: u64::MAX,
            samples: u64::MAX,
            bytes: u64::MAX,
            timeout: std::time::Duration::MAX,
        };
        let clock = Arc::clone(&shared.options.clock);
        let pool = Arc::clone(&shared.memory.queries);
        let guard = Guard::new(limits, Vec::new(), clock, pool);
        let (sequence, set) = plan(shared, self.space(), (first, last), &guard, &wanted)?;
        Ok(Export {
            sequence,
            set,
            first,
            last,
            series: None,
            buffers: Buffers::new(&guard),
            merger: Merger::new(first, last),
            failed: false,
        })
    }
}

/// A view with every change up to a sequence, and those series in it that are wanted.
fn plan(
    shared: &Shared,
    space: &Space,
    range: (i64, i64),
    guard: &Guard,
    wanted: Wanted<'_>,
) -> Result<(u64, SeriesSet)> {
    loop {
        let round = space.round();
        let (sequence, view) = {
            // While the WAL is locked nothing changes, but a batch may still be on its way from
            // there into the head.
            let commit = shared.commit.lock();
            let view = space.view.get();
            view.live.settle();
            (commit.wal.last_sequence(), view)
        };
        let all = Selector::all();
        let registry = &space.registry;
        let set = select_some(view, registry, &all, range, guard.clone(), Some(wanted))?;
        if space.round() == round {
            return Ok((sequence, set));
        }
    }
}

/// Least and greatest hash of a range; `None` when it is empty.
fn hashes_of(hashes: &impl RangeBounds<u64>) -> Option<(u64, u64)> {
    let least = match hashes.start_bound() {
        Bound::Included(&least) => least,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let most = match hashes.end_bound() {
        Bound::Included(&most) => most,
        Bound::Excluded(&after) => after.checked_sub(1)?,
        Bound::Unbounded => u64::MAX,
    };
    (least <= most).then_some((least, most))
}

impl Export {
    /// The sequence of the last change that is in the export for certain: where to follow on with
    /// [`Db::frames_since`].
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn read(&mut self) -> Result<Option<ExportedChunk>> {
        loop {
            if self.series.is_none() {
                let Some(next) = self.set.next_runs().transpose()? else {
                    self.buffers.free();
                    return Ok(None);
                };
                self.series = Some(Exporting::of(next, self.first, self.last));
            }
            if let Some(series) = &mut self.series {
                let range = (self.first, self.last);
                let chunk = series.next_chunk(range, &mut self.merger, &mut self.buffers)?;
                if chunk.is_some() {
                    return Ok(chunk);
                }
                self.series = None;
            }
        }
    }
}

impl Iterator for Export {
    type Item = Result<ExportedChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose()?;
        self.failed = next.is_err();
        Some(next)
    }
}

impl Exporting {
    fn of(SeriesRuns { labels, runs }: SeriesRuns, first: i64, last: i64) -> Self {
        let clusters = Clusters::of(&runs, first, last);
        let clusters: Vec<Vec<usize>> = clusters.iter().map(<[usize]>::to_vec).collect();
        Self {
            hash: labels.hash64(),
            labels,
            runs,
            clusters: clusters.into_iter().peekable(),
            columns: Merged::default(),
            at: 0,
        }
    }

    /// The next chunk; `None` at the end of the series.
    fn next_chunk(
        &mut self,
        range: (i64, i64),
        merger: &mut Merger,
        buffers: &mut Buffers,
    ) -> Result<Option<ExportedChunk>> {
        loop {
            let waiting = self.columns.values.len() - self.at;
            if waiting >= CHUNK_SAMPLES {
                return Ok(Some(self.encoded(CHUNK_SAMPLES)));
            }
            let whole = self.clusters.peek();
            let whole = whole.and_then(|cluster| whole_chunk(&self.runs, cluster, range));
            match (self.clusters.peek(), whole) {
                // What waits comes before the next chunk in time.
                (None, _) | (_, Some(_)) if waiting > 0 => {
                    return Ok(Some(self.encoded(waiting)));
                }
                (None, _) => return Ok(None),
                (_, Some((block, chunk))) => {
                    let bytes = copied(&block, &chunk)?;
                    let ends = (chunk.min_time, chunk.max_time);
                    self.clusters.next();
                    return Ok(Some(self.chunk(ends, chunk.count as usize, bytes)));
                }
                (Some(cluster), None) => {
                    let samples = cluster.iter().filter_map(|&run| self.runs.get(run));
                    let samples = samples.map(|run| run.count as u64).sum();
                    buffers.read(samples, waiting, cluster.len() > 1)?;
                    self.columns.timestamps.drain(..self.at);
                    self.columns.values.drain(..self.at);
                    self.at = 0;
                    match self.columns.timestamps.first() {
                        Some(&first) => self.columns.extras.keep_from(first),
                        None => self.columns.extras.clear(),
                    }
                    merger.merge_extended(&self.runs, cluster, &mut self.columns)?;
                    buffers.extras(&self.columns)?;
                    self.clusters.next();
                }
            }
        }
    }

    /// A chunk of the first `count` samples that wait, at least one.
    fn encoded(&mut self, count: usize) -> ExportedChunk {
        let samples = self.at..self.at + count;
        self.at = samples.end;
        let timestamps = self.columns.timestamps.get(samples.clone());
        let timestamps = timestamps.unwrap_or_default();
        let values = self.columns.values.get(samples).unwrap_or_default();
        let (mut times, mut numbers) = (Vec::new(), Vec::new());
        encode_timestamps(timestamps, &mut times);
        encode_values(values, &mut numbers);
        let extras = self.columns.extras.placed(timestamps);
        if !extras.is_empty() {
            let (mut section, mut joined) = (Vec::new(), Vec::new());
            encode_extras(&extras, ExtrasForm::Columns, &mut section);
            join_extras(&numbers, &section, &mut joined);
            numbers = joined;
        }
        let first = timestamps.first().copied().unwrap_or_default();
        let last = timestamps.last().copied().unwrap_or_default();
        let bytes = format::encode(count, &times, &numbers);
        self.chunk((first, last), count, bytes)
    }

    fn chunk(
        &self,
        (min_time, max_time): (i64, i64),
        count: usize,
        bytes: Vec<u8>,
    ) -> ExportedChunk {
        ExportedChunk {
            labels: self.labels.clone(),
            hash: self.hash,
            min_time,
            max_time,
            count: count as u32,
            bytes,
        }
    }
}

/// The chunk of a block that a cluster is, if it goes through as it is.
fn whole_chunk(
    runs: &[Run],
    cluster: &[usize],
    (first, last): (i64, i64),
) -> Option<(Arc<Block>, ChunkRef)> {
    let [run] = cluster else { return None };
    let run = runs.get(*run)?;
    match &run.source {
        RunSource::Chunk { block, chunk }
            if run.holes.is_empty() && first <= run.min_time && run.max_time <= last =>
        {
            Some((Arc::clone(block), chunk.clone()))
        }
        _ => None,
    }
}

/// The bytes of a chunk of a block, as the block has them.
fn copied(block: &Block, chunk: &ChunkRef) -> Result<Vec<u8>> {
    let count = chunk.count as usize;
    let times = block.encoded_column(chunk.column)?;
    let summary =
        summarize_timestamps(&times).map_err(|error| Error::codec(block.path(), 0, error))?;
    if summary.count != count {
        let what = "a chunk and its timestamp column count differently";
        return Err(Error::corrupt(block.path(), 0, what));
    }
    Ok(match chunk.values {
        Values::Constant(value) => {
            let mut values = Vec::new();
            encode_values(&vec![value; count], &mut values);
            format::encode(count, &times, &values)
        }
        Values::Encoded { offset, bytes } => format::encode(
            count,
            &times,
            &block.encoded_values(offset, u64::from(bytes))?,
        ),
        Values::Summed => return Err(Error::corrupt(block.path(), 0, READ_AS_ONE)),
    })
}
