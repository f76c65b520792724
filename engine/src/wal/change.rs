//! The payloads of frames that change something other than samples: deletes, namespaces, metadata.
//! Pure, no I/O.
//!
//! Input: the change. Output: bytes, and back; the manifest holds the same bytes. The boxes are in
//! `docs/format/wal.md`. Invariant: what is read keeps every limit that is checked before it is written.

use treering_codec::varint::{Reader, put_bytes, put_i64, put_u64};
use treering_codec::{Error as CodecError, Result as CodecResult};
use treering_index::limits::{
    HARD_MAX_NAME_BYTES, HARD_MAX_VALUE_BYTES, MAX_MATCHERS, MAX_PATTERN_BYTES,
};
use treering_index::{MatchOp, Matcher, Selector};

use super::format::FrameKind;
use crate::error::{Error, Result};
use crate::limits::{
    MAX_METRIC_NAME_BYTES, MAX_NAMESPACE_NAME_BYTES, MAX_SELECTOR_BYTES, MAX_TOMBSTONE_PATTERNS,
};
use crate::metadata::Metadata;
use crate::namespace::options::{NamespaceOptions, check_name};
use crate::tagged::{read_text, read_u32, read_whole};
use crate::tombstone::{Tombstone, read_range};

/// What a frame other than a batch or a mark holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Delete(Delete),
    Namespace(NamespaceChange),
    Metadata(MetadataChange),
}

impl Change {
    /// The kind of the frame and its payload.
    pub(crate) fn encode(&self) -> (FrameKind, Vec<u8>) {
        match self {
            Self::Delete(delete) => (FrameKind::Delete, delete.encode()),
            Self::Namespace(change) => (FrameKind::Namespace, change.encode()),
            Self::Metadata(change) => (FrameKind::Metadata, change.encode()),
        }
    }

    /// Reads the payload of a frame of `kind`; `None` for kinds that hold no change.
    pub(crate) fn decode(kind: FrameKind, payload: &[u8]) -> CodecResult<Option<Self>> {
        Ok(Some(match kind {
            FrameKind::Batch | FrameKind::Mark => return Ok(None),
            FrameKind::Delete => Self::Delete(Delete::decode(payload)?),
            FrameKind::Namespace => Self::Namespace(NamespaceChange::decode(payload)?),
            FrameKind::Metadata => Self::Metadata(MetadataChange::decode(payload)?),
        }))
    }
}

/// A delete: the payload of a frame of kind `Delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delete {
    pub(crate) namespace: u32,
    pub(crate) selector: Selector,
    /// First timestamp deleted.
    pub(crate) first: i64,
    /// Last timestamp deleted, not below the first.
    pub(crate) last: i64,
}

impl Delete {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u64(&mut out, u64::from(self.namespace));
        put_i64(&mut out, self.first);
        put_i64(&mut out, self.last);
        put_selector(&mut out, &self.selector);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> CodecResult<Self> {
        read_whole(bytes, |reader| {
            let namespace = read_u32(reader, "a namespace over 32 bits")?;
            let (first, last) = read_range(reader)?;
            Ok(Self {
                namespace,
                selector: read_selector(reader)?,
                first,
                last,
            })
        })
    }

    /// The tombstone that the delete is as frame `sequence`.
    pub(crate) fn into_tombstone(self, sequence: u64) -> Tombstone {
        Tombstone {
            sequence,
            namespace: self.namespace,
            selector: self.selector,
            first: self.first,
            last: self.last,
        }
    }
}

/// A change of the namespaces: the payload of a frame of kind `Namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamespaceChange {
    /// A new one; its id was never used.
    Create {
        id: u32,
        name: String,
        options: NamespaceOptions,
    },
    /// New options of one that is there.
    Alter { id: u32, options: NamespaceOptions },
    /// One goes, with everything in it.
    Drop { id: u32 },
}

const CREATE: u8 = 1;
const ALTER: u8 = 2;
const DROP: u8 = 3;

