//! Reading: what binds to what, what may be a name, and where nodes stand.

use treering_promql::syntax::{
    At, Cardinality, DurationKind, Expr, ExprKind, Extent, Signature, Span, ValueType,
};
use treering_promql::{Features, parse};

fn read(text: &str) -> Expr {
    match parse(text, &Features::all()) {
        Ok(expr) => expr,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

/// The expression with a parenthesis around each operation.
fn grouped(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(binary) => {
            format!(
                "({} {} {})",
                grouped(&binary.lhs),
                binary.op,
                grouped(&binary.rhs)
            )
        }
        ExprKind::Unary(unary) => format!("({}{})", unary.op, grouped(&unary.expr)),
        ExprKind::Paren(inner) => grouped(inner),
        _ => expr.to_string(),
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (text, wanted) in [
        ("-a ^ 2", "(-(a ^ 2))"),
        ("-1 ^ 2", "(-(1 ^ 2))"),
        ("-1", "-1"),
        ("2 ^ -1 ^ b", "(2 ^ (-(1 ^ b)))"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a * b", "((-a) * b)"),
        ("a * -b + c", "((a * (-b)) + c)"),
        ("2 ^ -a * 3", "((2 ^ (-a)) * 3)"),
        ("a - b - c", "((a - b) - c)"),
        ("a + b * c % d atan2 e", "(a + (((b * c) % d) atan2 e))"),
        ("a == b + c > d", "((a == (b + c)) > d)"),
        ("a </ b + c", "(a </ (b + c))"),
        (
            "a or b and c unless d or e",
            "((a or ((b and c) unless d)) or e)",
        ),
        ("a and b == c", "(a and (b == c))"),
        ("a + b offset 5m", "(a + b offset 5m)"),
        ("-a offset 5m", "(-a offset 5m)"),
        ("a offset 100 + 2", "(a offset 1m40s + 2)"),
        ("a offset -2 ^ 2", "(a offset -2s ^ 2)"),
        ("a offset -step()*2", "(a offset -step() * 2)"),
    ] {
        assert_eq!(grouped(&read(text)), wanted, "{text}");
    }
}

#[test]
fn words_of_the_language_may_be_names() {
    for word in [
        "sum",
        "by",
        "without",
        "offset",
        "and",
        "or",
        "unless",
        "start",
        "end",
        "step",
        "range",
        "anchored",
        "smoothed",
        "fill",
        "fill_left",
        "min_of",
        "topk",
        "limit_ratio",
        "rate",
        "a:b",
        ":a",
    ] {
        for text in [
            word.to_owned(),
            format!("{word}{{a=\"b\"}}[5m]"),
            format!("sum({word})"),
            format!("1 + {word}"),
            format!("a and {word} offset 1m"),
            format!("-{word}"),
        ] {
            read(&text);
        }
        let expr = read(word);
        let ExprKind::Vector(selector) = &expr.kind else {
            panic!("{word} is not a selector");
        };
        assert_eq!(selector.name.as_deref(), Some(word));
    }
    for word in ["bool", "on", "ignoring", "group_left", "atan2"] {
        assert!(parse(word, &Features::all()).is_err(), "{word}");
        read(&format!("sum by ({word}) (a{{{word}=\"x\"}})"));
    }
    read("a + fill + fill(1) fill_left");
}

#[test]
fn nodes_know_their_place() {
    let text = "sum by (x) (rate(foo{a=\"b\"}[5m] offset 1m) >\n bool on (x) -bar) + 1";
    let expr = read(text);
    assert_eq!(expr.span.of(text), text);
    let ExprKind::Binary(plus) = &expr.kind else {
        panic!("{expr:?}");
    };
    assert_eq!(plus.rhs.span.of(text), "1");
    assert_eq!(plus.op_span.of(text), "+");
    let ExprKind::Aggregate(sum) = &plus.lhs.kind else {
        panic!("{expr:?}");
    };
    let ExprKind::Binary(greater) = &sum.expr.kind else {
        panic!("{expr:?}");
    };
    assert_eq!(greater.op_span.of(text), ">\n bool on (x)");
    assert_eq!(greater.rhs.span.of(text), "-bar");
    assert_eq!(greater.rhs.span.line_col(text), (2, 14));
    let matrix = greater.lhs.children()[0];
    assert_eq!(matrix.span.of(text), "foo{a=\"b\"}[5m] offset 1m");
    let ExprKind::Matrix(matrix) = &matrix.kind else {
        panic!("{expr:?}");
    };
    assert_eq!(matrix.selector_span.of(text), "foo{a=\"b\"}");
    assert_eq!(matrix.range.span.of(text), "5m");
    assert_eq!(matrix.range.literal_nanos(), Some(300_000_000_000));
    assert_eq!(Span::new(2, 9).of("short"), "");
}

#[test]
fn shifts_come_in_any_order() {
    for text in [
        "a @ 1.5 offset -1m",
        "a offset -1m @ 1.5",
        "a[5m] offset -1m @ 1.5",
    ] {
        let expr = read(text);
        let selector = match &expr.kind {
            ExprKind::Vector(selector) => selector,
            ExprKind::Matrix(matrix) => &matrix.selector,
            _ => panic!("{expr:?}"),
        };
        assert_eq!(selector.shift.at, Some(At::Time(1_500_000_000)), "{text}");
        let offset = selector
            .shift
            .offset
            .as_ref()
            .and_then(|o| o.literal_nanos());
        assert_eq!(offset, Some(-60_000_000_000), "{text}");
        assert_eq!(selector.extent, Extent::Plain);
    }
}

#[test]
fn durations_fold_with_step_and_range() {
    let fold = |text: &str, step: i64, range: i64| {
        let expr = read(&format!("a[{text}]"));
        let ExprKind::Matrix(matrix) = expr.kind else {
            panic!("{text}");
        };
        matrix.range.fold_positive(step, range)
    };
    let second = 1_000_000_000;
    assert_eq!(fold("1h/2", 0, 0), Ok(1800 * second));
    assert_eq!(fold("1h30m % 1h", 0, 0), Ok(1800 * second));
    assert_eq!(fold("-5m+35m", 0, 0), Ok(1800 * second));
    assert_eq!(fold("1+(STep()-5)*2", 10 * second, 0), Ok(11 * second));
    assert_eq!(
        fold("max_of(min_of(step()+1,1h),1ms)", 5 * second, 0),
        Ok(6 * second)
    );
    assert_eq!(fold("range()", 0, 7 * second), Ok(7 * second));
    assert_eq!(
        fold("((((8 - 2) / 3) * 7s) % 4) + 8000ms", 0, 0),
        Ok(10 * second)
    );
    assert_eq!(fold("2^3", 0, 0), Ok(8 * second));
    assert_eq!(fold("step()", 0, 0), Err("duration must be greater than 0"));
    assert_eq!(fold("1/step()", 0, 0), Err("division by zero"));
    assert_eq!(fold("1%range()", 0, 0), Err("modulo by zero"));
    assert_eq!(fold("1e9^2", 0, 0), Err("duration is out of range"));
    assert_eq!(fold("0.0005", 0, 0), Ok(500_000));
}

#[test]
fn both_sides_being_vectors_decides_on_matching() {
    let matching = |text: &str| match read(text).kind {
        ExprKind::Binary(binary) => binary.matching.map(|m| (m.cardinality, m.on)),
        _ => panic!("{text}"),
    };
    assert_eq!(matching("a + 1"), None);
    assert_eq!(matching("1 + 1"), None);
    assert_eq!(matching("a + b"), Some((Cardinality::OneToOne, false)));
    assert_eq!(matching("a and b"), Some((Cardinality::ManyToMany, false)));
    assert_eq!(
        matching("a + on() group_right b"),
        Some((Cardinality::OneToMany, true))
    );
    // A parenthesis after group_left holds labels, never the right operand.
    assert!(parse("a + on(x) group_left (b)", &Features::all()).is_err());
}

#[test]
fn strings_may_hold_any_bytes() {
    let expr = read("label_replace(a, \"x\", \"a\\xc5z\", 'y', `.*`)");
    let ExprKind::Call(call) = &expr.kind else {
        panic!("{expr:?}");
    };
    assert_eq!(Some(call.function), Signature::find("label_replace"));
    let ExprKind::String(string) = &call.args[2].kind else {
        panic!("{expr:?}");
    };
    assert_eq!(string.bytes, b"a\xc5z");
    assert_eq!(expr.value_type(), ValueType::Vector);
    assert_eq!(read("'a'").value_type(), ValueType::String);
    assert_eq!(read("time() + 1").value_type(), ValueType::Scalar);
    assert_eq!(read("a[5m:]").value_type(), ValueType::Matrix);
}

#[test]
fn a_length_that_depends_on_the_query_has_no_literal() {
    let expr = read("a[step()]");
    let ExprKind::Matrix(matrix) = &expr.kind else {
        panic!("{expr:?}");
    };
    assert_eq!(matrix.range.kind, DurationKind::Step);
    assert_eq!(matrix.range.literal_nanos(), None);
}
