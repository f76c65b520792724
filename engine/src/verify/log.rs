//! The WAL, frame by frame, beyond the first damage too.
//!
//! Input: the files and how far each must be right. Output: frames counted, and each place where
//! there is no frame, or another one than is due. What stands behind the given lengths is being
//! written, or was never durable, and is not looked at.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::shared::Core;
use crate::verify::{Moment, VerifyReport, on_disk};
use crate::wal::change::Change;
use crate::wal::format::{FRAME_HEADER_BYTES, FileHeader, FrameKind, HEADER_BYTES, HeaderError};
use crate::wal::payload::BatchPayload;
use crate::wal::stretches::{Stretch, Stretches};
use crate::wal::{self, MAX_FILE_BYTES};

/// Where the log is: what the next file and the next frame must say.
#[derive(Debug, Default)]
struct Due {
    position: Option<u64>,
    sequence: Option<u64>,
}

/// Checks all files.
pub(super) fn verify(core: &Core, moment: &Moment, report: &mut VerifyReport) {
    let dir = core.dir.join(wal::DIR);
    let mut due = Due::default();
    for &(number, len) in &moment.wal {
        let path = wal::file_path(&dir, number);
        match core.options.vfs.read(&path, MAX_FILE_BYTES) {
            Ok(bytes) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let within = bytes.get(..len).unwrap_or(&bytes);
                if within.len() < len {
                    let what = format!("{} bytes are there, {len} were written", bytes.len());
                    report.problem(path.clone(), Some(within.len() as u64), what);
                }
                report.bytes += within.len() as u64;
                verify_file(moment.database, (number, &path), within, &mut due, report);
            }
            // The writer beside a reader has flushed it, or removed it because it held nothing.
            Err(error) if !moment.is_writer && is_gone(core, (number, len), &error) => {
                due = Due::default();
            }
            Err(error) => {
                report.error(path.clone(), Error::io("read", &path, error));
                due = Due::default();
            }
        }
    }
    let flushed = moment.state.flushed_through;
    let last = moment
        .wal
        .last()
        .map(|(number, _)| wal::file_path(&dir, *number));
    let found = due.sequence.map_or(0, |next| next.saturating_sub(1));
    if found != 0 && found.max(flushed) < moment.last_sequence {
        let what = format!("it ends at change {found}, {} is due", moment.last_sequence);
        report.problem(last.unwrap_or(dir), None, what);
    }
}

/// Whether a file is missing that no open needs any more.
fn is_gone(core: &Core, (number, len): (u64, u64), error: &io::Error) -> bool {
    let needed = || on_disk(core).is_none_or(|contents| contents.state.wal_floor <= number);
    error.kind() == io::ErrorKind::NotFound && (len <= HEADER_BYTES as u64 || !needed())
}

fn verify_file(
    database: u64,
    (number, path): (u64, &Path),
    bytes: &[u8],
    due: &mut Due,
    report: &mut VerifyReport,
) {
    let wrong = |offset: usize, what: &str| (path.to_owned(), Some(offset as u64), what.to_owned());
    let mut found = Vec::new();
    let header = match FileHeader::decode(bytes) {
        Ok(header) => Some(header),
        Err(HeaderError::Damaged) => {
            found.push(wrong(0, "the header does not match its checksum"));
            None
        }
        Err(HeaderError::Version(version)) => {
            found.push(wrong(0, &format!("its format has version {version}")));
            None
        }
    };
    if let Some(header) = header {
        if header.database != database || header.number != number {
            found.push(wrong(0, "the WAL file belongs elsewhere"));
        }
        if due
            .position
            .is_some_and(|position| position != header.position)
        {
            found.push(wrong(0, "it does not go on where the file before it ends"));
        }
        if due
            .sequence
            .is_some_and(|sequence| sequence != header.first_sequence)
        {
            found.push(wrong(0, "it starts with another change than is due"));
        }
        due.sequence = Some(header.first_sequence);
    }
    for part in Stretches::of(FileHeader::seed(database, number), bytes, HEADER_BYTES) {
        let (at, frame, payload) = match part {
            Stretch::Frame(at, frame, payload) => (at, frame, payload),
            // What lies between here and the next frame is one damage.
            Stretch::Bad(at, _) => {
                found.push(wrong(at, "the frame does not match its checksum"));
                due.sequence = None;
                continue;
            }
        };
        if due
            .sequence
            .is_some_and(|sequence| sequence != frame.sequence)
        {
            found.push(wrong(at, "another frame than is due"));
        }
        if let Some(what) = wrong_payload(frame.known_kind(), payload) {
            found.push(wrong(at + FRAME_HEADER_BYTES, &what));
        }
        report.frames += 1;
        due.sequence = Some(frame.sequence + 1);
    }
    // A file without frames takes no positions.
    let taken = if bytes.len() > HEADER_BYTES {
        bytes.len() as u64
    } else {
        0
    };
    due.position = header.map(|header| header.position + taken);
    for (file, offset, what) in found {
        report.problem(file, offset, what);
    }
}

/// What is wrong with a payload whose checksum is right.
fn wrong_payload(kind: Option<FrameKind>, payload: &[u8]) -> Option<String> {
    let read = match kind {
        None => return Some("a frame of a kind that only a newer release knows".to_owned()),
        Some(FrameKind::Batch) => BatchPayload::decode(payload).map(|_| ()),
        Some(kind) => Change::decode(kind, payload).map(|_| ()),
    };
    read.err().map(|error| error.to_string())
}
