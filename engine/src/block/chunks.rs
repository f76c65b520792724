//! The chunks of a block that is being written: encoded, summed up, sent to the file.
//!
//! Input: the samples of a chunk, or a chunk of another block. Output: bytes in the values section,
//! columns, and an entry per chunk of the series at hand. Invariant: entries and columns have one
//! element for each chunk of that series, in order.

use treering_codec::{
    Encoder, Extras, ExtrasForm, Stats, decode_extras, encode_extras, is_stale, join_extras,
    split_extras,
};

use super::chunk_ref::{ChunkRef, READ_AS_ONE, Values};
use super::columns::ColumnSet;
use super::directory::{DirectoryWriter, Entry};
use super::paged::PagedWriter;
use super::part::Part;
use super::read::Block;
use super::sealed::SealedChunk;
use super::summaries::{self, Fold, samples};
use crate::error::{Error, Result};

/// Chunks of fewer samples carry no statistics: decoding them costs no more than reading those.
const SUMMED_SAMPLES: usize = 32;

/// Most columns of the series before that are kept, at most 8 KiB each.
const RECENT_COLUMNS: usize = 64;

/// Writes chunks, series by series.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    pub(super) out: PagedWriter,
    pub(super) columns: ColumnSet,
    pub(super) counts: Counts,
    /// Whether values are coded by their entropy.
    pub(super) cold: bool,
    recent: Recent,
    encoder: Encoder,
    /// Whether the encoder keeps its memory from chunk to chunk: not while many blocks are written.
    keeps_encoder: bool,
    encoded: Vec<u8>,
    /// The values of a chunk that is encoded anew.
    decoded: Vec<f64>,
    /// Values that get extras beside them, encoded; these.
    beside: (Vec<u8>, Vec<u8>),
    /// Column, entry, first and last timestamp of each chunk of the series at hand.
    series_columns: Vec<u32>,
    entries: Vec<Entry>,
    times: Vec<(i64, i64)>,
}

/// What was written so far.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    pub(super) series: u64,
    pub(super) samples: u64,
    pub(super) chunks: u64,
}

