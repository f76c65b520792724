//! Features of the language by the names of Prometheus' `--enable-feature`.
//!
//! Input: names with commas between them. Output: switches, or a sentence that lists the names there
//! are. Invariant: a name is never passed over.

use treering_promql::Features;

/// The names that [`parse`] knows, beside `all`.
pub const NAMES: &[&str] = &[
    "promql-experimental-functions",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "promql-delayed-name-removal",
    "promql-duration-expr",
    "use-start-timestamps",
];

/// Names of Prometheus' other features: what they switch on is always on here, or is about something
/// that a database with a query API does not do. Whoever starts Prometheus with them may start this
/// with the same words.
const OTHERS: &[&str] = &[
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "auto-reload-config",
    "concurrent-rule-eval",
    "created-timestamp-zero-ingestion",
    "delayed-compaction",
    "exemplar-storage",
    "expand-external-labels",
    "extra-scrape-metrics",
    "fast-startup",
    "memory-snapshot-on-shutdown",
    "metadata-wal-records",
    "native-histograms",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "old-ui",
    "ooo-native-histograms",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "otlp-write-receiver",
    "promql-at-modifier",
    "promql-negative-offset",
    "promql-per-step-stats",
    "remote-write-receiver",
    "search-api",
    "st-storage",
    "type-and-unit-labels",
    "use-uncached-io",
    "utf8-names",
    "xor2-encoding",
];

/// The switches that a list of names turns on, beside those that are on by themselves.
pub fn parse(list: &str) -> Result<Features, String> {
    let mut features = Features::default();
    for name in list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if !features.enable(name) && !OTHERS.contains(&name) {
            return Err(format!(
                "there is no feature {name:?}; there are: all, {}",
                NAMES.join(", ")
            ));
        }
    }
    Ok(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_and_together_they_are_all() {
        assert_eq!(parse(""), Ok(Features::default()));
        assert_eq!(parse("all"), Ok(Features::all()));
        assert_eq!(parse(&NAMES.join(", ")), Ok(Features::all()));
        for name in NAMES {
            assert!(parse(name).is_ok(), "{name}");
        }
        assert_eq!(parse(&OTHERS.join(",")), Ok(Features::default()));
        let wrong = parse("promql-experimental-functions,promql-magic").unwrap_err();
        assert!(
            wrong.contains("\"promql-magic\"") && wrong.contains(NAMES[0]),
            "{wrong}"
        );
    }
}
