//! Ten real blocks of M3, written again by our codec.
//!
//! Input: the streams in `codec/tests/m3tsz`, in which M3 spends 1.592 bytes a sample. Output: their
//! samples as chunks, each with timestamps and values of its own.

use treering_benches::Result;
use treering_benches::corpus::CorpusSeries;
use treering_codec::{M3TimeUnit, decode_m3tsz};

use crate::codec::{Codec, Column, Decoded};
use crate::ours;

const STREAMS: [&[u8]; 10] = [
    include_bytes!("../../../codec/tests/m3tsz/block_0.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_1.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_2.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_3.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_4.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_5.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_6.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_7.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_8.bin"),
    include_bytes!("../../../codec/tests/m3tsz/block_9.bin"),
];

/// What the ten streams hold.
pub(crate) fn series() -> Result<Vec<CorpusSeries>> {
    let mut all = Vec::new();
    for stream in STREAMS {
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        decode_m3tsz(
            stream,
            M3TimeUnit::Second,
            true,
            &mut timestamps,
            &mut values,
        )?;
        all.push(CorpusSeries {
            labels: Vec::new(),
            timestamps,
            values,
        });
    }
    Ok(all)
}

/// M3's own stream, read: its bytes are found again by the first timestamp and value.
pub(crate) struct M3tsz;

impl Codec for M3tsz {
    fn name(&self) -> &'static str {
        "m3tsz"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let of_column = |stream: &&&[u8]| {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let unit = M3TimeUnit::Second;
            decode_m3tsz(stream, unit, true, &mut times, &mut values).is_ok()
                && times == column.nanos
                && values.first().map(|v| v.to_bits()) == column.values.first().map(|v| v.to_bits())
        };
        out.extend_from_slice(STREAMS.iter().find(of_column).copied().unwrap_or_default());
    }

    fn decode(&mut self, bytes: &[u8], _: usize, out: &mut Decoded) {
        let unit = M3TimeUnit::Second;
        decode_m3tsz(bytes, unit, true, &mut out.times, &mut out.values).expect("a real stream");
    }
}

/// Both columns one behind the other, as an exported chunk has them.
#[derive(Default)]
pub(crate) struct Columns {
    values: ours::Values,
}

impl Codec for Columns {
    fn name(&self) -> &'static str {
        "treering"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        // A byte or two of length, as anything that holds both would need.
        out.extend_from_slice(&[0; 2]);
        ours::Times.encode(column, out);
        let length = (out.len() - start - 2) as u16;
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
        self.values.encode(column, out);
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
            return;
        };
        let (times, values) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        ours::Times.decode(times, count, out);
        self.values.decode(values, count, out);
    }
}
