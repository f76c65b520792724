//! A column of integers to bytes: which transform leaves the least, and what it leaves.
//!
//! Input: any integers. Output: the bytes that [`crate::sequence::SequenceReader`] reads. The
//! transform is judged by two parts of a longer column, roughly at first and exactly where that
//! is not clear. A writer keeps its room from column to column. Invariant: any i64 round-trips.

use crate::bins::Bins;
use crate::blocks;
use crate::coded;
use crate::limits::BLOCK_SAMPLES;
use crate::plan;
use crate::sequence::{self, Head, Transform};
use crate::unit::Unit;

/// How small a sequence is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In packed blocks: fast to decode.
    Packed,
    /// Entropy-coded where that saves enough.
    Coded,
}

/// The part of its packed bytes that an entropy-coded sequence must save to be worth its slower
/// decoder.
const WORTH: usize = 32;
/// Bits that the head of a transform with a step takes more than others.
const STEP_BITS: usize = 16;

/// Appends sequences to bytes.
#[derive(Debug, Default)]
pub(crate) struct SequenceWriter {
    scaled: Vec<i64>,
    residuals: Vec<i64>,
    steps: Vec<i64>,
    coded: Vec<u8>,
}

impl SequenceWriter {
    /// Appends `values` to `out` by the best of `transforms`, or by the one `known` to be it.
    pub(crate) fn put(
        &mut self,
        values: &[i64],
        (transforms, known): (&[Transform], Option<Transform>),
        stage: Stage,
        out: &mut Vec<u8>,
    ) {
        let unit = Unit::common(values);
        let mut scaled = std::mem::take(&mut self.scaled);
        if unit.value() > 1 {
            let first = scale(values, unit, &mut scaled);
            let origin = (unit, first);
            self.put_scaled(&scaled, origin, (transforms, known), stage, out);
        } else {
            self.put_scaled(values, (unit, 0), (transforms, known), stage, out);
        }
        self.scaled = scaled;
    }

    fn put_scaled(
        &mut self,
        scaled: &[i64],
        (unit, origin): (Unit, i64),
        (transforms, known): (&[Transform], Option<Transform>),
        stage: Stage,
        out: &mut Vec<u8>,
    ) {
        let transform = match (known, transforms) {
            (Some(known), _) | (None, &[known]) => known,
            _ => self.best(&parts(scaled), transforms).1,
        };
        let (step, start) = self.transform(scaled, transform);
        let start_of = |start: i64| origin.wrapping_add(start.wrapping_mul(unit.value() as i64));
        let head = Head {
            transform,
            coded: false,
            unit: unit.value(),
            origin: start_of(start),
            step,
        };
        let begin = out.len();
        sequence::put_head(&head, out);
        blocks::put(&self.residuals, out);
        if stage == Stage::Packed {
            return;
        }
        let mut best: Option<(Bins, Head)> = None;
        for &transform in transforms {
            let (step, start) = self.transform(scaled, transform);
            let Some(bins) = Bins::of(&self.residuals) else {
                continue;
            };
            if best.as_ref().is_none_or(|best| bins.cost < best.0.cost) {
                let head = Head {
                    transform,
                    coded: true,
                    unit: unit.value(),
                    origin: start_of(start),
                    step,
                };
                best = Some((bins, head));
            }
        }
        let Some((bins, head)) = best else { return };
        self.transform(scaled, head.transform);
        self.coded.clear();
        sequence::put_head(&head, &mut self.coded);
        coded::put(&self.residuals, &bins, &mut self.coded);
        let packed = out.len() - begin;
        if self.coded.len() + packed / WORTH < packed {
            out.truncate(begin);
            out.extend_from_slice(&self.coded);
        }
    }

    /// The best of `transforms` for a column of which `values` are the sample: two [`parts`], of
    /// which the first has `cut` values; and the bits that those will take in blocks, roughly.
    pub(crate) fn cost(
        &mut self,
        values: &[i64],
        cut: usize,
        transforms: &[Transform],
    ) -> (usize, Transform) {
        let unit = Unit::common(values);
        let mut scaled = std::mem::take(&mut self.scaled);
        let values = match unit.value() {
            1 => values,
            _ => {
                scale(values, unit, &mut scaled);
                &scaled
            }
        };
        let (one, other) = values.split_at(cut.min(values.len()));
        let best = self.best(&[one, other], transforms);
        self.scaled = scaled;
        best
    }

