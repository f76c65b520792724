//! One column of Arrow data as timestamps, values or texts.
//!
//! Input: an array of any type. Output: nanoseconds, doubles, or texts by number; a refusal that
//! names the column. Invariant: what is of the right type already is not copied.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, TimeUnit};

use crate::failure::{Failure, Outcome};

/// The number of a text that is missing.
pub(crate) const MISSING: u32 = 0;

/// Whether a column of this type may be the timestamps without being named.
pub(crate) fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..))
}

/// Whether a column of this type has numbers.
pub(crate) fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64)
}

/// Whether a column of this type has texts.
pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Nanoseconds since the Unix epoch. Timestamps without a zone are UTC, as numpy's are; integers are
/// nanoseconds.
pub(crate) fn times_of(name: &str, array: &dyn Array) -> Outcome<ScalarBuffer<i64>> {
    if let Some(row) = first_null(array) {
        return Err(Failure::value(format_args!(
            "{name} has no time in row {row}"
        )));
    }
    let scaled = |values: &[i64], unit: i64| scaled(name, values, unit);
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(array
            .as_primitive::<TimestampNanosecondType>()
            .values()
            .clone()),
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().values().clone()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled(
            array.as_primitive::<TimestampMicrosecondType>().values(),
            1_000,
        ),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled(
            array.as_primitive::<TimestampMillisecondType>().values(),
            1_000_000,
        ),
        DataType::Timestamp(TimeUnit::Second, _) => scaled(
            array.as_primitive::<TimestampSecondType>().values(),
            1_000_000_000,
        ),
        other => Err(Failure::kind(format_args!(
            "{name} has the type {other}, and times are timestamps or 64-bit integers of \
             nanoseconds"
        ))),
    }
}

/// Times of `unit` nanoseconds as nanoseconds.
pub(crate) fn scaled(name: &str, values: &[i64], unit: i64) -> Outcome<ScalarBuffer<i64>> {
    let one = |&value: &i64| value.checked_mul(unit);
    let all: Option<Vec<i64>> = values.iter().map(one).collect();
    all.map(ScalarBuffer::from).ok_or_else(|| {
        Failure::overflow(format_args!(
            "{name} has a time that 64 bits of nanoseconds do not hold: they reach from 1677 to 2262"
        ))
    })
}

/// Doubles. Rows without one are null in the array and anything here.
pub(crate) fn floats_of(name: &str, array: &dyn Array) -> Outcome<ScalarBuffer<f64>> {
    Ok(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().values().clone(),
        DataType::Float32 => widened::<Float32Type>(array, f64::from),
        DataType::Int8 => widened::<Int8Type>(array, f64::from),
        DataType::Int16 => widened::<Int16Type>(array, f64::from),
        DataType::Int32 => widened::<Int32Type>(array, f64::from),
        DataType::Int64 => widened::<Int64Type>(array, |value| value as f64),
        DataType::UInt8 => widened::<UInt8Type>(array, f64::from),
        DataType::UInt16 => widened::<UInt16Type>(array, f64::from),
        DataType::UInt32 => widened::<UInt32Type>(array, f64::from),
        DataType::UInt64 => widened::<UInt64Type>(array, |value| value as f64),
        other => {
            return Err(Failure::kind(format_args!(
                "{name} has the type {other}, and values are numbers"
            )));
        }
    })
}

/// The first row that is null.
pub(crate) fn first_null(array: &dyn Array) -> Option<usize> {
    let nulls = array.logical_nulls()?;
    (0..array.len()).find(|&row| nulls.is_null(row))
}

fn widened<T: ArrowPrimitiveType>(
    array: &dyn Array,
    widen: impl Fn(T::Native) -> f64,
) -> ScalarBuffer<f64> {
    let values = array.as_primitive::<T>().values();
    values.iter().map(|&value| widen(value)).collect()
}

/// The texts of a column, each with a number from 1 on; [`MISSING`] is null and the empty text,
/// which a label cannot tell apart.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: HashMap<Arc<str>, u32>,
    all: Vec<Arc<str>>,
}

impl Texts {
    /// The text of a number; none for [`MISSING`].
    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.all.get(at).map(|text| &**text)
    }

    /// The number of each row.
    pub(crate) fn numbers_of(&mut self, name: &str, array: &dyn Array) -> Outcome<Vec<u32>> {
        match array.data_type() {
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = self.numbers_of(name, dictionary.values())?;
                if values.is_empty() {
                    return Ok(vec![MISSING; array.len()]);
                }
                let keys = dictionary.normalized_keys();
                let number = |key: usize| values.get(key).copied().unwrap_or(MISSING);
                let mut numbers: Vec<u32> = keys.into_iter().map(number).collect();
                if let Some(nulls) = dictionary.keys().nulls() {
                    let rows = numbers.iter_mut().enumerate();
                    let null = rows.filter(|(row, _)| nulls.is_null(*row));
                    null.for_each(|(_, number)| *number = MISSING);
                }
                Ok(numbers)
            }
            DataType::Utf8 => self.of_iter(array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.of_iter(array.as_string::<i64>().iter()),
            DataType::Utf8View => self.of_iter(array.as_string_view().iter()),
            other => Err(Failure::kind(format_args!(
                "{name} has the type {other}, and labels are texts"
            ))),
        }
    }

    fn of_iter<'a>(&mut self, texts: impl Iterator<Item = Option<&'a str>>) -> Outcome<Vec<u32>> {
        let mut last = ("", MISSING);
        let mut numbers = Vec::with_capacity(texts.size_hint().0);
        for text in texts {
            let text = text.unwrap_or_default();
            if last.0 != text {
                last = (text, self.number(text)?);
            }
            numbers.push(last.1);
        }
        Ok(numbers)
    }

    fn number(&mut self, text: &str) -> Outcome<u32> {
        if text.is_empty() {
            return Ok(MISSING);
        }
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        let text: Arc<str> = text.into();
        self.all.push(Arc::clone(&text));
        let wide = |_| Failure::overflow("a column has over four billion texts");
        let number = u32::try_from(self.all.len()).map_err(wide)?;
        self.known.insert(text, number);
        Ok(number)
    }
}
