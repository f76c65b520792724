//! Arrow: answers as record batches (feature `arrow`).
//!
//! Input: a [`Value`]. Output: a [`RecordBatch`] with a row for each sample. Invariant: rows stand in
//! the order of the value, those of a series together and in order of time; floats keep their bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use treering::Labels;

use crate::histogram::Shown;
use crate::value::{ResultSeries, SampleValue, Value, VectorSample};

/// Names of the columns that are no labels.
const OWN: [&str; 3] = ["timestamp", "value", "histogram"];

/// Rows under way.
#[derive(Default)]
struct Rows {
    timestamps: Vec<i64>,
    values: Vec<Option<f64>>,
    histograms: Vec<Option<String>>,
    /// How many rows the series with these labels have, in their order.
    series: Vec<(Labels, usize)>,
}

impl Value {
    /// The value as one record batch, with a row for each sample.
    ///
    /// | column | type | what |
    /// |---|---|---|
    /// | `timestamp` | `Timestamp(Nanosecond, "UTC")` | the time of the sample or step |
    /// | `value` | `Float64` | null where the sample is a histogram |
    /// | `histogram` | `Utf8`, null where the sample is a float | only where there is one: as Prometheus prints it |
    /// | one for each label name | `Dictionary(Int32, Utf8)` | null where the series lacks it |
    ///
    /// A row per sample and a column per label is what data frames and SQL group and join by; a map
    /// column would have to be unpacked first, and a column per series cannot be concatenated. A
    /// dictionary makes a label cost four bytes a row, however long it is. A label that is named as
    /// one of the first three columns has `label_` before its name.
    ///
    /// A scalar is one row without labels, a text gives no row. Refuses answers with more distinct
    /// values of one label than an `Int32` can number.
    ///
    /// ```
    /// use arrow_array::cast::AsArray;
    /// use arrow_array::types::{Float64Type, Int32Type, TimestampNanosecondType};
    /// use treering::{Batch, Db, labels};
    /// use treering_promql::{Evaluator, Features, parse};
    /// const SECOND: i64 = 1_000_000_000;
    /// let db = Db::in_memory()?;
    /// for (host, value) in [("a", 1.0), ("b", 2.0)] {
    ///     let up = labels! { "__name__" => "up", "host" => host };
    ///     db.append(&Batch::new().column(up, &[SECOND], &[value]))?;
    /// }
    /// let up = parse("up", &Features::default())?;
    /// let answer = Evaluator::new(&db).range(&up, SECOND, 2 * SECOND, SECOND)?;
    /// let batch = answer.value.to_arrow()?;
    /// assert_eq!((batch.num_rows(), batch.num_columns()), (4, 4));
    /// let times = batch["timestamp"].as_primitive::<TimestampNanosecondType>();
    /// assert_eq!(times.values(), &[SECOND, 2 * SECOND, SECOND, 2 * SECOND]);
    /// let values = batch["value"].as_primitive::<Float64Type>();
    /// assert_eq!(values.values(), &[1.0, 1.0, 2.0, 2.0]);
    /// let hosts = batch["host"].as_dictionary::<Int32Type>();
    /// assert_eq!(hosts.keys().values(), &[0, 0, 1, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_arrow(&self) -> Result<RecordBatch, ArrowError> {
        let mut rows = Rows::default();
        match self {
            Value::Scalar(time, value) => {
                rows.series.push((Labels::empty(), 1));
                rows.push(*time, &SampleValue::Float(*value));
            }
            Value::String(..) => {}
            Value::Vector(vector) => {
                for VectorSample {
                    labels,
                    timestamp,
                    value,
                } in vector
                {
                    rows.series.push((labels.clone(), 1));
                    rows.push(*timestamp, value);
                }
            }
            Value::Matrix(matrix) => {
                for ResultSeries { labels, samples } in matrix {
                    rows.series.push((labels.clone(), samples.len()));
                    for (time, value) in samples {
                        rows.push(*time, value);
                    }
                }
            }
        }
        rows.finish()
    }
}

impl Rows {
    fn push(&mut self, time: i64, value: &SampleValue) {
        self.timestamps.push(time);
        let (float, histogram) = match value {
            SampleValue::Float(float) => (Some(*float), None),
            SampleValue::Histogram(one) => (None, Some(Shown(one).to_string())),
        };
        self.values.push(float);
        if histogram.is_some() || !self.histograms.is_empty() {
            self.histograms.resize(self.values.len() - 1, None);
            self.histograms.push(histogram);
        }
    }

