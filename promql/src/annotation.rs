//! Annotations: what a query wants its author to know beside its result.
//!
//! Input: what the evaluator noticed, and where. Output: texts as Prometheus writes them, with
//! `(line:col)`. Invariant: each text stands once for each place; order is that of discovery.

use std::fmt;

use crate::histogram::go_float;
use crate::syntax::Span;

/// How grave an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The result may well be what was meant.
    Info,
    /// Something is probably wrong.
    Warning,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// How grave it is.
    pub severity: Severity,
    /// What it says, without a place.
    pub message: String,
    /// The part of the query that it is about.
    pub span: Span,
}

/// The annotations of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    list: Vec<Annotation>,
}

/// What two histograms were put together for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

/// What the evaluator may notice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice<'a> {
    InvalidQuantile(f64),
    InvalidRatio {
        given: f64,
        used: f64,
    },
    BadBucketLabel {
        value: &'a str,
        metric: &'a str,
    },
    MixedFloatsHistograms {
        metric: &'a str,
    },
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative {
        metric: &'a str,
    },
    NotCounter {
        metric: &'a str,
    },
    NotGauge {
        metric: &'a str,
    },
    MixedExponentialCustom {
        metric: &'a str,
    },
    IncompatibleLayout {
        operator: &'static str,
    },
    ResetConflict(Operation),
    SortInRange,
    StartOverlap {
        metric: &'a str,
    },
    PossibleNonCounter {
        metric: &'a str,
    },
    ForcedMonotonic {
        metric: &'a str,
        first: f64,
        last: f64,
        largest: f64,
    },
    IncompatibleTypes {
        left: &'static str,
        operator: &'static str,
        right: &'static str,
    },
    HistogramIgnoredInAggregation {
        operator: &'static str,
    },
    HistogramIgnoredInRange {
        metric: &'a str,
    },
    QuantileNan {
        metric: &'a str,
    },
    QuantileSkewed {
        metric: &'a str,
    },
    FractionNan {
        metric: &'a str,
    },
    BoundsReconciled(Operation),
}

impl Annotation {
    /// The whole text for the query `text`, e.g.
    /// `PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)`.
    pub fn text(&self, text: &str) -> String {
        let (line, column) = self.span.line_col(text);
        let kind = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
        };
        format!("PromQL {kind}: {} ({line}:{column})", self.message)
    }
}

impl Annotations {
    /// All of them, in the order of their discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The texts of one severity for the query `text`.
    pub fn texts(&self, severity: Severity, text: &str) -> Vec<String> {
        let these = self.list.iter().filter(|one| one.severity == severity);
        these.map(|one| one.text(text)).collect()
    }

    pub(crate) fn add(&mut self, notice: &Notice<'_>, span: Span) {
        if self.list.len() == MAX_ANNOTATIONS {
            return;
        }
        self.push(Annotation {
            severity: notice.severity(),
            message: notice.to_string(),
            span,
        });
    }

    /// Adds those that were discovered after these.
    pub(crate) fn absorb(&mut self, later: Annotations) {
        match self.list.is_empty() {
            true => *self = later,
            false => later.list.into_iter().for_each(|one| self.push(one)),
        }
    }

    fn push(&mut self, annotation: Annotation) {
        if self.list.len() < MAX_ANNOTATIONS && !self.list.contains(&annotation) {
            self.list.push(annotation);
        }
    }
}

/// Many series can each have one of their own; nobody reads more.
const MAX_ANNOTATIONS: usize = 1000;

