//! Random trees print to what parses to the same tree, and random text never harms the parser.

use proptest::prelude::*;
use treering::{MatchOp, Matcher};
use treering_promql::syntax::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationKind,
    DurationOp, Expr, ExprKind, Extent, Fill, MatrixSelector, NumberLiteral, Shift, Signature,
    Span, StringLiteral, Subquery, Unary, UnaryOp, VectorMatching, VectorSelector,
};
use treering_promql::{Features, parse};

fn node(kind: ExprKind) -> Expr {
    let span = Span::default();
    Expr { span, kind }
}

fn paren(expr: Expr) -> Expr {
    node(ExprKind::Paren(Box::new(expr)))
}

/// Takes every span away, so that trees compare by what they mean.
fn without_spans(debug: &impl std::fmt::Debug) -> String {
    let text = format!("{debug:?}");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("Span {") {
        out.push_str(before);
        rest = after.split_once('}').unwrap().1;
    }
    out + rest
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_:][a-z0-9_:]{0,5}".prop_filter("not a word", |name| name.len() > 5),
        Just("sum".to_owned()),
        Just("offset".to_owned()),
        Just("up".to_owned()),
    ]
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-z0-9_]{0,3}",
        "[ -~]{1,4}",
        Just("nan".to_owned()),
        Just("by".to_owned()),
        Just("\u{e9}\u{1f600}".to_owned())
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual)];
    let plain = (label(), op, any::<String>())
        .prop_map(|(name, op, value)| Matcher::new(&name, op, &value).unwrap());
    let op = prop_oneof![Just(MatchOp::Regex), Just(MatchOp::NotRegex)];
    let pattern = (label(), op, "[a-z]{0,3}(\\.\\*|\\\\d|\\|x)?")
        .prop_map(|(name, op, value)| Matcher::new(&name, op, &value).unwrap());
    prop_oneof![plain, pattern].prop_filter("the name is apart", |m| m.name() != "__name__")
}

fn length(kind: DurationKind) -> DurationExpr {
    let span = Span::default();
    DurationExpr { span, kind }
}

/// A literal that stands alone: a duration where milliseconds can tell it.
fn whole_length() -> impl Strategy<Value = DurationExpr> {
    (1_i64..4_000_000_000).prop_map(|millis| {
        let seconds = (millis / 1000) as f64 + (millis % 1000 * 1_000_000) as f64 / 1e9;
        length(DurationKind::Literal {
            seconds,
            is_duration: true,
        })
    })
}

fn length_tree() -> impl Strategy<Value = DurationExpr> {
    let number = (1_u32..100).prop_map(|n| {
        length(DurationKind::Literal {
            seconds: f64::from(n),
            is_duration: false,
        })
    });
    let leaf = prop_oneof![
        whole_length(),
        number,
        Just(length(DurationKind::Step)),
        Just(length(DurationKind::Range))
    ];
    let ops = prop_oneof![
        Just(DurationOp::Add),
        Just(DurationOp::Sub),
        Just(DurationOp::Mul),
        Just(DurationOp::Div),
        Just(DurationOp::Mod),
        Just(DurationOp::Pow)
    ];
    // Parentheses around operations only: those around a literal are not kept.
    let wrap = |expr: DurationExpr| match expr.kind {
        DurationKind::Binary { .. } | DurationKind::Negate(_) => {
            Box::new(length(DurationKind::Paren(Box::new(expr))))
        }
        _ => Box::new(expr),
    };
    leaf.prop_recursive(4, 16, 2, move |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), ops.clone()).prop_map(move |((a, b), op)| length(DurationKind::Binary {
                op,
                lhs: wrap(a),
                rhs: wrap(b),
            })),
            two.clone()
                .prop_map(|(a, b)| length(DurationKind::MinOf(Box::new(a), Box::new(b)))),
            two.prop_map(|(a, b)| length(DurationKind::MaxOf(Box::new(a), Box::new(b)))),
            inner
                .prop_filter("a sign is part of a literal", |inner| !matches!(
                    inner.kind,
                    DurationKind::Literal { .. }
                ))
                .prop_map(move |a| length(DurationKind::Negate(wrap(a)))),
        ]
    })
    .prop_filter("a literal alone is normal", |tree| {
        !matches!(tree.kind, DurationKind::Literal { .. })
    })
}

fn any_length() -> impl Strategy<Value = DurationExpr> {
    prop_oneof![whole_length(), length_tree()]
}

