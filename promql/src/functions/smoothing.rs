//! Smoothing: `double_exponential_smoothing` over windows that slide.
//!
//! Input: the floats of a series, two factors, windows. Output: the smoothed value at the end of
//! each. Invariant: a step of the recursion is linear in level and trend, so the steps of a stretch
//! come to one matrix and one shift; no step is ever undone.
//!
//! With level `s` and trend `t`, smoothing factor `a` and trend factor `b`, a value `x` gives
//! `s' = a x + (1 - a)(s + t)` and `t' = b (s' - s) + (1 - b) t`: a constant matrix of `s` and `t`,
//! and a shift by `(a, a b) x`.

use super::joins::WORST;
use super::stacks::{Join, Stacks};

/// Level and trend.
#[derive(Debug, Clone, Copy)]
struct State {
    level: f64,
    trend: f64,
}

/// What some steps do to level and trend, but for the shift.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    level: State,
    trend: State,
}

/// The steps of the recursion, one for each number.
#[derive(Debug)]
struct Steps<'a> {
    numbers: &'a [f64],
    smoothing: f64,
    trending: f64,
    /// At each place the matrix of so many steps.
    powers: Vec<Matrix>,
}

/// What some steps come to.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    count: usize,
    shift: State,
}

impl Matrix {
    fn of(&self, state: State) -> State {
        State {
            level: self.level.level * state.level + self.level.trend * state.trend,
            trend: self.trend.level * state.level + self.trend.trend * state.trend,
        }
    }

    /// This one after `first`.
    fn after(&self, first: &Self) -> Self {
        let column = |level: f64, trend: f64| self.of(State { level, trend });
        let of_level = column(first.level.level, first.trend.level);
        let of_trend = column(first.level.trend, first.trend.trend);
        Self {
            level: State {
                level: of_level.level,
                trend: of_trend.level,
            },
            trend: State {
                level: of_level.trend,
                trend: of_trend.trend,
            },
        }
    }
}

impl<'a> Steps<'a> {
    /// Steps for windows of at most `longest` numbers.
    fn new(numbers: &'a [f64], [smoothing, trending]: [f64; 2], longest: usize) -> Self {
        let one = Matrix {
            level: State {
                level: 1.0 - smoothing,
                trend: 1.0 - smoothing,
            },
            trend: State {
                level: -trending * smoothing,
                trend: 1.0 - trending * smoothing,
            },
        };
        let none = Matrix {
            level: State {
                level: 1.0,
                trend: 0.0,
            },
            trend: State {
                level: 0.0,
                trend: 1.0,
            },
        };
        let next = |before: &Matrix| Some(one.after(before));
        let powers = std::iter::successors(Some(none), next);
        Self {
            numbers,
            smoothing,
            trending,
            powers: powers.take(longest + 1).collect(),
        }
    }

    /// What a state becomes by some steps.
    fn after(&self, state: State, steps: Stretch) -> State {
        let Some(power) = self.powers.get(steps.count) else {
            return State {
                level: f64::NAN,
                trend: f64::NAN,
            };
        };
        let State { level, trend } = power.of(state);
        State {
            level: level + steps.shift.level,
            trend: trend + steps.shift.trend,
        }
    }
}

impl Join for Steps<'_> {
    type Sum = Stretch;

    fn one(&self, at: usize) -> Stretch {
        let value = self.numbers.get(at).copied().unwrap_or(f64::NAN);
        let level = self.smoothing * value;
        Stretch {
            count: 1,
            shift: State {
                level,
                trend: self.trending * level,
            },
        }
    }

    fn join(&self, first: Stretch, second: Stretch) -> Stretch {
        Stretch {
            count: first.count + second.count,
            shift: self.after(first.shift, second),
        }
    }
}

/// Windows that slide over the numbers of a series.
#[derive(Debug)]
pub(super) struct Smoothed<'a> {
    numbers: &'a [f64],
    stacks: Stacks<Steps<'a>>,
    /// The largest magnitude among the numbers.
    scale: f64,
}

impl<'a> Smoothed<'a> {
    /// With the smoothing and the trend factor; windows hold at most `longest` numbers.
    pub(super) fn new(numbers: &'a [f64], factors: [f64; 2], longest: usize) -> Self {
        let scale = numbers
            .iter()
            .fold(0.0, |most: f64, one| most.max(one.abs()));
        Self {
            numbers,
            stacks: Stacks::new(Steps::new(numbers, factors, longest)),
            scale,
        }
    }

    /// The value at the end of the window of the places `from..to`, of which neither may go back.
    /// `Err`: so much cancels that the window is to be gone through.
    pub(super) fn slide(&mut self, from: usize, to: usize) -> Result<Option<f64>, Cancels> {
        // The first number is where the recursion begins.
        let rest = self.stacks.slide((from + 1).min(to), to);
        let window = self.numbers.get(from..to).unwrap_or_default();
        let (&[first, second, ..], Some(rest)) = (window, rest) else {
            return Ok(None);
        };
        let begin = State {
            level: first,
            trend: second - first,
        };
        let level = self.stacks.by().after(begin, rest).level;
        match level.abs() >= 100.0 * WORST * self.scale {
            true => Ok(Some(level)),
            false => Err(Cancels),
        }
    }
}

/// Too much of a result cancels for it to be that of another order of computing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cancels;
