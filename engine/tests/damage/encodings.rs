//! Which kinds of files, chunks and columns a database really holds.
//!
//! Input: a whole database. Output: a test that fails when one of them is not in it. Exports hand
//! chunks on as they are in the blocks, so the heads are read there (docs/format/chunk.md).

use std::collections::BTreeSet;

use treering::{Db, Reads};
use treering_codec::Encoding;
use treering_codec::varint::Reader;

use crate::whole::{Ended, Whole, options};

/// Tags of timestamp columns by the page of the format: raw, progression, sequence.
const TIMES: [u8; 3] = [0, 1, 2];
/// In the head of a sequence: its numbers are coded by their entropy.
const ENTROPY: u8 = 1 << 4;

#[test]
fn the_database_holds_every_kind_of_file_and_every_encoding() {
    let whole = Whole::new(Ended::Closed);
    let db = Db::open("/db", options(&whole.store, Reads::Mmap)).unwrap();
    let (mut times, mut values) = (BTreeSet::new(), BTreeSet::new());
    let (mut entropy, mut kinds) = (0, BTreeSet::new());
    for info in db.namespaces() {
        for chunk in db.namespace(&info.name).unwrap().export(.., ..).unwrap() {
            let chunk = chunk.unwrap();
            let mut reader = Reader::new(&chunk.bytes);
            assert_eq!(reader.u8().unwrap(), 1);
            kinds.insert(reader.u8().unwrap());
            reader.varint().unwrap();
            let column = reader.bytes().unwrap();
            times.insert(column[0] & 0x7f);
            let column = reader.bytes().unwrap();
            let encoding = Encoding::of(column).unwrap();
            values.insert(format!("{encoding:?}"));
            entropy += usize::from(encoding == Encoding::Decimal && column[2] & ENTROPY != 0);
        }
    }
    assert_eq!(times, BTreeSet::from(TIMES));
    let all = Encoding::ALL.map(|encoding| format!("{encoding:?}"));
    assert_eq!(values, BTreeSet::from(all));
    assert_eq!(kinds, BTreeSet::from([1, 2]));
    assert!(entropy > 0, "no block is coded by entropy");
    let versions = whole.of("blocks").map(|(_, bytes)| bytes[8]);
    let versions: Vec<u8> = versions.collect();
    assert!(
        (3..=6).all(|version| versions.contains(&version)),
        "{versions:?}"
    );
    assert!(whole.of("wal").count() > 1 && whole.of("manifest").count() == 1);
    let large = whole.of("blocks").any(|(_, bytes)| bytes.len() > 32 << 10);
    assert!(large, "no block has more than a page");
    let bytes: usize = whole.files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1 << 20, "{bytes}");
    let verified = db.verify().unwrap();
    assert!(verified.is_clean(), "{verified:?}");
}
