//! Changes against their bytes: what is written comes back, anything else is refused at its place.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::limits::{MAX_HELP_BYTES, MAX_STEP_SECONDS, MAX_UNIT_BYTES};
use crate::metadata::MetricKind;

/// Selectors with all operators, names and values that need bytes of their own.
pub(crate) fn selectors() -> impl Strategy<Value = Selector> {
    let names = select(vec!["__name__", "host", "a b", "\u{b5}"]);
    let patterns = select(vec!["", ".*", "a|b", "web-[0-9]+", "(?i:r)\\d{1,3}", ".+x"]);
    let plain = (names.clone(), any::<bool>(), ".{0,12}").prop_map(|(name, equal, value)| {
        let op = if equal {
            MatchOp::Equal
        } else {
            MatchOp::NotEqual
        };
        Matcher::new(name, op, &value).unwrap()
    });
    let regex = (names, any::<bool>(), patterns).prop_map(|(name, positive, pattern)| {
        let op = if positive {
            MatchOp::Regex
        } else {
            MatchOp::NotRegex
        };
        Matcher::new(name, op, pattern).unwrap()
    });
    prop::collection::vec(prop_oneof![plain, regex], 0..5).prop_map(Selector::from_matchers)
}

/// Options in their ranges, most of them not set.
pub(crate) fn options() -> impl Strategy<Value = NamespaceOptions> {
    let steps = prop::collection::vec((1u64..1000, 2u64..6), 0..=8);
    let first = (1u64..5, any::<Option<u16>>(), any::<Option<u32>>());
    let others = (any::<Option<u16>>(), any::<Option<u32>>());
    (steps, first, others).prop_map(|(steps, (mut step, kept, bytes), (window, series))| {
        let mut options = NamespaceOptions::default();
        let mut after = Duration::from_nanos(7);
        for (more, factor) in steps {
            after += Duration::from_secs(more);
            options = options.downsample(after, Duration::from_secs(step));
            step = (step * factor).min(u64::from(MAX_STEP_SECONDS) / step * step);
            if options.downsample.last().unwrap().step == Duration::from_secs(step) {
                break;
            }
        }
        options
            .retention(kept.map(|kept| after + Duration::from_millis(1000 + u64::from(kept))))
            .retention_bytes(bytes.map(|bytes| 4096 + (u64::from(bytes) << 20)))
            .block_window(window.map(|window| Duration::from_secs(60 + u64::from(window))))
            .max_series(series.map(|series| 1 + u64::from(series) / 2))
    })
}

pub(crate) fn metadata() -> impl Strategy<Value = Metadata> {
    let kinds = vec![
        MetricKind::Unknown,
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];
    (select(kinds), "[a-z/]{0,9}", ".{0,30}")
        .prop_map(|(kind, unit, help)| Metadata::new(kind).unit(unit).help(help))
}

fn ranges() -> impl Strategy<Value = (i64, i64)> {
    any::<[i64; 2]>().prop_map(|[a, b]| (a.min(b), a.max(b)))
}

/// Changes of all kinds, to any namespace.
pub(crate) fn changes() -> impl Strategy<Value = Change> {
    let name = "[A-Za-z0-9_.-]{1,64}";
    let delete = (any::<u32>(), selectors(), ranges());
    let metric = (any::<u32>(), "[a-z:_]{1,40}", prop::option::of(metadata()));
    prop_oneof![
        delete.prop_map(|(namespace, selector, (first, last))| {
            Change::Delete(Delete {
                namespace,
                selector,
                first,
                last,
            })
        }),
        (any::<u32>(), name, options()).prop_map(|(id, name, options)| {
            Change::Namespace(NamespaceChange::Create { id, name, options })
        }),
        (any::<u32>(), options())
            .prop_map(|(id, options)| Change::Namespace(NamespaceChange::Alter { id, options })),
        any::<u32>().prop_map(|id| Change::Namespace(NamespaceChange::Drop { id })),
        metric.prop_map(|(namespace, metric, metadata)| {
            Change::Metadata(MetadataChange {
                namespace,
                metric,
                metadata,
            })
        }),
    ]
}