fn shift() -> impl Strategy<Value = Shift> {
    let at = prop_oneof![
        Just(At::Start),
        Just(At::End),
        any::<i32>().prop_map(|millis| At::Time(i64::from(millis) * 1_000_000))
    ];
    let offset = any_length().prop_map(|offset| match offset.kind {
        // A parenthesis right after the keyword is one of the syntax.
        DurationKind::Binary { .. } => length(DurationKind::Paren(Box::new(offset))),
        _ => offset,
    });
    (prop::option::of(at), prop::option::of(offset)).prop_map(|(at, offset)| Shift { at, offset })
}

fn selector() -> impl Strategy<Value = VectorSelector> {
    let extent = prop_oneof![
        4 => Just(Extent::Plain),
        1 => Just(Extent::Anchored),
        1 => Just(Extent::Smoothed)
    ];
    let parts = (
        prop::option::of(name()),
        prop::collection::vec(matcher(), 0..3),
        shift(),
        extent,
    );
    parts.prop_map(|(name, mut matchers, shift, extent)| {
        let name_of = |name: &str| Matcher::equal("__name__", name);
        match &name {
            Some(name) => matchers.push(name_of(name)),
            None => matchers.insert(0, name_of("a name")),
        }
        VectorSelector {
            name,
            matchers,
            shift,
            extent,
        }
    })
}

fn scalar() -> impl Strategy<Value = Expr> {
    let number = any::<f64>().prop_map(|value| match value.is_nan() {
        true => f64::from_bits(0x7ff8_0000_0000_0001),
        false => value,
    });
    prop_oneof![number, (-1000_i32..1000).prop_map(f64::from)].prop_map(|value| {
        let is_duration = false;
        node(ExprKind::Number(NumberLiteral { value, is_duration }))
    })
}

fn matrix(inner: impl Strategy<Value = Expr>) -> impl Strategy<Value = Expr> {
    let plain = (selector(), any_length()).prop_map(|(selector, range)| {
        node(ExprKind::Matrix(MatrixSelector {
            selector,
            selector_span: Span::default(),
            range,
        }))
    });
    let parts = (inner, any_length(), prop::option::of(any_length()), shift());
    let subquery = parts.prop_map(|(expr, range, step, shift)| {
        let expr = match expr.kind {
            ExprKind::Unary(_) | ExprKind::Binary(_) => paren(expr),
            ExprKind::Vector(_) => paren(expr),
            _ => expr,
        };
        node(ExprKind::Subquery(Subquery {
            expr: Box::new(expr),
            range,
            step,
            shift,
        }))
    });
    prop_oneof![plain, subquery]
}