impl NamespaceChange {
    /// Which namespace changes.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Create { id, .. } | Self::Alter { id, .. } | Self::Drop { id } => *id,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> CodecResult<Self> {
        read_whole(bytes, Self::read)
    }

    /// Appends what [`NamespaceChange::read`] reads.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Create { .. } => CREATE,
            Self::Alter { .. } => ALTER,
            Self::Drop { .. } => DROP,
        });
        put_u64(out, u64::from(self.id()));
        if let Self::Create { name, .. } = self {
            put_bytes(out, name.as_bytes());
        }
        if let Self::Create { options, .. } | Self::Alter { options, .. } = self {
            let mut bytes = Vec::new();
            options.put(&mut bytes);
            put_bytes(out, &bytes);
        }
    }

    /// Reads one change; leaves `reader` behind it.
    pub(crate) fn read(reader: &mut Reader<'_>) -> CodecResult<Self> {
        let offset = reader.offset();
        let change = reader.u8()?;
        let id = read_u32(reader, "a namespace over 32 bits")?;
        Ok(match change {
            CREATE => Self::Create {
                id,
                name: read_name(reader)?,
                options: read_options(reader)?,
            },
            ALTER => Self::Alter {
                id,
                options: read_options(reader)?,
            },
            DROP => Self::Drop { id },
            _ => {
                return Err(CodecError::Unsupported {
                    offset,
                    what: "change of a namespace",
                    found: u64::from(change),
                });
            }
        })
    }
}

fn read_name(reader: &mut Reader<'_>) -> CodecResult<String> {
    const WHAT: &str = "a namespace with a name that none can have";
    let offset = reader.offset();
    let name = read_text(reader, MAX_NAMESPACE_NAME_BYTES, WHAT)?;
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(_) => Err(CodecError::Malformed { offset, what: WHAT }),
    }
}

fn read_options(reader: &mut Reader<'_>) -> CodecResult<NamespaceOptions> {
    let bytes = reader.bytes()?;
    let base = reader.offset() - bytes.len();
    let read = NamespaceOptions::read(&mut Reader::new(bytes));
    read.map_err(|error| error.shifted(base))
}

/// New metadata of a metric, or its end: the payload of a frame of kind `Metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataChange {
    pub(crate) namespace: u32,
    /// The metric's name.
    pub(crate) metric: String,
    /// `None`: there is none any more.
    pub(crate) metadata: Option<Metadata>,
}

impl MetadataChange {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> CodecResult<Self> {
        read_whole(bytes, Self::read)
    }

    /// Appends what [`MetadataChange::read`] reads.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, u64::from(self.namespace));
        put_bytes(out, self.metric.as_bytes());
        out.push(u8::from(self.metadata.is_some()));
        if let Some(metadata) = &self.metadata {
            metadata.put(out);
        }
    }

    /// Reads one change; leaves `reader` behind it.
    pub(crate) fn read(reader: &mut Reader<'_>) -> CodecResult<Self> {
        const WHAT: &str = "a metric name that is empty, too long or not text";
        let namespace = read_u32(reader, "a namespace over 32 bits")?;
        let offset = reader.offset();
        let metric = read_text(reader, MAX_METRIC_NAME_BYTES, WHAT)?.to_owned();
        if metric.is_empty() {
            return Err(CodecError::Malformed { offset, what: WHAT });
        }
        let offset = reader.offset();
        let metadata = match reader.u8()? {
            0 => None,
            1 => Some(Metadata::read(reader)?),
            other => {
                return Err(CodecError::Unsupported {
                    offset,
                    what: "change of metadata",
                    found: u64::from(other),
                });
            }
        };
        Ok(Self {
            namespace,
            metric,
            metadata,
        })
    }
}

const OPS: [MatchOp; 4] = [
    MatchOp::Equal,
    MatchOp::NotEqual,
    MatchOp::Regex,
    MatchOp::NotRegex,
];

