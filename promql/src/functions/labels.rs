//! `label_replace` and `label_join`.
//!
//! Input: vectors. Output: vectors with other labels. Invariant: an empty value removes a label;
//! two series must not become one where both have a value.

use treering::{Labels, Rewrite};

use crate::error::{Error, Result};
use crate::eval::{Amount, Grid, Row, Run, WORK_OF_LABELS, argument, label_bytes};
use crate::syntax::{Call, Expr, ExprKind};

impl Run<'_> {
    pub(crate) fn label_replace(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let text = |at: usize| text_of(argument(call, at)?);
        let target = label_name(call, 1)?;
        let (template, source, pattern) = (text(2)?, text(3)?, text(4)?);
        let rewrite = Rewrite::new(&pattern, &template).map_err(|_| {
            Error::Execution(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        let mut rows = self.vector(argument(call, 0)?, grid)?;
        for row in &mut rows {
            self.spend(4 * WORK_OF_LABELS)?;
            let value = row.labels.get(&source).unwrap_or_default();
            if let Some(value) = rewrite.apply(value) {
                row.set_label(&target, &value)?;
                self.hold_labels(row)?;
            }
        }
        self.merge_equal(rows)
    }

    pub(crate) fn label_join(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let target = label_name(call, 1)?;
        let separator = text_of(argument(call, 2)?)?;
        let mut sources = Vec::new();
        for at in 3..call.args.len() {
            sources.push(label_name(call, at)?);
        }
        let mut rows = self.vector(argument(call, 0)?, grid)?;
        for row in &mut rows {
            self.spend(4 * WORK_OF_LABELS)?;
            let values = sources
                .iter()
                .map(|name| row.labels.get(name).unwrap_or_default());
            let value = values.collect::<Vec<_>>().join(&separator);
            row.set_label(&target, &value)?;
            self.hold_labels(row)?;
        }
        self.merge_equal(rows)
    }

    /// Counts labels that were just made: their values may be long, and those of all rows the same.
    fn hold_labels(&self, row: &Row) -> Result<()> {
        self.meter.hold(Amount {
            samples: 0,
            bytes: label_bytes(&row.labels),
        })
    }
}

impl Row {
    /// Sets a label; a metric name that was set is not dropped any more.
    pub(crate) fn set_label(&mut self, name: &str, value: &str) -> Result<()> {
        self.labels = with_label(&self.labels, name, value)?;
        if name == "__name__" {
            self.drop_name = false;
        }
        Ok(())
    }
}

/// Labels with one of them set; an empty value removes it.
pub(crate) fn with_label(labels: &Labels, name: &str, value: &str) -> Result<Labels> {
    let others = labels.iter().filter(|pair| pair.0 != name);
    Labels::from_pairs(others.chain([(name, value)]))
        .map_err(|error| Error::Execution(error.to_string()))
}

/// A label name that a call gives as a text.
pub(super) fn label_name(call: &Call, at: usize) -> Result<String> {
    let bytes = bytes_of(argument(call, at)?)?;
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => {
            let which = match at {
                1 => "destination",
                _ => "source",
            };
            let (function, name) = (call.function.name, String::from_utf8_lossy(bytes));
            Error::execution(format!(
                "invalid {which} label name in {function}(): {name}"
            ))
        }
    }
}

/// The text of a literal.
pub(super) fn text_of(expr: &Expr) -> Result<String> {
    Ok(String::from_utf8_lossy(bytes_of(expr)?).into_owned())
}

pub(super) fn bytes_of(expr: &Expr) -> Result<&[u8]> {
    match &expr.unparen().kind {
        ExprKind::String(string) => Ok(&string.bytes),
        _ => Error::execution("expected a string literal"),
    }
}

/// Bytes in quotes, as Go's `%q` writes them.
pub(crate) fn go_quote(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for found in chunk.valid().chars() {
            match found {
                '"' | '\\' => {
                    quoted.push('\\');
                    quoted.push(found);
                }
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                '\r' => quoted.push_str("\\r"),
                found if found.is_control() => {
                    quoted.push_str(&format!("\\x{:02x}", u32::from(found)));
                }
                found => quoted.push(found),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}
