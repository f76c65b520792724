//! Manifests that end in something else than a whole record of this release.

use super::*;
use format::{encode_header, encode_record};
use treering_codec::{crc32_parts, varint::put_u64};

/// Opens these bytes as the manifest of database 7.
fn open(bytes: &[u8]) -> Result<(State, u64)> {
    let vfs = MemVfs::new();
    vfs.create(Path::new("/manifest"))
        .unwrap()
        .write_all_at(bytes, 0)
        .unwrap();
    let (manifest, torn) = Manifest::open(Arc::new(vfs), Path::new("/"))?.unwrap();
    Ok((manifest.state, torn))
}

/// A header and the first two edits.
fn whole() -> Vec<u8> {
    let mut bytes = encode_header(7).to_vec();
    for number in 0..2 {
        bytes.extend(encode_record(7, number, &edit(number)));
    }
    bytes
}

/// A record with a right checksum around any payload.
fn record(number: u64, payload: &[u8]) -> Vec<u8> {
    let head = [
        &(payload.len() as u32).to_le_bytes()[..],
        &number.to_le_bytes(),
    ]
    .concat();
    let crc = crc32_parts(0, &[b"manifest", &7u64.to_le_bytes(), &head, payload]);
    [&crc.to_le_bytes()[..], &head, payload].concat()
}

/// The edit that changes nothing behind [`whole`], and bytes behind it.
fn payload(behind: &[u8]) -> Vec<u8> {
    let mut state = State::default();
    (0..2).for_each(|number| state.apply(&edit(number)).unwrap());
    let mut out = Vec::new();
    for counter in [
        state.next_block,
        state.flushed_through,
        state.wal_floor,
        0,
        0,
    ] {
        put_u64(&mut out, counter);
    }
    [&out[..], behind].concat()
}

#[test]
fn a_last_record_that_was_being_written_is_cut_at_any_byte() {
    let (two, last) = (whole(), record(2, &payload(&[])));
    let (before, _) = open(&two).unwrap();
    assert_eq!(
        open(&[&two[..], &last].concat()).unwrap(),
        (before.clone(), 0)
    );
    for len in 1..last.len() {
        let torn = open(&[&two[..], &last[..len]].concat()).unwrap();
        assert_eq!(torn, (before.clone(), len as u64));
    }
}

#[test]
fn what_only_a_newer_release_knows_is_never_cut() {
    let bytes = whole();
    // A field with tag 9 of two bytes; it begins where the payload of this release ends.
    let newer = [&bytes[..], &record(2, &payload(&[9, 2, 1, 1]))].concat();
    let at = (bytes.len() + RECORD_HEADER_BYTES + payload(&[]).len()) as u64;
    match open(&newer) {
        Err(Error::Unsupported { file, offset, what }) => {
            assert_eq!((file.as_path(), offset), (Path::new("/manifest"), at));
            assert_eq!(what, "part of a manifest record 9");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_record_without_sense_is_damage_even_at_the_end() {
    let bytes = whole();
    for (number, payload) in [
        (2, payload(&[7])),
        (2, payload(&[2, 2, 1])),
        (2, vec![0; 5]),
        (2, payload(&[6, 1, 40])),
        (3, payload(&[])),
        (1, payload(&[])),
    ] {
        let error = open(&[&bytes[..], &record(number, &payload)].concat()).unwrap_err();
        assert!(error.is_corruption(), "{number} {payload:?}: {error}");
        assert!(
            error.to_string().contains("/manifest is damaged at offset"),
            "{error}"
        );
    }
}

#[test]
fn damage_before_the_last_record_is_never_cut() {
    let bytes = [&whole()[..], &record(2, &payload(&[]))].concat();
    let last = bytes.len() - record(2, &payload(&[])).len();
    for at in (0..last).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = open(&damaged).unwrap_err();
        let known = error.is_corruption() || matches!(error, Error::Version { .. });
        assert!(known, "{at}: {error}");
    }
}
