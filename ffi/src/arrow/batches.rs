//! Fills record batches from the series of an answer.
//!
//! Input: an answer. Output: the type of its rows, then batches of at least `BATCH_ROWS` rows while
//! there are that many; a series is never cut, and one that fills a batch alone is not copied.

use std::collections::HashMap;

use super::tree::{Array, Bitmap, Buffer, Field};
use crate::answer::{Answer, Row};
use crate::failure::{Failure, Result};

/// Rows after which a batch is handed out.
const BATCH_ROWS: usize = 1 << 16;

/// Bytes of label values after which a batch is handed out: far below what its offsets can tell.
const BATCH_TEXT_BYTES: usize = 64 << 20;

/// An answer on its way into batches.
#[derive(Debug)]
pub(crate) struct Batches {
    answer: Answer,
    names: Vec<String>,
    has_approximate: bool,
}

/// One label name's column.
#[derive(Debug, Default)]
struct LabelColumn {
    indices: Vec<i32>,
    valid: Bitmap,
    offsets: Vec<i32>,
    texts: Vec<u8>,
    known: HashMap<String, i32>,
}

impl Batches {
    /// Finds all series of an answer, to know the names of their labels.
    pub(crate) fn new(mut answer: Answer) -> Result<Self> {
        let has_approximate = answer.is_aggregate();
        let names = answer.names()?;
        Ok(Self {
            answer,
            names,
            has_approximate,
        })
    }

    /// The type of a row. A label that has the name of another column gets `label_` before it.
    pub(crate) fn field(&self) -> Field {
        let mut fixed = vec![
            Field::plain("timestamp", c"tsn:UTC"),
            Field::plain("value", c"g"),
        ];
        if self.has_approximate {
            fixed.push(Field::plain("approximate", c"b"));
        }
        let is_fixed = |name: &str| ["timestamp", "value", "approximate"].contains(&name);
        let label = |name: &String| match is_fixed(name) {
            true => Field::dictionary(&format!("label_{name}")),
            false => Field::dictionary(name),
        };
        let mut columns: Vec<Field> = self.names.iter().map(label).collect();
        columns.append(&mut fixed);
        Field::record(columns)
    }

    /// The next batch; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Array>> {
        let mut labels: Vec<LabelColumn> = Vec::new();
        labels.resize_with(self.names.len(), LabelColumn::default);
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        let (mut approximate, mut text_bytes) = (Bitmap::default(), 0);
        while values.len() < BATCH_ROWS && text_bytes < BATCH_TEXT_BYTES {
            let Some(row) = self.answer.next() else { break };
            let row = row?;
            let count = row.columns.values.len();
            for (column, name) in labels.iter_mut().zip(&self.names) {
                text_bytes += column.add(row.labels.get(name), count)?;
            }
            approximate.extend(row.approximate, count);
            take(row, &mut timestamps, &mut values);
        }
        if values.is_empty() {
            return Ok(None);
        }
        let len = values.len();
        let mut children: Vec<Array> = labels.into_iter().map(LabelColumn::finish).collect();
        let plain = |buffer| Array {
            len,
            buffers: vec![Buffer::Absent, buffer],
            ..Array::default()
        };
        children.push(plain(Buffer::Longs(timestamps)));
        children.push(plain(Buffer::Doubles(values)));
        if self.has_approximate {
            children.push(plain(approximate.into_buffer()));
        }
        Ok(Some(Array {
            len,
            buffers: vec![Buffer::Absent],
            children,
            ..Array::default()
        }))
    }
}

/// Moves the samples of a row; the first of a batch are not copied.
fn take(row: Row, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
    let columns = row.columns;
    if values.is_empty() {
        (*timestamps, *values) = (columns.timestamps, columns.values);
    } else {
        timestamps.extend_from_slice(&columns.timestamps);
        values.extend_from_slice(&columns.values);
    }
}

impl LabelColumn {
    /// Adds `count` rows with this value; how many bytes of text that brought.
    fn add(&mut self, value: Option<&str>, count: usize) -> Result<usize> {
        self.valid.extend(value.is_some(), count);
        let Some(value) = value else {
            self.indices.resize(self.indices.len() + count, 0);
            return Ok(0);
        };
        let (index, new_bytes) = match self.known.get(value) {
            Some(index) => (*index, 0),
            None => {
                let index = narrow(self.known.len())?;
                self.offsets.push(narrow(self.texts.len())?);
                self.texts.extend_from_slice(value.as_bytes());
                self.known.insert(value.to_owned(), index);
                (index, value.len())
            }
        };
        self.indices.resize(self.indices.len() + count, index);
        Ok(new_bytes)
    }

    fn finish(mut self) -> Array {
        // Bounded by `BATCH_TEXT_BYTES` and one value, so it fits.
        let end = i32::try_from(self.texts.len()).unwrap_or(i32::MAX);
        self.offsets.push(end);
        let texts = Array {
            len: self.known.len(),
            buffers: vec![
                Buffer::Absent,
                Buffer::Ints(self.offsets),
                Buffer::Bytes(self.texts),
            ],
            ..Array::default()
        };
        let nulls = self.valid.zeros();
        let valid = match nulls {
            0 => Buffer::Absent,
            _ => self.valid.into_buffer(),
        };
        Array {
            len: self.indices.len(),
            nulls,
            buffers: vec![valid, Buffer::Ints(self.indices)],
            dictionary: Some(Box::new(texts)),
            ..Array::default()
        }
    }
}

fn narrow(number: usize) -> Result<i32> {
    let wide = |_| Failure::argument("a batch has more texts than Arrow can number");
    i32::try_from(number).map_err(wide)
}
