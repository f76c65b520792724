//! Column: the values of one series at each time of a grid.
//!
//! Input: floats and histograms at places. Output: the same. Invariant: a place holds a float, a
//! histogram or nothing. Nothing has the bits of Prometheus' stale marker: no selector lets one
//! through, and no value gets into a column but by [`Column::set`], which quiets it.

use std::sync::Arc;

use treering::{Labels, STALE_MARKER_BITS};

use super::meter::Amount;
use crate::histogram::Histogram;

/// The value at one place.
#[derive(Debug, Clone)]
pub(crate) enum Point {
    /// None.
    Absent,
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// The values of one series at each time of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    floats: Vec<f64>,
    /// As long as `floats`, or empty where no place holds a histogram.
    histograms: Vec<Option<Arc<Histogram>>>,
}

/// One series of an instant vector over a grid.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Whether the metric name is to be dropped when the query ends.
    pub(crate) drop_name: bool,
    pub(crate) column: Column,
}

/// What stands where there is no float.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_MARKER_BITS);

/// Whether a float of a column stands for none.
#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// A value for a column: one that happens to look like none becomes an ordinary NaN.
#[inline]
pub(crate) fn quiet(value: f64) -> f64 {
    match is_absent(value) {
        true => f64::NAN,
        false => value,
    }
}

/// Bytes of a row beside its column and the text of its labels.
const ROW_BYTES: usize = size_of::<Row>() + 32;

/// The memory of labels, as if no row shared them with another one.
pub(crate) fn label_bytes(labels: &Labels) -> usize {
    labels.as_canonical().len()
}

impl Row {
    /// The memory that it counts for.
    pub(crate) fn amount(&self) -> Amount {
        let Amount { samples, bytes } = self.column.amount();
        Amount {
            samples,
            bytes: bytes + ROW_BYTES + label_bytes(&self.labels),
        }
    }
}

impl Column {
    /// Nothing at `count` places.
    pub(crate) fn absent(count: usize) -> Self {
        Self {
            floats: vec![ABSENT; count],
            histograms: Vec::new(),
        }
    }

    /// These floats; [`ABSENT`] stands for none.
    pub(crate) fn of_floats(floats: Vec<f64>) -> Self {
        Self {
            floats,
            histograms: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    /// The floats; [`ABSENT`] where there is none.
    pub(crate) fn floats(&self) -> &[f64] {
        &self.floats
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f64] {
        &mut self.floats
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(crate) fn drop_histograms(&mut self) {
        self.histograms = Vec::new();
    }

    pub(crate) fn histogram(&self, at: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(at).and_then(Option::as_ref)
    }

    pub(crate) fn float(&self, at: usize) -> Option<f64> {
        self.floats.get(at).copied().filter(|&one| !is_absent(one))
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        self.float(at).is_some() || self.histogram(at).is_some()
    }

    pub(crate) fn get(&self, at: usize) -> Point {
        match (self.float(at), self.histogram(at)) {
            (Some(float), _) => Point::Float(float),
            (None, Some(histogram)) => Point::Histogram(Arc::clone(histogram)),
            (None, None) => Point::Absent,
        }
    }

    pub(crate) fn set(&mut self, at: usize, point: Point) {
        let (float, histogram) = match point {
            Point::Absent => (ABSENT, None),
            Point::Float(float) => (quiet(float), None),
            Point::Histogram(histogram) => (ABSENT, Some(histogram)),
        };
        if let Some(place) = self.floats.get_mut(at) {
            *place = float;
        }
        if histogram.is_some() && self.histograms.is_empty() {
            self.histograms = vec![None; self.floats.len()];
        }
        if let Some(place) = self.histograms.get_mut(at) {
            *place = histogram;
        }
    }

    pub(crate) fn set_float(&mut self, at: usize, float: Option<f64>) {
        if let Some(place) = self.floats.get_mut(at) {
            *place = float.map_or(ABSENT, quiet);
        }
    }

    pub(crate) fn each_histogram(&mut self, change: impl Fn(&mut Histogram)) {
        for histogram in self.histograms.iter_mut().flatten() {
            change(Arc::make_mut(histogram));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.iter().all(|&float| is_absent(float))
            && self.histograms.iter().all(Option::is_none)
    }

    /// The memory that it counts for: histograms by their size, as if none were shared.
    pub(crate) fn amount(&self) -> Amount {
        let histograms = self.histograms.iter().flatten();
        let heap: usize = histograms.clone().map(|one| one.heap_bytes()).sum();
        let count = histograms.count();
        Amount {
            samples: self.floats.len() + heap / 16 + 4 * count,
            bytes: (self.floats.len() + self.histograms.len()) * 8
                + heap
                + count * size_of::<Histogram>(),
        }
    }

    /// Puts what `other` holds where this one holds nothing; false where both hold something.
    pub(crate) fn merge(&mut self, other: Column) -> bool {
        for at in 0..self.len() {
            if other.has(at) {
                if self.has(at) {
                    return false;
                }
                self.set(at, other.get(at));
            }
        }
        true
    }

    /// The one value of this column at `count` places.
    pub(crate) fn repeat(&self, count: usize) -> Self {
        let mut column = Self::absent(count);
        match self.get(0) {
            Point::Absent => {}
            Point::Float(float) => column.floats.fill(float),
            Point::Histogram(one) => column.histograms = vec![Some(one); count],
        }
        column
    }
}
