//! Formats of others: Prometheus' chunks, entries of its index, records of its log.

use treering::SampleColumns;
use treering_formats::prometheus::{Entry, Index, Log, decode};

/// A chunk: its encoding, then its bytes. Samples that come out rise in time, in columns of one
/// length, of no more samples than it says.
pub fn prometheus_chunk(data: &[u8]) {
    let Some((&encoding, bytes)) = data.split_first() else {
        return;
    };
    let mut found = SampleColumns::default();
    let decoded = decode(encoding, bytes, &mut found);
    let count = found.timestamps.len();
    assert_eq!(found.values.len(), count);
    assert!(found.histograms.is_empty() || found.histograms.len() == count);
    assert!(found.timestamps.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        found
            .histograms
            .iter()
            .flatten()
            .all(|one| one.fault().is_none())
    );
    let told = bytes
        .first_chunk()
        .map_or(0, |told| u16::from_be_bytes(*told));
    assert!(count <= usize::from(told));
    if decoded.is_ok() {
        assert_eq!(count, usize::from(told));
    }
}

/// Series of an index, behind right checksums; then the same bytes as a whole index.
pub fn prometheus_index(data: &[u8]) {
    for index in [around(data), data.to_vec()] {
        let Ok(index) = Index::new(&index) else {
            continue;
        };
        for series in index.series().flatten() {
            // No chunk takes fewer than three bytes, no label fewer than two.
            assert!(series.chunks.len() * 3 <= data.len());
            assert!(series.labels.iter().count() * 2 <= data.len());
            for chunk in &series.chunks {
                assert!(chunk.first <= chunk.last);
            }
        }
    }
}

/// A record of the log, in fragments of right checksums; then the same bytes as a whole file.
pub fn prometheus_log(data: &[u8]) {
    let file = fragments(data);
    for bytes in [&file[..], data] {
        let mut log = Log::new(None);
        let mut told = 0_usize;
        let read = log.read(bytes, false, true, &mut |entry| {
            told += 1;
            if let Entry::Histogram { histogram, .. } = entry {
                assert!(histogram.fault().is_none());
            }
        });
        // A compressed record may become larger, but each entry takes some bytes of it.
        assert!(told <= 64 * bytes.len());
        drop(read);
    }
}

/// An index of one series, whose entry is `entry`.
fn around(entry: &[u8]) -> Vec<u8> {
    let mut out = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    let symbols_at = out.len() as u64;
    let mut symbols = 5_u32.to_be_bytes().to_vec();
    for text in ["", "__name__", "a", "b", "up"] {
        symbols.push(text.len() as u8);
        symbols.extend(text.as_bytes());
    }
    out.extend((symbols.len() as u32).to_be_bytes());
    out.extend(&symbols);
    out.extend(crc32c::crc32c(&symbols).to_be_bytes());
    out.resize(out.len().next_multiple_of(16), 0);
    let series_at = out.len() as u64;
    let mut length = entry.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(entry);
    out.extend(crc32c::crc32c(entry).to_be_bytes());
    let end = out.len() as u64;
    let mut toc = Vec::new();
    for offset in [symbols_at, series_at, end, end, end, end] {
        toc.extend(offset.to_be_bytes());
    }
    out.extend(&toc);
    out.extend(crc32c::crc32c(&toc).to_be_bytes());
    out
}

/// A file of the log with one record.
fn fragments(record: &[u8]) -> Vec<u8> {
    const PART: usize = (32 << 10) - 7;
    let parts: Vec<&[u8]> = record.chunks(PART).collect();
    let last = parts.len().saturating_sub(1);
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        out.push(match (at == 0, at == last) {
            (true, true) => 1,
            (true, false) => 2,
            (false, true) => 4,
            (false, false) => 3,
        });
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(crc32c::crc32c(part).to_be_bytes());
        out.extend(*part);
    }
    out
}
