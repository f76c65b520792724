//! The full check of an immutable index.
//!
//! Input: an opened index. Output: nothing, or the first damage found. It reads every byte and
//! checks what answering questions takes for granted: order of values and series, transducers,
//! and that postings are those that the series' labels give.

use treering_codec::varint::Reader;

use crate::error::{Error, Result};
use crate::format::{POSTINGS, SERIES, TRANSDUCER, VALUES};
use crate::labels::Labels;
use crate::postings::Postings;
use crate::read::IndexReader;
use crate::select::Index;
use crate::setops::Union;

/// How many series a pair has, and a sum that depends on which.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, ordinal: u32) {
        self.count += 1;
        // Mixes the bits (a step of Knuth's multiplicative hash), so that errors do not cancel.
        let mixed = u64::from(ordinal)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.sum = self.sum.wrapping_add(mixed ^ mixed >> 29);
    }

    fn of(postings: &Postings) -> Self {
        let mut tally = Self::default();
        postings.iter().for_each(|ordinal| tally.add(ordinal));
        tally
    }
}

impl<D: AsRef<[u8]>> IndexReader<D> {
    /// Reads everything and checks every checksum and invariant. O(bytes + pairs of all series).
    pub fn verify(&self) -> Result<()> {
        for number in 0..self.section_count() {
            self.section(number)?;
        }
        let mut tallies: Vec<Vec<Tally>> = Vec::with_capacity(self.names.len());
        for name in 0..self.names.len() as u32 {
            tallies.push(self.verify_name(name)?);
        }
        // Of two cursors one keeps texts and the other reads every pair.
        let (mut cursor, mut pairs) = (self.cursor()?, self.cursor()?);
        let mut previous: Option<Labels> = None;
        for ordinal in 0..self.series_count() {
            pairs.seek(ordinal)?;
            let labels = cursor.labels(ordinal)?;
            if previous
                .as_ref()
                .is_some_and(|previous| *previous >= labels)
            {
                return Err(self.wrong(SERIES, "series out of order"));
            }
            Labels::from_canonical(labels.as_canonical())?;
            for (name, value) in pairs.pairs() {
                let tally = tallies
                    .get_mut(name as usize)
                    .and_then(|t| t.get_mut(value as usize));
                if let Some(tally) = tally {
                    tally.add(ordinal);
                }
            }
            previous = Some(labels);
        }
        for (name, tallies) in (0u32..).zip(&tallies) {
            for (value, tally) in (0u32..).zip(tallies) {
                if Tally::of(&self.series_of((name, value), None)?) != *tally {
                    return Err(self.wrong_name(
                        name,
                        POSTINGS,
                        "postings that are not the series",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks the values of a name among themselves; returns an empty tally for each.
    fn verify_name(&self, name: u32) -> Result<Vec<Tally>> {
        let mut previous: Option<Vec<u8>> = None;
        let mut tallies = Vec::new();
        let mut union = Union::new(self.series_count());
        self.scan(name, "", &mut |value, pair| {
            if previous
                .as_ref()
                .is_some_and(|previous| previous.as_slice() >= value)
            {
                return Err(self.wrong_name(name, VALUES, "label values out of order"));
            }
            if self
                .find_pair(name, self.value_text(pair)?)?
                .map(|found| found.0)
                != Some(pair)
            {
                return Err(self.wrong_name(name, TRANSDUCER, "a value that is not found"));
            }
            self.add_series_of(pair, &mut union)?;
            previous = Some(value.to_vec());
            tallies.push(Tally::default());
            Ok(true)
        })?;
        let present = self.present(name)?;
        let counted = self
            .names
            .get(name as usize)
            .map(|name| name.series as usize);
        if union.finish() != present || counted != Some(present.len()) {
            return Err(self.wrong_name(name, POSTINGS, "a label's series are not its values'"));
        }
        Ok(tallies)
    }

    fn wrong(&self, section: usize, what: &'static str) -> Error {
        match self.section(section) {
            Ok(part) => part.malformed(&Reader::new(part.bytes), what),
            Err(error) => error,
        }
    }

    fn wrong_name(&self, name: u32, kind: usize, what: &'static str) -> Error {
        match self.name_section(name, kind) {
            Ok(part) => part.malformed(&Reader::new(part.bytes), what),
            Err(error) => error,
        }
    }
}