impl Notice<'_> {
    fn severity(&self) -> Severity {
        use Notice::{
            BoundsReconciled, ForcedMonotonic, FractionNan, HistogramIgnoredInAggregation,
            HistogramIgnoredInRange, IncompatibleTypes, PossibleNonCounter, QuantileNan,
            QuantileSkewed,
        };
        match self {
            PossibleNonCounter { .. }
            | ForcedMonotonic { .. }
            | IncompatibleTypes { .. }
            | HistogramIgnoredInAggregation { .. }
            | HistogramIgnoredInRange { .. }
            | QuantileNan { .. }
            | QuantileSkewed { .. }
            | FractionNan { .. }
            | BoundsReconciled(_) => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notice::InvalidQuantile(q) => write!(
                f,
                "quantile value should be between 0 and 1, got {}",
                go_float(q)
            ),
            Notice::InvalidRatio { given, used } => write!(
                f,
                "ratio value should be between -1 and 1, got {}, capping to {}",
                go_float(given),
                go_float(used)
            ),
            Notice::BadBucketLabel { value, metric } => write!(
                f,
                "bucket label \"le\" is missing or has a malformed value of {value:?}{}",
                Of(metric)
            ),
            Notice::MixedFloatsHistograms { metric } => write!(
                f,
                "encountered a mix of histograms and floats for metric name {metric:?}"
            ),
            Notice::MixedFloatsHistogramsInAggregation => {
                f.write_str("encountered a mix of histograms and floats for aggregation")
            }
            Notice::MixedClassicNative { metric } => write!(
                f,
                "vector contains a mix of classic and native histograms{}",
                Of(metric)
            ),
            Notice::NotCounter { metric } => {
                write!(
                    f,
                    "this native histogram metric is not a counter: {metric:?}"
                )
            }
            Notice::NotGauge { metric } => {
                write!(f, "this native histogram metric is not a gauge: {metric:?}")
            }
            Notice::MixedExponentialCustom { metric } => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas{}",
                Of(metric)
            ),
            Notice::IncompatibleLayout { operator } => write!(
                f,
                "incompatible bucket layout encountered for binary operator {operator}"
            ),
            Notice::ResetConflict(operation) => {
                write!(f, "conflicting counter resets during histogram {operation}")
            }
            Notice::SortInRange => f.write_str(
                "sort is ineffective for range queries since results are always ordered by labels",
            ),
            Notice::StartOverlap { metric } => write!(
                f,
                "sample has start time that overlaps with previous sample timestamp for metric \
                 {metric:?}"
            ),
            _ => self.write_info(f),
        }
    }
}

impl Notice<'_> {
    fn write_info(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notice::PossibleNonCounter { metric } => write!(
                f,
                "metric might not be a counter, name does not end in \
                 _total/_sum/_count/_bucket: {metric:?}"
            ),
            Notice::ForcedMonotonic {
                metric,
                first,
                last,
                largest,
            } => write!(
                f,
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/\
                 #histogram_quantile){}, from buckets {} to {}, with a max diff of {}",
                Of(metric),
                go_float(first),
                go_float(last),
                go_float(largest)
            ),
            Notice::IncompatibleTypes {
                left,
                operator,
                right,
            } => write!(
                f,
                "incompatible sample types encountered for binary operator {operator:?}: {left} \
                 {operator} {right}"
            ),
            Notice::HistogramIgnoredInAggregation { operator } => {
                write!(f, "ignored histogram in {operator} aggregation")
            }
            Notice::HistogramIgnoredInRange { metric } => write!(
                f,
                "ignored histograms in a range containing both floats and histograms{}",
                Of(metric)
            ),
            Notice::QuantileNan { metric } => write!(
                f,
                "input to histogram_quantile has NaN observations, result is NaN{}",
                Of(metric)
            ),
            Notice::QuantileSkewed { metric } => write!(
                f,
                "input to histogram_quantile has NaN observations, result is skewed higher{}",
                Of(metric)
            ),
            Notice::FractionNan { metric } => write!(
                f,
                "input to histogram_fraction has NaN observations, which are excluded from all \
                 fractions{}",
                Of(metric)
            ),
            Notice::BoundsReconciled(operation) => {
                write!(
                    f,
                    "mismatched custom buckets were reconciled during {operation}"
                )
            }
            _ => Ok(()),
        }
    }
}

/// ` for metric name "x"`, where there is a name.
struct Of<'a>(&'a str);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            name => write!(f, " for metric name {name:?}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        })
    }
}
