//! Targets over the index: its bytes, its texts.
//!
//! Input: any bytes. Invariants asserted: an answer is inside the series that the index has, what
//! is displayed parses back as the same, matching agrees with itself.

use treering_index::{IndexReader, Labels, MatchOp, Matcher, Selector};

/// The immutable index of a block: opened, verified and asked whatever it says it holds.
pub fn index_open(data: &[u8]) {
    let Ok(reader) = IndexReader::open(data) else {
        return;
    };
    let is_sound = reader.verify().is_ok();
    let count = reader.series_count();
    for ordinal in (0..count).take(32) {
        let labels = reader.labels(ordinal);
        assert!(
            !is_sound || labels.is_ok(),
            "verified, yet series {ordinal} is not readable"
        );
    }
    if let Ok(mut cursor) = reader.cursor() {
        let ordinals = 0..count.min(32);
        for ordinal in ordinals.clone().chain(ordinals.rev()) {
            // What it keeps, also of what went wrong, must not show in an answer.
            if let Ok(labels) = cursor.labels(ordinal) {
                assert_eq!(reader.labels(ordinal), Ok(labels));
            }
        }
    }
    assert!(reader.labels(count).is_err());
    for selector in [
        r#"{__name__="up"}"#,
        r#"{__name__!="up"}"#,
        r#"{job=~"n.*"}"#,
        r#"{job!~".*e"}"#,
        r#"{cpu=""}"#,
        "{}",
    ] {
        let selector = Selector::parse(selector).expect("a selector of ours");
        let Ok(found) = reader.select(selector.matchers()) else {
            assert!(!is_sound, "verified, yet not answered");
            continue;
        };
        assert!(found.iter().all(|ordinal| ordinal < count));
        for ordinal in found.iter().take(8).filter(|_| is_sound) {
            let labels = reader.labels(ordinal).expect("verified");
            assert!(selector.matches(&labels), "{selector} found {labels}");
        }
    }
    for name in reader.label_names(None).unwrap_or_default().iter().take(8) {
        let values = reader.label_values(name, None);
        assert!(!is_sound || values.is_ok_and(|values| !values.is_empty()));
    }
}

/// Labels from text and from canonical bytes.
pub fn labels_parse(data: &[u8]) {
    if let Ok(labels) = Labels::from_canonical(data) {
        assert_eq!(labels.as_canonical(), data);
        check_labels(&labels);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(labels) = Labels::parse(text) {
        check_labels(&labels);
    }
}

fn check_labels(labels: &Labels) {
    assert_eq!(
        Labels::from_canonical(labels.as_canonical()).as_ref(),
        Ok(labels)
    );
    assert_eq!(Labels::from_pairs(labels.iter()).as_ref(), Ok(labels));
    assert_eq!(Labels::parse(&labels.to_string()).as_ref(), Ok(labels));
    assert_eq!(labels.iter().count(), labels.len());
    assert!(
        labels
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    );
}

/// Selectors from text: what is displayed means the same.
pub fn selector_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(selector) = Selector::parse(text) else {
        return;
    };
    let again = Selector::parse(&selector.to_string()).expect("displayed by us");
    assert_eq!(again.to_string(), selector.to_string());
    let probes = [
        Labels::from_literals(&[]),
        Labels::from_literals(&[("__name__", "up"), ("job", "node")]),
        Labels::from_literals(&[("__name__", text), ("cpu", "0"), ("job", "")]),
    ];
    for labels in &probes {
        assert_eq!(selector.matches(labels), again.matches(labels));
        let each = selector
            .matchers()
            .iter()
            .all(|matcher| matcher.matches(labels));
        assert_eq!(selector.matches(labels), each);
    }
    selector.matchers().iter().for_each(check_negation);
}

/// A matcher and its negation never agree.
fn check_negation(matcher: &Matcher) {
    let opposite = match matcher.op() {
        MatchOp::Equal => MatchOp::NotEqual,
        MatchOp::NotEqual => MatchOp::Equal,
        MatchOp::Regex => MatchOp::NotRegex,
        MatchOp::NotRegex => MatchOp::Regex,
    };
    let negated = Matcher::new(matcher.name(), opposite, matcher.value()).expect("compiled before");
    for value in ["", "up", "node", "a\nb", matcher.value()] {
        assert_ne!(matcher.matches_value(value), negated.matches_value(value));
    }
}
