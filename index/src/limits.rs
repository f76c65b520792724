//! Every number that bounds labels, selectors and indexes.
//!
//! Input: a label set. Output: nothing, or the error that names the label at fault. The hard
//! maxima hold always; a database may set lower ones for new series.

use crate::error::{Error, Result, cut};
use crate::fast;
use crate::labels::Labels;

/// Labels in one series that no setting may exceed.
pub const HARD_MAX_LABELS: usize = 1024;
/// Bytes of a label name that no setting may exceed.
pub const HARD_MAX_NAME_BYTES: usize = 64 << 10;
/// Bytes of a label value that no setting may exceed.
pub const HARD_MAX_VALUE_BYTES: usize = 64 << 10;
/// Bytes of a regular expression.
pub const MAX_PATTERN_BYTES: usize = 4 << 10;
/// Nested groups, classes and repetitions of a regular expression.
pub const MAX_PATTERN_DEPTH: u32 = 50;
/// Heap bytes of one compiled regular expression's automaton.
pub const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Matchers in the text of one selector.
pub const MAX_MATCHERS: usize = 1024;
/// Bytes of the text of one selector or label set.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// What the labels of a new series may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels per series, `__name__` included. Default 64, never above [`HARD_MAX_LABELS`].
    pub max_labels: usize,
    /// Bytes per name. Default 256, never above [`HARD_MAX_NAME_BYTES`].
    pub max_name_bytes: usize,
    /// Bytes per value. Default 4 KiB, never above [`HARD_MAX_VALUE_BYTES`].
    pub max_value_bytes: usize,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self {
            max_labels: 64,
            max_name_bytes: 256,
            max_value_bytes: 4 << 10,
        }
    }
}

impl LabelLimits {
    /// The hard maxima.
    pub const HARD: Self = Self {
        max_labels: HARD_MAX_LABELS,
        max_name_bytes: HARD_MAX_NAME_BYTES,
        max_value_bytes: HARD_MAX_VALUE_BYTES,
    };

    /// These limits, none above the hard maximum.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            max_labels: self.max_labels.min(HARD_MAX_LABELS),
            max_name_bytes: self.max_name_bytes.min(HARD_MAX_NAME_BYTES),
            max_value_bytes: self.max_value_bytes.min(HARD_MAX_VALUE_BYTES),
        }
    }

    /// Refuses `labels` above these limits or above the hard ones, naming the label at fault.
    pub fn check(&self, labels: &Labels) -> Result<()> {
        let limits = self.clamped();
        let mut count = 0;
        for (name, value) in labels.raw() {
            count += 1;
            let fits = (1..=limits.max_name_bytes).contains(&name.len())
                && value.len() <= limits.max_value_bytes;
            if !fits {
                limits.check_pair(fast::text(name), fast::text(value))?;
            }
        }
        if count > limits.max_labels {
            return Err(Error::TooManyLabels {
                count,
                max: limits.max_labels,
            });
        }
        Ok(())
    }

    /// Refuses one pair above these limits, or without a name.
    pub(crate) fn check_pair(&self, name: &str, value: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::EmptyName {
                value: cut(value, 64),
            });
        }
        if name.len() > self.max_name_bytes {
            let (len, max) = (name.len(), self.max_name_bytes);
            return Err(Error::NameTooLong {
                name: cut(name, 64),
                len,
                max,
            });
        }
        if value.len() > self.max_value_bytes {
            let (len, max) = (value.len(), self.max_value_bytes);
            return Err(Error::ValueTooLong {
                name: cut(name, 64),
                len,
                max,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_exactly() {
        let limits = LabelLimits {
            max_labels: 2,
            max_name_bytes: 3,
            max_value_bytes: 4,
        };
        let two = Labels::from_pairs([("abc", "1234"), ("b", "2")]).unwrap();
        limits.check(&two).unwrap();
        let three = Labels::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
        assert_eq!(
            limits.check(&three),
            Err(Error::TooManyLabels { count: 3, max: 2 })
        );
        let name = Labels::from_pairs([("abcd", "1")]).unwrap();
        assert!(matches!(
            limits.check(&name),
            Err(Error::NameTooLong { len: 4, max: 3, .. })
        ));
        let value = Labels::from_pairs([("a", "12345")]).unwrap();
        assert!(matches!(
            limits.check(&value),
            Err(Error::ValueTooLong { len: 5, max: 4, .. })
        ));
        assert_eq!(
            LabelLimits {
                max_labels: usize::MAX,
                ..limits
            }
            .clamped()
            .max_labels,
            1024
        );
    }
}
