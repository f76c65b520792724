//! Damaged, cut, swapped and forged blocks: intact data or an error that names the place.

use proptest::prelude::*;
use treering_codec::{crc32, crc32_parts, stale_marker};

use super::*;
use crate::block::format::{FOOTER_BYTES, HEADER_BYTES, PAGE_BYTES};

const BOTH: [Reads; 2] = [Reads::Mmap, Reads::Pread];

/// A few series of all kinds of chunks in a small file.
fn small() -> Vec<Plain> {
    let shared = grid(START, 10 * SECOND, 40);
    vec![
        plain(0, shared.clone(), |index| index as f64 / 10.0),
        plain(1, shared.clone(), |_| 3.0),
        plain(2, shared.clone(), |index| {
            if index == 7 { stale_marker() } else { 3.0 }
        }),
        plain(3, shared, |_| 3.0),
        plain(4, vec![-5, 0, 8], |index| [f64::NAN, -0.0, 1e300][index]),
    ]
}

fn bytes_of(series: &[Plain], meta: BlockMeta) -> Vec<u8> {
    let vfs = store();
    write(&vfs, path(), meta, series).unwrap();
    vfs.map(path()).unwrap().to_vec()
}

fn store_with(bytes: &[u8]) -> Arc<dyn Vfs> {
    let vfs = store();
    vfs.create(path()).unwrap().write_all_at(bytes, 0).unwrap();
    vfs
}

/// Everything that a block can be asked, in one result.
fn everything(vfs: &Arc<dyn Vfs>, reads: Reads) -> Result<Vec<Row>> {
    let block = Block::open(vfs, path(), reads)?;
    let series = read(&block)?;
    block.label_names(None)?;
    block.index()?.label_values("host", None)?;
    Ok(series)
}

fn verify(vfs: &Arc<dyn Vfs>, reads: Reads) -> Result<()> {
    Block::open(vfs, path(), reads)?.verify()
}

#[test]
fn no_flipped_byte_goes_unnoticed() {
    let series = small();
    let (intact, wanted) = (bytes_of(&series, META), model(&series));
    for offset in 0..intact.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = intact.clone();
            bytes[offset] ^= flip;
            let vfs = store_with(&bytes);
            for reads in BOTH {
                match everything(&vfs, reads) {
                    Ok(found) => assert_eq!(found, wanted, "offset {offset} flip {flip:#x}"),
                    Err(Error::Corrupt { offset, .. }) => assert!(offset <= bytes.len() as u64),
                    Err(error) => panic!("offset {offset} flip {flip:#x}: {error}"),
                }
                let verified = verify(&vfs, reads);
                assert!(
                    matches!(verified, Err(Error::Corrupt { .. })),
                    "offset {offset} flip {flip:#x}: {verified:?}"
                );
            }
        }
    }
}

/// Damage found when the values of two blocks are compared is that of the one not yet read: it was
/// once told of the intact one.
#[test]
fn damage_beside_an_intact_block_is_told_of_the_damaged_one() {
    let (intact, mut told) = (bytes_of(&small(), META), 0);
    let vfs = store_with(&intact);
    let listed = Block::open(&vfs, path(), Reads::Mmap).unwrap();
    let listed = listed.index().unwrap();
    listed.label_values("host", None).unwrap();
    let other = Path::new("8.block");
    for offset in 0..intact.len() {
        let mut bytes = intact.clone();
        bytes[offset] ^= 0x10;
        if offset > 0 {
            vfs.remove(other).unwrap();
        }
        vfs.create(other).unwrap().write_all_at(&bytes, 0).unwrap();
        let Ok(block) = Block::open(&vfs, other, Reads::Pread) else {
            continue;
        };
        let Ok(index) = block.index() else { continue };
        match index.has_values_of(&listed, "host") {
            Ok(same) => assert!(same),
            Err(Error::Corrupt { file, .. }) => {
                assert_eq!(file, other);
                told += 1;
            }
            Err(error) => panic!("offset {offset}: {error}"),
        }
    }
    assert!(told > 0);
}

#[test]
fn no_file_of_another_length_opens() {
    let intact = bytes_of(&small(), META);
    for length in 0..intact.len() {
        let vfs = store_with(&intact[..length]);
        for reads in BOTH {
            let opened = Block::open(&vfs, path(), reads);
            assert!(
                matches!(opened, Err(Error::Corrupt { .. })),
                "{length} bytes"
            );
        }
    }
    for extra in [&b"\0"[..], &intact[intact.len() - FOOTER_BYTES..], &intact] {
        let vfs = store_with(&[&intact, extra].concat());
        for reads in BOTH {
            assert!(matches!(
                Block::open(&vfs, path(), reads),
                Err(Error::Corrupt { .. })
            ));
        }
    }
}

