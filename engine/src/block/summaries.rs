//! The rows of a stepped chunk: beside the last sample of each step, statistics of all of them.
//!
//! Input: statistics row by row, and the values that the chunk holds anyway. Output: columns, each
//! left out where a rule gives all of it. Invariant: what is decoded has the same bits as what was
//! encoded; rows of one sample each cost nothing but a mark.

use treering_codec::varint::{Reader, put_bytes, put_u64};
use treering_codec::{
    CompensatedSum, Error, Result, Stats, decode_values, encode_values, is_stale,
};

/// The columns, in the order in which they are stored and ruled.
const COLUMNS: [Column; 9] = [
    Column::Stale,
    Column::Count,
    Column::Nan,
    Column::Last,
    Column::First,
    Column::Min,
    Column::Max,
    Column::Sum,
    Column::Dropped,
];

/// One number of each row.
#[derive(Debug, Clone, Copy)]
enum Column {
    Stale,
    Count,
    Nan,
    Last,
    First,
    Min,
    Max,
    Sum,
    Dropped,
}

impl Column {
    /// The number in a row.
    fn get(self, row: &Stats) -> f64 {
        match self {
            Column::Stale => row.stale.into(),
            Column::Count => row.count.into(),
            Column::Nan => u8::from(row.has_nan).into(),
            Column::Last => row.last,
            Column::First => row.first,
            Column::Min => row.min,
            Column::Max => row.max,
            Column::Sum => row.sum,
            Column::Dropped => row.dropped,
        }
    }

    /// Puts the number into a row; `None` when it cannot be one.
    fn set(self, row: &mut Stats, number: f64) -> Option<()> {
        match self {
            Column::Stale => row.stale = integer(number)?,
            Column::Count => row.count = integer(number)?,
            Column::Nan => row.has_nan = integer(number)? != 0,
            Column::Last => row.last = number,
            Column::First => row.first = number,
            Column::Min => row.min = number,
            Column::Max => row.max = number,
            Column::Sum => row.sum = number,
            Column::Dropped => row.dropped = number,
        }
        Some(())
    }

    /// What the number mostly is, by the value of the row and the columns before this one.
    fn expected(self, row: &Stats, value: f64) -> f64 {
        match self {
            Column::Stale => u8::from(is_stale(value)).into(),
            Column::Count => u8::from(!is_stale(value)).into(),
            Column::Nan => u8::from(value.is_nan() && !is_stale(value)).into(),
            Column::Last if is_stale(value) => f64::NAN,
            Column::Last => value,
            Column::First => row.last,
            Column::Min => canonical(row.first),
            Column::Max => canonical(row.last),
            Column::Sum if row.count == 0 => 0.0,
            Column::Sum => canonical(row.first * f64::from(row.count)),
            Column::Dropped => 0.0,
        }
    }
}

/// Appends the statistics of the rows of a chunk whose last samples are `values`.
pub(super) fn encode(values: &[f64], rows: &[Stats], out: &mut Vec<u8>) {
    let differs = |column: &Column| {
        let mut pairs = values.iter().zip(rows);
        pairs
            .any(|(&value, row)| column.get(row).to_bits() != column.expected(row, value).to_bits())
    };
    let explicit = COLUMNS.map(|column| differs(&column));
    let mask = explicit
        .iter()
        .rev()
        .fold(0, |mask, &explicit| mask << 1 | u64::from(explicit));
    put_u64(out, mask);
    let (mut numbers, mut bytes) = (Vec::with_capacity(rows.len()), Vec::new());
    for (column, _) in COLUMNS
        .iter()
        .zip(explicit)
        .filter(|(_, explicit)| *explicit)
    {
        numbers.clear();
        numbers.extend(rows.iter().map(|row| column.get(row)));
        bytes.clear();
        encode_values(&numbers, &mut bytes);
        put_bytes(out, &bytes);
    }
}

/// Appends to `rows` the statistics of a chunk whose last samples are `values`.
pub(super) fn decode(bytes: &[u8], values: &[f64], rows: &mut Vec<Stats>) -> Result<()> {
    let start = rows.len();
    let decoded = decode_rows(bytes, values, rows);
    if decoded.is_err() {
        rows.truncate(start);
    }
    decoded
}

fn decode_rows(bytes: &[u8], values: &[f64], rows: &mut Vec<Stats>) -> Result<()> {
    let start = rows.len();
    let mut reader = Reader::new(bytes);
    let malformed = |offset, what| Error::Malformed { offset, what };
    let mask = reader.varint()?;
    if mask >> COLUMNS.len() != 0 {
        return Err(malformed(0, "an unknown column of step summaries"));
    }
    rows.resize(start + values.len(), Stats::default());
    let new = rows.get_mut(start..).unwrap_or_default();
    let mut numbers = Vec::new();
    for (number, column) in COLUMNS.into_iter().enumerate() {
        let offset = reader.offset();
        numbers.clear();
        if mask >> number & 1 == 1 {
            let column = reader.bytes()?;
            let base = reader.offset() - column.len();
            decode_values(column, values.len(), &mut numbers)
                .map_err(|error| error.shifted(base))?;
        }
        for (index, (row, &value)) in new.iter_mut().zip(values).enumerate() {
            let given = numbers.get(index).copied();
            let given = given.unwrap_or_else(|| column.expected(row, value));
            column
                .set(row, given)
                .ok_or_else(|| malformed(offset, "a step summary that counts no integer"))?;
        }
    }
    if !reader.is_empty() {
        return Err(malformed(reader.offset(), "bytes after the step summaries"));
    }
    match new.iter().all(|row| samples(row) > 0) {
        true => Ok(()),
        false => Err(malformed(0, "a step without samples")),
    }
}

