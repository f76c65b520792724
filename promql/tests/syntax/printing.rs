//! Printing: one form for all spellings, the one that Prometheus prints.

use treering_promql::{Features, parse};

fn print(text: &str) -> String {
    match parse(text, &Features::all()) {
        Ok(expr) => expr.to_string(),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[test]
fn a_form_of_prometheus_stays_as_it_is() {
    for text in [
        "sum by () (task:errors:rate10s{job=\"s\"})",
        "sum by (a, \"b c\", \"nan\") (m)",
        "sum without (instance) (m)",
        "topk(5, m)",
        "count_values(\"value\", m)",
        "a - on (b) c",
        "a - on () c",
        "a - on (b) group_left (x) c",
        "a - on (b) group_left () c",
        "a - ignoring (b) group_right (x, y) c",
        "a - ignoring () group_left () c",
        "a > bool on (x) b",
        "a + fill (0) b",
        "a + on (x) fill_left (1) fill_right (-2.5) b",
        "up > 0",
        "a </ 1",
        "a >/ b",
        "a atan2 b",
        "a[5m]",
        "a[5m:]",
        "a[5m:1s] @ 1603774568.000 offset 1h30m",
        "a{x=\"y\",z!~\"u.*\"}[5m] @ start() offset -1m",
        "a @ -0.500",
        "a[1m] anchored @ end()",
        "a smoothed",
        "-a",
        "-(a + b) ^ 2",
        "0.000001",
        "1048576",
        "-5m",
        "{\"a.b\"=\"c\"}",
        "{__name__=\"a b\"}",
        "{\"\"=\"0\"}",
        "\"a\\n\\\"b\\\"\"",
        "a[step() * 2 + min_of(1m, range())]",
        "a offset -(step() / 2)",
        "a offset max_of(1s, 2s)",
        "info(m, {x=~\".*\"})",
        "time()",
        "start() + end()",
        "min_of(1, step()) + max_of(time(), 2)",
    ] {
        let wanted = text.replace("sum by () (", "sum(");
        assert_eq!(print(text), wanted);
    }
}

#[test]
fn other_spellings_come_to_the_same() {
    for (text, wanted) in [
        ("SUM BY(a)(m)", "sum by (a) (m)"),
        ("sum(m) BY (a,)", "sum by (a) (m)"),
        ("a OR b AnD c", "a or b and c"),
        ("a[300]", "a[5m]"),
        ("a[90d]", "a[90d]"),
        ("a[14d]", "a[2w]"),
        ("a[(5m)]", "a[5m]"),
        ("a offset 0s", "a"),
        ("a offset +5m", "a offset 5m"),
        ("a offset (5m)", "a offset 5m"),
        ("a[0.0005]", "a[0.0005]"),
        ("a[5m*2]", "a[5m * 2]"),
        ("a offset (1m+step())", "a offset (1m + step())"),
        ("a @ 2m", "a @ 120.000"),
        ("a offset 1m @ 10", "a @ 10.000 offset 1m"),
        ("a{'x y' = `\\d`,}", "a{\"x y\"=\"\\\\d\"}"),
        ("{\"m\",x=\"1\"}", "{__name__=\"m\",x=\"1\"}"),
        ("{\"_0\"=\"1\"}", "{_0=\"1\"}"),
        ("0x10 + 010 + 1_000", "16 + 8 + 1000"),
        ("iNF", "+Inf"),
        ("-inf ^ a + inf", "-Inf ^ a + +Inf"),
        ("1 - -0", "1 - -0"),
        ("a # comment\n + b", "a + b"),
    ] {
        assert_eq!(print(text), wanted, "{text}");
    }
}
