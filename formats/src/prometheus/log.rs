//! The log: records in pages, perhaps compressed, of the samples that are in no block yet.
//!
//! Input: files of the log one after the other: those of the newest checkpoint, of `wal`, of `wbl`.
//! Output: each sample with the labels of its series, in the order written. Memory is the labels of
//! the series, and one record. Source: `tsdb/docs/format/wal.md`.

use std::collections::HashMap;
use std::io::Read;

use treering::{Histogram, Labels};

use super::MILLISECOND;
use super::record::Record;
use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// Pages; no fragment of a record crosses the edge of one.
const PAGE_BYTES: usize = 32 << 10;
/// Kind and flags, length, checksum.
const FRAGMENT_BYTES: usize = 7;
/// Flags of the first byte, beside the kind of the fragment.
const KIND: u8 = 0b111;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;
/// A record at most; Prometheus' own are far smaller.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Snappy makes at most 64 bytes of 3.
const SNAPPY_RATIO_MAX: usize = 32;

/// One thing that the log tells. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entry<'a> {
    /// A float, perhaps a stale marker.
    Sample {
        /// Of this series.
        labels: &'a Labels,
        /// When.
        timestamp: i64,
        /// The value, bit for bit.
        value: f64,
    },
    /// A native histogram; with a sum that is the stale marker, one.
    Histogram {
        /// Of this series.
        labels: &'a Labels,
        /// When.
        timestamp: i64,
        /// What was observed.
        histogram: &'a Histogram,
    },
    /// Samples so far that are gone.
    Deleted {
        /// Of this series.
        labels: &'a Labels,
        /// From here.
        first: i64,
        /// To here, included.
        last: i64,
    },
}

/// What of a file could not be read: a server that is killed leaves half a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Where it begins.
    pub offset: u64,
    /// Why it is no record.
    pub why: String,
}

/// The log of a server.
#[derive(Debug, Default)]
pub struct Log {
    series: HashMap<u64, Labels>,
    /// Samples before this are in blocks; milliseconds since the Unix epoch.
    first: Option<i64>,
    /// Samples of series that nothing tells of.
    pub orphans: u64,
}

