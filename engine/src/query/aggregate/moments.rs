//! Mean and sum of squared deviations, for the standard deviation of a population.
//!
//! Input: slices of samples. Output: `sqrt(m2 / count)`. Slices are taken in two passes and put
//! together by the formula of Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm
//! for computing sample variances", 1979). The mean is kept in two floats: with a large mean and a
//! small spread, one float would lose the spread when parts are put together.

use treering_codec::{CompensatedSum, Stats, two_sum};

use super::accumulator::Accumulator;

/// Count, mean (`mean + rest`) and sum of squared deviations from it.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    rest: f64,
    m2: f64,
}

impl Moments {
    /// The standard deviation of the population; NaN when a value is not finite.
    pub(crate) fn deviation(&self) -> f64 {
        (self.m2 / self.count).sqrt()
    }
}

impl Accumulator for Moments {
    fn of_samples(_: &[i64], values: &[f64]) -> Self {
        let count = values.len() as f64;
        let first = values[0];
        if first.is_finite() && values.iter().all(|&value| value == first) {
            return Self {
                count,
                mean: first,
                rest: 0.0,
                m2: 0.0,
            };
        }
        let (sum, lost) = CompensatedSum::of(values).parts();
        let (sum, lost) = two_sum(sum, lost);
        let mean = sum / count;
        let rest = (mean.mul_add(-count, sum) + lost) / count;
        let (deviations, squares) = deviations(values, mean);
        // What the rounding of the mean added to the squares goes out again.
        let m2 = (squares - deviations * (deviations / count)).max(0.0);
        // `max` would turn the NaN of infinite values into 0.
        Self {
            count,
            mean,
            rest,
            m2: if squares.is_nan() { f64::NAN } else { m2 },
        }
    }

    fn of_stats(_: &Stats, _: i64, _: i64) -> Option<Self> {
        None
    }

    fn append(&mut self, next: &Self) {
        let count = self.count + next.count;
        let apart = (next.mean - self.mean) + (next.rest - self.rest);
        let share = next.count / count;
        self.m2 += next.m2 + apart * apart * (self.count * share);
        let (mean, rest) = two_sum(self.mean, apart * share);
        (self.mean, self.rest) = two_sum(mean, self.rest + rest);
        self.count = count;
    }

    fn pool(&mut self, other: Self) {
        self.append(&other);
    }
}

/// The sums of the deviations from `mean` and of their squares.
fn deviations(values: &[f64], mean: f64) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for at in 0..LANES {
            let deviation = chunk[at] - mean;
            sums[at] += deviation;
            squares[at] += deviation * deviation;
        }
    }
    for (at, &value) in rest.iter().enumerate() {
        let deviation = value - mean;
        sums[at] += deviation;
        squares[at] += deviation * deviation;
    }
    (sums.iter().sum(), squares.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(parts: &[&[f64]]) -> f64 {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| Moments::of_samples(&[], part))
            .collect();
        let whole = parts.into_iter().reduce(|mut whole, part| {
            whole.append(&part);
            whole
        });
        whole.unwrap().deviation()
    }

    #[test]
    fn a_small_spread_around_a_large_mean_survives_any_cut() {
        // 1e9 + k / 1024 is exact, so the true answer is known: that of 0..100 over 1024.
        let values: Vec<f64> = (0..100).map(|at| 1e9 + f64::from(at) / 1024.0).collect();
        let truth = (9999.0f64 / 12.0).sqrt() / 1024.0;
        for size in [1, 2, 3, 7, 50, 100] {
            let found = deviation(&values.chunks(size).collect::<Vec<_>>());
            assert!(
                (found / truth - 1.0).abs() < 1e-12,
                "parts of {size}: {found} {truth}"
            );
        }
    }

    #[test]
    fn equal_values_deviate_by_nothing_and_infinite_ones_by_nan() {
        assert_eq!(deviation(&[&[0.1; 7], &[0.1; 3]]).to_bits(), 0);
        assert!(deviation(&[&[f64::INFINITY]]).is_nan());
        assert!(deviation(&[&[1.0, f64::NEG_INFINITY], &[1.0]]).is_nan());
        assert!(deviation(&[&[1.0], &[f64::NAN, 1.0]]).is_nan());
    }
}
