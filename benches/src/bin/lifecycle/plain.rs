//! The answers, computed from the input alone: daily folds of every series and cuts of raw samples.
//!
//! Input: the generator. Output: what a database that holds its samples must answer; [`Plain::check`]
//! asks it and fails at the first difference. Counts, maxima and samples must be equal bit for bit;
//! sums, whose last bits depend on the order of adding, within one part in 10^12.

use std::collections::BTreeMap;
use std::time::Duration;

use treering::{Aggregate, AggregatedSeries, Db, Function, Labels, Selector};
use treering_benches::Result;
use treering_benches::generator::{Generator, START, Shape};
use treering_benches::random::Random;

use crate::SEED;

/// Nanoseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000_000;
/// How many cuts are kept beside a whole series.
const CUTS: usize = 30;
const PIECE: usize = 8640;

/// What the samples of one window come to.
#[derive(Debug, Clone, Copy)]
struct Fold {
    count: u64,
    max: f64,
    sum: f64,
    /// What the sum lost, as in Neumaier's compensated summation (1974).
    lost: f64,
}

/// Raw samples of one series.
#[derive(Debug)]
struct Cut {
    series: u64,
    first: i64,
    last: i64,
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

/// All answers.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Series by labels.
    numbers: BTreeMap<Labels, u64>,
    grids: Vec<Grid>,
    cuts: Vec<Cut>,
}

/// Windows of a day that begin `offset` after midnight, and their folds by series.
#[derive(Debug)]
struct Grid {
    offset: i64,
    series: Vec<Vec<Fold>>,
}

impl Plain {
    /// Folds every series over days that begin at each of `offsets` after midnight.
    pub(crate) fn of(shape: Shape, offsets: &[i64]) -> Result<Self> {
        let generator = Generator::new(shape, SEED);
        let grids = offsets.iter().map(|&offset| Grid {
            offset,
            series: Vec::new(),
        });
        let mut plain = Self {
            numbers: BTreeMap::new(),
            grids: grids.collect(),
            cuts: cuts(&shape),
        };
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        for series in 0..shape.series() {
            let labels = Labels::from_pairs(generator.labels(series))?;
            plain.numbers.insert(labels, series);
            for grid in &mut plain.grids {
                let windows = span(&shape, grid.offset).1;
                grid.series.push(vec![Fold::NONE; windows as usize]);
            }
            let mut stream = generator.stream(series);
            while stream.next_column(PIECE, &mut timestamps, &mut values) > 0 {
                plain.add(series, &timestamps, &values);
            }
        }
        Ok(plain)
    }

    fn add(&mut self, series: u64, timestamps: &[i64], values: &[f64]) {
        for grid in &mut self.grids {
            let start = START + grid.offset;
            let folds = &mut grid.series[series as usize];
            for (&time, &value) in timestamps.iter().zip(values) {
                // Windows are left-open: a sample at midnight belongs to the day before.
                let window = (time - start - 1).div_euclid(DAY);
                let window = usize::try_from(window).ok();
                if let Some(fold) = window.and_then(|window| folds.get_mut(window)) {
                    fold.add(value);
                }
            }
        }
        for cut in self.cuts.iter_mut().filter(|cut| cut.series == series) {
            let from = timestamps.partition_point(|&time| time < cut.first);
            let to = timestamps.partition_point(|&time| time <= cut.last);
            cut.timestamps.extend_from_slice(&timestamps[from..to]);
            cut.values.extend_from_slice(&values[from..to]);
        }
    }

