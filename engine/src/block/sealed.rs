//! Chunks that are encoded for a block before there is one.
//!
//! Input: a long column of one series. Output: chunks as [`super::chunks::ChunkWriter`] makes them
//! of the same samples, each by itself in memory. Invariant: a chunk gives its samples back bit for
//! bit, and a block takes it as it is.

use std::sync::Arc;

use treering_codec::{Encoder, Stats, decode_timestamps, decode_values, encode_timestamps};

use super::chunks::{constant_entry, values_entry};
use super::cut::chunk_end;
use super::directory::Entry;
use super::part::Part;
use crate::error::{Error, Result};
use crate::limits::CHUNK_SAMPLES;

/// Fewest samples of a column that are worth chunks of their own: they begin anew with it, whatever
/// came before.
const SEALED_SAMPLES: usize = 4 * CHUNK_SAMPLES;

/// Fewest samples in the last chunk of a column; fewer wait for those that follow.
const LAST_SAMPLES: usize = CHUNK_SAMPLES / 2;

/// Most columns of timestamps that are kept, at most 8 KiB each.
const RECENT_COLUMNS: usize = 32;

/// A chunk of a block to come.
#[derive(Debug)]
pub(crate) struct SealedChunk {
    /// Timestamp of the first sample.
    pub(crate) min_time: i64,
    /// Timestamp of the last sample.
    pub(crate) max_time: i64,
    /// Samples in it, stale markers included.
    pub(crate) count: u32,
    /// The timestamps, encoded; series of the same times share them.
    pub(super) column: Arc<[u8]>,
    /// The values, encoded; none of a constant.
    pub(super) values: Box<[u8]>,
    pub(super) entry: Entry,
}

impl SealedChunk {
    /// Statistics, where it has them.
    pub(crate) fn stats(&self) -> Option<&Stats> {
        match &self.entry {
            Entry::Constant(stats) | Entry::Stepped { stats, .. } => Some(stats),
            Entry::Values { stats, .. } => stats.as_ref(),
        }
    }

    /// Bytes of its values.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.values.len() as u64
    }

    /// Heap that it takes, itself and its counts included. Each chunk counts the timestamps as if
    /// they were its own.
    pub(crate) fn heap_bytes(&self) -> usize {
        2 * size_of::<usize>() + size_of::<Self>() + self.column.len() + self.values.len()
    }

    /// Appends all samples to the two columns; on an error they may have more than before.
    pub(crate) fn decode(&self, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<()> {
        let decoded = decode_timestamps(&self.column, timestamps);
        decoded.map_err(|error| Error::codec("the head".as_ref(), 0, error))?;
        if let Entry::Constant(stats) = &self.entry {
            values.resize(values.len() + self.count as usize, stats.last);
            return Ok(());
        }
        let decoded = decode_values(&self.values, self.count as usize, values);
        decoded.map_err(|error| Error::codec("the head".as_ref(), 0, error))
    }
}

/// Seals columns, one after the other, in memory that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    encoder: Encoder,
    encoded: Vec<u8>,
    /// The timestamps of the chunks of the column before, by their number: the next series mostly
    /// has the same.
    recent: Vec<(Vec<i64>, Arc<[u8]>)>,
}

impl Sealer {
    /// Whether a column of so many samples is sealed.
    pub(crate) fn is_long(samples: usize) -> bool {
        samples >= SEALED_SAMPLES
    }

    /// The chunks of a column, from its first sample on; what is left of it is too few samples for
    /// one. None for a column that is short, or not strictly increasing in time.
    pub(crate) fn seal(&mut self, timestamps: &[i64], values: &[f64]) -> Vec<Arc<SealedChunk>> {
        let mut chunks = Vec::new();
        let is_long = Self::is_long(timestamps.len()) && timestamps.len() == values.len();
        if !is_long || !timestamps.is_sorted_by(|earlier, later| earlier < later) {
            return chunks;
        }
        let column = Part::of(timestamps, values, &[]);
        let mut start = 0;
        while timestamps.len() - start >= LAST_SAMPLES {
            let end = chunk_end(timestamps, start);
            let part = column.slice(start, end);
            let Some(ends) = part.ends() else { break };
            chunks.push(Arc::new(self.chunk(chunks.len(), &part, ends)));
            start = end;
        }
        chunks
    }

    /// Chunk `number` of a column.
    fn chunk(
        &mut self,
        number: usize,
        part: &Part<'_>,
        (min_time, max_time): (i64, i64),
    ) -> SealedChunk {
        let column = self.column(number, part.timestamps);
        self.encoded.clear();
        let entry = constant_entry(part.values).unwrap_or_else(|| {
            self.encoder.encode(part.values, &mut self.encoded);
            values_entry(part.values, self.encoded.len())
        });
        SealedChunk {
            min_time,
            max_time,
            count: part.len() as u32,
            column,
            values: self.encoded.as_slice().into(),
            entry,
        }
    }