impl ChunkWriter {
    /// Writes the values to `out`, with one part in `share` of the memory that a single block gets.
    pub(super) fn new(out: PagedWriter, share: usize) -> Self {
        Self {
            out,
            columns: ColumnSet::default(),
            counts: Counts {
                min_time: i64::MAX,
                max_time: i64::MIN,
                series: 0,
                samples: 0,
                chunks: 0,
            },
            cold: false,
            recent: Recent {
                most: RECENT_COLUMNS / share.clamp(1, RECENT_COLUMNS),
                columns: Vec::new(),
            },
            encoder: Encoder::new(),
            keeps_encoder: share <= 1,
            encoded: Vec::new(),
            decoded: Vec::new(),
            beside: Default::default(),
            series_columns: Vec::new(),
            entries: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Adds a chunk of these samples, at least one; with `rows`, each stands for a step.
    pub(super) fn put(&mut self, part: &Part<'_>) -> Result<()> {
        let Part {
            timestamps,
            values,
            rows,
            extras,
        } = *part;
        if rows.iter().map(samples).sum::<u64>() > u32::MAX.into() && timestamps.len() > 1 {
            // Statistics count in 32 bits.
            let half = timestamps.len() / 2;
            self.put(&part.slice(0, half))?;
            return self.put(&part.slice(half, timestamps.len()));
        }
        let extras = match extras.is_empty() {
            true => Extras::new(),
            false => extras.placed(timestamps),
        };
        let column = self
            .recent
            .column(self.entries.len(), timestamps, &mut self.columns)?;
        self.encoded.clear();
        let entry = match is_plain(values, rows) {
            true => self.encode(values, &extras),
            false => self.encode_rows(values, rows, &extras),
        };
        self.out.append(&self.encoded)?;
        if let Some(ends) = part.ends() {
            self.add(column, entry, ends, timestamps.len());
        }
        Ok(())
    }

    /// Adds a chunk of `block` as it is, without decoding it unless it is to become cold.
    pub(super) fn copy(&mut self, block: &Block, chunk: &ChunkRef) -> Result<()> {
        let column = self
            .columns
            .add_encoded(&block.encoded_column(chunk.column)?)?;
        let entry = match (chunk.values, chunk.stats) {
            (Values::Constant(value), stats) => {
                Entry::Constant(stats.unwrap_or_else(|| Stats::of_constant(value, chunk.count)))
            }
            (Values::Summed, _) => return Err(Error::corrupt(block.path(), 0, READ_AS_ONE)),
            (Values::Encoded { offset, bytes }, stats) => {
                let summaries = chunk.summaries;
                let all = u64::from(bytes) + u64::from(summaries);
                let encoded = block.encoded_values(offset, all)?;
                let (values, summed) = encoded.split_at(encoded.len().min(bytes as usize));
                self.encoded.clear();
                if self.cold {
                    let mut decoded = std::mem::take(&mut self.decoded);
                    decoded.clear();
                    let extras = extras_of(values, chunk.count as usize);
                    if let Some(extras) = extras
                        && block.decode_values(chunk, &mut decoded).is_ok()
                    {
                        self.encode_values(&decoded, &extras);
                    }
                    self.decoded = decoded;
                }
                if self.encoded.is_empty() || self.encoded.len() >= values.len() {
                    self.encoded.clear();
                    self.encoded.extend_from_slice(values);
                }
                self.encoded.extend_from_slice(summed);
                let bytes = self.encoded.len() as u64;
                self.out.append(&self.encoded)?;
                match stats.filter(|_| chunk.step > 0) {
                    Some(stats) => Entry::Stepped {
                        bytes,
                        summaries,
                        stats,
                    },
                    None => Entry::Values { bytes, stats },
                }
            }
        };
        let ends = (chunk.min_time, chunk.max_time);
        self.add(column, entry, ends, chunk.count as usize);
        Ok(())
    }

    /// Adds a chunk that was encoded before there was a block; it is not to become cold.
    pub(super) fn put_sealed(&mut self, chunk: &SealedChunk) -> Result<()> {
        let column = self.columns.add_encoded(&chunk.column)?;
        self.out.append(&chunk.values)?;
        let ends = (chunk.min_time, chunk.max_time);
        self.add(column, chunk.entry, ends, chunk.count as usize);
        Ok(())
    }

    /// Ends the series at hand; returns whether it has chunks.
    pub(super) fn end_series(&mut self, directory: &mut DirectoryWriter) -> Result<bool> {
        if self.entries.is_empty() {
            return Ok(false);
        }
        directory.add(&self.series_columns, &self.entries, &self.times)?;
        self.counts.series += 1;
        self.series_columns.clear();
        self.times.clear();
        self.entries.clear();
        Ok(true)
    }

    fn add(&mut self, column: u32, entry: Entry, (first, last): (i64, i64), samples: usize) {
        self.series_columns.push(column);
        self.entries.push(entry);
        self.times.push((first, last));
        self.counts.min_time = self.counts.min_time.min(first);
        self.counts.max_time = self.counts.max_time.max(last);
        self.counts.samples += samples as u64;
        self.counts.chunks += 1;
    }

    /// Encodes the values of a chunk and the summaries of their steps.
    fn encode_rows(&mut self, values: &[f64], rows: &[Stats], extras: &Extras) -> Entry {
        self.encode_values(values, extras);
        let values_end = self.encoded.len();
        summaries::encode(values, rows, &mut self.encoded);
        Entry::Stepped {
            bytes: self.encoded.len() as u64,
            summaries: (self.encoded.len() - values_end) as u32,
            stats: Fold::of(rows).stats(),
        }
    }

    /// Encodes the values of a chunk and what is beside them; a constant alone appends nothing, its
    /// statistics hold it.
    fn encode(&mut self, values: &[f64], extras: &Extras) -> Entry {
        if extras.is_empty()
            && let Some(constant) = constant_entry(values)
        {
            return constant;
        }
        self.encode_values(values, extras);
        values_entry(values, self.encoded.len())
    }

    fn encode_values(&mut self, values: &[f64], extras: &Extras) {
        let (column, section) = &mut self.beside;
        let out = match extras.is_empty() {
            true => &mut self.encoded,
            false => &mut *column,
        };
        match self.cold {
            true => self.encoder.encode_cold(values, out),
            false => self.encoder.encode(values, out),
        };
        if !extras.is_empty() {
            let form = match self.cold {
                true => ExtrasForm::Cold,
                false => ExtrasForm::Columns,
            };
            encode_extras(extras, form, section);
            join_extras(column, section, &mut self.encoded);
            column.clear();
            section.clear();
        }
        if !self.keeps_encoder {
            self.encoder = Encoder::new();
        }
    }
}

/// The entry of a chunk of one value throughout, which needs no encoding; none for others.
pub(super) fn constant_entry(values: &[f64]) -> Option<Entry> {
    let first = values.first().filter(|first| !is_stale(**first))?;
    let mut values_bits = values.iter().map(|value| value.to_bits());
    values_bits
        .all(|bits| bits == first.to_bits())
        .then(|| Entry::Constant(Stats::of(values)))
}

/// The entry of a chunk of `values`, encoded to so many bytes.
pub(super) fn values_entry(values: &[f64], bytes: usize) -> Entry {
    // Without a sample that is not stale there is nothing to sum up.
    let stats = (values.len() >= SUMMED_SAMPLES)
        .then(|| Stats::of(values))
        .filter(|stats| stats.count > 0);
    Entry::Values {
        bytes: bytes as u64,
        stats,
    }
}

/// The columns of the series before, by the number of the chunk: the next series mostly has the
/// same timestamps.
#[derive(Debug)]
struct Recent {
    /// How many are kept.
    most: usize,
    columns: Vec<(Vec<i64>, u32)>,
}

impl Recent {
    /// The column of the chunk `index` of a series.
    fn column(&mut self, index: usize, timestamps: &[i64], columns: &mut ColumnSet) -> Result<u32> {
        if let Some((known, column)) = self.columns.get(index)
            && known == timestamps
        {
            return Ok(*column);
        }
        let column = columns.add(timestamps)?;
        match self.columns.get_mut(index) {
            Some((known, number)) => {
                known.clear();
                known.extend_from_slice(timestamps);
                *number = column;
            }
            None if index < self.most => self.columns.push((timestamps.to_vec(), column)),
            None => {}
        }
        Ok(column)
    }
}

/// What stands beside the values of an encoded chunk; `None` when it does not decode.
fn extras_of(values: &[u8], count: usize) -> Option<Extras> {
    match split_extras(values).ok()? {
        (_, Some(section)) => decode_extras(section, count).ok(),
        (_, None) => Some(Extras::new()),
    }
}

/// Whether each row is one sample.
fn is_plain(values: &[f64], rows: &[Stats]) -> bool {
    let mut pairs = rows.iter().zip(values);
    pairs.all(|(row, &value)| samples(row) == 1 && *row == Stats::of(&[value]))
}