    /// Asks `db` everything, but the series of `gone`, which must not be there. Returns bits that
    /// are the same for two databases whose sums are.
    pub(crate) fn check(&self, shape: &Shape, db: &Db, gone: Option<u64>) -> Result<u64> {
        let mut bits = 0u64;
        for grid in 0..self.grids.len() {
            for function in [Function::Count, Function::Max, Function::Sum] {
                let answer = ask(db, shape, self.grids[grid].offset, function)?;
                self.check_series(shape, &answer, gone)?;
                self.check_days(grid, function, &answer)?;
                let points = answer.iter().flat_map(|series| &series.points);
                bits = points.fold(bits, |bits, point| {
                    (bits ^ point.value.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                });
            }
        }
        for cut in &self.cuts {
            if gone.is_none_or(|host| cut.series / u64::from(shape.metrics) != host) {
                check_cut(shape, db, cut)?;
            }
        }
        Ok(bits)
    }

    /// All series are there, but those of `gone`.
    pub(crate) fn check_series(
        &self,
        shape: &Shape,
        answer: &[AggregatedSeries],
        gone: Option<u64>,
    ) -> Result<()> {
        let hosts = u64::from(shape.hosts) - u64::from(gone.is_some());
        let wanted = hosts * u64::from(shape.metrics);
        if answer.len() as u64 != wanted {
            return Err(format!("{} series answer, not {wanted}", answer.len()).into());
        }
        for series in answer {
            let number = self.numbers.get(&series.labels);
            let host = number.map(|number| number / u64::from(shape.metrics));
            if gone.is_some() && host == gone {
                return Err(format!("{} was deleted", series.labels).into());
            }
        }
        Ok(())
    }

    /// Holds an answer of [`ask_of`] against the folds of the grid number `grid`.
    pub(crate) fn check_days(
        &self,
        grid: usize,
        function: Function,
        answer: &[AggregatedSeries],
    ) -> Result<()> {
        let grid = &self.grids[grid];
        for series in answer {
            let number = self.numbers.get(&series.labels).copied();
            let number = number.ok_or_else(|| format!("{} was invented", series.labels))?;
            let folds = &grid.series[number as usize];
            let ends = (1..).map(|day: i64| START + grid.offset + day * DAY);
            let points = series.points.iter().map(|point| point.timestamp);
            if series.approximate || !points.eq(ends.take(folds.len())) {
                return Err(format!("{}: windows {:?}", series.labels, series.points).into());
            }
            for (point, fold) in series.points.iter().zip(folds) {
                if !fold.agrees(function, point.value) {
                    return Err(format!(
                        "{function:?} of {} at {} is {}, not {fold:?}",
                        series.labels, point.timestamp, point.value
                    )
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// The daily `function` of every series, over days that begin `offset` after midnight.
pub(crate) fn ask(
    db: &Db,
    shape: &Shape,
    offset: i64,
    function: Function,
) -> Result<Vec<AggregatedSeries>> {
    ask_of(db, &Selector::all(), shape, offset, function)
}

/// As [`ask`], of the series of a selector.
pub(crate) fn ask_of(
    db: &Db,
    selector: &Selector,
    shape: &Shape,
    offset: i64,
    function: Function,
) -> Result<Vec<AggregatedSeries>> {
    let daily = Aggregate::new(function).step(Duration::from_nanos(DAY as u64));
    let (first, windows) = span(shape, offset);
    Ok(db.aggregate(selector, first..=first - 1 + windows * DAY, &daily)?)
}

/// First timestamp and number of the whole days that begin `offset` after midnight.
fn span(shape: &Shape, offset: i64) -> (i64, i64) {
    let all = i64::from(shape.samples) * shape.step;
    (START + offset + 1, (all - offset) / DAY)
}

/// Places of the cuts: pieces of up to four hours and, as the last, all of one series.
fn cuts(shape: &Shape) -> Vec<Cut> {
    let mut random = Random::stream(SEED, u64::MAX);
    let all = i64::from(shape.samples) * shape.step;
    let cut = |series, first, last| Cut {
        series,
        first: START + first,
        last: START + last,
        timestamps: Vec::new(),
        values: Vec::new(),
    };
    let mut cuts: Vec<Cut> = (0..CUTS)
        .map(|_| {
            let first = random.below(all as u64) as i64;
            let last = first + random.below(4 * 3600) as i64 * 1_000_000_000;
            cut(random.below(shape.series()), first, last)
        })
        .collect();
    cuts.push(cut(shape.series() / 2, 0, all));
    cuts
}

fn check_cut(shape: &Shape, db: &Db, cut: &Cut) -> Result<()> {
    let labels = Generator::new(*shape, SEED).labels(cut.series);
    let text: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    let selector = Selector::parse(&format!("{{{}}}", text.join(",")))?;
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    for series in db.select(&selector, cut.first..=cut.last)? {
        let columns = series?.columns()?;
        timestamps.extend(columns.timestamps);
        values.extend(columns.values);
    }
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    if timestamps != cut.timestamps || bits(&values) != bits(&cut.values) {
        return Err(format!(
            "{selector} from {} to {}: {} samples are not the {} that were written",
            cut.first,
            cut.last,
            values.len(),
            cut.values.len()
        )
        .into());
    }
    Ok(())
}

impl Fold {
    const NONE: Self = Self {
        count: 0,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        lost: 0.0,
    };

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.max = self.max.max(value);
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }

    fn agrees(&self, function: Function, value: f64) -> bool {
        match function {
            Function::Count => value.to_bits() == (self.count as f64).to_bits(),
            Function::Max => value.to_bits() == self.max.to_bits(),
            Function::Sum => {
                let sum = self.sum + self.lost;
                (value - sum).abs() <= sum.abs() * 1e-12
            }
            _ => false,
        }
    }
}
