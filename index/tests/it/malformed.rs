//! Damaged bytes give an error or equal answers; damage that keeps every checksum right gives an
//! error or some answer. Neither ever panics.

use std::collections::BTreeSet;

use proptest::prelude::*;
use treering_codec::crc32;
use treering_index::{IndexReader, Labels, Result, Selector};

use crate::model::write;

fn sample() -> BTreeSet<Labels> {
    (0..90u32)
        .map(|n| {
            let pairs = [
                ("__name__", format!("metric_{}", n % 4)),
                ("host", format!("host_{}", n / 4)),
                (
                    "rack",
                    if n % 7 == 0 {
                        String::new()
                    } else {
                        format!("{}", n % 5)
                    },
                ),
                (
                    "unique",
                    if n % 11 == 0 {
                        format!("{n}")
                    } else {
                        String::new()
                    },
                ),
            ];
            Labels::from_pairs(pairs).unwrap()
        })
        .collect()
}

/// Everything that can be asked, as one comparable value.
fn answers(bytes: &[u8]) -> Result<Vec<String>> {
    let index = IndexReader::open(bytes)?;
    let mut answers = vec![index.series_count().to_string()];
    for text in [
        r#"{host="host_3"}"#,
        r#"{host=~"host_1.*",rack!="2"}"#,
        r#"{host!~".*2.*"}"#,
        r#"{rack="",unique!=""}"#,
        r#"{unique=~".+"}"#,
        r#"metric_2"#,
    ] {
        let found = index.select(Selector::parse(text)?.matchers())?;
        answers.push(format!("{:?}", found.iter().take(200).collect::<Vec<_>>()));
        answers.push(format!("{:?}", index.label_names(Some(&found))?));
        answers.push(format!("{:?}", index.label_values("host", Some(&found))?));
    }
    for ordinal in 0..index.series_count().min(200) {
        answers.push(index.labels(ordinal)?.to_string());
    }
    answers.push(format!("{:?}", index.label_names(None)?));
    answers.push(format!("{:?}", index.label_values("rack", None)?));
    answers.push(format!("{:?}", index.stats(5)?));
    Ok(answers)
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = write(&sample());
    let expected = answers(&good).unwrap();
    assert_eq!(expected.len(), 1 + 18 + 90 + 3);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        match answers(&bytes) {
            Ok(found) => assert_eq!(found, expected, "bit of byte {at}"),
            Err(error) => {
                assert!(error.is_corruption(), "byte {at}: {error}");
                assert!(error.offset().unwrap() <= good.len(), "byte {at}: {error}");
            }
        }
        let verified = IndexReader::open(bytes.as_slice()).and_then(|index| index.verify());
        assert!(verified.is_err(), "verify overlooked byte {at}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let good = write(&sample());
    for len in 0..good.len() {
        assert!(
            IndexReader::open(&good[..len]).unwrap_err().is_corruption(),
            "length {len}"
        );
    }
    let mut longer = good;
    longer.push(0);
    assert!(IndexReader::open(longer).is_err());
}

/// An attacker's file: the checksums are right, the content is not.
fn with_right_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let footer_at = bytes.len() - 24;
    let directory_at = u64::from_le_bytes(bytes[footer_at..footer_at + 8].try_into().unwrap());
    let directory_at = (directory_at as usize).min(footer_at);
    let mut directory = bytes[directory_at..footer_at].to_vec();
    // Walks the directory as far as it makes sense and repairs each section's checksum.
    let mut reader = treering_codec::varint::Reader::new(&bytes[directory_at..footer_at]);
    let (mut start, mut number) = (8usize, 0u32);
    let mut section = |reader: &mut treering_codec::varint::Reader<'_>| {
        let len = reader.varint().ok()? as usize;
        let at = reader.offset();
        reader.u32().ok()?;
        let covered = bytes.get(start..start.checked_add(len)?)?;
        directory[at..at + 4].copy_from_slice(&crc32(number, covered).to_le_bytes());
        start += len;
        number += 1;
        Some(())
    };
    let mut walk = || {
        for _ in 0..3 {
            reader.varint().ok()?;
        }
        for _ in 0..3 {
            section(&mut reader)?;
        }
        for _ in 0..reader.varint().ok()? {
            reader.bytes().ok()?;
            reader.varint().ok()?;
            reader.varint().ok()?;
            for _ in 0..3 {
                section(&mut reader)?;
            }
        }
        Some(())
    };
    walk();
    bytes[directory_at..footer_at].copy_from_slice(&directory);
    let directory_crc = crc32(u32::from_le_bytes(*b"dir\0"), &directory);
    bytes[footer_at + 12..footer_at + 16].copy_from_slice(&directory_crc.to_le_bytes());
    let header = [&bytes[..8], &bytes[footer_at..footer_at + 16]].concat();
    let crc = crc32(u32::from_le_bytes(*b"foot"), &header);
    bytes[footer_at + 16..footer_at + 20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn forged_bytes_never_panic(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0usize..40, any::<u8>()), 1..4),
    ) {
        let mut bytes = write(&sample());
        let at = at.index(bytes.len());
        for (offset, byte) in changes {
            if let Some(target) = bytes.get_mut(at + offset) {
                *target = byte;
            }
        }
        let bytes = with_right_checksums(bytes);
        let _ = answers(&bytes);
        if let Ok(index) = IndexReader::open(bytes.as_slice()) {
            let _ = index.verify();
            let _ = index.find(&Labels::from_pairs([("host", "host_3")]).unwrap());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(answers(&bytes).is_err());
    }
}

#[test]
fn repairing_checksums_of_intact_bytes_changes_nothing() {
    let good = write(&sample());
    assert_eq!(with_right_checksums(good.clone()), good);
}
