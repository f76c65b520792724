//! Refusals: the place and words that Prometheus gives are part of its interface.

use treering_promql::{Features, parse};

fn error_of(text: &str) -> String {
    match parse(text, &Features::all()) {
        Ok(expr) => panic!("{text:?} was read, as {expr}"),
        Err(error) => error.to_string(),
    }
}

/// Checks queries against `line:col` and message.
fn check(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let (place, message) = wanted.split_once(' ').unwrap();
        let wanted = format!("{place}: parse error: {message}");
        assert_eq!(error_of(text), wanted, "query {text:?}");
    }
}

#[test]
fn words_that_do_not_belong_there() {
    check(&[
        ("1 /", "1:4 unexpected end of input"),
        ("*1", "1:1 unexpected <op:*>"),
        ("(1))", "1:4 unexpected right parenthesis ')'"),
        ("((1)", "1:5 unclosed left parenthesis"),
        ("(", "1:2 unclosed left parenthesis"),
        ("1 !~ 1", "1:3 unexpected character after '!': '~'"),
        ("1 =~ 1", "1:3 unexpected character after '=': '~'"),
        ("-=", "1:2 unexpected \"=\""),
        ("++-++-+-+-<", "1:11 unexpected <op:<>"),
        ("e-+=/(0)", "1:4 unexpected \"=\""),
        ("a - on(b) ignoring(c) d", "1:11 unexpected <ignoring>"),
        ("some}", "1:5 unexpected character: '}'"),
        (".", "1:1 unexpected character: '.'"),
        ("a \u{e9}", "1:3 unexpected character: '\u{e9}'"),
        ("a\n+\n  ]", "3:3 unexpected right bracket ']'"),
        ("MIN (m) extra", "1:9 unexpected identifier \"extra\""),
        ("a b:c", "1:3 unexpected metric identifier \"b:c\""),
        (
            "a 'a long string of text'",
            "1:3 unexpected string \"'a long st\"...",
        ),
        ("sum (m) without (a) by (b)", "1:21 unexpected <by>"),
        ("sum(1 + )", "1:9 unexpected \")\" in aggregation"),
        ("sum by (a)", "1:11 unexpected end of input in aggregation"),
        ("sum m by (a)", "1:5 unexpected identifier \"m\""),
        ("a max b", "1:3 unexpected <aggr:max>"),
    ]);
    let nothing = parse("", &Features::all()).unwrap_err().to_string();
    assert_eq!(
        nothing,
        "unknown position: parse error: no expression found in input"
    );
    check(&[("# only a comment", "1:1 no expression found in input")]);
}

#[test]
fn numbers_and_durations() {
    check(&[
        ("1__0", "1:1 bad number or duration syntax: \"1_\""),
        ("1_.5", "1:1 bad number or duration syntax: \"1_\""),
        ("0x1_2__3", "1:1 bad number or duration syntax: \"0x1_2_\""),
        ("1..2", "1:1 bad number or duration syntax: \"1.\""),
        ("1e.2", "1:1 bad number or duration syntax: \"1e\""),
        ("1e+", "1:1 bad number or duration syntax: \"1e+\""),
        ("2.5.", "1:1 bad number or duration syntax: \"2.5.\""),
        ("0deadbeef", "1:1 bad number or duration syntax: \"0de\""),
        ("foo[5mm]", "1:5 bad number or duration syntax: \"5mm\""),
        ("foo[5m1]", "1:5 bad number or duration syntax: \"5m1\""),
        ("foo[5m:1m1]", "1:8 bad number or duration syntax: \"1m1\""),
        (
            "foo[5y1hs]",
            "1:5 unknown unit \"hs\" in duration \"5y1hs\"",
        ),
        ("foo[5m1h]", "1:5 not a valid duration string: \"5m1h\""),
        ("foo[1000y]", "1:5 duration out of range"),
        ("foo[0m]", "1:5 duration must be greater than 0"),
        ("foo[-1]", "1:5 duration must be greater than 0"),
        ("foo[5m:0s]", "1:8 duration must be greater than 0"),
        ("foo[5m/0]", "1:7 division by zero"),
        ("foo[5m%0]", "1:7 modulo by zero"),
        (
            "foo[\"5m\"]",
            "1:5 unexpected character in duration expression: '\"'",
        ),
        (
            "foo[5m",
            "1:7 unexpected end of input in duration expression",
        ),
        (
            "foo[]",
            "1:5 unexpected \"]\" in subquery or range selector, \
             expected number, duration, step(), or range()",
        ),
        (
            "foo[5m 5m]",
            "1:8 unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
        ),
        (
            "1e400",
            "1:1 error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range",
        ),
    ]);
}