    fn finish(self) -> Result<RecordBatch, ArrowError> {
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        let times = TimestampNanosecondArray::from(self.timestamps).with_timezone("UTC");
        let time_type = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        fields.push(Field::new(OWN[0], time_type, false));
        columns.push(Arc::new(times));
        let has_histograms = !self.histograms.is_empty();
        fields.push(Field::new(OWN[1], DataType::Float64, has_histograms));
        columns.push(Arc::new(Float64Array::from(self.values)));
        if has_histograms {
            fields.push(Field::new(OWN[2], DataType::Utf8, true));
            columns.push(Arc::new(StringArray::from(self.histograms)));
        }
        for (name, column) in names(&self.series) {
            let values = label_column(&self.series, &name)?;
            fields.push(Field::new(column, values_type(), true));
            columns.push(Arc::new(values));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}

/// All label names, each with the name of its column, in their order.
fn names(series: &[(Labels, usize)]) -> BTreeMap<String, String> {
    let all = series.iter().flat_map(|(labels, _)| labels.iter());
    let names: BTreeSet<&str> = all.map(|(name, _)| name).collect();
    let column = |name: &str| {
        let mut column = name.to_owned();
        while OWN.contains(&column.as_str()) || (column != name && names.contains(&*column)) {
            column.insert_str(0, "label_");
        }
        (name.to_owned(), column)
    };
    names.iter().map(|name| column(name)).collect()
}

/// The values of one label for each row.
fn label_column(
    series: &[(Labels, usize)],
    name: &str,
) -> Result<DictionaryArray<Int32Type>, ArrowError> {
    let mut values: Vec<&str> = Vec::new();
    let mut numbers: HashMap<&str, i32> = HashMap::new();
    let mut keys: Vec<Option<i32>> = Vec::new();
    for (labels, rows) in series {
        let key = match labels.get(name) {
            None => None,
            Some(value) => Some(match numbers.get(value) {
                Some(&number) => number,
                None => {
                    let number = i32::try_from(values.len())
                        .map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                    values.push(value);
                    numbers.insert(value, number);
                    number
                }
            }),
        };
        keys.resize(keys.len() + rows, key);
    }
    DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(values)))
}

fn values_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use treering::labels;

    fn sample(labels: Labels, value: SampleValue) -> VectorSample {
        VectorSample {
            labels,
            timestamp: 5,
            value,
        }
    }

    #[test]
    fn labels_that_a_series_lacks_are_null_and_bits_are_kept() {
        let odd = f64::from_bits(0x7ff8_0000_0000_0123);
        let vector = Value::Vector(vec![
            sample(labels! { "a" => "x" }, SampleValue::Float(odd)),
            sample(labels! { "b" => "y" }, SampleValue::Float(-0.0)),
            sample(labels! { "a" => "x", "b" => "z" }, SampleValue::Float(1.0)),
        ]);
        let batch = vector.to_arrow().unwrap();
        let values = batch["value"].as_primitive::<Float64Type>().values();
        let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [odd.to_bits(), (-0.0f64).to_bits(), 1f64.to_bits()]);
        let a = batch["a"].as_dictionary::<Int32Type>();
        assert_eq!(a.values().len(), 1);
        assert_eq!(
            a.logical_nulls().unwrap().iter().collect::<Vec<_>>(),
            [true, false, true]
        );
        let b = batch["b"].as_dictionary::<Int32Type>();
        assert_eq!(
            b.values()
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["y", "z"]
        );
    }

    #[test]
    fn labels_named_as_our_columns_are_told_apart() {
        let odd = labels! { "value" => "1", "label_value" => "2", "timestamp" => "3" };
        let batch = Value::Vector(vec![sample(odd, SampleValue::Float(0.0))])
            .to_arrow()
            .unwrap();
        let schema = batch.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(
            names,
            [
                "timestamp",
                "value",
                "label_value",
                "label_timestamp",
                "label_label_value"
            ]
        );
        let text = batch["label_label_value"].as_dictionary::<Int32Type>();
        assert_eq!(text.values().as_string::<i32>().value(0), "1");
    }

    #[test]
    fn histograms_stand_in_a_column_of_their_own() {
        let one = Arc::new(Histogram {
            count: 4.0,
            sum: 5.0,
            positive: vec![(0, 4.0)],
            ..Histogram::default()
        });
        let matrix = Value::Matrix(vec![ResultSeries {
            labels: Labels::empty(),
            samples: vec![
                (1, SampleValue::Float(2.0)),
                (2, SampleValue::Histogram(one)),
                (3, SampleValue::Float(3.0)),
            ],
        }]);
        let batch = matrix.to_arrow().unwrap();
        let texts = batch["histogram"].as_string::<i32>();
        let texts: Vec<Option<&str>> = texts.iter().collect();
        assert_eq!(texts, [None, Some("{count:4, sum:5, (0.5,1]:4}"), None]);
        assert_eq!(batch["value"].logical_nulls().unwrap().null_count(), 1);
    }

    #[test]
    fn scalars_are_one_row_and_texts_none() {
        let scalar = Value::Scalar(7, 1.5).to_arrow().unwrap();
        assert_eq!((scalar.num_rows(), scalar.num_columns()), (1, 2));
        assert_eq!(
            Value::String(7, "x".to_owned())
                .to_arrow()
                .unwrap()
                .num_rows(),
            0
        );
        assert_eq!(Value::Matrix(Vec::new()).to_arrow().unwrap().num_rows(), 0);
    }
}
