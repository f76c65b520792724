//! Histograms of one series as columns: one for each bucket that any of them has.
//!
//! Input: histograms in order of time. Output: bytes, and back. Buckets of a counter rise slowly
//! and mostly together with time, so each is a value column like any other. Invariant: a decoder
//! allocates no more buckets than [`MAX_HISTOGRAM_CELLS`].

use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::extras::bucket_sum;
use crate::histogram::{Histogram, Shape, put_index, read_index};
use crate::limits::{MAX_CHUNK_SAMPLES, MAX_HISTOGRAM_CELLS};
use crate::sealed::decode_values;
use crate::varint::{Reader, put_bytes, put_u64};

/// Buckets of one side, by rising index.
type Side = Vec<(i32, f64)>;

/// Appends `all`, without their counts when they are `summed`. `false`, and nothing is appended,
/// when columns would not do: few of the buckets are in many of the histograms.
pub(crate) fn put_columns(all: &[&Histogram], summed: bool, cold: bool, out: &mut Vec<u8>) -> bool {
    let sides: [fn(&Histogram) -> &Side; 2] = [|one| &one.positive, |one| &one.negative];
    let most = MAX_HISTOGRAM_CELLS / all.len().max(1);
    let indices = sides.map(|side| union(all, most, side));
    let cells = indices.iter().map(Vec::len).sum::<usize>() * all.len();
    let held: usize = all
        .iter()
        .map(|one| one.positive.len() + one.negative.len())
        .sum();
    let too_sparse = cells > (held + all.len()) * MOST_CELLS_PER_BUCKET;
    if all.len() > MAX_CHUNK_SAMPLES || cells > MAX_HISTOGRAM_CELLS || too_sparse {
        return false;
    }
    put_shapes(all, out);
    let mut columns = ColumnWriter {
        cold,
        ..ColumnWriter::default()
    };
    let numbers: [fn(&Histogram) -> f64; 3] =
        [|one| one.count, |one| one.sum, |one| one.zero_count];
    for number in numbers.into_iter().skip(usize::from(summed)) {
        columns.column.extend(all.iter().map(|one| number(one)));
        columns.put(out);
    }
    for (side, indices) in sides.into_iter().zip(&indices) {
        put_u64(out, indices.len() as u64);
        let mut before = None;
        for &index in indices {
            put_index(out, &mut before, index);
        }
        // Where each histogram is in its own list.
        let mut places = vec![0; all.len()];
        for &index in indices {
            for (one, place) in all.iter().zip(&mut places) {
                let rest = side(one).get(*place..).unwrap_or_default();
                // Those that count nothing have no column.
                *place += rest.iter().take_while(|bucket| bucket.0 < index).count();
                let own = side(one).get(*place).filter(|bucket| bucket.0 == index);
                *place += usize::from(own.is_some());
                columns.column.push(own.map_or(0.0, |bucket| bucket.1));
            }
            columns.put(out);
        }
    }
    true
}

/// Columns are not worth it where each bucket is in fewer than one in so many of the histograms.
const MOST_CELLS_PER_BUCKET: usize = 16;

/// The `count` histograms of [`put_columns`].
pub(crate) fn read_columns(
    reader: &mut Reader<'_>,
    count: usize,
    summed: bool,
) -> Result<Vec<Histogram>> {
    if count > MAX_CHUNK_SAMPLES {
        return Err(malformed(reader, "more histograms than a chunk can hold"));
    }
    let mut all = read_shapes(reader, count)?;
    let mut column = Vec::new();
    let numbers: [fn(&mut Histogram, f64); 3] = [
        |one, value| one.count = value,
        |one, value| one.sum = value,
        |one, value| one.zero_count = value,
    ];
    for set in numbers.into_iter().skip(usize::from(summed)) {
        read_column(reader, count, &mut column)?;
        for (one, &value) in all.iter_mut().zip(&column) {
            set(one, value);
        }
    }
    let mut left = MAX_HISTOGRAM_CELLS / count.max(1);
    let sides: [fn(&mut Histogram) -> &mut Side; 2] =
        [|one| &mut one.positive, |one| &mut one.negative];
    for side in sides {
        let most = left.min(reader.remaining());
        let buckets = reader.length(most, "more buckets than a chunk can hold")?;
        left -= buckets;
        let mut before = None;
        let indices = (0..buckets).map(|_| read_index(reader, &mut before));
        let indices = indices.collect::<Result<Vec<_>>>()?;
        for index in indices {
            read_column(reader, count, &mut column)?;
            for (one, &value) in all.iter_mut().zip(&column) {
                if value.to_bits() != 0 {
                    side(one).push((index, value));
                }
            }
        }
    }
    for one in &mut all {
        if summed {
            one.count = bucket_sum(one);
        }
        one.positive.shrink_to_fit();
        one.negative.shrink_to_fit();
    }
    Ok(all)
}

