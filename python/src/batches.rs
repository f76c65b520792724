//! Record batches of the series of an answer.
//!
//! Input: rows, or series that are not read yet. Output: batches of at least `BATCH_ROWS` rows while
//! there are that many. Invariants: a series is never cut, and one that fills a batch alone is not
//! copied; all batches share the texts of the labels.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch,
    RecordBatchReader, StringArray, TimestampNanosecondArray,
};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use treering::{Labels, Series};

use crate::door::caught;
use crate::held::Owner;
use crate::rows::{Kind, Row, Rows};

/// Rows after which a batch is handed out.
const BATCH_ROWS: usize = 1 << 16;

/// Names of the columns that are no labels.
const OWN: [&str; 4] = ["timestamp", "value", "approximate", "histogram"];

/// Series on their way into batches.
#[derive(Debug)]
pub(crate) struct Batches {
    source: Source,
    labels: Vec<Dictionary>,
    schema: SchemaRef,
    owner: Owner,
}

#[derive(Debug)]
enum Source {
    /// Shared with a result; the next row.
    Ready(Arc<Rows>, usize),
    /// Read as they are asked for.
    Found(std::vec::IntoIter<Series>),
}

/// The texts of one label.
#[derive(Debug)]
struct Dictionary {
    name: String,
    texts: ArrayRef,
    known: HashMap<Arc<str>, i32>,
}

impl Batches {
    /// Of rows that are there.
    pub(crate) fn of_rows(rows: &Arc<Rows>) -> Result<Self, ArrowError> {
        let labels = dictionaries(|| rows.rows.iter().map(|row| &row.labels))?;
        let schema = schema_of(&labels, Some(rows));
        Ok(Self::new(
            Source::Ready(Arc::clone(rows), 0),
            labels,
            schema,
        ))
    }

    /// Of series that are found and not read.
    pub(crate) fn of_series(series: Vec<Series>) -> Result<Self, ArrowError> {
        let labels = dictionaries(|| series.iter().map(Series::labels))?;
        let schema = schema_of(&labels, None);
        Ok(Self::new(Source::Found(series.into_iter()), labels, schema))
    }

    fn new(source: Source, labels: Vec<Dictionary>, schema: Schema) -> Self {
        Self {
            source,
            labels,
            schema: Arc::new(schema),
            owner: Owner::here(),
        }
    }

