//! What a namespace promises: how long and how much is kept, in which resolution.
//!
//! Input: what the caller chooses. Output: checked options and their bytes: unlike those of an
//! open, they are stored, so they are part of the formats. Invariant: what
//! [`NamespaceOptions::read`] gives passed [`NamespaceOptions::check`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use treering_codec::varint::{Reader, put_u64};
use treering_codec::{Error as CodecError, Result as CodecResult};

use crate::error::{Error, Result};
use crate::limits::{MAX_DOWNSAMPLES, MAX_NAMESPACE_NAME_BYTES, MAX_SERIES, MAX_STEP_SECONDS};
use crate::tagged::{Fields, put_field};

/// Longest age that an option can name: 200 years fit the nanoseconds of a timestamp.
const MAX_AGE: Duration = Duration::from_secs(200 * 365 * 86_400);
/// Shortest and longest window of a block.
const MIN_WINDOW: Duration = Duration::from_secs(60);
const MAX_WINDOW: Duration = Duration::from_secs(10 * 366 * 86_400);
/// Fewest bytes that a namespace can be held to.
const MIN_RETENTION_BYTES: u64 = 4096;

const TAG_RETENTION: u64 = 1;
const TAG_RETENTION_BYTES: u64 = 2;
const TAG_BLOCK_WINDOW: u64 = 3;
const TAG_MAX_SERIES: u64 = 4;
const TAG_DOWNSAMPLE: u64 = 5;

/// One step of downsampling: samples older than `after` are kept one per `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downsample {
    /// Age from which samples are kept in this resolution.
    pub after: Duration,
    /// The resolution: whole seconds, one second to 194 days.
    pub step: Duration,
}

/// What is kept of a namespace. The default keeps everything for ever. Start from it and change
/// what you need:
///
/// ```
/// use std::time::Duration;
/// use treering::NamespaceOptions;
/// const DAY: Duration = Duration::from_secs(86_400);
/// let options = NamespaceOptions::default()
///     .retention(365 * DAY)
///     .downsample(7 * DAY, Duration::from_secs(60))
///     .downsample(30 * DAY, Duration::from_secs(3600));
/// assert_eq!(options.downsample.len(), 2);
/// ```
///
/// Unlike [`Options`](crate::Options), they are stored in the database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NamespaceOptions {
    /// Age, by the clock, past which samples are dropped. `None`: never. One second to 200 years.
    pub retention: Option<Duration>,
    /// Bytes on disk past which the oldest blocks are dropped. `None`: no bound. At least 4096.
    pub retention_bytes: Option<u64>,
    /// Time window of a freshly flushed block. `None`: chosen from the data. One minute to ten
    /// years.
    pub block_window: Option<Duration>,
    /// Most series of this namespace in memory at once. `None`: only
    /// [`Options::max_series`](crate::Options::max_series) bounds them. 1 to 4,294,967,294.
    pub max_series: Option<u64>,
    /// Resolutions of older samples, finest first; at most 8. Each step is a multiple of the one
    /// before, each age above the one before and below the retention.
    pub downsample: Vec<Downsample>,
}

impl NamespaceOptions {
    /// Age past which samples are dropped; `None` keeps them for ever (default). One second to 200
    /// years.
    #[must_use]
    pub fn retention(mut self, retention: impl Into<Option<Duration>>) -> Self {
        self.retention = retention.into();
        self
    }

