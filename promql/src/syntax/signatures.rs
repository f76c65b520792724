//! Signatures: every function's name, arguments and result.
//!
//! Input: a name. Output: its row of the table of Prometheus 3.14,
//! <https://prometheus.io/docs/prometheus/latest/querying/functions/>. Invariant: rows are
//! sorted by name, and names are lower case.

use super::ast::ValueType;
use ValueType::{Matrix, Scalar, String, Vector};

/// One function.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments. The last one's is also that of those that follow.
    pub args: &'static [ValueType],
    /// Whether the last argument may be missing or repeated.
    pub variadic: Variadic,
    /// What it gives.
    pub returns: ValueType,
    /// Whether it needs [`experimental_functions`](super::Features::experimental_functions).
    pub experimental: bool,
}

/// How often the last argument of a function may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variadic {
    /// Once.
    No,
    /// From not at all to this often.
    AtMost(u8),
    /// As often as one likes, or not at all.
    Any,
}

impl Signature {
    /// The function of this name.
    pub fn find(name: &str) -> Option<&'static Signature> {
        let at = FUNCTIONS.binary_search_by(|row| row.name.cmp(name)).ok()?;
        FUNCTIONS.get(at)
    }

    /// Least and most arguments; `None` is no bound.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let fixed = self.args.len().saturating_sub(1);
        match self.variadic {
            Variadic::No => (self.args.len(), Some(self.args.len())),
            Variadic::AtMost(count) => (fixed, Some(fixed + usize::from(count))),
            Variadic::Any => (fixed, None),
        }
    }
}

const fn row(
    name: &'static str,
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
    experimental: bool,
) -> Signature {
    Signature {
        name,
        args,
        variadic,
        returns,
        experimental,
    }
}

