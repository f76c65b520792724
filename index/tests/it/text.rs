//! The text form of labels and selectors: what is printed is read back, and errors have a place.

use proptest::prelude::*;
use treering_index::{Error, Labels, MatchOp, Matcher, Selector};

#[test]
fn labels_print_as_prometheus_does() {
    let text = |pairs: &[(&str, &str)]| {
        Labels::from_pairs(pairs.iter().copied())
            .unwrap()
            .to_string()
    };
    assert_eq!(text(&[]), "{}");
    assert_eq!(text(&[("__name__", "cpu")]), "cpu");
    assert_eq!(
        text(&[("__name__", "a:b"), ("z", "1"), ("A", "2")]),
        r#"a:b{A="2", z="1"}"#
    );
    assert_eq!(text(&[("__name__", "my.metric")]), r#"{"my.metric"}"#);
    assert_eq!(
        text(&[("__name__", "my.metric"), ("a b", "c\"\\\n")]),
        r#"{"my.metric", "a b"="c\"\\\n"}"#
    );
}

#[test]
fn selectors_are_read_in_all_their_forms() {
    let parse = |text: &str| Selector::parse(text).unwrap();
    assert_eq!(parse("cpu"), Selector::metric("cpu"));
    assert_eq!(parse(" { } "), Selector::all());
    assert_eq!(
        parse(r#"cpu{ host="a" , }"#),
        Selector::metric("cpu").eq("host", "a")
    );
    assert_eq!(
        parse(r#"{"my.metric", dc!='x'}"#),
        Selector::metric("my.metric").ne("dc", "x")
    );
    assert_eq!(
        parse(r#"{'a b'="\x41\101\u00e9\t"}"#),
        Selector::all().eq("a b", "AA\u{e9}\t")
    );
    assert_eq!(parse("{a=`\\n`}"), Selector::all().eq("a", "\\n"));
    let regexes = Selector::all()
        .regex("a", "x.*")
        .unwrap()
        .not_regex("b", "y|z")
        .unwrap();
    assert_eq!(parse("{\n a=~\"x.*\",\n b!~\"y|z\" }"), regexes);
    assert!(parse(r#"{a=~".*",b=""}"#).matches_everything());
    assert!(!parse(r#"{a=~".*",b!=""}"#).matches_everything());
}

#[test]
fn errors_say_where() {
    for (text, line, col, part) in [
        ("", 1, 1, "metric name"),
        ("cpu{", 1, 5, "label name"),
        ("cpu{host}", 1, 9, "expected one of"),
        ("cpu{host=a}", 1, 10, "quoted value"),
        ("cpu{\n  host=~\"(\"}", 2, 9, "regular expression"),
        ("cpu{a=\"x\" b=\"y\"}", 1, 11, "expected ,"),
        ("cpu{a=\"x", 1, 7, "no end"),
        ("cpu{a=\"\\q\"}", 1, 8, "escape"),
        ("cpu{a=\"\\xff\"}", 1, 7, "UTF-8"),
        ("cpu{a=\"x\"} y", 1, 12, "expected the end"),
        ("cpu{\"mem\"}", 1, 5, "twice"),
        ("{\"\"=\"x\"}", 1, 2, "empty"),
        ("1cpu", 1, 1, "metric name"),
        ("cpu{1a=\"x\"}", 1, 5, "label name"),
    ] {
        let error = Selector::parse(text).unwrap_err();
        assert_eq!(error.position(), Some((line, col)), "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    assert!(Labels::parse(r#"{a!="x"}"#).is_err());
    let twice = Labels::parse(r#"{a="x",a="y"}"#);
    assert_eq!(twice, Err(Error::DuplicateName { name: "a".into() }));
}

proptest! {
    #[test]
    fn printed_labels_are_read_back(
        pairs in prop::collection::btree_map(
            "\\PC{1,6}|[a-z_]{1,4}|__name__",
            any::<String>(),
            0..5,
        ),
    ) {
        let labels = Labels::from_pairs(pairs).unwrap();
        prop_assert_eq!(Labels::parse(&labels.to_string()).unwrap(), labels);
    }

    #[test]
    fn printed_selectors_are_read_back(
        parts in prop::collection::vec(
            ("\\PC{1,6}|[a-z]{1,3}", 0..4usize, "[a-c.*\"\\\\\\n\n]{0,6}"),
            0..5,
        ),
        metric in prop::option::of("\\PC{1,4}|[a-z:]{1,4}"),
    ) {
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let mut matchers: Vec<Matcher> = Vec::new();
        matchers.extend(metric.map(|name| Matcher::equal("__name__", &name)));
        for (name, op, value) in &parts {
            matchers.extend(Matcher::new(name, ops[*op], value));
        }
        let selector = Selector::from_matchers(matchers);
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), shape in "[a{}=~!\",'`\\\\x0 ]{0,20}") {
        let _ = Selector::parse(&text);
        let _ = Labels::parse(&shape);
    }
}