    /// Bytes on disk past which the oldest blocks are dropped; `None` is no bound (default). At
    /// least 4096.
    #[must_use]
    pub fn retention_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.retention_bytes = bytes.into();
        self
    }

    /// Time window of a freshly flushed block; `None` lets the data choose (default). One minute
    /// to ten years.
    #[must_use]
    pub fn block_window(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.block_window = window.into();
        self
    }

    /// Most series of this namespace in memory at once; `None` is no bound of its own (default). 1
    /// to 4,294,967,294.
    #[must_use]
    pub fn max_series(mut self, series: impl Into<Option<u64>>) -> Self {
        self.max_series = series.into();
        self
    }

    /// Adds a coarser resolution for samples older than `after`: one per `step`, the last of it, and
    /// statistics of all. Aggregates over whole steps stay exact:
    /// [`AggregatedSeries::approximate`](crate::AggregatedSeries::approximate). Compaction makes
    /// the rows, of whole blocks: so some time after `after`.
    ///
    /// Deletes and late samples then meet rows: a delete that hides the last sample of a step takes
    /// all of the step, one that does not takes nothing of it; a late sample is added to the
    /// statistics of its step, or takes the place of all of it where it has the timestamp of the
    /// last sample.
    #[must_use]
    pub fn downsample(mut self, after: Duration, step: Duration) -> Self {
        self.downsample.push(Downsample { after, step });
        self
    }

    /// Refuses values outside their ranges, by name.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(age) = self.retention
            && !(Duration::from_secs(1)..=MAX_AGE).contains(&age)
        {
            let what = "must be from one second to 200 years";
            return refuse("NamespaceOptions::retention", what, &age);
        }
        if let Some(bytes) = self.retention_bytes
            && bytes < MIN_RETENTION_BYTES
        {
            let what = "must be at least 4096";
            return refuse("NamespaceOptions::retention_bytes", what, &bytes);
        }
        if let Some(window) = self.block_window
            && !(MIN_WINDOW..=MAX_WINDOW).contains(&window)
        {
            let what = "must be from one minute to ten years";
            return refuse("NamespaceOptions::block_window", what, &window);
        }
        if let Some(series) = self.max_series
            && !(1..=MAX_SERIES).contains(&series)
        {
            let what = "must be from 1 to 4,294,967,294";
            return refuse("NamespaceOptions::max_series", what, &series);
        }
        self.check_downsample()
    }

    fn check_downsample(&self) -> Result<()> {
        let refuse =
            |what, found: &dyn std::fmt::Debug| refuse("NamespaceOptions::downsample", what, found);
        if self.downsample.len() > MAX_DOWNSAMPLES {
            return refuse("must hold at most 8 steps", &self.downsample.len());
        }
        let mut before: Option<&Downsample> = None;
        for one in &self.downsample {
            let (seconds, max) = (one.step.as_secs(), u64::from(MAX_STEP_SECONDS));
            if one.step.subsec_nanos() != 0 || !(1..=max).contains(&seconds) {
                let what = "must have steps of whole seconds, from one second to 194 days";
                return refuse(what, &one.step);
            }
            if one.after > MAX_AGE {
                return refuse("must have ages of at most 200 years", &one.after);
            }
            if self.retention.is_some_and(|kept| one.after >= kept) {
                let what = "must have ages below NamespaceOptions::retention";
                return refuse(what, &one.after);
            }
            if let Some(before) = before {
                if one.after <= before.after {
                    return refuse("must have ascending ages", &one.after);
                }
                let multiple = seconds.is_multiple_of(before.step.as_secs());
                if one.step <= before.step || !multiple {
                    let what = "must have ascending steps, each a multiple of the one before";
                    return refuse(what, &one.step);
                }
            }
            before = Some(one);
        }
        Ok(())
    }

    /// Appends the options that are set, as tagged fields.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let numbers = [
            (TAG_RETENTION, self.retention.map(nanos)),
            (TAG_RETENTION_BYTES, self.retention_bytes),
            (TAG_BLOCK_WINDOW, self.block_window.map(nanos)),
            (TAG_MAX_SERIES, self.max_series),
        ];
        for (tag, number) in numbers {
            if let Some(number) = number {
                put_field(out, tag, |out| put_u64(out, number));
            }
        }
        if !self.downsample.is_empty() {
            put_field(out, TAG_DOWNSAMPLE, |out| {
                put_u64(out, self.downsample.len() as u64);
                for one in &self.downsample {
                    put_u64(out, nanos(one.after));
                    put_u64(out, one.step.as_secs());
                }
            });
        }
    }

    /// Reads what [`NamespaceOptions::put`] wrote, to the end of `reader`. A field that this
    /// release does not know is `Unsupported`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> CodecResult<Self> {
        let offset = reader.offset();
        let mut options = Self::default();
        let mut fields = Fields::new(reader);
        while let Some(field) = fields.next()? {
            let number = |reader: &mut Reader<'_>| reader.varint();
            let age = |reader: &mut Reader<'_>| reader.varint().map(Duration::from_nanos);
            match field.tag {
                TAG_RETENTION => options.retention = Some(field.read(age)?),
                TAG_RETENTION_BYTES => options.retention_bytes = Some(field.read(number)?),
                TAG_BLOCK_WINDOW => options.block_window = Some(field.read(age)?),
                TAG_MAX_SERIES => options.max_series = Some(field.read(number)?),
                TAG_DOWNSAMPLE => options.downsample = field.read(read_downsample)?,
                _ => return Err(field.unknown("namespace option")),
            }
        }
        match options.check() {
            Ok(()) => Ok(options),
            Err(_) => Err(CodecError::Malformed {
                offset,
                what: "namespace options outside their ranges",
            }),
        }
    }
}

fn read_downsample(reader: &mut Reader<'_>) -> CodecResult<Vec<Downsample>> {
    let count = reader.length(MAX_DOWNSAMPLES, "more steps of downsampling than allowed")?;
    let one = |_| {
        Ok(Downsample {
            after: Duration::from_nanos(reader.varint()?),
            step: Duration::from_secs(reader.varint()?),
        })
    };
    (0..count).map(one).collect()
}

fn refuse(argument: &'static str, what: &str, found: &dyn std::fmt::Debug) -> Result<()> {
    Err(Error::InvalidArgument {
        argument,
        why: format!("{what}, not {found:?}"),
    })
}

/// Nanoseconds of an age that [`NamespaceOptions::check`] lets pass.
fn nanos(age: Duration) -> u64 {
    u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
}

/// Refuses a name that no namespace can have.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (1..=MAX_NAMESPACE_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAMESPACE_NAME_BYTES).collect();
    Err(Error::InvalidArgument {
        argument: "namespace",
        why: format!("must be 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-', not {shown:?}"),
    })
}

#[cfg(test)]
mod tests;
