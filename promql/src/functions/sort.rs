//! The `sort` functions: the order of an instant vector.
//!
//! Input: a vector. Output: the same, ordered. Invariant: NaN comes last whichever way; equal
//! elements keep their order, or that of their labels. Over several steps there is no order.

use std::cmp::Ordering;

use super::labels::text_of;
use crate::annotation::Notice;
use crate::error::Result;
use crate::eval::{Grid, Row, Run, argument};
use crate::syntax::{Call, Span};

impl Run<'_> {
    pub(crate) fn sort(&self, call: &Call, span: Span, grid: &Grid) -> Result<Vec<Row>> {
        let mut rows = self.vector(argument(call, 0)?, grid)?;
        if grid.count() > 1 {
            self.note(&Notice::SortInRange, span);
            return Ok(rows);
        }
        match call.function.name {
            "sort" | "sort_desc" => {
                let is_falling = call.function.name == "sort_desc";
                // Histograms have no place in an order of numbers.
                rows.retain(|row| row.column.float(0).is_some());
                rows.sort_by(|a, b| by_value(a, b, is_falling));
            }
            name => {
                let names = call.args.iter().skip(1).map(text_of);
                let names = names.collect::<Result<Vec<String>>>()?;
                rows.sort_by(|a, b| by_labels(a, b, &names));
                if name == "sort_by_label_desc" {
                    rows.reverse();
                }
            }
        }
        Ok(rows)
    }
}

fn by_value(a: &Row, b: &Row, is_falling: bool) -> Ordering {
    let value = |row: &Row| row.column.float(0).unwrap_or(f64::NAN);
    let (a, b) = (value(a), value(b));
    match (a.is_nan(), b.is_nan()) {
        (false, false) if is_falling => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    }
}

fn by_labels(a: &Row, b: &Row, names: &[String]) -> Ordering {
    for name in names {
        let value = |row: &'_ Row| row.labels.get(name).unwrap_or_default().to_owned();
        let order = natural(&value(a), &value(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.labels.cmp(&b.labels)
}

/// Compares texts as people do: runs of digits by their number.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let ((left, rest_a), (right, rest_b)) = (run(a), run(b));
        let numbers = left.parse::<u64>().ok().zip(right.parse::<u64>().ok());
        let order = match numbers {
            Some((left, right)) => left.cmp(&right),
            None => left.cmp(right),
        };
        if order != Ordering::Equal || (left.is_empty() && right.is_empty()) {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The longest start of digits only, or without digits; and the rest.
fn run(text: &str) -> (&str, &str) {
    let is_digit = |found: char| found.is_ascii_digit();
    let starts_with_digit = text.starts_with(is_digit);
    let end = text.find(|found| is_digit(found) != starts_with_digit);
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_compare_as_numbers() {
        let mut texts = vec!["4m1000", "a", "4m5", "", "10", "4m600", "9", "4m5x"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(
            texts,
            ["", "4m5", "4m5x", "4m600", "4m1000", "9", "10", "a"]
        );
    }
}
