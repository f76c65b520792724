//! Tombstone: a delete not yet compacted away, and its bytes.
//!
//! Input: what a delete frame holds, and its sequence. Output: the same, from the manifest. A
//! tombstone hides samples of lower sequence only, so a selector on labels, which never change, is
//! as good as the list of series that it selected when it was made, and far smaller.

use treering_codec::varint::{Reader, put_i64, put_u64};
use treering_codec::{Error as CodecError, Result as CodecResult};
use treering_index::{MatchOp, Selector};

use crate::error::{Error, Result};
use crate::limits::{MAX_TOMBSTONE_BYTES, MAX_TOMBSTONE_PATTERNS, MAX_TOMBSTONES};
use crate::tagged::read_u32;
use crate::wal::change::{check_selector, put_selector, read_selector_within, selector_bytes};

/// Hides the samples from `first` to `last` (both included) of the series of `namespace` that
/// `selector` selects, as far as their sequence is lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) sequence: u64,
    pub(crate) namespace: u32,
    pub(crate) selector: Selector,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Tombstone {
    /// Appends the bytes of the tombstone.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.sequence);
        put_u64(out, u64::from(self.namespace));
        put_i64(out, self.first);
        put_i64(out, self.last);
        put_selector(out, &self.selector);
    }

    /// Reads what [`Tombstone::put`] wrote; takes its patterns from `patterns`, how many may still
    /// be compiled.
    pub(crate) fn read(reader: &mut Reader<'_>, patterns: &mut usize) -> CodecResult<Self> {
        let offset = reader.offset();
        let sequence = reader.varint()?;
        let namespace = read_u32(reader, "a namespace over 32 bits")?;
        let (first, last) = read_range(reader)?;
        if sequence == 0 {
            let what = "a tombstone without a sequence";
            return Err(CodecError::Malformed { offset, what });
        }
        Ok(Self {
            sequence,
            namespace,
            selector: read_selector_within(reader, patterns)?,
            first,
            last,
        })
    }
}

/// First and last timestamp, in order.
pub(crate) fn read_range(reader: &mut Reader<'_>) -> CodecResult<(i64, i64)> {
    let offset = reader.offset();
    let (first, last) = (reader.varint_i64()?, reader.varint_i64()?);
    if first > last {
        let what = "a range of time that ends before it starts";
        return Err(CodecError::Malformed { offset, what });
    }
    Ok((first, last))
}

/// What tombstones take, counted so that their limits can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) tombstones: usize,
    pub(crate) bytes: usize,
    /// Patterns, each of which is kept compiled.
    pub(crate) patterns: usize,
}

impl Tally {
    /// What the tombstones made of these selectors take.
    pub(crate) fn of<'a>(selectors: impl Iterator<Item = &'a Selector>) -> Self {
        let mut tally = Self::default();
        for selector in selectors {
            tally.tombstones += 1;
            tally.bytes += 48 + selector_bytes(selector);
            tally.patterns += patterns(selector);
        }
        tally
    }

    /// The first limit that is passed: its name, its value, what was counted.
    pub(crate) fn over(&self) -> Option<(&'static str, usize, usize)> {
        let mut limits = self.limits().into_iter();
        limits.find(|(_, max, found)| found > max)
    }

    /// Whether any limit is reached by half.
    pub(crate) fn is_half(&self) -> bool {
        let mut limits = self.limits().into_iter();
        limits.any(|(_, max, found)| found >= max / 2)
    }

    fn limits(&self) -> [(&'static str, usize, usize); 3] {
        [
            ("tombstone limit", MAX_TOMBSTONES, self.tombstones),
            (
                "limit of bytes in tombstones",
                MAX_TOMBSTONE_BYTES,
                self.bytes,
            ),
            (
                "limit of patterns in tombstones",
                MAX_TOMBSTONE_PATTERNS,
                self.patterns,
            ),
        ]
    }
}

