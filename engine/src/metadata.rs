//! Metadata: what a metric is, in which unit, and what it tells; kept per metric name.
//!
//! Input: what a scrape or a program says of a metric. Output: the same, durable with the WAL frame
//! that carries it, later with the manifest. Invariant: within the limits of `limits.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use treering_codec::varint::{Reader, put_bytes};
use treering_codec::{Error as CodecError, Result as CodecResult};

use crate::error::{Error, Result};
use crate::limits::{MAX_HELP_BYTES, MAX_METADATA_BYTES, MAX_METRIC_NAME_BYTES, MAX_UNIT_BYTES};
use crate::tagged::read_text;

/// What kind of metric a name stands for: the types of OpenMetrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MetricKind {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Only goes up, except when it starts again.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
    /// A histogram whose counts may go down.
    GaugeHistogram,
    /// Quantiles computed by the program.
    Summary,
    /// Facts in labels; the value is 1.
    Info,
    /// One of several states, each a series of 0 or 1.
    StateSet,
}

impl MetricKind {
    /// All kinds; the place of each is its byte in the formats.
    const ALL: [MetricKind; 8] = [
        MetricKind::Unknown,
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// What is known of a metric besides its samples.
///
/// ```
/// use treering::{Metadata, MetricKind};
/// let metadata = Metadata::new(MetricKind::Counter).unit("bytes").help("Bytes sent.");
/// assert_eq!(metadata.unit, "bytes");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// The unit of its values, such as "seconds"; may be empty. At most 256 bytes.
    pub unit: String,
    /// What it tells, for people; may be empty. At most 16 KiB.
    pub help: String,
}

impl Metadata {
    /// Metadata of a kind, with neither unit nor help.
    pub fn new(kind: MetricKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// This metadata with a unit.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// This metadata with a help text.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Refuses what is too long, by name.
    pub(crate) fn check(&self) -> Result<()> {
        check_length("metadata unit", self.unit.len(), MAX_UNIT_BYTES)?;
        check_length("metadata help", self.help.len(), MAX_HELP_BYTES)
    }

    /// Bytes that the entry of `metric` takes, counted so that their limit can be held.
    pub(crate) fn bytes(&self, metric: &str) -> usize {
        16 + metric.len() + self.unit.len() + self.help.len()
    }

    /// Appends kind, unit and help.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        put_bytes(out, self.unit.as_bytes());
        put_bytes(out, self.help.as_bytes());
    }

    /// Reads what [`Metadata::put`] wrote; a kind that this release does not know is
    /// `Unsupported`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> CodecResult<Self> {
        let offset = reader.offset();
        let byte = reader.u8()?;
        let kind = MetricKind::from_byte(byte).ok_or(CodecError::Unsupported {
            offset,
            what: "kind of metric",
            found: u64::from(byte),
        })?;
        let unit = read_text(
            reader,
            MAX_UNIT_BYTES,
            "a unit that is too long or not text",
        )?;
        let help = read_text(reader, MAX_HELP_BYTES, "a help text too long or not text")?;
        Ok(Self::new(kind).unit(unit).help(help))
    }
}

/// Refuses a metric name that metadata cannot be kept for.
pub(crate) fn check_metric(metric: &str) -> Result<()> {
    if metric.is_empty() {
        return Err(Error::InvalidArgument {
            argument: "metric",
            why: "must not be empty".to_owned(),
        });
    }
    check_length("metric", metric.len(), MAX_METRIC_NAME_BYTES)
}

/// Whether metadata of `metric` may take the place of `old`, when all metadata of the database
/// takes `total` bytes ([`Metadata::bytes`]). The error names the limit.
pub(crate) fn admit(
    total: usize,
    metric: &str,
    old: Option<&Metadata>,
    new: &Metadata,
) -> Result<()> {
    check_metric(metric)?;
    new.check()?;
    let old = old.map_or(0, |old| old.bytes(metric));
    let sum = total.saturating_sub(old) + new.bytes(metric);
    if sum <= MAX_METADATA_BYTES {
        return Ok(());
    }
    let by = format!("metadata of {metric:?}, which would make it {sum}");
    let hint = "remove metadata of metrics that are gone, or shorten help texts";
    Err(Error::limit(
        "metadata bytes limit",
        MAX_METADATA_BYTES as u64,
        by,
        hint,
    ))
}

fn check_length(argument: &'static str, len: usize, max: usize) -> Result<()> {
    if len <= max {
        return Ok(());
    }
    Err(Error::InvalidArgument {
        argument,
        why: format!("has {len} bytes; at most {max} are allowed"),
    })
}

/// What is known of the metrics of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Known {
    metrics: BTreeMap<String, Metadata>,
    bytes: usize,
}

impl Known {
    pub(crate) fn get(&self, metric: &str) -> Option<Metadata> {
        self.metrics.get(metric).cloned()
    }

    /// All of it, by name of metric.
    pub(crate) fn all(&self) -> Vec<(String, Metadata)> {
        let metrics = self.metrics.iter();
        metrics.map(|(m, k)| (m.clone(), k.clone())).collect()
    }

    /// [`Metadata::bytes`] of all metrics.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes what is known of a metric, or forgets it.
    pub(crate) fn set(&mut self, metric: &str, metadata: Option<Metadata>) {
        if let Some(before) = self.metrics.remove(metric) {
            self.bytes -= before.bytes(metric);
        }
        if let Some(metadata) = metadata {
            self.bytes += metadata.bytes(metric);
            self.metrics.insert(metric.to_owned(), metadata);
        }
    }
}