    /// The transform of the least cost for both parts, and its rough cost.
    fn best(&mut self, parts: &[&[i64]; 2], transforms: &[Transform]) -> (usize, Transform) {
        if let [only] = *transforms {
            return (self.rough_cost(parts, only), only);
        }
        let mut best = (usize::MAX, usize::MAX, Transform::Plain);
        for &transform in transforms {
            // What does not gain from differences gains nothing from more of them.
            if transform == Transform::Second && best.2 == Transform::Plain {
                break;
            }
            let cost = self.rough_cost(parts, transform);
            // Half a bit per value or an eighth is what the rough cost may be wrong by.
            let doubt = best.0 / 32;
            if best.0 == usize::MAX || cost + doubt < best.0 {
                best = (cost, usize::MAX, transform);
            } else if cost < best.0 + doubt {
                if best.1 == usize::MAX {
                    best.1 = self.exact_cost(parts, best.2);
                }
                let exact = self.exact_cost(parts, transform);
                if exact < best.1 {
                    best = (cost, exact, transform);
                }
            }
        }
        (best.0, best.2)
    }

    fn rough_cost(&mut self, parts: &[&[i64]], transform: Transform) -> usize {
        let mut sum = 0;
        for part in parts {
            let residuals: &[i64] = match transform {
                Transform::Plain => part,
                _ => {
                    self.transform(part, transform);
                    &self.residuals
                }
            };
            let blocks = residuals.chunks(BLOCK_SAMPLES);
            sum += blocks.map(plan::rough_cost).sum::<usize>();
        }
        sum
    }

    fn exact_cost(&mut self, parts: &[&[i64]], transform: Transform) -> usize {
        let head = match transform {
            Transform::Plain | Transform::First => 0,
            Transform::Second | Transform::Line => STEP_BITS,
        };
        let mut sum = head;
        for part in parts {
            self.transform(part, transform);
            sum += plan::cost(&self.residuals);
        }
        sum
    }

    /// Leaves in `residuals` what the blocks will hold; returns the step and the integer before
    /// the first (0 where there is none).
    fn transform(&mut self, scaled: &[i64], transform: Transform) -> (i64, i64) {
        let out = &mut self.residuals;
        out.clear();
        let first = scaled.first().copied().unwrap_or(0);
        // The first difference is made equal to the second, which makes it free.
        let step = scaled.get(1).map_or(0, |second| second.wrapping_sub(first));
        let differences = || {
            let others = scaled.iter().zip(scaled.get(1..).unwrap_or_default());
            others.map(|(last, value)| value.wrapping_sub(*last))
        };
        match transform {
            Transform::Plain => {
                out.extend_from_slice(scaled);
                (0, 0)
            }
            Transform::First => {
                out.extend(scaled.first().map(|_| step));
                out.extend(differences());
                (0, first.wrapping_sub(step))
            }
            Transform::Second => {
                out.extend(scaled.first().map(|_| 0));
                let mut last = step;
                out.extend(differences().map(|difference| {
                    let second = difference.wrapping_sub(last);
                    last = difference;
                    second
                }));
                (step, first.wrapping_sub(step))
            }
            Transform::Line => {
                self.steps.clear();
                self.steps.extend(differences());
                let step = middle(&mut self.steps);
                let mut point = first;
                out.extend(scaled.iter().map(|&value| {
                    let above = value.wrapping_sub(point);
                    point = point.wrapping_add(step);
                    above
                }));
                (step, first)
            }
        }
    }
}

/// Leaves in `scaled` how many units `values` lie above the first, which is returned.
fn scale(values: &[i64], unit: Unit, scaled: &mut Vec<i64>) -> i64 {
    let first = values.first().copied().unwrap_or(0);
    scaled.clear();
    let distances = values.iter().map(|value| value.wrapping_sub(first));
    scaled.extend(distances.map(|distance| unit.divide(distance)));
    first
}

/// Appends `values` to `out` in blocks, by the best of `transforms`.
pub(crate) fn put(values: &[i64], transforms: &[Transform], out: &mut Vec<u8>) {
    SequenceWriter::default().put(values, (transforms, None), Stage::Packed, out);
}

/// Values of one part of a sample.
const PART: usize = 128;

/// The whole of a short column, or two parts of a long one.
pub(crate) fn parts<T>(column: &[T]) -> [&[T]; 2] {
    if column.len() <= 2 * PART {
        return [column, &[]];
    }
    let part = |start: usize| {
        let rest = column.get(start..)?;
        rest.get(..PART)
    };
    [part(column.len() / 6), part(column.len() * 4 / 6)].map(Option::unwrap_or_default)
}

fn middle(values: &mut [i64]) -> i64 {
    let middle = values.len() / 2;
    match values.is_empty() {
        true => 0,
        false => *values.select_nth_unstable(middle).1,
    }
}
