//! The log: records across pages, compressed or not, and what a killed server leaves.

use treering::{Labels, labels};
use treering_formats::prometheus::{Entry, Log};

use crate::encoder::{uvarint, varint};

const PAGE: usize = 32 << 10;

/// What the log told, to compare.
#[derive(Debug, PartialEq)]
enum Told {
    Sample(Labels, i64, u64),
    Deleted(Labels, i64, i64),
}

/// A file of the log with these records, split where pages end.
fn file(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (flags, record) in records {
        let mut rest = &record[..];
        let mut is_first = true;
        loop {
            let left = PAGE - out.len() % PAGE;
            if left <= 7 {
                out.resize(out.len() + left, 0);
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(left - 7));
            let kind = match (is_first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            out.push(kind | flags);
            out.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            out.extend(crc32c::crc32c(part).to_be_bytes());
            out.extend(part);
            (rest, is_first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

fn series(number: u64, labels: &Labels) -> Vec<u8> {
    let mut out = vec![1];
    out.extend(number.to_be_bytes());
    out.extend(uvarint(labels.iter().count() as u64));
    for (name, value) in labels.iter() {
        for text in [name, value] {
            out.extend(uvarint(text.len() as u64));
            out.extend(text.as_bytes());
        }
    }
    out
}

fn samples(first: (u64, i64), rest: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut out = vec![2];
    out.extend(first.0.to_be_bytes());
    out.extend(first.1.to_be_bytes());
    for (number, time, value) in rest {
        out.extend(varint(*number as i64 - first.0 as i64));
        out.extend(varint(time - first.1));
        out.extend(value.to_bits().to_be_bytes());
    }
    out
}

fn read(log: &mut Log, bytes: &[u8], is_late: bool) -> Vec<Told> {
    let mut told = Vec::new();
    let tail = log.read(bytes, is_late, false, &mut |entry| {
        told.push(match entry {
            Entry::Sample {
                labels,
                timestamp,
                value,
            } => Told::Sample(labels.clone(), timestamp, value.to_bits()),
            Entry::Deleted {
                labels,
                first,
                last,
            } => Told::Deleted(labels.clone(), first, last),
            Entry::Histogram { .. } => panic!("no histogram was written"),
        });
    });
    assert_eq!(tail.unwrap(), None);
    told
}

#[test]
fn samples_have_the_labels_of_their_series() {
    let (a, b) = (
        labels! { "__name__" => "a" },
        labels! { "__name__" => "b", "x" => "1" },
    );
    // Many samples: the record lies over several pages.
    let many: Vec<(u64, i64, f64)> = (0..10_000).map(|n| (7, 1000 + n, n as f64)).collect();
    let snappy = snap::raw::Encoder::new()
        .compress_vec(&series(9, &b))
        .unwrap();
    let zstd = zstd::encode_all(&samples((9, 2000), &[(9, 2000, -0.0)])[..], 0).unwrap();
    let mut deleted = vec![3];
    deleted.extend(7_u64.to_be_bytes());
    deleted.extend(varint(1000));
    deleted.extend(varint(1004));
    let first = file(&[
        (0, series(7, &a)),
        (0, samples((7, 1000), &many)),
        (8, snappy),
        (16, zstd),
        (0, vec![6, 1, 2, 3]),
        (0, deleted),
    ]);
    let mut log = Log::new(None);
    let told = read(&mut log, &first, false);
    assert_eq!(told.len(), many.len() + 2);
    for (told, (_, time, value)) in told.iter().zip(&many) {
        assert_eq!(
            *told,
            Told::Sample(a.clone(), time * 1_000_000, value.to_bits())
        );
    }
    assert_eq!(
        told[many.len()..],
        [
            Told::Sample(b.clone(), 2_000_000_000, (-0.0_f64).to_bits()),
            Told::Deleted(a.clone(), 1_000_000_000, 1_004_000_000),
        ]
    );
    // The next file goes on with the same series; of one that nobody told nothing is made.
    let second = file(&[(0, samples((9, 3000), &[(9, 3000, 1.0), (11, 3000, 2.0)]))]);
    let told = read(&mut log, &second, false);
    assert_eq!(told, [Told::Sample(b, 3_000_000_000, 1.0_f64.to_bits())]);
    assert_eq!(log.orphans, 1);
}

#[test]
fn what_is_in_blocks_is_passed_over_unless_it_came_late() {
    let a = labels! { "__name__" => "a" };
    let file = file(&[
        (0, series(1, &a)),
        (0, samples((1, 999), &[(1, 999, 1.0), (1, 1000, 2.0)])),
    ]);
    let mut log = Log::new(Some(1000));
    let in_order = [Told::Sample(a.clone(), 1_000_000_000, 2.0_f64.to_bits())];
    assert_eq!(read(&mut log, &file, false), in_order);
    assert_eq!(read(&mut log, &file, true).len(), 2);
}

#[test]
fn a_torn_end_is_told_and_damage_before_it_is_an_error() {
    let a = labels! { "__name__" => "a" };
    let whole = file(&[
        (0, series(1, &a)),
        (0, samples((1, 5), &[(1, 5, 1.0)])),
        (0, samples((1, 6), &[(1, 6, 1.0)])),
    ]);
    let last = file(&[(0, series(1, &a)), (0, samples((1, 5), &[(1, 5, 1.0)]))]).len();
    for length in last + 1..whole.len() {
        let cut = &whole[..length];
        let mut found = 0;
        let mut count = |_: Entry<'_>| found += 1;
        let tail = Log::new(None).read(cut, false, true, &mut count).unwrap();
        assert_eq!(tail.unwrap().offset, last as u64, "cut at {length}");
        assert_eq!(found, 1);
        let middle = Log::new(None).read(cut, false, false, &mut |_| {});
        assert_eq!(middle.unwrap_err().offset(), last as u64);
    }
    let mut damaged = whole;
    damaged[last - 1] ^= 1;
    let error = Log::new(None).read(&damaged, false, false, &mut |_| {});
    assert!(error.unwrap_err().to_string().contains("checksum"));
}
