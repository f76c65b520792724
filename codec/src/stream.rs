//! The head's streaming encoder.
use crate::error::{Error, Result};
use crate::sample::Sample;

/// Encodes samples one at a time, readable while it is written.
#[derive(Debug, Clone, Default)]
pub struct StreamEncoder {
    buf: Vec<u8>,
}

impl StreamEncoder {
    /// An empty stream, which holds no heap memory.
    pub const fn new() -> Self {
        Self { buf: Vec::new() }
    }
    /// Appends a sample: O(1), any timestamp, any value.
    pub fn push(&mut self, timestamp: i64, value: f64) {
        self.buf.extend_from_slice(&timestamp.to_le_bytes());
        self.buf.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    /// Samples pushed.
    pub fn len(&self) -> usize {
        self.buf.len() / 16
    }
    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }
    fn at(&self, index: usize) -> Option<Sample> {
        StreamReader {
            bytes: self.buf.get(index * 16..)?,
        }
        .next()?
        .ok()
    }
    /// Timestamp of the first sample pushed.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.at(0).map(|s| s.timestamp)
    }
    /// Timestamp of the last sample pushed.
    pub fn last_timestamp(&self) -> Option<i64> {
        self.at(self.len().checked_sub(1)?).map(|s| s.timestamp)
    }
    /// Value of the last sample pushed.
    pub fn last_value(&self) -> Option<f64> {
        self.at(self.len().checked_sub(1)?).map(|s| s.value)
    }
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.buf.capacity()
    }
    /// A self-contained copy of what was pushed.
    pub fn snapshot(&self) -> Vec<u8> {
        self.buf.clone()
    }
    /// Appends what [`Self::snapshot`] returns to `out`.
    pub fn snapshot_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buf);
    }
    /// The stream's bytes.
    pub fn finish(self) -> Box<[u8]> {
        self.buf.into_boxed_slice()
    }
    /// The stream's bytes; leaves an empty encoder.
    pub fn take(&mut self) -> Box<[u8]> {
        std::mem::take(self).finish()
    }
}

/// Appends the samples of a stream to `timestamps` and `values`; returns how many.
pub fn decode_stream(
    bytes: &[u8],
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<usize> {
    let mut count = 0;
    for sample in StreamReader::new(bytes)? {
        let sample = sample?;
        timestamps.push(sample.timestamp);
        values.push(sample.value);
        count += 1;
    }
    Ok(count)
}

/// Iterates over the samples of a stream.
#[derive(Debug, Clone)]
pub struct StreamReader<'a> {
    bytes: &'a [u8],
}

impl<'a> StreamReader<'a> {
    /// A reader of the stream `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { bytes })
    }
}

impl Iterator for StreamReader<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let mut reader = crate::varint::Reader::new(self.bytes);
        match (reader.i64(), reader.u64()) {
            (Ok(timestamp), Ok(bits)) => {
                self.bytes = reader.rest();
                Some(Ok(Sample::new(timestamp, f64::from_bits(bits))))
            }
            _ => {
                self.bytes = &[];
                Some(Err(Error::Truncated { offset: 0 }))
            }
        }
    }
}