#[test]
fn strings() {
    check(&[
        ("\"", "1:1 unterminated quoted string"),
        ("'a\n'", "1:1 unterminated quoted string"),
        ("`", "1:1 unterminated raw string"),
        (r#""\c""#, "1:1 unknown escape sequence U+0063 'c'"),
        (
            r#""\x.""#,
            "1:1 illegal character U+002E '.' in escape sequence",
        ),
        (
            r#""\ud800""#,
            "1:1 escape sequence is an invalid Unicode code point",
        ),
        (r#""\"#, "1:1 escape sequence not terminated"),
        ("\\", "1:1 unexpected character: '\\\\'"),
        (
            "-\"a\"",
            "1:1 unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
    ]);
}

#[test]
fn matchers() {
    let place = "in label matching, expected";
    check(&[
        ("some{", "1:6 unexpected end of input inside braces"),
        (
            "some{a=b}",
            &format!("1:8 unexpected identifier \"b\" {place} string"),
        ),
        (
            "some{a:b=\"b\"}",
            "1:7 unexpected character inside braces: ':'",
        ),
        (
            "foo{a*\"b\"}",
            "1:6 unexpected character inside braces: '*'",
        ),
        (
            "foo{a!!\"b\"}",
            "1:6 unexpected character after '!' inside braces: '!'",
        ),
        ("foo{{", "1:5 unexpected left brace '{'"),
        (
            "foo{a}",
            &format!("1:6 unexpected \"}}\" {place} label matching operator"),
        ),
        (
            "foo{,}",
            &format!("1:5 unexpected \",\" {place} identifier or \"}}\""),
        ),
        (
            "foo{a==\"b\"}",
            &format!("1:7 unexpected \"=\" {place} string"),
        ),
        (
            "foo{a=\"b\" c}",
            &format!("1:11 unexpected identifier \"c\" {place} \",\" or \"}}\""),
        ),
        (
            "{}",
            "1:1 vector selector must contain at least one non-empty matcher",
        ),
        (
            "{x=~\".*\"}",
            "1:1 vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo{__name__=\"bar\"}",
            "1:1 metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        (
            "foo{\"bar\"}",
            "1:1 metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        ("{\"a\\xffz\"}", "1:2 invalid label name \"a\\xffz\""),
    ]);
    assert!(error_of("foo{a=~\"(\"}").starts_with("1:5: parse error: error parsing regexp: "));
}

#[test]
fn grouping() {
    check(&[
        (
            "sum by a",
            "1:8 unexpected identifier \"a\" in grouping opts, expected \"(\"",
        ),
        (
            "sum without(==)(m)",
            "1:13 unexpected <op:==> in grouping opts, expected label",
        ),
        (
            "sum without(,)(m)",
            "1:13 unexpected \",\" in grouping opts, expected label",
        ),
        (
            "sum without(a b)(m)",
            "1:15 unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        (
            "sum()",
            "1:1 no arguments for aggregate expression provided",
        ),
        (
            "topk(m)",
            "1:1 wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "topk(m,)",
            "1:7 trailing commas not allowed in function call args",
        ),
        (
            "topk(a, b)",
            "1:6 expected type scalar in aggregation parameter, got instant vector",
        ),
        (
            "count_values(5, a)",
            "1:14 expected type string in aggregation parameter, got scalar",
        ),
        (
            "sum(5)",
            "1:5 expected type instant vector in aggregation expression, got scalar",
        ),
    ]);
}

#[test]
fn calls() {
    check(&[
        (
            "floor()",
            "1:1 expected 1 argument(s) in call to \"floor\", got 0",
        ),
        (
            "floor(1)",
            "1:7 expected type instant vector in call to function \"floor\", got scalar",
        ),
        (
            "rate(m)",
            "1:6 expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "nothing_of_this_name()",
            "1:1 unknown function with name \"nothing_of_this_name\"",
        ),
        ("RATE(m[5m])", "1:1 unknown function with name \"RATE\""),
        (
            "label_join(a, \"b\")",
            "1:1 expected at least 3 argument(s) in call to \"label_join\", got 2",
        ),
        (
            "hour(a, b)",
            "1:1 expected at most 1 argument(s) in call to \"hour\", got 2",
        ),
        (
            "info(a, b)",
            "1:9 expected label selectors only, got vector selector instead",
        ),
        (
            "info(a, 1)",
            "1:1 expected type instant vector in call to function \"info\", got scalar",
        ),
    ]);
}

#[test]
fn operators() {
    check(&[
        (
            "1 and 1",
            "1:1 set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "foo or 1",
            "1:1 set operator \"or\" not allowed in binary scalar expression",
        ),
        (
            "1 == 1",
            "1:3 comparisons between scalars must use BOOL modifier",
        ),
        (
            "foo + bool bar",
            "1:5 bool modifier can only be used on comparison operators",
        ),
        (
            "foo + on(bar) 10",
            "1:1 vector matching only allowed between instant vectors",
        ),
        (
            "a and on(b) group_left(c) d",
            "1:1 no grouping allowed for \"and\" operation",
        ),
        (
            "a + on(b) group_left(c, b) d",
            "1:3 label \"b\" must not occur in ON and GROUP clause at once",
        ),
        (
            "a + b[5m]",
            "1:5 binary expression must contain only scalar and instant vector types",
        ),
        (
            "\"a\" + 1",
            "1:1 binary expression must contain only scalar and instant vector types",
        ),
    ]);
}

#[test]
fn windows_offsets_and_at() {
    let before =
        "must be preceded by an instant vector selector or range vector selector or a subquery";
    check(&[
        (
            "(a + b)[5m]",
            "1:8 ranges only allowed for vector selectors",
        ),
        (
            "a offset 1m[5m]",
            "1:12 no offset modifiers allowed before range",
        ),
        ("a @ 1234 [5m]", "1:10 no @ modifiers allowed before range"),
        ("1 offset 1d", &format!("1:1 offset modifier {before}")),
        ("rate(a[5m]) @ 1234", &format!("1:1 @ modifier {before}")),
        (
            "a offset 1s offset 2s",
            "1:1 offset may not be set multiple times",
        ),
        (
            "a @ 1 @ 2",
            "1:1 @ <timestamp> may not be set multiple times",
        ),
        (
            "a @ Inf",
            "1:1 timestamp out of bounds for @ modifier: +Inf",
        ),
        (
            "a[5m] @ b",
            "1:9 unexpected identifier \"b\" in @, expected timestamp",
        ),
        (
            "a[5m] @",
            "1:8 unexpected end of input in @, expected timestamp",
        ),
        (
            "a offset",
            "1:9 unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "\"a\"[5m:]",
            "1:1 subquery is only allowed on instant vector, got string instead",
        ),
        (
            "a[5m][5m:]",
            "1:1 subquery is only allowed on instant vector, got matrix instead",
        ),
        (
            "a[5m:] anchored",
            "1:1 anchored modifier is not supported for subqueries",
        ),
        (
            "a[5m] anchored smoothed",
            "1:1 anchored and smoothed modifiers cannot be used together",
        ),
    ]);
}

#[test]
fn what_is_switched_off() {
    let plain = Features::default();
    let cases = [
        (
            "mad_over_time(a[5m])",
            "1:1: parse error: function \"mad_over_time\" is not enabled",
        ),
        (
            "limitk(1, a)",
            "1:1: parse error: limitk() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
        ),
        (
            "rate(a[5m] smoothed)",
            "1:6: parse error: smoothed modifier is experimental and not enabled",
        ),
        (
            "a + fill(0) b",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(parse(text, &plain).unwrap_err().to_string(), wanted);
        assert!(parse(text, &Features::all()).is_ok(), "{text}");
    }
    let without = Features {
        duration_expressions: false,
        ..plain
    };
    assert!(parse("a[5m*2]", &plain).is_ok());
    assert_eq!(
        parse("a[5m*2]", &without).unwrap_err().to_string(),
        "1:3: parse error: experimental duration expression is not enabled"
    );
}

#[test]
fn depth_and_length_are_bounded() {
    for open in [
        "(",
        "-(",
        "abs(",
        "sum(",
        "a[(",
        "a + (",
        "2^",
        "a[1^",
        "min_of(",
        "a[max_of(",
    ] {
        let error = error_of(&open.repeat(100_000));
        assert!(
            error.contains("nested more than") || error.contains("unexpected"),
            "{error}"
        );
    }
    for (link, is_wide) in [(" + a", true), (" == bool a", true), ("[5m:1m]", false)] {
        assert!(error_of(&format!("a{}", link.repeat(100_000))).contains("nested more than"));
        let short = format!("a{}", link.repeat(400));
        assert_eq!(parse(&short, &Features::all()).is_ok(), is_wide, "{link}");
    }
    assert!(error_of(&format!("a[1s{}]", "+1s".repeat(1000))).contains("nested more than"));
    assert!(error_of(&" ".repeat(2 << 20)).contains("bytes; at most"));
}
