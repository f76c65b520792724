//! Both indexes answer every selector exactly as a scan with `Selector::matches` does.

use proptest::prelude::*;
use std::collections::BTreeSet;
use treering_index::{
    IndexReader, IndexWriter, Labels, MatchOp, Matcher, MemIndex, Postings, Selector,
};

pub(crate) const NAMES: [&str; 5] = ["__name__", "host", "dc", "a b", "\u{e9}t\u{e9}"];
const VALUES: [&str; 9] = [
    "a", "b", "ab", "abc", "a\nb", "host_1", "host_12", "\u{e9}", "1",
];

/// Label sets over few names and values, so that they share most of their pairs.
pub(crate) fn label_sets() -> impl Strategy<Value = Vec<Labels>> {
    let value = prop_oneof![
        4 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        1 => "[a-c0-2]{1,4}",
        1 => (0..400u32).prop_map(|n| format!("host_{n}")),
    ];
    let pairs = prop::collection::btree_map(prop::sample::select(&NAMES[..]), value, 0..5);
    let labels = pairs.prop_map(|pairs| Labels::from_pairs(pairs).unwrap());
    prop::collection::vec(labels, 0..300)
}

pub(crate) fn selectors() -> impl Strategy<Value = Selector> {
    let pattern = prop_oneof![
        prop::sample::select(
            &[
                "",
                ".*",
                ".+",
                "a",
                "a|b",
                "a|",
                "a|b|host_1",
                "host_.*",
                "host_.+",
                ".*b",
                ".*_1.*",
                ".+b",
                ".+b.+",
                "(?i)AB?",
                "[a-c]+",
                "host_1[0-9]?",
                "h.*1",
                "^a$",
                "a.b",
                "\\w+",
                "[^a]*",
                "(a|b)c?",
                "\\d",
                "x*",
                "(host_)+2*",
                "a{0}",
                "()",
            ][..]
        )
        .prop_map(str::to_owned),
        "[a-c0-2]{0,3}",
    ];
    let name = prop_oneof![
        9 => prop::sample::select(&NAMES[..]),
        1 => Just("unknown"),
    ];
    let value = prop_oneof![Just(""), Just("none"), prop::sample::select(&VALUES[..])];
    let plain = (name.clone(), prop::bool::ANY, value).prop_map(|(name, equal, value)| {
        if equal {
            Matcher::equal(name, value)
        } else {
            Matcher::not_equal(name, value)
        }
    });
    let regex = (name, prop::bool::ANY, pattern).prop_map(|(name, positive, pattern)| {
        let op = if positive {
            MatchOp::Regex
        } else {
            MatchOp::NotRegex
        };
        Matcher::new(name, op, &pattern).unwrap()
    });
    prop::collection::vec(prop_oneof![plain, regex], 0..4).prop_map(Selector::from_matchers)
}

/// The bytes of the immutable index of `sorted`.
pub(crate) fn write(sorted: &BTreeSet<Labels>) -> Vec<u8> {
    let mut writer = IndexWriter::new();
    for (labels, ordinal) in sorted.iter().zip(0u32..) {
        assert_eq!(writer.add(labels).unwrap(), ordinal);
    }
    writer.finish().unwrap()
}

fn expected<'a>(all: impl Iterator<Item = &'a Labels>, selector: &Selector) -> Vec<u32> {
    let numbered = all.zip(0u32..);
    numbered
        .filter(|(labels, _)| selector.matches(labels))
        .map(|(_, id)| id)
        .collect()
}

