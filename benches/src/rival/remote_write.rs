//! Requests of Prometheus' remote write 1.0: protobuf, compressed by snappy's block format.
//!
//! Input: labels of series, times and values. Output: the body of a request. Fields as in
//! Prometheus' `prompb/remote.proto` and `types.proto`: a request holds series (1), a series labels
//! (1: name 1, value 2) and samples (2: value 1 as a double, milliseconds 2 as a varint).

use crate::Result;

/// Series with their labels encoded once.
#[derive(Debug)]
pub struct Encoder {
    series: Vec<Vec<u8>>,
    snappy: snap::raw::Encoder,
}

impl Encoder {
    /// Labels of each series, sorted by name.
    pub fn new<'a>(series: impl Iterator<Item = Vec<(&'a str, String)>>) -> Self {
        let encoded = series.map(|labels| {
            let mut bytes = Vec::new();
            for (name, value) in labels {
                let mut label = Vec::new();
                field(&mut label, 1, name.as_bytes());
                field(&mut label, 2, value.as_bytes());
                field(&mut bytes, 1, &label);
            }
            bytes
        });
        Self {
            series: encoded.collect(),
            snappy: snap::raw::Encoder::new(),
        }
    }

    /// One request: at each of the times, nanoseconds, a value of every series. `values` holds those
    /// of the first time in the order of the series, then those of the next.
    pub fn request(&mut self, times: &[i64], values: &[f64]) -> Result<Vec<u8>> {
        let width = self.series.len();
        self.compressed(|index| {
            let values = values.iter().skip(index).step_by(width);
            times.iter().copied().zip(values.copied())
        })
    }

    /// One request: of each series its own times, nanoseconds, and values.
    pub fn request_of(&mut self, samples: &[&[(i64, f64)]]) -> Result<Vec<u8>> {
        self.compressed(|index| {
            samples
                .get(index)
                .copied()
                .unwrap_or_default()
                .iter()
                .copied()
        })
    }

    /// Series of which there is nothing to write are left out.
    fn compressed<I: Iterator<Item = (i64, f64)>>(
        &mut self,
        samples_of: impl Fn(usize) -> I,
    ) -> Result<Vec<u8>> {
        let mut request = Vec::new();
        for (index, labels) in self.series.iter().enumerate() {
            let mut series = labels.clone();
            for (time, value) in samples_of(index) {
                let mut sample = Vec::with_capacity(20);
                sample.push(1 << 3 | 1);
                sample.extend_from_slice(&value.to_le_bytes());
                sample.push(2 << 3);
                varint(&mut sample, (time / 1_000_000) as u64);
                field(&mut series, 2, &sample);
            }
            if series.len() > labels.len() {
                field(&mut request, 1, &series);
            }
        }
        Ok(self.snappy.compress_vec(&request)?)
    }
}

/// A field of bytes: wire type 2.
fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_bytes_that_the_format_says() {
        let labels = [vec![("a", "b".to_owned())], vec![("a", "c".to_owned())]];
        let mut encoder = Encoder::new(labels.into_iter());
        let request = encoder.request(&[300_000_000, 1_000_000], &[1.0, 2.0, 3.0, -0.0]);
        let plain = snap::raw::Decoder::new()
            .decompress_vec(&request.unwrap())
            .unwrap();
        #[rustfmt::skip]
        let wanted = [
            0x0a, 35, // the first series
            0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b',
            0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02,
            0x12, 11, 0x09, 0, 0, 0, 0, 0, 0, 0x08, 0x40, 0x10, 1,
            0x0a, 35,
            0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'c',
            0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0x00, 0x40, 0x10, 0xac, 0x02,
            0x12, 11, 0x09, 0, 0, 0, 0, 0, 0, 0x00, 0x80, 0x10, 1,
        ];
        assert_eq!(plain, wanted);
        let ragged: [&[(i64, f64)]; 2] = [
            &[(300_000_000, 1.0), (1_000_000, 3.0)],
            &[(300_000_000, 2.0), (1_000_000, -0.0)],
        ];
        let request = encoder.request_of(&ragged).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&request).unwrap();
        assert_eq!(plain, wanted);
        let request = encoder.request_of(&[&[], ragged[1]]).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&request).unwrap();
        assert_eq!(plain, wanted[37..]);
    }
}
