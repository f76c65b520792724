//! The bytes of remote write 1.0: protobuf messages, read where they lie.
//!
//! Input: a `prometheus.WriteRequest`. Output: its series, one by one, each with its labels, samples
//! and histograms. Invariant: nothing is held but the labels of one series and the parts of one
//! histogram, whose numbers are bounded; any bytes give a result or an error.
//! Formats: <https://protobuf.dev/programming-guides/encoding/>,
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

/// Why bytes are no request.
pub(crate) type Result<T> = std::result::Result<T, &'static str>;

/// Most labels of a series that are looked at; the engine takes fewer.
const LABELS_MAX: usize = 1 << 12;

/// Most buckets, spans or bounds of one histogram.
pub(crate) const BUCKETS_MAX: usize = 1 << 16;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Number(u64),
    Fixed(u64),
    Short,
    Bytes(&'a [u8]),
}

/// The fields of a message: number and value.
#[derive(Debug, Clone)]
struct Fields<'a> {
    rest: &'a [u8],
}

/// One series of a request.
#[derive(Debug, Clone)]
pub(crate) struct WireSeries<'a> {
    /// Names and values in the order in which they were written; text only by promise.
    pub(crate) labels: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

/// A sample or a histogram; its time in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WireSample {
    Float(i64, f64),
    Histogram(i64, Box<WireHistogram>),
}

/// A native histogram as it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WireHistogram {
    pub(crate) count: Count,
    pub(crate) sum: f64,
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: Count,
    pub(crate) negative: Side,
    pub(crate) positive: Side,
    /// 0 unknown, 1 reset, 2 not reset, 3 gauge.
    pub(crate) hint: u64,
    pub(crate) bounds: Vec<f64>,
}

/// A count of a histogram, whole or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Count {
    Whole(u64),
    Float(f64),
}

/// The buckets of one side: where they are, and what is in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Side {
    /// Distance from the end of the last span, and length.
    pub(crate) spans: Vec<(i32, u32)>,
    /// Of whole histograms, each bucket against the one before.
    pub(crate) deltas: Vec<i64>,
    /// Of float histograms.
    pub(crate) counts: Vec<f64>,
}

impl Default for Count {
    fn default() -> Self {
        Count::Whole(0)
    }
}