/// The step window of a timestamp, counted from the epoch; `step` is in nanoseconds, above 0.
pub(crate) fn step_window(timestamp: i64, step: i64) -> i64 {
    timestamp.saturating_sub(1).div_euclid(step.max(1))
}

/// First and last timestamp of the step window that `timestamp` lies in.
pub(crate) fn step_bounds(timestamp: i64, step: i64) -> (i64, i64) {
    let (window, step) = (step_window(timestamp, step), step.max(1));
    // Windows at the ends of time are cut off there, the first with `i64::MIN` in it.
    let start = window
        .checked_mul(step)
        .and_then(|start| start.checked_add(1));
    let end = window
        .checked_add(1)
        .and_then(|next| next.checked_mul(step));
    let start = start.unwrap_or(i64::MIN).min(timestamp);
    (start, end.unwrap_or(i64::MAX))
}

/// Samples that statistics are about, stale markers included.
pub(crate) fn samples(stats: &Stats) -> u64 {
    u64::from(stats.count) + u64::from(stats.stale)
}

/// Statistics of parts that follow each other in time, added up with the errors of the sums kept.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fold {
    stats: Stats,
    sum: CompensatedSum,
    dropped: CompensatedSum,
}

impl Fold {
    /// The parts of `rows`.
    pub(crate) fn of(rows: &[Stats]) -> Self {
        let mut fold = Self::default();
        rows.iter().for_each(|row| fold.add(row));
        fold
    }

    /// Adds the part after those so far.
    pub(crate) fn add(&mut self, next: &Stats) {
        let before = self.stats;
        self.stats = before.merge(next);
        if next.count == 0 {
            return;
        }
        if before.count == 0 {
            self.sum = CompensatedSum::new();
            self.dropped = CompensatedSum::new();
        } else if next.first < before.last {
            self.dropped.add(before.last);
        }
        self.sum.add(next.sum);
        self.dropped.add(next.dropped);
        if before.count > 0 {
            self.stats.sum = canonical(self.sum.value());
            self.stats.dropped = canonical(self.dropped.value());
        }
    }

    /// The statistics of all parts; of one part, its own.
    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }
}

/// NaNs of arithmetic have another sign on another processor; on disk there is one.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn integer(number: f64) -> Option<u32> {
    let int = number as u32;
    (f64::from(int).to_bits() == number.to_bits()).then_some(int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use treering_codec::stale_marker;

    fn odd() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-100i32..100).prop_map(|int| f64::from(int) / 4.0),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => Just(stale_marker()),
            1 => prop::sample::select(vec![f64::NAN, -0.0, f64::INFINITY, f64::MAX]),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let one = prop_oneof![
            prop::collection::vec(odd(), 1..9),
            (odd(), 1usize..9).prop_map(|(value, count)| vec![value; count]),
            (0u32..1000, 1u32..9)
                .prop_map(|(from, count)| { (from..from + count).map(f64::from).collect() }),
        ];
        prop::collection::vec(one, 1..40)
    }

    fn chunk(steps: &[Vec<f64>]) -> (Vec<f64>, Vec<Stats>) {
        let row = |step: &Vec<f64>| (step[step.len() - 1], Stats::of(step));
        steps.iter().map(row).unzip()
    }

    proptest! {
        #[test]
        fn rows_come_back_with_the_same_bits(steps in steps()) {
            let (values, rows) = chunk(&steps);
            let mut bytes = Vec::new();
            encode(&values, &rows, &mut bytes);
            let mut back = Vec::new();
            decode(&bytes, &values, &mut back).unwrap();
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            values in prop::collection::vec(odd(), 1..5),
        ) {
            let mut rows = vec![Stats::default()];
            let read = decode(&bytes, &values, &mut rows);
            prop_assert_eq!(rows.len(), if read.is_ok() { 1 + values.len() } else { 1 });
        }

        #[test]
        fn a_fold_of_parts_is_the_statistics_of_the_whole(steps in steps()) {
            let (_, rows) = chunk(&steps);
            let (found, wanted) = (Fold::of(&rows).stats(), Stats::of(&steps.concat()));
            let exact = |stats: &Stats| Stats { sum: 0.0, dropped: 0.0, ..*stats };
            prop_assert_eq!(exact(&found), exact(&wanted));
            let is_near = |a: f64, b: f64| {
                a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * a.abs().max(1e3)
                    // Sums that overflow on the way may do so in the whole only.
                    || !a.is_finite() || !b.is_finite()
            };
            prop_assert!(is_near(found.sum, wanted.sum), "{} {}", found.sum, wanted.sum);
            prop_assert!(is_near(found.dropped, wanted.dropped), "{found:?} {wanted:?}");
        }
    }

    #[test]
    fn one_part_stays_as_it_is() {
        let stats = Stats::of(&[-0.0, -0.0]);
        assert_eq!(Fold::of(&[stats]).stats(), stats);
        let stale = Stats::of(&[stale_marker()]);
        let both = Fold::of(&[stale, stats]).stats();
        assert_eq!(both, Stats { stale: 1, ..stats });
    }

    #[test]
    fn plain_rows_cost_little() {
        let length = |steps: &[Vec<f64>]| {
            let (values, rows) = chunk(steps);
            let mut bytes = Vec::new();
            encode(&values, &rows, &mut bytes);
            bytes.len()
        };
        let single: Vec<_> = (0..100).map(|index| vec![f64::from(index)]).collect();
        assert_eq!(length(&single), 1);
        assert!(length(&vec![vec![2.5; 30]; 100]) < 10);
        let counter = |row: u32| (0..20).map(|index| f64::from(row * 20 + index)).collect();
        let counter: Vec<_> = (0..100).map(counter).collect();
        assert!(length(&counter) < 60, "{}", length(&counter));
    }
}
