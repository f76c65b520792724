//! Features: which experimental parts of the language are read.
//!
//! Input: names as Prometheus' `--enable-feature` has them. Output: a set of switches. Invariant:
//! the default reads what Prometheus 3.14 reads without any flag.

/// Switches of the experimental parts of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Features {
    /// Functions and aggregations that are marked experimental.
    pub experimental_functions: bool,
    /// Expressions in place of durations, `[5m*2]`; on by default.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_ranges: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
    /// Start timestamps: `start_timestamp()`, and rates that know where a counter began.
    pub start_timestamps: bool,
    /// Names are dropped at the end of a query, not at each operation. Only evaluation reads it.
    pub delayed_name_removal: bool,
}

impl Features {
    /// Every switch on.
    pub fn all() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_ranges: true,
            fill_modifiers: true,
            start_timestamps: true,
            delayed_name_removal: true,
        }
    }

    /// Switches on one feature by Prometheus' name for it, or all by `all`. False: no such name.
    pub fn enable(&mut self, name: &str) -> bool {
        match name {
            "all" => *self = Self::all(),
            "promql-experimental-functions" => self.experimental_functions = true,
            "promql-duration-expr" => self.duration_expressions = true,
            "promql-extended-range-selectors" => self.extended_ranges = true,
            "promql-binop-fill-modifiers" => self.fill_modifiers = true,
            "promql-delayed-name-removal" => self.delayed_name_removal = true,
            "use-start-timestamps" => self.start_timestamps = true,
            _ => return false,
        }
        true
    }
}

impl Default for Features {
    fn default() -> Self {
        Self {
            experimental_functions: false,
            duration_expressions: true,
            extended_ranges: false,
            fill_modifiers: false,
            start_timestamps: false,
            delayed_name_removal: false,
        }
    }
}
