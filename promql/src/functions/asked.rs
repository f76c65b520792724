//! Asked: what a range function is given for one step of one series.
//!
//! Input: a window of samples and the parameters of the step. Output: the same, and a way to note
//! what is odd. Invariant: notes name the metric and stand at the range vector's place.

use std::borrow::Cow;

use crate::annotation::Notice;
use crate::eval::{Frame, Notes, Window};
use crate::syntax::Span;

/// What a range function is given for one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) window: Window<'a>,
    /// The time of the step.
    pub(crate) time: i64,
    /// The start of the window that was asked for (not in it); `window` may hold more.
    pub(crate) start: i64,
    /// Its end (in it).
    pub(crate) end: i64,
    pub(crate) frame: Frame,
    /// The scalar arguments of the step.
    pub(crate) params: [f64; 2],
    pub(crate) notes: &'a Notes,
    pub(crate) metric: &'a str,
    pub(crate) span: Span,
}

impl<'a> Asked<'a> {
    pub(crate) fn note(&self, notice: &Notice<'_>) {
        self.notes.add(notice, self.span);
    }

    /// The samples that are floats, without times.
    pub(crate) fn floats(&self) -> Cow<'a, [f64]> {
        match self.window.histograms.is_empty() {
            true => Cow::Borrowed(self.window.floats),
            false => Cow::Owned(self.window.float_samples().map(|one| one.1).collect()),
        }
    }

    /// The samples that are floats, for functions that pass histograms over: noted where there are
    /// both.
    pub(crate) fn floats_only(&self) -> Cow<'a, [f64]> {
        let floats = self.floats();
        if !floats.is_empty() && floats.len() < self.window.len() {
            self.note(&Notice::HistogramIgnoredInRange {
                metric: self.metric,
            });
        }
        floats
    }

    /// Whether floats and histograms are mixed.
    pub(crate) fn is_mixed(&self) -> bool {
        let histograms = self.window.histogram_count();
        histograms > 0 && histograms < self.window.len()
    }

    pub(crate) fn note_mixed(&self) {
        self.note(&Notice::MixedFloatsHistograms {
            metric: self.metric,
        });
    }
}
