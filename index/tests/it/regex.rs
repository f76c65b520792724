//! Patterns mean what they mean in RE2 and Prometheus.

use treering_index::{Labels, MatchOp, Matcher, Selector};

fn matches(pattern: &str, value: &str) -> bool {
    Matcher::new("l", MatchOp::Regex, pattern)
        .unwrap()
        .matches_value(value)
}

#[test]
fn semantics_table() {
    for (pattern, yes, no) in [
        // Anchored at both ends, whatever the branches.
        ("a", &["a"][..], &["ab", "ba", ""][..]),
        ("a|bc", &["a", "bc"], &["abc", "b", "ac"]),
        ("^a$", &["a"], &["ab"]),
        ("(?m)^a$", &["a"], &["a\nb"]),
        // The dot matches a newline unless told otherwise.
        ("a.b", &["a\nb", "axb", "a\u{e9}b"], &["ab", "axxb"]),
        ("(?-s)a.b", &["axb"], &["a\nb"]),
        (".*", &["", "\n", "x"], &[]),
        (".+", &["\n", "x"], &[""]),
        ("foo.*", &["foo", "foo\n", "foobar"], &["fo", "xfoo"]),
        ("foo.+", &["foox"], &["foo"]),
        (".*foo", &["foo", "\nfoo"], &["foox"]),
        (
            ".+foo.+",
            &["xfoox", "foofoofoo"],
            &["foo", "xfoo", "foox", "foofoo"],
        ),
        (".*foo.*", &["foo", "xfooy", "fofoo"], &["fo", "f\noo"]),
        // Classes are ASCII.
        ("\\d+", &["123"], &["\u{663}", ""]),
        ("\\D", &["\u{663}", "x"], &["1"]),
        ("\\w+", &["aZ_9"], &["\u{e9}", "a-b"]),
        ("\\W", &["\u{e9}", "-"], &["a"]),
        (
            "\\s",
            &[" ", "\t", "\n", "\u{c}", "\r"],
            &["\u{b}", "\u{a0}"],
        ),
        ("[\\d\\s]+", &["1 2"], &["\u{663}"]),
        ("[^\\d]", &["\u{663}", "x"], &["1"]),
        ("[\\D]", &["\u{663}", "x"], &["1"]),
        ("[[:alpha:]]+", &["abc"], &["\u{e9}"]),
        ("[[:^alpha:]]+", &["12", "\u{e9}"], &["a"]),
        ("a\\b.*", &["a-", "a\u{e9}", "a"], &["ab"]),
        ("\\Ba", &[], &["a"]),
        ("a\\b{start}", &["a{start}"], &["a"]),
        // Case folding is of Unicode; flags may be scoped.
        ("(?i)abc", &["ABC", "aBc"], &["abd"]),
        ("(?i:a)b", &["Ab"], &["AB"]),
        ("(?i)\u{e9}", &["\u{c9}"], &["e"]),
        ("(?U)a+", &["aaa"], &[""]),
        // What is special elsewhere but plain in RE2.
        ("a{", &["a{"], &["a"]),
        ("a{,3}", &["a{,3}"], &["aa"]),
        ("a{x}", &["a{x}"], &["a"]),
        ("{", &["{"], &[""]),
        ("a}", &["a}"], &[]),
        ("]", &["]"], &[]),
        ("[a[b]", &["a", "[", "b"], &["ab"]),
        ("[a&&b]", &["a", "&", "b"], &["ab"]),
        ("[a~~b]", &["a", "~", "b"], &[""]),
        ("[]a]", &["]", "a"], &["b"]),
        ("[^]a]", &["b"], &["]", "a"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[-a]", &["a", "-"], &["b"]),
        ("a#b c", &["a#b c"], &["a"]),
        ("\\<a\\>", &["<a>"], &["a"]),
        ("\\_\\-\\/\\ \\\"", &["_-/ \""], &[]),
        // Escapes.
        (
            "\\x41\\x{1F600}\\t\\a\\f\\v\\101",
            &["A\u{1f600}\t\u{7}\u{c}\u{b}A"],
            &[],
        ),
        ("\\Qa.b\\Ec?", &["a.b", "a.bc"], &["axb"]),
        ("\\Qa{\\", &["a{\\"], &["a"]),
        ("\\Aa\\z", &["a"], &["aa"]),
        ("\\pN+", &["1\u{663}"], &["a"]),
        ("\\p{Greek}", &["\u{3b1}"], &["a"]),
        ("\\p{^Greek}", &["a"], &["\u{3b1}"]),
        ("\\P{Greek}", &["a"], &["\u{3b1}"]),
        ("[\\p{Greek}x]", &["\u{3b1}", "x"], &["a"]),
        // Repetition.
        ("a{2}", &["aa"], &["a", "aaa"]),
        ("a{2,}", &["aa", "aaa"], &["a"]),
        ("a{1,2}b?", &["a", "aab"], &["aaab"]),
        ("(a|b){2}", &["ab", "ba"], &["a"]),
        ("(?:a*)*", &["", "aaa"], &["b"]),
        ("(?P<x>a)(?<y>b)", &["ab"], &["a"]),
        ("|a", &["", "a"], &["b"]),
        ("()", &[""], &["a"]),
    ] {
        for value in yes {
            assert!(matches(pattern, value), "{pattern:?} must match {value:?}");
        }
        for value in no {
            assert!(
                !matches(pattern, value),
                "{pattern:?} must not match {value:?}"
            );
        }
    }
}

#[test]
fn what_re2_refuses_is_refused_with_a_reason() {
    for pattern in [
        "(",
        ")",
        "a)",
        "[",
        "[a",
        "[b-a]",
        "*",
        "a|*",
        "+a",
        "?",
        "a**",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        "\\",
        "\\8",
        "\\q",
        "\\y",
        "[\\q]",
        "\\p{None}",
        "\\pX",
        "(?x)a",
        "(?R)a",
        "(?u)a",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?P=x)",
        "(?P<x>a)(?P<x>b)",
        "\\1",
        "\\C",
        "[[:none:]]",
        "\\x{110000}",
        "\\x4",
        "[a-\\d]",
        "(?i",
        "\\u0041",
        "\\Z",
    ] {
        let error = Matcher::new("l", MatchOp::Regex, pattern)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("regular expression "),
            "{pattern}: {error}"
        );
    }
}