/// Appends the matchers of `selector`.
pub(crate) fn put_selector(out: &mut Vec<u8>, selector: &Selector) {
    put_u64(out, selector.matchers().len() as u64);
    for matcher in selector.matchers() {
        out.push(match matcher.op() {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        });
        put_bytes(out, matcher.name().as_bytes());
        put_bytes(out, matcher.value().as_bytes());
    }
}

/// Reads what [`put_selector`] wrote and compiles its patterns; one that no longer compiles is an
/// error.
pub(crate) fn read_selector(reader: &mut Reader<'_>) -> CodecResult<Selector> {
    read_selector_within(reader, &mut MAX_TOMBSTONE_PATTERNS.clone())
}

/// As [`read_selector`]; takes its patterns from `patterns`, how many may still be compiled. Each
/// takes at most `treering_index::limits::MAX_COMPILED_BYTES` of memory.
pub(crate) fn read_selector_within(
    reader: &mut Reader<'_>,
    patterns: &mut usize,
) -> CodecResult<Selector> {
    let start = reader.offset();
    let malformed = |offset, what| CodecError::Malformed { offset, what };
    let max = MAX_MATCHERS.min(reader.remaining() / 3);
    let count = reader.length(max, "more matchers than allowed")?;
    let mut matchers = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = reader.offset();
        let byte = reader.u8()?;
        let op = OPS.get(usize::from(byte)).copied();
        let op = op.ok_or(CodecError::Unsupported {
            offset,
            what: "matcher",
            found: u64::from(byte),
        })?;
        let pattern = matches!(op, MatchOp::Regex | MatchOp::NotRegex);
        let max = if pattern {
            MAX_PATTERN_BYTES
        } else {
            HARD_MAX_VALUE_BYTES
        };
        let name = read_text(
            reader,
            HARD_MAX_NAME_BYTES,
            "a matcher's name is no label name",
        )?;
        let value = read_text(reader, max, "a matcher's value is no label value")?;
        if reader.offset() - start > MAX_SELECTOR_BYTES {
            return Err(malformed(start, "a selector that is too long"));
        }
        if pattern {
            let left = patterns.checked_sub(1);
            *patterns = left.ok_or(malformed(offset, "more patterns than allowed"))?;
        }
        let matcher = Matcher::new(name, op, value);
        matchers.push(matcher.map_err(|_| malformed(offset, "a pattern that does not compile"))?);
    }
    Ok(Selector::from_matchers(matchers))
}

/// Length of what [`put_selector`] writes, to within a few bytes per matcher, never too small.
pub(crate) fn selector_bytes(selector: &Selector) -> usize {
    let matchers = selector.matchers().iter();
    let bytes = |matcher: &Matcher| 8 + matcher.name().len() + matcher.value().len();
    8 + matchers.map(bytes).sum::<usize>()
}

/// Refuses a selector that a delete cannot hold.
pub(crate) fn check_selector(selector: &Selector) -> Result<()> {
    let refuse = |why| {
        Err(Error::InvalidArgument {
            argument: "selector",
            why,
        })
    };
    let count = selector.matchers().len();
    if count > MAX_MATCHERS {
        return refuse(format!(
            "has {count} matchers; at most {MAX_MATCHERS} are allowed"
        ));
    }
    for matcher in selector.matchers() {
        let (name, value) = (matcher.name().len(), matcher.value().len());
        if name > HARD_MAX_NAME_BYTES || value > HARD_MAX_VALUE_BYTES {
            return refuse(format!(
                "has a matcher of {name} and {value} bytes; at most {HARD_MAX_NAME_BYTES} and \
                 {HARD_MAX_VALUE_BYTES} are allowed"
            ));
        }
    }
    let len = selector_bytes(selector);
    if len > MAX_SELECTOR_BYTES {
        return refuse(format!(
            "takes {len} bytes; at most {MAX_SELECTOR_BYTES} are allowed in a delete"
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