/// The series of a request.
pub(crate) fn series(request: &[u8]) -> impl Iterator<Item = Result<WireSeries<'_>>> {
    Fields { rest: request }.filter_map(|field| match field {
        Ok((1, Value::Bytes(body))) => Some(WireSeries::read(body)),
        Ok((1, _)) => Some(Err("a series has the wrong wire type")),
        // Metadata, and what later versions may add.
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

impl<'a> WireSeries<'a> {
    fn read(body: &'a [u8]) -> Result<Self> {
        let mut labels = Vec::new();
        for field in (Fields { rest: body }) {
            match field? {
                (1, Value::Bytes(_)) if labels.len() >= LABELS_MAX => {
                    return Err("a series has too many labels");
                }
                (1, Value::Bytes(bytes)) => labels.push(label(bytes)?),
                (1, _) => return Err("a label has the wrong wire type"),
                _ => {}
            }
        }
        Ok(Self { labels, body })
    }

    /// Its samples, floats and histograms, in the order in which they were written.
    pub(crate) fn samples(&self) -> impl Iterator<Item = Result<WireSample>> + use<'a> {
        Fields { rest: self.body }.filter_map(|field| match field {
            Ok((2, Value::Bytes(bytes))) => Some(sample(bytes)),
            Ok((4, Value::Bytes(bytes))) => Some(histogram(bytes)),
            Ok((2 | 4, _)) => Some(Err("a sample has the wrong wire type")),
            // Labels were read; exemplars are not kept.
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

fn label(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in (Fields { rest: bytes }) {
        match field? {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            (1 | 2, _) => return Err("a label's text has the wrong wire type"),
            _ => {}
        }
    }
    Ok((name, value))
}

fn sample(bytes: &[u8]) -> Result<WireSample> {
    let (mut value, mut time) = (0.0, 0);
    for field in (Fields { rest: bytes }) {
        match field? {
            // From bits: a stale marker must not pass through arithmetic.
            (1, Value::Fixed(bits)) => value = f64::from_bits(bits),
            (2, Value::Number(number)) => time = number as i64,
            (1 | 2, _) => return Err("a part of a sample has the wrong wire type"),
            _ => {}
        }
    }
    Ok(WireSample::Float(time, value))
}

fn histogram(bytes: &[u8]) -> Result<WireSample> {
    let mut histogram = Box::<WireHistogram>::default();
    let mut time = 0;
    for field in (Fields { rest: bytes }) {
        match field? {
            (1, Value::Number(number)) => histogram.count = Count::Whole(number),
            (2, Value::Fixed(bits)) => histogram.count = Count::Float(f64::from_bits(bits)),
            (3, Value::Fixed(bits)) => histogram.sum = f64::from_bits(bits),
            (4, Value::Number(number)) => histogram.schema = signed(number) as i32,
            (5, Value::Fixed(bits)) => histogram.zero_threshold = f64::from_bits(bits),
            (6, Value::Number(number)) => histogram.zero_count = Count::Whole(number),
            (7, Value::Fixed(bits)) => histogram.zero_count = Count::Float(f64::from_bits(bits)),
            (8, Value::Bytes(bytes)) => add(&mut histogram.negative.spans, span(bytes)?)?,
            (9, value) => numbers(&mut histogram.negative.deltas, value)?,
            (10, value) => floats(&mut histogram.negative.counts, value)?,
            (11, Value::Bytes(bytes)) => add(&mut histogram.positive.spans, span(bytes)?)?,
            (12, value) => numbers(&mut histogram.positive.deltas, value)?,
            (13, value) => floats(&mut histogram.positive.counts, value)?,
            (14, Value::Number(number)) => histogram.hint = number,
            (15, Value::Number(number)) => time = number as i64,
            (16, value) => floats(&mut histogram.bounds, value)?,
            (1..=16, _) => return Err("a part of a histogram has the wrong wire type"),
            _ => {}
        }
    }
    Ok(WireSample::Histogram(time, histogram))
}

fn span(bytes: &[u8]) -> Result<(i32, u32)> {
    let (mut offset, mut length) = (0, 0);
    for field in (Fields { rest: bytes }) {
        match field? {
            (1, Value::Number(number)) => offset = signed(number) as i32,
            (2, Value::Number(number)) => length = number as u32,
            (1 | 2, _) => return Err("a span has the wrong wire type"),
            _ => {}
        }
    }
    Ok((offset, length))
}

/// Signed numbers, packed or one.
fn numbers(list: &mut Vec<i64>, value: Value<'_>) -> Result<()> {
    match value {
        Value::Number(number) => add(list, signed(number)),
        Value::Bytes(mut rest) => {
            while !rest.is_empty() {
                add(list, signed(varint(&mut rest)?))?;
            }
            Ok(())
        }
        _ => Err("a delta has the wrong wire type"),
    }
}

/// Floats, packed or one.
fn floats(list: &mut Vec<f64>, value: Value<'_>) -> Result<()> {
    match value {
        Value::Fixed(bits) => add(list, f64::from_bits(bits)),
        Value::Bytes(bytes) => {
            let (whole, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err("a list of floats is cut off");
            }
            for bytes in whole {
                add(list, f64::from_bits(u64::from_le_bytes(*bytes)))?;
            }
            Ok(())
        }
        _ => Err("a count has the wrong wire type"),
    }
}

fn add<T>(list: &mut Vec<T>, one: T) -> Result<()> {
    if list.len() >= BUCKETS_MAX {
        return Err("a histogram has too many buckets");
    }
    list.push(one);
    Ok(())
}

/// Zigzag: small numbers of either sign are few bytes.
fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let key = varint(&mut self.rest)?;
        let number = key >> 3;
        if number == 0 {
            return Err("a field has the number 0");
        }
        let value = match key & 7 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(CUT_OFF)?;
                self.rest = rest;
                Value::Fixed(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| CUT_OFF)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => {
                let (_, rest) = self.rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
                self.rest = rest;
                Value::Short
            }
            _ => return Err("a field has an unknown wire type"),
        };
        Ok((number, value))
    }
}

/// A number of at most ten bytes of seven bits each, the lowest first.
fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(CUT_OFF)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err("a number is longer than 64 bits")
}

const CUT_OFF: &str = "it is cut off";

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
