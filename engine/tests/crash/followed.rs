//! What those who follow find in an image: every frame that is kept, and exports.
//!
//! Input: a recovered database and what it answers. Output: nothing, or what is wrong, in words.
//! Where all frames are kept, they make the answer when they are done one after the other; where
//! only the last are, they go on without a gap to the last change. An export is the answer.

use std::collections::BTreeMap;

use treering::{Change, Db, Error, ExportedChunk, Frame, Labels, NamespaceOptions, SampleColumns};

use crate::beside::bits_of;
use crate::check::{Answer, metadata_fact, space_fact};
use crate::history::{FACTS, Print, Row, SPACE_SERIES, labels_of};

/// Follows `db`, whose WAL keeps every frame if `keeps_all`.
pub(crate) fn follow(db: &Db, answer: &Answer, keeps_all: bool) -> Result<(), String> {
    let last = db.stats().last_sequence;
    match db.frames_since(0) {
        Ok(frames) => {
            let frames = frames.collect::<Result<Vec<Frame>, _>>();
            let frames = frames.map_err(|error| format!("a frame cannot be read: {error}"))?;
            in_order(&frames, 1, last)?;
            replay(&frames, answer)?;
        }
        Err(Error::FramesGone { oldest }) if !keeps_all => {
            let frames = db.frames_since(oldest - 1).map_err(|error| {
                format!("frames from {oldest} on are said to be there, but: {error}")
            })?;
            let frames = frames.collect::<Result<Vec<Frame>, _>>();
            let frames = frames.map_err(|error| format!("since {oldest}: {error}"))?;
            in_order(&frames, oldest, last)?;
        }
        Err(error) => return Err(format!("frames cannot be followed: {error}")),
    }
    exported(db, answer)
}

/// The frames count up by one from `first` through `last`.
fn in_order(frames: &[Frame], first: u64, last: u64) -> Result<(), String> {
    let mut found = frames.iter().map(|frame| frame.sequence);
    match found.clone().eq(first..=last) {
        true => Ok(()),
        false => Err(format!(
            "frames {:?} to {:?} ({} of them) in place of {first} to {last}",
            found.clone().next(),
            found.next_back(),
            frames.len()
        )),
    }
}

/// A namespace as those who follow know it.
#[derive(Debug, Default)]
struct Copy {
    space: u32,
    options: NamespaceOptions,
    samples: BTreeMap<(u32, i64), u64>,
    /// Length of the help text of each metric.
    metadata: BTreeMap<u32, usize>,
}

/// All changes, one after the other, are the answer.
fn replay(frames: &[Frame], answer: &Answer) -> Result<(), String> {
    let mut copies = BTreeMap::from([(0, Copy::default())]);
    for frame in frames {
        apply(&mut copies, &frame.change).map_err(|error| format!("{error}: {frame:?}"))?;
    }
    let mut print = Print::default();
    for copy in copies.values() {
        let first = copy.space * SPACE_SERIES;
        let samples = copy.samples.iter();
        samples.for_each(|(&(number, at), &bits)| print.add((first + number, at, bits)));
        if copy.space > 0 || copy.options != NamespaceOptions::default() {
            print.add(space_fact(copy.space, &copy.options));
        }
        let metadata = copy.metadata.iter();
        metadata.for_each(|(&metric, &help)| print.add(metadata_fact(copy.space, metric, help)));
    }
    match print == answer.print {
        true => Ok(()),
        false => Err(format!(
            "{} frames make {} samples, but it answers {}",
            frames.len(),
            print.samples,
            answer.print.samples
        )),
    }
}

fn apply(copies: &mut BTreeMap<u32, Copy>, change: &Change) -> Result<(), String> {
    let unknown = || "of a namespace that is not there".to_owned();
    match change {
        Change::Samples {
            namespace,
            series,
            timestamps,
            values,
            histograms,
            starts,
        } => {
            let bits = bits_of(&SampleColumns {
                timestamps: timestamps.clone(),
                values: values.clone(),
                histograms: histograms.clone(),
                starts: starts.clone(),
            });
            let copy = copies.get_mut(&namespace.number).ok_or_else(unknown)?;
            for (labels, samples) in series {
                let number = number_of(labels)?;
                for at in samples.clone() {
                    let key = (number, timestamps[at]);
                    copy.samples.insert(key, bits[at]);
                }
            }
        }
        Change::Delete {
            namespace,
            selector,
            first,
            last,
        } => {
            let copy = copies.get_mut(&namespace.number).ok_or_else(unknown)?;
            copy.samples.retain(|&(number, at), _| {
                !((*first..=*last).contains(&at) && selector.matches(&labels_of(number)))
            });
        }
        Change::CreateNamespace { namespace, options } => {
            let name = namespace.name.as_deref().unwrap_or_default();
            let space = name.strip_prefix('s').and_then(|name| name.parse().ok());
            let copy = Copy {
                space: space.ok_or("a strange name")?,
                options: options.clone(),
                ..Copy::default()
            };
            copies.insert(namespace.number, copy);
        }
        Change::AlterNamespace { namespace, options } => {
            let copy = copies.get_mut(&namespace.number).ok_or_else(unknown)?;
            copy.options = options.clone();
        }
        Change::DropNamespace { namespace } => {
            copies.remove(&namespace.number).ok_or_else(unknown)?;
        }
        Change::Metadata {
            namespace,
            metric,
            metadata,
        } => {
            let copy = copies.get_mut(&namespace.number).ok_or_else(unknown)?;
            let metric = metric[1..].parse().map_err(|_| "a strange metric")?;
            match metadata {
                Some(metadata) => copy.metadata.insert(metric, metadata.help.len()),
                None => copy.metadata.remove(&metric),
            };
        }
        Change::Mark => {}
        other => return Err(format!("unknown: {other:?}")),
    }
    Ok(())
}

fn number_of(labels: &Labels) -> Result<u32, String> {
    let number = labels.get("n").and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("unknown series {labels}"))
}

/// The exports of all namespaces are the samples of the answer.
fn exported(db: &Db, answer: &Answer) -> Result<(), String> {
    let mut rows: Vec<Row> = Vec::new();
    for info in db.namespaces() {
        let space = info.name.strip_prefix('s').map_or(Ok(0), str::parse::<u32>);
        let space = space.map_err(|_| format!("namespace {}", info.name))?;
        let words = |error: Error| format!("export of {}: {error}", info.name);
        let seen = db.namespace(&info.name).map_err(words)?;
        let export = seen.export(.., ..).map_err(words)?;
        if export.sequence() > db.stats().last_sequence {
            return Err("an export claims changes that were not made".to_owned());
        }
        for chunk in export {
            let chunk = chunk.map_err(words)?;
            let series = space * SPACE_SERIES + number_of(&chunk.labels)?;
            let columns = ExportedChunk::decode_samples(&chunk.bytes).map_err(words)?;
            let bits = bits_of(&columns);
            let samples = columns.timestamps.iter().copied().zip(bits);
            rows.extend(samples.map(|(at, bits)| (series, at, bits)));
        }
    }
    rows.sort_unstable();
    let mut read: Vec<Row> = answer.rows.clone();
    read.retain(|row| row.0 < FACTS);
    read.sort_unstable();
    match rows == read {
        true => Ok(()),
        false => Err(format!(
            "{} samples exported, {} read",
            rows.len(),
            read.len()
        )),
    }
}
