//! A part of a series on its way into a block.
//!
//! Input: columns of equal length. Output: the same, or pieces of them. Invariant: extras
//! go by time, so pieces share those of the whole: entries of other timestamps mean nothing.

use treering_codec::Stats;

use crate::extras::{NO_EXTRAS, TimedExtras};

/// Samples, or rows of steps, in order of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Strictly increasing.
    pub(crate) timestamps: &'a [i64],
    /// As many.
    pub(crate) values: &'a [f64],
    /// In a stepped block as many statistics, each of all samples of the step that the sample ends;
    /// else none.
    pub(crate) rows: &'a [Stats],
    /// What the samples have beside their floats.
    pub(crate) extras: &'a TimedExtras,
}

impl<'a> Part<'a> {
    /// Floats with nothing beside them.
    pub(crate) fn of(timestamps: &'a [i64], values: &'a [f64], rows: &'a [Stats]) -> Self {
        Self {
            timestamps,
            values,
            rows,
            extras: &NO_EXTRAS,
        }
    }

    /// The samples from `start` to `end`, as far as there are any.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        Self {
            timestamps: piece(self.timestamps, start, end),
            values: piece(self.values, start, end),
            rows: piece(self.rows, start, end),
            extras: self.extras,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Its first and last timestamp, if it has any.
    pub(super) fn ends(&self) -> Option<(i64, i64)> {
        let last = self.timestamps.last();
        self.timestamps.first().copied().zip(last.copied())
    }
}

/// The elements of a column from `start` to `end`.
fn piece<T>(column: &[T], start: usize, end: usize) -> &[T] {
    column.get(start..end.min(column.len())).unwrap_or_default()
}
