//! Edits against their bytes: what is written comes back, anything else is refused.

use proptest::prelude::*;

use super::*;
use crate::limits::MAX_STEP_SECONDS;
use crate::wal::change::Change;
use crate::wal::change::tests::changes;
use format::encode_record;

fn blocks() -> impl Strategy<Value = Vec<BlockEntry>> {
    let ids = (any::<u64>(), any::<u32>(), any::<u8>());
    let more = (any::<u64>(), any::<bool>(), 0..=MAX_STEP_SECONDS);
    let entry = (ids, any::<[i64; 2]>(), any::<[u64; 2]>(), more);
    let make = |(ids, times, sequences, more): ((u64, u32, u8), [i64; 2], [u64; 2], _)| {
        let (purged, plain, step): (u64, bool, u32) = more;
        let max_sequence = sequences[0].max(sequences[1]);
        BlockEntry {
            id: ids.0,
            namespace: ids.1,
            level: ids.2,
            min_time: times[0].min(times[1]),
            max_time: times[0].max(times[1]),
            min_sequence: sequences[0].min(sequences[1]),
            max_sequence,
            bytes: sequences[0],
            purged: if plain {
                max_sequence
            } else {
                purged.max(max_sequence)
            },
            step: if plain { 0 } else { step },
        }
    };
    prop::collection::vec(entry.prop_map(make), 0..6)
}

prop_compose! {
    /// Edits that nobody would make, with all that one can hold.
    pub(super) fn edits()(
        add in blocks(),
        remove: Vec<u64>,
        counters: [u64; 3],
        next_namespace: u32,
        purge: Vec<(u64, u64)>,
        forget: Vec<u64>,
        changes in prop::collection::vec((1u64.., changes()), 0..6),
    ) -> Edit {
        let [next_block, flushed_through, wal_floor] = counters;
        let mut edit = Edit {
            next_block, flushed_through, wal_floor, next_namespace, add, remove, purge, forget,
            ..Edit::default()
        };
        for (sequence, change) in changes {
            match change {
                Change::Delete(delete) => edit.tombstones.push(delete.into_tombstone(sequence)),
                Change::Namespace(change) => edit.namespaces.push(change),
                Change::Metadata(change) => edit.metadata.push(change),
            }
        }
        edit
    }
}

/// What is read from any bytes is written and read again as the same.
fn survives(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(edit) = Edit::decode(bytes) {
        prop_assert_eq!(Edit::decode(&edit.encode()), Ok(edit));
    }
    Ok(())
}

proptest! {
    #[test]
    fn records_come_back(edit in edits(), number: u64) {
        let bytes = encode_record(5, number, &edit);
        let record = Record::open(5, &bytes).unwrap();
        prop_assert_eq!((record.number, record.len()), (number, bytes.len()));
        prop_assert_eq!(&Edit::decode(record.payload).unwrap(), &edit);
        prop_assert!(Record::open(6, &bytes).is_err());
        for cut in 0..bytes.len() {
            prop_assert!(Record::open(5, &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        survives(&bytes)?;
        let _ = format::decode_header(&bytes);
        let _ = Record::open(1, &bytes);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(edit in edits(), at: prop::sample::Index, to: u8) {
        let mut bytes = edit.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        survives(&bytes)?;
        survives(&bytes[..at])?;
    }
}

#[test]
fn a_record_of_version_one_is_read_with_the_values_that_it_stood_for() {
    // Counters, two removed, one added: id 7, namespace 0, level 2, times 2 and 4, sequences 1 and
    // 5, 90 bytes.
    let bytes = [9, 5, 2, 2, 1, 3, 1, 7, 0, 2, 4, 8, 1, 5, 90];
    let edit = Edit::decode(&bytes).unwrap();
    assert_eq!(
        (edit.next_block, edit.flushed_through, edit.wal_floor),
        (9, 5, 2)
    );
    assert_eq!(edit.remove, [1, 3]);
    let block = edit.add[0];
    assert_eq!((block.min_time, block.max_time, block.bytes), (2, 4, 90));
    assert_eq!((block.purged, block.step), (5, 0));
    assert_eq!(
        edit.encode(),
        bytes,
        "nothing is added to what has nothing new"
    );
}

#[test]
fn a_block_is_held_to_the_sequences_and_the_steps() {
    let plain = [9, 5, 2, 0, 1, 7, 0, 2, 4, 8, 1, 5, 90];
    let with = |more: &[u8]| Edit::decode(&[&plain[..], &[1, more.len() as u8], more].concat());
    assert_eq!(with(&[3, 60]).unwrap().add[0].purged, 8);
    assert_eq!(with(&[3, 60]).unwrap().add[0].step, 60);
    // The purge passes 64 bits; the step passes 194 days; a block too many; one too few.
    with(&[&[0xff; 9][..], &[1, 60]].concat()).unwrap_err();
    with(&[0, 0x81, 0x87, 0xff, 0x07]).unwrap_err();
    with(&[3, 60, 3, 60]).unwrap_err();
    with(&[]).unwrap_err();
}