    /// The next batch; none at the end.
    fn advance(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let (mut rows, mut count) = (Vec::new(), 0);
        while count < BATCH_ROWS {
            let Some(row) = self.source.next() else { break };
            let row = row?;
            count += row.values.len();
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for dictionary in &self.labels {
            columns.push(Arc::new(dictionary.column(&rows)?));
        }
        let times = TimestampNanosecondArray::new(joined(&rows, |row| &row.timestamps), None);
        columns.push(Arc::new(times.with_timezone("UTC")));
        let has = |name: &str| {
            self.schema
                .fields()
                .iter()
                .any(|field| field.name() == name)
        };
        let nulls = has("histogram").then(|| histogram_places(&rows)).flatten();
        columns.push(Arc::new(Float64Array::new(
            joined(&rows, |row| &row.values),
            nulls,
        )));
        if has("approximate") {
            let of = |row: &Row| std::iter::repeat_n(row.approximate, row.values.len());
            columns.push(Arc::new(BooleanArray::from_iter(
                rows.iter().flat_map(of).map(Some),
            )));
        }
        if has("histogram") {
            let of = |row: &Row| {
                let mut texts = row.histograms.clone();
                texts.resize(row.values.len(), None);
                texts
            };
            columns.push(Arc::new(StringArray::from_iter(rows.iter().flat_map(of))));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map(Some)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Whoever asks is code of other languages, through which no panic may go.
        let owner = self.owner;
        let found = caught(|| {
            owner.check()?;
            Ok(self.advance()?)
        });
        found
            .map_err(|failure| ArrowError::ExternalError(Box::new(failure)))
            .transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Source {
    fn next(&mut self) -> Option<Result<Row, ArrowError>> {
        match self {
            Source::Ready(rows, at) => {
                let row = rows.rows.get(*at)?;
                *at += 1;
                Some(Ok(row.clone()))
            }
            Source::Found(series) => {
                let row = Row::of_series(&series.next()?);
                Some(row.map_err(|failure| ArrowError::ExternalError(Box::new(failure))))
            }
        }
    }
}

impl Dictionary {
    fn column(&self, rows: &[Row]) -> Result<DictionaryArray<Int32Type>, ArrowError> {
        let count = rows.iter().map(|row| row.values.len()).sum();
        let (mut keys, mut nulls) = (Vec::with_capacity(count), NullBufferBuilder::new(count));
        for row in rows {
            let len = row.values.len();
            let key = row
                .labels
                .get(&self.name)
                .and_then(|text| self.known.get(text));
            match key {
                Some(_) => nulls.append_n_non_nulls(len),
                None => nulls.append_n_nulls(len),
            }
            keys.resize(keys.len() + len, key.copied().unwrap_or(0));
        }
        let keys = Int32Array::try_new(keys.into(), nulls.finish())?;
        DictionaryArray::try_new(keys, Arc::clone(&self.texts))
    }
}

/// The texts of each label name, in the order of names.
fn dictionaries<'a, I>(all: impl Fn() -> I) -> Result<Vec<Dictionary>, ArrowError>
where
    I: Iterator<Item = &'a Labels>,
{
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for labels in all() {
        names.extend(labels.iter().map(|(name, _)| name));
    }
    let dictionary = |name: &str| {
        let (mut known, mut texts) = (HashMap::new(), Vec::new());
        for text in all().filter_map(|labels| labels.get(name)) {
            if !known.contains_key(text) {
                let number = i32::try_from(texts.len())
                    .map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                known.insert(Arc::from(text), number);
                texts.push(text);
            }
        }
        Ok(Dictionary {
            name: name.to_owned(),
            texts: Arc::new(StringArray::from(texts)),
            known,
        })
    };
    names.into_iter().map(dictionary).collect()
}

/// The type of a row. A label that is named as another column gets `label_` before it.
fn schema_of(labels: &[Dictionary], rows: Option<&Arc<Rows>>) -> Schema {
    let names: BTreeSet<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let label = |label: &Dictionary| {
        let mut column = label.name.clone();
        while OWN.contains(&&*column) || (column != label.name && names.contains(&*column)) {
            column.insert_str(0, "label_");
        }
        Field::new(column, text.clone(), true)
    };
    let mut fields: Vec<Field> = labels.iter().map(label).collect();
    let has_histograms =
        rows.is_some_and(|rows| rows.rows.iter().any(|row| !row.histograms.is_empty()));
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    fields.push(Field::new("timestamp", time, false));
    fields.push(Field::new("value", DataType::Float64, has_histograms));
    if rows.is_some_and(|rows| rows.kind == Kind::Aggregate) {
        fields.push(Field::new("approximate", DataType::Boolean, false));
    }
    if has_histograms {
        fields.push(Field::new("histogram", DataType::Utf8, true));
    }
    Schema::new(fields)
}

/// A column of all rows; that of a single row is shared.
fn joined<T: arrow_buffer::ArrowNativeType>(
    rows: &[Row],
    column: impl Fn(&Row) -> &ScalarBuffer<T>,
) -> ScalarBuffer<T> {
    if let [row] = rows {
        return column(row).clone();
    }
    let mut all = Vec::with_capacity(rows.iter().map(|row| column(row).len()).sum());
    rows.iter()
        .for_each(|row| all.extend_from_slice(column(row)));
    all.into()
}

/// Where values are null, because samples are histograms.
fn histogram_places(rows: &[Row]) -> Option<arrow_buffer::NullBuffer> {
    let mut nulls = NullBufferBuilder::new(0);
    for row in rows {
        for at in 0..row.values.len() {
            nulls.append(!matches!(row.histograms.get(at), Some(Some(_))));
        }
    }
    nulls.finish()
}