/// A disk that wrote an intact page of one block into another, or to another place of its own.
#[test]
fn pages_of_other_places_do_not_pass() {
    let times = grid(START, 1, 9000);
    let noise = |index: usize| f64::from_bits((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let series = [plain(0, times, noise)];
    let (ours, wanted) = (bytes_of(&series, META), model(&series));
    for other in [
        BlockMeta { id: 8, ..META },
        BlockMeta {
            database: 1,
            ..META
        },
    ] {
        let theirs = bytes_of(&series, other);
        assert_eq!(
            theirs[HEADER_BYTES..PAGE_BYTES],
            ours[HEADER_BYTES..PAGE_BYTES]
        );
        let mut bytes = ours.clone();
        bytes[..PAGE_BYTES].copy_from_slice(&theirs[..PAGE_BYTES]);
        assert!(Block::open(&store_with(&bytes), path(), Reads::Mmap).is_err());
        // The header cannot tell when only the page table comes from elsewhere.
        let table = ours.len() - FOOTER_BYTES - 4..ours.len() - FOOTER_BYTES;
        let mut bytes = ours.clone();
        bytes[table.clone()].copy_from_slice(&theirs[table]);
        assert!(everything(&store_with(&bytes), Reads::Mmap).is_err());
    }
    let mut bytes = ours.clone();
    bytes.copy_within(PAGE_BYTES..2 * PAGE_BYTES, 0);
    bytes[..HEADER_BYTES].copy_from_slice(&ours[..HEADER_BYTES]);
    for reads in BOTH {
        assert_eq!(everything(&store_with(&ours), reads).unwrap(), wanted);
        assert!(everything(&store_with(&bytes), reads).is_err());
    }
}

#[test]
fn a_newer_version_is_refused_by_its_number() {
    let mut bytes = bytes_of(&small(), META);
    bytes[8..12].copy_from_slice(&42u32.to_le_bytes());
    let crc = crc32(0, &bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let opened = Block::open(&store_with(&bytes), path(), Reads::Pread);
    assert!(
        matches!(
            opened,
            Err(Error::Version {
                found: 42,
                supported: 6,
                ..
            })
        ),
        "{opened:?}"
    );
}

/// Makes all checksums right again, as a malicious or mistaken writer would.
pub(super) fn sum_anew(bytes: &mut [u8]) {
    let footer = bytes.len() - FOOTER_BYTES;
    let number = |bytes: &[u8], index: usize| {
        let at = footer + 8 * index;
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    let seed = META.seed();
    let paged = HEADER_BYTES + (0..5).map(|index| number(bytes, index)).sum::<usize>();
    let index = paged..paged + number(bytes, 5);
    let table = index.end..index.end + number(bytes, 6);
    let (body, rest) = bytes.split_at_mut(paged);
    let rest_table = &mut rest[table.start - paged..table.end - paged];
    for (number, (page, stored)) in body
        .chunks(PAGE_BYTES)
        .zip(rest_table.chunks_mut(4))
        .enumerate()
    {
        let crc = crc32_parts(seed, &[&(number as u64).to_le_bytes(), page]);
        stored.copy_from_slice(&crc.to_le_bytes());
    }
    let index_crc = crc32(seed, &bytes[index]);
    let table_crc = crc32(seed, &bytes[table]);
    bytes[footer + 56..footer + 60].copy_from_slice(&index_crc.to_le_bytes());
    bytes[footer + 60..footer + 64].copy_from_slice(&table_crc.to_le_bytes());
    let end = bytes.len() - 12;
    let crc = crc32(seed, &bytes[footer..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn forged_blocks_are_answered_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes_of(&small(), META);
        let inside = HEADER_BYTES..bytes.len() - FOOTER_BYTES;
        for (place, value) in changes {
            bytes[inside.start + place.index(inside.len())] = value;
        }
        sum_anew(&mut bytes);
        let vfs = store_with(&bytes);
        for reads in BOTH {
            if let Err(error) = everything(&vfs, reads) {
                prop_assert!(error.is_corruption(), "{}", error);
            }
            if let Err(error) = verify(&vfs, reads) {
                prop_assert!(error.is_corruption(), "{}", error);
            }
        }
    }

    #[test]
    fn forged_footers_are_answered_or_refused(
        changes in prop::collection::vec((0..FOOTER_BYTES - 12, any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes_of(&small(), META);
        let footer = bytes.len() - FOOTER_BYTES;
        for (place, value) in changes {
            bytes[footer + place] = value;
        }
        let end = bytes.len() - 12;
        let crc = crc32(META.seed(), &bytes[footer..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
        let vfs = store_with(&bytes);
        for reads in BOTH {
            if let Err(error) = everything(&vfs, reads) {
                prop_assert!(error.is_corruption(), "{}", error);
            }
        }
    }
}