impl Log {
    /// A log whose samples before `first` (milliseconds since the Unix epoch), those late aside, are
    /// in blocks: the end of the newest block, or `None`.
    pub fn new(first: Option<i64>) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// Reads the next file. `is_late`: it is one of `wbl`, whose samples are of any age.
    /// `is_last`: it is the last of its folder, which may end in the middle of a record.
    ///
    /// # Errors
    ///
    /// Corrupt or unsupported records; in the last file they end it instead.
    pub fn read(
        &mut self,
        bytes: &[u8],
        is_late: bool,
        is_last: bool,
        tell: &mut dyn FnMut(Entry<'_>),
    ) -> Result<Option<Tail>> {
        let mut fragments = Fragments { bytes, at: 0 };
        loop {
            let begin = fragments.at as u64;
            let read = match fragments.next_record() {
                Ok(None) => return Ok(None),
                Ok(Some(record)) => Record::decode(&record),
                Err(error) if is_last => {
                    return Ok(Some(Tail {
                        offset: error.offset(),
                        why: error.to_string(),
                    }));
                }
                Err(error) => return Err(error),
            };
            // Behind a right checksum it is no torn end.
            let record = read.map_err(|error| Error::moved(error, begin))?;
            self.tell(record, is_late, tell);
        }
    }

    fn tell(&mut self, record: Record, is_late: bool, tell: &mut dyn FnMut(Entry<'_>)) {
        if let Record::Series(series) = record {
            return self.series.extend(series);
        }
        let Self {
            series,
            first,
            orphans,
        } = self;
        // Labels and nanoseconds of a sample, unless it is in a block.
        let mut of = |number: u64, time: i64| {
            let found = series.get(&number).zip(time.checked_mul(MILLISECOND));
            *orphans += u64::from(found.is_none());
            found.filter(|_| is_late || first.is_none_or(|first| time >= first))
        };
        match record {
            Record::Series(_) | Record::Beside => {}
            Record::Samples(samples) => {
                for (number, time, value) in samples {
                    if let Some((labels, timestamp)) = of(number, time) {
                        tell(Entry::Sample {
                            labels,
                            timestamp,
                            value,
                        });
                    }
                }
            }
            Record::Histograms(samples) => {
                for (number, time, histogram) in &samples {
                    if let Some((labels, timestamp)) = of(*number, *time) {
                        tell(Entry::Histogram {
                            labels,
                            timestamp,
                            histogram,
                        });
                    }
                }
            }
            Record::Deletes(deletes) => {
                for (number, first, last) in deletes {
                    if let Some(labels) = series.get(&number) {
                        tell(Entry::Deleted {
                            labels,
                            first: first.saturating_mul(MILLISECOND),
                            last: last.saturating_mul(MILLISECOND),
                        });
                    }
                }
            }
        }
    }
}

/// Fragments of records in the pages of a file.
struct Fragments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fragments<'_> {
    /// The next record, whole and no longer compressed.
    fn next_record(&mut self) -> Result<Option<Vec<u8>>> {
        let mut record = Vec::new();
        let mut is_begun = false;
        let begin = self.at as u64;
        loop {
            if self.at >= self.bytes.len() {
                return match is_begun {
                    true => Err(Error::corrupt(begin, "a record ends too soon")),
                    false => Ok(None),
                };
            }
            let here = self.at as u64;
            let mut cursor = Cursor::new(self.bytes, self.at);
            let short = |_| Error::corrupt(begin, "a record ends too soon");
            let head = cursor.u8("a fragment").map_err(short)?;
            if head == 0 {
                self.next_page(here)?;
                continue;
            }
            let length = usize::from(cursor.u16("a fragment").map_err(short)?);
            let checksum = cursor.u32("a fragment").map_err(short)?;
            let left = PAGE_BYTES - self.at % PAGE_BYTES;
            if FRAGMENT_BYTES + length > left {
                return Err(Error::corrupt(
                    here,
                    "a fragment crosses the edge of its page",
                ));
            }
            let part = cursor.take(length, "a fragment").map_err(short)?;
            if crc32c::crc32c(part) != checksum {
                return Err(Error::corrupt(here, "the checksum of a fragment is wrong"));
            }
            let (is_first, is_last) = match head & KIND {
                1 => (true, true),
                2 => (true, false),
                3 => (false, false),
                4 => (false, true),
                other => return Err(Error::corrupt(here, format!("fragment kind {other}"))),
            };
            if is_first == is_begun {
                return Err(Error::corrupt(here, "fragments of records out of order"));
            }
            if record.len() + part.len() > RECORD_BYTES_MAX {
                return Err(Error::corrupt(begin, "a record is too large"));
            }
            record.extend_from_slice(part);
            (is_begun, self.at) = (true, cursor.at());
            if is_last {
                return plain(head, record, begin).map(Some);
            }
        }
    }

    /// Passes over the zeros that fill a page.
    fn next_page(&mut self, here: u64) -> Result<()> {
        let end = self
            .bytes
            .len()
            .min((self.at / PAGE_BYTES + 1) * PAGE_BYTES);
        let filling = self.bytes.get(self.at..end).unwrap_or_default();
        if filling.iter().any(|byte| *byte != 0) {
            return Err(Error::corrupt(here, "a page's filling is not zero"));
        }
        self.at = end;
        Ok(())
    }
}

/// A record no longer compressed.
fn plain(head: u8, record: Vec<u8>, begin: u64) -> Result<Vec<u8>> {
    let fault = |why: &dyn std::fmt::Display| Error::corrupt(begin, format!("a record: {why}"));
    if head & SNAPPY != 0 {
        let length = snap::raw::decompress_len(&record).map_err(|error| fault(&error))?;
        if length > record.len().saturating_mul(SNAPPY_RATIO_MAX) {
            return Err(fault(&format_args!("{length} bytes of {}", record.len())));
        }
        let mut decoder = snap::raw::Decoder::new();
        return decoder
            .decompress_vec(&record)
            .map_err(|error| fault(&error));
    }
    if head & ZSTD != 0 {
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(&*record).map_err(|error| fault(&error))?;
        let mut decoder = decoder.take(RECORD_BYTES_MAX as u64 + 1);
        decoder
            .read_to_end(&mut plain)
            .map_err(|error| fault(&error))?;
        return match plain.len() > RECORD_BYTES_MAX {
            true => Err(fault(&"it is too large")),
            false => Ok(plain),
        };
    }
    Ok(record)
}