    fn column(&mut self, number: usize, timestamps: &[i64]) -> Arc<[u8]> {
        if let Some((known, column)) = self.recent.get(number)
            && known == timestamps
        {
            return Arc::clone(column);
        }
        let mut encoded = Vec::new();
        encode_timestamps(timestamps, &mut encoded);
        let column: Arc<[u8]> = encoded.into();
        let recent = (timestamps.to_vec(), Arc::clone(&column));
        match self.recent.get_mut(number) {
            Some(known) => *known = recent,
            None if number < RECENT_COLUMNS => self.recent.push(recent),
            None => {}
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use treering_codec::stale_marker;
    use treering_index::labels;

    use super::*;
    use crate::block::{BlockMeta, BlockWriter};
    use crate::vfs::{MemVfs, Vfs};

    const META: BlockMeta = BlockMeta {
        id: 1,
        namespace: 0,
        min_sequence: 1,
        max_sequence: 1,
        level: 0,
        database: 5,
        step: 0,
        extended: false,
    };

    /// The bytes of a block of series of one column, sealed before or not.
    fn block(series: &[(Vec<i64>, Vec<f64>)], is_sealed: bool) -> Vec<u8> {
        let vfs: Arc<dyn Vfs> = Arc::new(MemVfs::new());
        let path = Path::new("1.block");
        let mut writer = BlockWriter::create(&vfs, path, META).unwrap();
        let mut sealer = Sealer::default();
        for (number, (times, values)) in series.iter().enumerate() {
            let host = format!("{number:03}");
            writer.begin_series(&labels! { "host" => host }).unwrap();
            let mut used = 0;
            if is_sealed {
                for chunk in sealer.seal(times, values) {
                    writer.push_sealed(&chunk).unwrap();
                    used += chunk.count as usize;
                }
                assert!(used + LAST_SAMPLES > times.len());
            }
            let rest = Part::of(&times[used..], &values[used..], &[]);
            writer.push(&rest).unwrap();
            writer.end_series().unwrap();
        }
        let info = writer.finish().unwrap();
        let mut bytes = vec![0; info.bytes.total as usize];
        vfs.open(path)
            .unwrap()
            .read_exact_at(&mut bytes, 0)
            .unwrap();
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_block_of_sealed_columns_is_the_block_of_their_samples(
            start in -1_000_000_000_000_000_000..1_000_000_000_000_000_000i64,
            step in prop::sample::select(vec![1, 1_000, 1_000_000_000, 10_000_000_000i64]),
            jitter in prop::collection::vec(0..9i64, 1..20),
            shapes in prop::collection::vec((0..5u8, 4096..7000usize), 1..4),
        ) {
            let column = |(shape, count): (u8, usize)| {
                let mut at = start;
                let times = (0..count).map(|index| {
                    at += step + jitter[index % jitter.len()] * i64::from(shape % 2);
                    at
                });
                let values = (0..count).map(|index| match (shape, index % 700) {
                    (0, _) => 7.5,
                    (1, 0) => stale_marker(),
                    (2, _) => (index as f64 * 0.37).sin(),
                    (3, _) => (index * index % 1000) as f64 / 100.0,
                    (4, _) if index > 3000 => stale_marker(),
                    _ => index as f64,
                });
                (times.collect(), values.collect())
            };
            let series: Vec<(Vec<i64>, Vec<f64>)> = shapes.into_iter().map(column).collect();
            prop_assert!(block(&series, true) == block(&series, false));
        }
    }

    #[test]
    fn what_is_short_or_out_of_order_is_not_sealed_and_times_are_shared() {
        let mut sealer = Sealer::default();
        let times: Vec<i64> = (0..10_000).collect();
        let values = vec![1.5; 10_000];
        assert!(sealer.seal(&times[..4095], &values[..4095]).is_empty());
        assert!(sealer.seal(&times, &values[1..]).is_empty());
        let mut twice = times.clone();
        twice[9000] = twice[8999];
        assert!(sealer.seal(&twice, &values).is_empty());
        let (one, other) = (sealer.seal(&times, &values), sealer.seal(&times, &values));
        assert_eq!(one.len(), 10);
        for (one, other) in one.iter().zip(&other) {
            assert!(Arc::ptr_eq(&one.column, &other.column));
        }
        let (mut found, mut floats) = (Vec::new(), Vec::new());
        one.iter()
            .for_each(|chunk| chunk.decode(&mut found, &mut floats).unwrap());
        assert_eq!(
            (&found[..], floats.len()),
            (&times[..found.len()], found.len())
        );
    }
}