fn kinds() -> impl Strategy<Value = FrameKind> {
    select(vec![
        FrameKind::Delete,
        FrameKind::Namespace,
        FrameKind::Metadata,
    ])
}

/// What is read from any bytes is written and read again as the same.
fn survives(kind: FrameKind, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(Some(change)) = Change::decode(kind, bytes) {
        let (again, bytes) = change.encode();
        prop_assert_eq!(again, kind);
        prop_assert_eq!(Change::decode(kind, &bytes), Ok(Some(change)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn changes_come_back(change in changes()) {
        let (kind, bytes) = change.encode();
        prop_assert_eq!(Change::decode(kind, &bytes), Ok(Some(change)));
        for cut in 0..bytes.len() {
            let refused = Change::decode(kind, &bytes[..cut]).unwrap_err();
            prop_assert!(refused.offset() <= cut);
        }
        let longer = [&bytes[..], &[0]].concat();
        let refused = Change::decode(kind, &longer).unwrap_err();
        prop_assert!(refused.offset() <= bytes.len());
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        kind in kinds(),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        survives(kind, &bytes)?;
    }

    #[test]
    fn changed_bytes_are_read_or_refused(change in changes(), at: prop::sample::Index, to: u8) {
        let (kind, mut bytes) = change.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        survives(kind, &bytes)?;
    }

    #[test]
    fn selectors_select_the_same_when_read(selector in selectors()) {
        let mut bytes = Vec::new();
        put_selector(&mut bytes, &selector);
        prop_assert!(bytes.len() <= selector_bytes(&selector));
        let read = read_selector(&mut Reader::new(&bytes)).unwrap();
        prop_assert_eq!(&read, &selector);
        for host in ["", "a", "web-12", "R7", "ax"] {
            let labels = treering_index::labels! { "__name__" => "a", "host" => host };
            prop_assert_eq!(read.matches(&labels), selector.matches(&labels));
        }
    }
}

#[test]
fn kinds_without_a_change_are_none() {
    assert_eq!(Change::decode(FrameKind::Mark, &[]), Ok(None));
    assert_eq!(Change::decode(FrameKind::Batch, &[1, 2]), Ok(None));
}

fn matcher_bytes(op: u8, name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![op];
    put_bytes(&mut out, name.as_bytes());
    put_bytes(&mut out, value.as_bytes());
    out
}

fn read(bytes: &[u8]) -> CodecResult<Selector> {
    read_selector(&mut Reader::new(bytes))
}

#[test]
fn a_pattern_that_no_longer_compiles_is_an_error_at_its_matcher() {
    let good = matcher_bytes(2, "a", "x+");
    let bad = matcher_bytes(3, "b", "(");
    let bytes = [&[2], &good[..], &bad[..]].concat();
    let what = "a pattern that does not compile";
    let offset = 1 + good.len();
    assert_eq!(read(&bytes), Err(CodecError::Malformed { offset, what }));
    let long = matcher_bytes(2, "b", &"a".repeat(MAX_PATTERN_BYTES + 1));
    assert!(read(&[&[1], &long[..]].concat()).is_err());
}

#[test]
fn what_a_newer_release_wrote_is_told_from_damage() {
    let unsupported = |offset, what, found| {
        Err(CodecError::Unsupported {
            offset,
            what,
            found,
        })
    };
    let bytes = [&[1], &matcher_bytes(4, "a", "x")[..]].concat();
    assert_eq!(read(&bytes).map(|_| ()), unsupported(1, "matcher", 4));
    let namespace = NamespaceChange::decode(&[9, 1]).map(|_| ());
    assert_eq!(namespace, unsupported(0, "change of a namespace", 9));
    let option = NamespaceChange::decode(&[2, 1, 3, 77, 1, 0]).map(|_| ());
    assert_eq!(option, unsupported(3, "namespace option", 77));
    let metadata = MetadataChange::decode(&[0, 1, b'm', 2]).map(|_| ());
    assert_eq!(metadata, unsupported(3, "change of metadata", 2));
    let kind = MetadataChange::decode(&[0, 1, b'm', 1, 8, 0, 0]).map(|_| ());
    assert_eq!(kind, unsupported(4, "kind of metric", 8));
}

#[test]
fn selectors_are_held_to_their_limits() {
    let selector = |matchers: usize, value: usize| {
        let matcher = Matcher::equal("a", &"v".repeat(value));
        Selector::from_matchers(vec![matcher; matchers])
    };
    let round = |selector: &Selector| {
        let mut bytes = Vec::new();
        put_selector(&mut bytes, selector);
        read(&bytes).map(|read| assert_eq!(&read, selector))
    };
    for allowed in [
        selector(MAX_MATCHERS, 9),
        selector(15, HARD_MAX_VALUE_BYTES),
    ] {
        check_selector(&allowed).unwrap();
        round(&allowed).unwrap();
    }
    for refused in [
        selector(MAX_MATCHERS + 1, 9),
        selector(1, HARD_MAX_VALUE_BYTES + 1),
        selector(17, HARD_MAX_VALUE_BYTES),
    ] {
        let error = check_selector(&refused).unwrap_err().to_string();
        assert!(
            error.starts_with("selector ") && error.contains("at most"),
            "{error}"
        );
        round(&refused).unwrap_err();
    }
}

#[test]
fn patterns_are_counted_over_all_selectors_read_together() {
    let mut bytes = Vec::new();
    put_selector(
        &mut bytes,
        &Selector::all().regex("a", "x+").unwrap().eq("b", "y"),
    );
    let mut left = 2;
    for expected in [true, true, false] {
        let read = read_selector_within(&mut Reader::new(&bytes), &mut left);
        assert_eq!(read.is_ok(), expected, "{left} left");
    }
}

#[test]
fn a_delete_needs_a_range_in_order_and_becomes_the_tombstone_of_its_frame() {
    let delete = Delete {
        namespace: 3,
        selector: Selector::metric("cpu"),
        first: -5,
        last: -5,
    };
    let tombstone = delete.clone().into_tombstone(44);
    assert_eq!((tombstone.sequence, tombstone.namespace), (44, 3));
    assert_eq!((tombstone.first, tombstone.last), (-5, -5));
    assert_eq!(tombstone.selector, delete.selector);
    let mut bytes = delete.encode();
    assert_eq!(bytes[1..3], [9, 9]);
    bytes[2] = 11;
    let what = "a range of time that ends before it starts";
    assert_eq!(
        Delete::decode(&bytes),
        Err(CodecError::Malformed { offset: 1, what })
    );
}

#[test]
fn metadata_is_held_to_its_limits() {
    let change = |metric: usize, unit: usize, help: usize| MetadataChange {
        namespace: 0,
        metric: "m".repeat(metric),
        metadata: Some(
            Metadata::new(MetricKind::Gauge)
                .unit("u".repeat(unit))
                .help("h".repeat(help)),
        ),
    };
    let check = |change: &MetadataChange| {
        let metadata = change.metadata.as_ref().unwrap();
        crate::metadata::admit(0, &change.metric, None, metadata)
    };
    let most = change(MAX_METRIC_NAME_BYTES, MAX_UNIT_BYTES, MAX_HELP_BYTES);
    check(&most).unwrap();
    assert_eq!(MetadataChange::decode(&most.encode()), Ok(most));
    for (refused, named) in [
        (change(0, 1, 1), "metric must not be empty"),
        (
            change(MAX_METRIC_NAME_BYTES + 1, 0, 0),
            "metric has 1025 bytes; at most 1024",
        ),
        (
            change(1, MAX_UNIT_BYTES + 1, 0),
            "metadata unit has 257 bytes; at most 256",
        ),
        (
            change(1, 0, MAX_HELP_BYTES + 1),
            "metadata help has 16385 bytes; at most 16384",
        ),
    ] {
        let error = check(&refused).unwrap_err().to_string();
        assert!(error.starts_with(named), "{error}");
        MetadataChange::decode(&refused.encode()).unwrap_err();
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(MetadataChange::decode(&[0, 1, 0xff, 0]).is_err());
    assert!(NamespaceChange::decode(&[1, 1, 1, 0xff, 0]).is_err());
    assert!(read(&[1, 0, 1, 0xff, 0]).is_err());
}
