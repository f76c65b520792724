//! Damage: what is not what Prometheus wrote is an error, or is not looked at.

use std::collections::BTreeMap;

use treering::labels;

use crate::blocks::{Files, block};

/// One series of a few chunks.
fn small() -> Option<Files> {
    let start = 1_700_000_000_000_i64 / 7_200_000 * 7_200_000;
    let of = |metric: &str| {
        let samples = (0..300).map(|n| (start + n * 15_000, n as f64));
        (
            labels! { "__name__" => metric, "job" => "a" },
            samples.collect(),
        )
    };
    block(&BTreeMap::from([of("one"), of("two")]))
}

#[test]
fn no_flipped_bit_gives_other_samples() {
    let Some(files) = small() else { return };
    let wanted = files.series().unwrap();
    let mut refused = 0;
    for at in 0..files.index.len() * 8 {
        let mut index = files.index.clone();
        index[at / 8] ^= 1 << (at % 8);
        let damaged = Files {
            index,
            chunks: files.chunks.clone(),
            tombstones: files.tombstones.clone(),
        };
        match damaged.series() {
            // Postings are not read, nor what fills up to multiples of sixteen.
            Ok(found) => assert_eq!(found, wanted, "bit {at} of the index"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000, "only {refused} flips were noticed");
    for at in 0..files.chunks[0].len() * 8 {
        let mut chunks = files.chunks.clone();
        chunks[0][at / 8] ^= 1 << (at % 8);
        let damaged = Files {
            index: files.index.clone(),
            chunks,
            tombstones: files.tombstones.clone(),
        };
        // Three bytes of the head stand for nothing.
        if let Ok(found) = damaged.series() {
            assert!((5 * 8..8 * 8).contains(&at), "bit {at} of the chunks");
            assert_eq!(found, wanted);
        }
    }
}

#[test]
fn files_that_are_cut_are_refused() {
    let Some(files) = small() else { return };
    for length in 0..files.index.len() {
        let damaged = Files {
            index: files.index[..length].to_vec(),
            chunks: files.chunks.clone(),
            tombstones: files.tombstones.clone(),
        };
        assert!(damaged.series().is_err(), "an index of {length} bytes");
    }
    for length in 0..files.chunks[0].len() {
        let damaged = Files {
            index: files.index.clone(),
            chunks: vec![files.chunks[0][..length].to_vec()],
            tombstones: files.tombstones.clone(),
        };
        assert!(damaged.series().is_err(), "chunks of {length} bytes");
    }
    for length in 0..files.tombstones.len() {
        let damaged = Files {
            index: files.index.clone(),
            chunks: files.chunks.clone(),
            tombstones: files.tombstones[..length].to_vec(),
        };
        assert!(damaged.series().is_err(), "tombstones of {length} bytes");
    }
}
