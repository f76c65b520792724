//! Queries from text: what prints is read back, and every node knows its place.

use treering_promql::{Expr, Features, parse};

/// Longest message of an error: it shows pieces of the text, cut where they can be long.
const SHOWN_BYTES: usize = 512;

/// A query from text, with all of the language and with what is on by default.
pub fn promql_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let plain = parse(text, &Features::default());
    match parse(text, &Features::all()) {
        Ok(expr) => {
            check_places(&expr, text);
            let printed = expr.to_string();
            let again = parse(&printed, &Features::all()).expect("printed by us");
            assert_eq!(again.to_string(), printed);
            assert_eq!(again.value_type(), expr.value_type());
            if let Ok(plain) = plain {
                assert_eq!(plain, expr, "switches only add to the language");
            }
        }
        Err(error) => {
            assert!(plain.is_err(), "switches only add to the language");
            let lines = text.matches('\n').count() + 1;
            assert!(error.line <= lines && error.col <= text.len() + 1);
            assert!(error.span.start as usize <= text.len());
            assert!(error.message.len() <= SHOWN_BYTES + 6 * text.len());
        }
    }
}

fn check_places(expr: &Expr, text: &str) {
    let (start, end) = (expr.span.start as usize, expr.span.end as usize);
    assert!(text.get(start..end).is_some_and(|part| !part.is_empty()));
    for child in expr.children() {
        assert!(expr.span.start <= child.span.start && child.span.end <= expr.span.end);
        check_places(child, text);
    }
}
