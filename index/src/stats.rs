//! Cardinality statistics: which names and metrics make an index large.
//!
//! Input: counts by name. Output: the largest ones, largest first, equal ones by name.

/// What an index holds, and what makes it large.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CardinalityStats {
    /// Series.
    pub series: u64,
    /// Distinct label names.
    pub label_names: u64,
    /// Distinct name=value pairs.
    pub label_pairs: u64,
    /// Metric names with the most series.
    pub top_metrics: Vec<(String, u64)>,
    /// Label names with the most distinct values.
    pub top_value_counts: Vec<(String, u64)>,
    /// Label names whose distinct pairs take the most bytes.
    pub top_bytes: Vec<(String, u64)>,
}

/// The `limit` largest of `counts`, largest first, equal ones by name.
pub(crate) fn top<'a>(
    counts: impl Iterator<Item = (&'a str, u64)>,
    limit: usize,
) -> Vec<(String, u64)> {
    let mut counts: Vec<(&str, u64)> = counts.collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    counts
        .into_iter()
        .take(limit)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}