fn matching(op: BinaryOp) -> impl Strategy<Value = VectorMatching> {
    let side = || prop::option::of(prop_oneof![Just(0.0), Just(-1.5), any::<f64>()]);
    let number = |side: Option<f64>| side.filter(|value| !value.is_nan());
    let labels = prop::collection::vec(label(), 0..3);
    let cardinality = prop_oneof![
        Just(Cardinality::OneToOne),
        Just(Cardinality::ManyToOne),
        Just(Cardinality::OneToMany)
    ];
    let parts = (labels, any::<bool>(), cardinality, side(), side());
    parts.prop_map(move |(labels, on, cardinality, left, right)| {
        let is_grouped = matches!(cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
        let (cardinality, fill) = match op.is_set() {
            true => (Cardinality::ManyToMany, Fill::default()),
            false => {
                let (left, right) = (number(left), number(right));
                (cardinality, Fill { left, right })
            }
        };
        let include = match is_grouped && !op.is_set() {
            true => vec!["included".to_owned()],
            false => vec![],
        };
        VectorMatching {
            cardinality,
            labels,
            on,
            include,
            fill,
        }
    })
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    prop::sample::select(vec![
        Add,
        Sub,
        Mul,
        Div,
        Mod,
        Pow,
        Atan2,
        Equal,
        NotEqual,
        Less,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
        And,
        Or,
        Unless,
        TrimUpper,
        TrimLower,
    ])
}

/// An operand: operations get parentheses, as does a number with a sign.
fn operand(expr: Expr) -> Box<Expr> {
    Box::new(match &expr.kind {
        ExprKind::Unary(_) | ExprKind::Binary(_) | ExprKind::Number(_) => paren(expr),
        _ => expr,
    })
}

fn binary(inner: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Expr> {
    let between = (binary_op(), inner.clone(), inner.clone())
        .prop_flat_map(|(op, lhs, rhs)| (Just((op, lhs, rhs)), matching(op), any::<bool>()));
    let vectors = between.prop_map(|((op, lhs, rhs), matching, is_bool)| {
        node(ExprKind::Binary(Binary {
            op,
            op_span: Span::default(),
            lhs: operand(lhs),
            rhs: operand(rhs),
            return_bool: is_bool && op.is_comparison(),
            matching: Some(matching),
        }))
    });
    let op = binary_op().prop_filter("no sets of scalars", |op| !op.is_set());
    let mixed = (op, scalar(), inner).prop_map(|(op, lhs, rhs)| {
        node(ExprKind::Binary(Binary {
            op,
            op_span: Span::default(),
            lhs: operand(lhs),
            rhs: operand(rhs),
            return_bool: false,
            matching: None,
        }))
    });
    prop_oneof![vectors, mixed]
}

fn aggregate(inner: impl Strategy<Value = Expr>) -> impl Strategy<Value = Expr> {
    use AggregateOp::*;
    let ops = prop::sample::select(vec![
        Avg,
        Bottomk,
        Count,
        CountValues,
        Group,
        Max,
        Min,
        Quantile,
        Stddev,
        Stdvar,
        Sum,
        Topk,
        Limitk,
        LimitRatio,
    ]);
    let parts = (
        ops,
        inner,
        scalar(),
        any::<Vec<u8>>(),
        prop::collection::vec(label(), 0..3),
        any::<bool>(),
    );
    parts.prop_map(|(op, expr, number, bytes, grouping, without)| {
        let param = match op {
            CountValues => Some(node(ExprKind::String(StringLiteral { bytes }))),
            _ if op.has_param() => Some(number),
            _ => None,
        };
        node(ExprKind::Aggregate(Aggregate {
            op,
            expr: Box::new(expr),
            param: param.map(Box::new),
            grouping,
            without,
        }))
    })
}

fn vector() -> impl Strategy<Value = Expr> {
    let leaf = selector().prop_map(|selector| node(ExprKind::Vector(selector)));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let call = |name: &str, args: Vec<Expr>| {
            let function = Signature::find(name).unwrap();
            node(ExprKind::Call(Call { function, args }))
        };
        prop_oneof![
            binary(inner.clone()),
            aggregate(inner.clone()),
            matrix(inner.clone()).prop_map(move |arg| call("rate", vec![arg])),
            (scalar(), inner.clone())
                .prop_map(move |(number, arg)| call("histogram_quantile", vec![number, arg])),
            inner.clone().prop_map(|inner| node(ExprKind::Unary(Unary {
                op: UnaryOp::Minus,
                expr: operand(inner),
            }))),
            inner.prop_map(paren),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_prints_parses_to_the_same(expr in prop_oneof![vector(), scalar(), matrix(vector())]) {
        let text = expr.to_string();
        let read = parse(&text, &Features::all());
        let read = read.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(without_spans(&read), without_spans(&expr), "{}", text);
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn random_text_is_read_or_refused(text in "[-a-z0-9(){}\\[\\]+*^/<>=!~@:,.\"'`# \\\\\n]{0,40}") {
        if let Ok(expr) = parse(&text, &Features::all()) {
            let printed = expr.to_string();
            let again = parse(&printed, &Features::all());
            let again = again.map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
            prop_assert_eq!(without_spans(&again), without_spans(&expr), "{}", printed);
        }
    }

    #[test]
    fn words_in_any_order_are_read_or_refused(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..14)
    ) {
        let text = words.join(" ");
        if let Ok(expr) = parse(&text, &Features::all()) {
            let printed = expr.to_string();
            let again = parse(&printed, &Features::all());
            let again = again.map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
            prop_assert_eq!(without_spans(&again), without_spans(&expr), "{}", printed);
        }
    }
}

const WORDS: &[&str] = &[
    "a",
    "sum",
    "by",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    "{",
    "}",
    "{a=\"b\"}",
    ",",
    "+",
    "-",
    "^",
    "==",
    "bool",
    "on",
    "(x)",
    "ignoring",
    "group_left",
    "fill",
    "(1)",
    "offset",
    "@",
    "start()",
    "end()",
    "1",
    "5m",
    "\"s\"",
    "rate",
    "anchored",
    "smoothed",
    "</",
    "topk",
    "step()",
    "min_of",
    "and",
    "atan2",
    "Inf",
    "0x1",
    ":",
    "#",
    "\n",
    "time()",
];