/// How many patterns `selector` holds.
fn patterns(selector: &Selector) -> usize {
    let regex = |op| matches!(op, MatchOp::Regex | MatchOp::NotRegex);
    let matchers = selector.matchers().iter();
    matchers.filter(|matcher| regex(matcher.op())).count()
}

/// Whether one more delete may be made beside those that `pending` holds: everything that the
/// manifest and the WAL have, of all namespaces. The error names the limit.
pub(crate) fn admit<'a>(
    pending: impl Iterator<Item = &'a Tombstone>,
    selector: &Selector,
) -> Result<()> {
    check_selector(selector)?;
    let pending = pending.map(|tombstone| &tombstone.selector);
    match Tally::of(pending.chain([selector])).over() {
        None => Ok(()),
        Some((limit, max, found)) => {
            let by = format!("a delete that would make it {found}");
            let hint = "let Db::flush and Db::compact apply earlier deletes, then try again";
            Err(Error::limit(limit, max as u64, by, hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::change::tests::selectors;
    use proptest::prelude::*;

    fn tombstone(sequence: u64, selector: Selector) -> Tombstone {
        Tombstone {
            sequence,
            namespace: 0,
            selector,
            first: 0,
            last: 9,
        }
    }

    proptest! {
        #[test]
        fn tombstones_come_back(
            selector in selectors(),
            sequence in 1u64..,
            namespace: u32,
            times: [i64; 2],
        ) {
            let (first, last) = (times[0].min(times[1]), times[0].max(times[1]));
            let tombstone = Tombstone { sequence, namespace, selector, first, last };
            let mut bytes = Vec::new();
            tombstone.put(&mut bytes);
            let (mut reader, mut left) = (Reader::new(&bytes), 9);
            prop_assert_eq!(&Tombstone::read(&mut reader, &mut left).unwrap(), &tombstone);
            prop_assert!(reader.is_empty());
            prop_assert!(bytes.len() <= Tally::of([&tombstone.selector].into_iter()).bytes);
            for cut in 0..bytes.len() {
                prop_assert!(Tombstone::read(&mut Reader::new(&bytes[..cut]), &mut 9).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(read) = Tombstone::read(&mut Reader::new(&bytes), &mut 9) {
                prop_assert!(read.first <= read.last && read.sequence > 0);
            }
        }
    }

    #[test]
    fn a_delete_past_a_limit_is_refused_with_its_numbers() {
        let refused = |pending: Vec<Selector>, new: Selector| {
            let pending: Vec<_> = (1..)
                .zip(pending)
                .map(|(at, one)| tombstone(at, one))
                .collect();
            admit(pending.iter(), &new).map_err(|error| error.to_string())
        };
        let plain = || Selector::metric("cpu");
        let regex = || Selector::all().regex("host", "a|b").unwrap();
        assert_eq!(refused(vec![], plain()), Ok(()));
        assert_eq!(refused(vec![plain(); MAX_TOMBSTONES - 1], plain()), Ok(()));
        let error = refused(vec![plain(); MAX_TOMBSTONES], plain()).unwrap_err();
        assert!(
            error.starts_with("tombstone limit 10000 reached by"),
            "{error}"
        );
        assert!(
            error.contains("make it 10001") && error.contains("Db::compact"),
            "{error}"
        );
        let most = vec![regex(); MAX_TOMBSTONE_PATTERNS];
        assert_eq!(refused(most.clone(), plain()), Ok(()));
        let error = refused(most, regex()).unwrap_err();
        assert!(
            error.starts_with("limit of patterns in tombstones 1024"),
            "{error}"
        );
        let large = (0..15).fold(plain(), |all, _| all.ne("a", &"v".repeat(60_000)));
        assert_eq!(refused(vec![large.clone(); 17], plain()), Ok(()));
        let error = refused(vec![large.clone(); 18], large).unwrap_err();
        assert!(
            error.starts_with("limit of bytes in tombstones 16777216"),
            "{error}"
        );
    }
}