/// The indices of all buckets of one side that do not count +0.0; where they are more than `most`,
/// perhaps not all of them.
fn union(all: &[&Histogram], most: usize, side: impl Fn(&Histogram) -> &Side) -> Vec<i32> {
    let mut union: Vec<i32> = Vec::new();
    for one in all {
        if union.len() > most {
            break;
        }
        let held = side(one).iter().filter(|bucket| bucket.1.to_bits() != 0);
        let missing = held.filter(|bucket| union.binary_search(&bucket.0).is_err());
        let missing: Vec<i32> = missing.map(|bucket| bucket.0).collect();
        if !missing.is_empty() {
            union.extend(missing);
            union.sort_unstable();
        }
    }
    union
}

/// The distinct shapes, then runs of them: which, and how many.
fn put_shapes(all: &[&Histogram], out: &mut Vec<u8>) {
    let mut shapes: Vec<Shape> = Vec::new();
    let mut runs: Vec<(usize, u64)> = Vec::new();
    for one in all {
        let shape = Shape::of(one);
        // Mostly that of the one before.
        let known = runs
            .last()
            .map(|run| run.0)
            .into_iter()
            .chain(0..shapes.len());
        let same = |at: &usize| {
            shapes
                .get(*at)
                .is_some_and(|other| other.is_identical(&shape))
        };
        let at = known.into_iter().find(same).unwrap_or_else(|| {
            shapes.push(shape);
            shapes.len() - 1
        });
        match runs.last_mut() {
            Some(run) if run.0 == at => run.1 += 1,
            _ => runs.push((at, 1)),
        }
    }
    put_u64(out, shapes.len() as u64);
    shapes.iter().for_each(|shape| shape.put(out));
    if shapes.len() > 1 {
        for (shape, length) in runs {
            put_u64(out, shape as u64);
            put_u64(out, length);
        }
    }
}

/// As many histograms of the shapes, still without observations.
fn read_shapes(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Histogram>> {
    let most = count.min(reader.remaining() / 3);
    let number = reader.length(most, "more shapes than histograms")?;
    let shapes = (0..number).map(|_| Shape::read(reader));
    let shapes = shapes.collect::<Result<Vec<_>>>()?;
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let left = count - all.len();
        let (at, length) = match number {
            1 => (0, left),
            _ => {
                let what = "a shape that is none of the chunk's";
                let at = reader.length(number.saturating_sub(1), what)?;
                (at, reader.length(left, "more shapes than histograms")?)
            }
        };
        let shape = shapes.get(at).filter(|_| length > 0);
        let shape = shape.ok_or_else(|| malformed(reader, "a run of no shape"))?;
        all.extend((0..length).map(|_| shape.histogram()));
    }
    Ok(all)
}

/// Value columns with their lengths before them.
#[derive(Debug, Default)]
struct ColumnWriter {
    encoder: Encoder,
    cold: bool,
    column: Vec<f64>,
    encoded: Vec<u8>,
}

impl ColumnWriter {
    /// Appends `column`, which is empty afterwards.
    fn put(&mut self, out: &mut Vec<u8>) {
        self.encoded.clear();
        match self.cold {
            true => self.encoder.encode_cold(&self.column, &mut self.encoded),
            false => self.encoder.encode(&self.column, &mut self.encoded),
        };
        put_bytes(out, &self.encoded);
        self.column.clear();
    }
}

/// Reads a column of `count` values in place of what `column` has.
fn read_column(reader: &mut Reader<'_>, count: usize, column: &mut Vec<f64>) -> Result<()> {
    column.clear();
    let bytes = reader.bytes()?;
    let base = reader.offset() - bytes.len();
    decode_values(bytes, count, column).map_err(|error| error.shifted(base))
}

fn malformed(reader: &Reader<'_>, what: &'static str) -> Error {
    Error::Malformed {
        offset: reader.offset(),
        what,
    }
}