#[test]
fn large_patterns_are_refused_quickly() {
    let nested = format!("{}a{}", "(".repeat(60), ")".repeat(60));
    let long = "a".repeat(4097);
    for pattern in [
        "((\\pL{500}){500}){500}",
        "(.{1000}){1000}",
        "((((a{100}){100}){100}){100})",
        &nested,
        &long,
    ] {
        let start = std::time::Instant::now();
        assert!(
            Matcher::new("l", MatchOp::Regex, pattern).is_err(),
            "{pattern:.20}"
        );
        // Compiling is bounded; a second is far above any machine's time for it.
        assert!(start.elapsed().as_secs() < 1, "{pattern:.20}");
    }
    let literals: Vec<String> = (0..500).map(|n| format!("v{n}")).collect();
    assert!(matches(&literals.join("|"), "v499"));
    assert!(!matches(&literals.join("|"), "v500"));
}

#[test]
fn a_missing_label_is_the_empty_value() {
    let labels = Labels::from_pairs([("b", "1")]).unwrap();
    for (text, expected) in [
        (r#"{a=""}"#, true),
        (r#"{a!=""}"#, false),
        (r#"{a!="x"}"#, true),
        (r#"{a="x"}"#, false),
        (r#"{a=~".*"}"#, true),
        (r#"{a=~".+"}"#, false),
        (r#"{a=~"x|"}"#, true),
        (r#"{a!~"x"}"#, true),
        (r#"{a!~".*"}"#, false),
        (r#"{b=~"1|2",a=""}"#, true),
        (r#"{b!~"1|2"}"#, false),
    ] {
        assert_eq!(
            Selector::parse(text).unwrap().matches(&labels),
            expected,
            "{text}"
        );
    }
}