const fn fixed(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Signature {
    row(name, args, Variadic::No, returns, false)
}

const fn trial(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Signature {
    row(name, args, Variadic::No, returns, true)
}

/// Every function, sorted by name.
pub const FUNCTIONS: &[Signature] = &[
    fixed("abs", &[Vector], Vector),
    fixed("absent", &[Vector], Vector),
    fixed("absent_over_time", &[Matrix], Vector),
    fixed("acos", &[Vector], Vector),
    fixed("acosh", &[Vector], Vector),
    fixed("asin", &[Vector], Vector),
    fixed("asinh", &[Vector], Vector),
    fixed("atan", &[Vector], Vector),
    fixed("atanh", &[Vector], Vector),
    fixed("avg_over_time", &[Matrix], Vector),
    fixed("ceil", &[Vector], Vector),
    fixed("changes", &[Matrix], Vector),
    fixed("clamp", &[Vector, Scalar, Scalar], Vector),
    fixed("clamp_max", &[Vector, Scalar], Vector),
    fixed("clamp_min", &[Vector, Scalar], Vector),
    fixed("cos", &[Vector], Vector),
    fixed("cosh", &[Vector], Vector),
    fixed("count_over_time", &[Matrix], Vector),
    row(
        "day_of_month",
        &[Vector],
        Variadic::AtMost(1),
        Vector,
        false,
    ),
    row("day_of_week", &[Vector], Variadic::AtMost(1), Vector, false),
    row("day_of_year", &[Vector], Variadic::AtMost(1), Vector, false),
    row(
        "days_in_month",
        &[Vector],
        Variadic::AtMost(1),
        Vector,
        false,
    ),
    fixed("deg", &[Vector], Vector),
    fixed("delta", &[Matrix], Vector),
    fixed("deriv", &[Matrix], Vector),
    trial(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
    ),
    trial("end", &[], Scalar),
    fixed("exp", &[Vector], Vector),
    trial("first_over_time", &[Matrix], Vector),
    fixed("floor", &[Vector], Vector),
    fixed("histogram_avg", &[Vector], Vector),
    fixed("histogram_count", &[Vector], Vector),
    fixed("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    fixed("histogram_quantile", &[Scalar, Vector], Vector),
    row(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        Variadic::AtMost(9),
        Vector,
        true,
    ),
    fixed("histogram_stddev", &[Vector], Vector),
    fixed("histogram_stdvar", &[Vector], Vector),
    fixed("histogram_sum", &[Vector], Vector),
    row("hour", &[Vector], Variadic::AtMost(1), Vector, false),
    fixed("idelta", &[Matrix], Vector),
    fixed("increase", &[Matrix], Vector),
    row("info", &[Vector, Vector], Variadic::AtMost(1), Vector, true),
    fixed("irate", &[Matrix], Vector),
    row(
        "label_join",
        &[Vector, String, String, String],
        Variadic::Any,
        Vector,
        false,
    ),
    fixed(
        "label_replace",
        &[Vector, String, String, String, String],
        Vector,
    ),
    fixed("last_over_time", &[Matrix], Vector),
    fixed("ln", &[Vector], Vector),
    fixed("log10", &[Vector], Vector),
    fixed("log2", &[Vector], Vector),
    trial("mad_over_time", &[Matrix], Vector),
    trial("max_of", &[Scalar, Scalar], Scalar),
    fixed("max_over_time", &[Matrix], Vector),
    trial("min_of", &[Scalar, Scalar], Scalar),
    fixed("min_over_time", &[Matrix], Vector),
    row("minute", &[Vector], Variadic::AtMost(1), Vector, false),
    row("month", &[Vector], Variadic::AtMost(1), Vector, false),
    fixed("pi", &[], Scalar),
    fixed("predict_linear", &[Matrix, Scalar], Vector),
    fixed("present_over_time", &[Matrix], Vector),
    fixed("quantile_over_time", &[Scalar, Matrix], Vector),
    fixed("rad", &[Vector], Vector),
    trial("range", &[], Scalar),
    fixed("rate", &[Matrix], Vector),
    fixed("resets", &[Matrix], Vector),
    row(
        "round",
        &[Vector, Scalar],
        Variadic::AtMost(1),
        Vector,
        false,
    ),
    fixed("scalar", &[Vector], Scalar),
    fixed("sgn", &[Vector], Vector),
    fixed("sin", &[Vector], Vector),
    fixed("sinh", &[Vector], Vector),
    fixed("sort", &[Vector], Vector),
    row(
        "sort_by_label",
        &[Vector, String],
        Variadic::Any,
        Vector,
        true,
    ),
    row(
        "sort_by_label_desc",
        &[Vector, String],
        Variadic::Any,
        Vector,
        true,
    ),
    fixed("sort_desc", &[Vector], Vector),
    fixed("sqrt", &[Vector], Vector),
    trial("start", &[], Scalar),
    trial("start_timestamp", &[Vector], Vector),
    fixed("stddev_over_time", &[Matrix], Vector),
    fixed("stdvar_over_time", &[Matrix], Vector),
    trial("step", &[], Scalar),
    fixed("sum_over_time", &[Matrix], Vector),
    fixed("tan", &[Vector], Vector),
    fixed("tanh", &[Vector], Vector),
    fixed("time", &[], Scalar),
    fixed("timestamp", &[Vector], Vector),
    trial("ts_of_first_over_time", &[Matrix], Vector),
    trial("ts_of_last_over_time", &[Matrix], Vector),
    trial("ts_of_max_over_time", &[Matrix], Vector),
    trial("ts_of_min_over_time", &[Matrix], Vector),
    fixed("vector", &[Scalar], Vector),
    row("year", &[Vector], Variadic::AtMost(1), Vector, false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_finds_each_name() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for function in FUNCTIONS {
            assert_eq!(Signature::find(function.name), Some(function));
        }
        assert_eq!(Signature::find("RATE"), None);
    }

    #[test]
    fn the_last_argument_of_a_variadic_may_be_missing() {
        let arity = |name| Signature::find(name).map(Signature::arity);
        assert_eq!(arity("rate"), Some((1, Some(1))));
        assert_eq!(arity("round"), Some((1, Some(2))));
        assert_eq!(arity("label_join"), Some((3, None)));
        assert_eq!(arity("histogram_quantiles"), Some((3, Some(12))));
    }
}