fn names_and_values(all: &[&Labels]) -> (Vec<String>, Vec<Vec<String>>) {
    let names: BTreeSet<&str> = all
        .iter()
        .flat_map(|labels| labels.iter().map(|pair| pair.0))
        .collect();
    let values = |name: &str| {
        let found: BTreeSet<&str> = all.iter().filter_map(|labels| labels.get(name)).collect();
        found.into_iter().map(str::to_owned).collect()
    };
    let all_values = NAMES.iter().map(|name| values(name)).collect();
    (names.into_iter().map(str::to_owned).collect(), all_values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn live_index_agrees_with_a_scan(
        arrivals in label_sets(),
        selectors in prop::collection::vec(selectors(), 12),
    ) {
        let mut index = MemIndex::new();
        let mut known: Vec<Labels> = Vec::new();
        for labels in &arrivals {
            let before = known.iter().position(|other| other == labels);
            prop_assert_eq!(index.get(labels), before.map(|id| id as u32));
            let (id, new) = index.insert(labels).unwrap();
            prop_assert_eq!(new, before.is_none());
            prop_assert_eq!(id as usize, before.unwrap_or(known.len()));
            if new {
                known.push(labels.clone());
            }
        }
        prop_assert_eq!(index.len(), known.len());
        for (labels, id) in known.iter().zip(0u32..) {
            prop_assert_eq!(index.labels(id), Some(labels.clone()));
            prop_assert_eq!(index.compare(id, 0), labels.cmp(&known[0]));
        }
        prop_assert_eq!(index.labels(known.len() as u32), None);
        for selector in &selectors {
            let found = index.select(selector.matchers());
            prop_assert_eq!(found.to_vec(), expected(known.iter(), selector), "{}", selector);
            let kept: Vec<&Labels> = found.iter().map(|id| &known[id as usize]).collect();
            let (names, values) = names_and_values(&kept);
            prop_assert_eq!(index.label_names(Some(&found)), names);
            for (name, values) in NAMES.iter().zip(values) {
                prop_assert_eq!(index.label_values(name, Some(&found)), values);
            }
        }
        let (names, values) = names_and_values(&known.iter().collect::<Vec<_>>());
        prop_assert_eq!(index.label_names(None), names);
        for (name, values) in NAMES.iter().zip(values) {
            prop_assert_eq!(index.label_values(name, None), values);
        }
    }

    #[test]
    fn immutable_index_agrees_with_a_scan(
        sets in label_sets(),
        selectors in prop::collection::vec(selectors(), 12),
    ) {
        let sorted: BTreeSet<Labels> = sets.into_iter().collect();
        let index = IndexReader::open(write(&sorted)).unwrap();
        index.verify().unwrap();
        prop_assert_eq!(index.series_count() as usize, sorted.len());
        let known: Vec<&Labels> = sorted.iter().collect();
        // A cursor keeps texts that it has met: it is asked in both directions, and again.
        let mut cursor = index.cursor().unwrap();
        let ordinals = 0..known.len();
        for ordinal in ordinals.clone().chain(ordinals.clone().rev()).chain(ordinals) {
            prop_assert_eq!(&cursor.labels(ordinal as u32).unwrap(), known[ordinal]);
        }
        for (labels, ordinal) in known.iter().zip(0u32..) {
            prop_assert_eq!(&index.labels(ordinal).unwrap(), *labels);
            prop_assert_eq!(index.find(labels).unwrap(), Some(ordinal));
        }
        prop_assert!(index.labels(sorted.len() as u32).is_err());
        for selector in &selectors {
            let found = index.select(selector.matchers()).unwrap();
            prop_assert_eq!(found.to_vec(), expected(sorted.iter(), selector), "{}", selector);
            let mut cursor = index.cursor().unwrap();
            let kept: Vec<&Labels> = found.iter().map(|id| known[id as usize]).collect();
            for (id, labels) in found.iter().zip(&kept) {
                prop_assert_eq!(&cursor.labels(id).unwrap(), *labels);
            }
            let (names, values) = names_and_values(&kept);
            prop_assert_eq!(index.label_names(Some(&found)).unwrap(), names);
            for (name, values) in NAMES.iter().zip(values) {
                prop_assert_eq!(index.label_values(name, Some(&found)).unwrap(), values);
            }
        }
        let (names, values) = names_and_values(&known);
        prop_assert_eq!(index.label_names(None).unwrap(), names);
        for (name, values) in NAMES.iter().zip(values) {
            prop_assert_eq!(index.label_values(name, None).unwrap(), values);
        }
    }
}

/// 120,000 series: postings become bitmaps and long lists, which small models never reach.
#[test]
fn large_indexes_agree_with_each_other_and_with_counts() {
    let mut sorted = BTreeSet::new();
    for n in 0..120_000u32 {
        let pairs = [
            ("__name__", format!("m{}", n % 3)),
            ("host", format!("host_{}", n / 3)),
            ("rack", format!("{}", n * 7919 % 101)),
            ("team", format!("{}", n * 31 % 4)),
            (
                "odd",
                if n % 2 == 1 {
                    "yes".to_owned()
                } else {
                    String::new()
                },
            ),
        ];
        sorted.insert(Labels::from_pairs(pairs).unwrap());
    }
    let mut live = MemIndex::new();
    sorted
        .iter()
        .for_each(|labels| assert!(live.insert(labels).unwrap().1));
    let index = IndexReader::open(write(&sorted)).unwrap();
    index.verify().unwrap();
    assert_eq!(live.stats(3), index.stats(3).unwrap());
    for text in [
        r#"{host="host_77"}"#,
        r#"{host=~"host_7.*"}"#,
        r#"{host=~".*99.*",rack!="5"}"#,
        r#"{rack="5",team="1"}"#,
        r#"{rack=~"5|6|7",team!~"1|2"}"#,
        r#"m1{odd=""}"#,
        r#"m1{odd!="",host!~".*1.*"}"#,
        r#"{team=~"[0-9]",odd=~"y.s"}"#,
        r#"{rack!="5"}"#,
        r#"{}"#,
    ] {
        let selector = Selector::parse(text).unwrap();
        let expected: Postings = expected(sorted.iter(), &selector).into_iter().collect();
        assert!(!expected.is_empty(), "{text}");
        assert_eq!(live.select(selector.matchers()), expected, "{text}");
        assert_eq!(
            index.select(selector.matchers()).unwrap(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn series_out_of_order_are_refused() {
    let a = Labels::from_pairs([("a", "1")]).unwrap();
    let b = Labels::from_pairs([("b", "1")]).unwrap();
    let mut writer = IndexWriter::new();
    writer.add(&b).unwrap();
    let error = writer.add(&a).unwrap_err().to_string();
    assert!(error.contains(r#"{a="1"}"#), "{error}");
    assert!(writer.add(&b).is_err());
    let index = IndexReader::open(writer.finish().unwrap()).unwrap();
    assert_eq!(index.labels(0).unwrap(), b);
}

#[test]
fn an_index_is_shared_among_threads() {
    let sorted: BTreeSet<Labels> = (0..2000)
        .map(|n| Labels::from_pairs([("n", n.to_string())]).unwrap())
        .collect();
    let bytes = write(&sorted);
    let index = IndexReader::open(bytes.as_slice()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let index = &index;
            scope.spawn(move || {
                for n in (thread..2000).step_by(4) {
                    let found = index.select(Selector::all().eq("n", &n.to_string()).matchers());
                    let ordinal = found.unwrap().first().unwrap();
                    assert_eq!(
                        index.labels(ordinal).unwrap().get("n"),
                        Some(&*n.to_string())
                    );
                }
            });
        }
    });
}

/// Of two sets of series one is changed a little; the indexes are told apart exactly when the sets
/// are.
#[test]
fn indexes_of_the_same_series_are_known_as_such() {
    let named = |name: &str, hosts: std::ops::Range<u32>| -> BTreeSet<Labels> {
        let labels = |host: u32| {
            Labels::from_pairs([("__name__", "cpu".to_owned()), (name, host.to_string())])
        };
        hosts.map(|host| labels(host).unwrap()).collect()
    };
    let set = |hosts| named("host", hosts);
    // The same names and values, in other pairs.
    let paired = |pairs: [(&str, &str); 2]| -> BTreeSet<Labels> {
        let labels =
            |(a, b): (&str, &str)| Labels::from_pairs([("a", a.to_owned()), ("b", b.to_owned())]);
        pairs.map(|pair| labels(pair).unwrap()).into()
    };
    let sets = [
        set(0..50),
        set(0..51),
        set(1..51),
        set(0..50),
        set(0..0),
        named("hose", 0..50),
        paired([("1", "1"), ("2", "2")]),
        paired([("1", "2"), ("2", "1")]),
    ];
    let bytes: Vec<Vec<u8>> = sets.iter().map(write).collect();
    let readers: Vec<_> = bytes
        .iter()
        .map(|bytes| IndexReader::open(&bytes[..]).unwrap())
        .collect();
    for (mine, series) in readers.iter().zip(&sets) {
        for (other, others) in readers.iter().zip(&sets) {
            assert_eq!(mine.fingerprint() == other.fingerprint(), series == others);
        }
    }
}

/// Values of which lengths, ends and neighbours may be taken for parts of the literal.
fn long_values() -> impl Strategy<Value = BTreeSet<String>> {
    let value = prop_oneof![
        // Their length is the byte of a digit or a letter.
        "[a01]{48,51}",
        "[ab]{97,99}",
        // It takes two bytes.
        "[ab0]{126,130}",
        "[ab01]{1,6}",
        (0..40u32).prop_map(|number| format!("{number}")),
    ];
    prop_oneof![
        prop::collection::btree_set(value, 1..70),
        // Whole blocks of sixteen, and all values with the same end.
        (1u32..5).prop_map(|blocks| (0..blocks * 16).map(|n| format!("{n:02}ab")).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_literal_is_found_wherever_it_lies(
        values in long_values(),
        literal in prop_oneof!["[ab01]{1,3}", "[0-9]{1,2}", "[ab0]{1}", "b1|a0|c"],
        lead in prop::bool::ANY,
        tail in 0..3usize,
    ) {
        let sorted: BTreeSet<Labels> = values
            .iter()
            .map(|value| Labels::from_pairs([("name", value.clone())]).unwrap())
            .collect();
        let bytes = write(&sorted);
        let index = IndexReader::open(&bytes[..]).unwrap();
        let lead = if lead { ".*" } else { ".+" };
        let pattern = format!("{lead}({literal}){}", ["", ".*", ".+"][tail]);
        let selector = Selector::all().regex("name", &pattern).unwrap();
        let found = index.select(selector.matchers()).unwrap().to_vec();
        prop_assert_eq!(found, expected(sorted.iter(), &selector), "{}", pattern);
    }
}
