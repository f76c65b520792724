//! The manifest: the list of live blocks, and up to where the WAL is in them.
//!
//! Input: edits. Output: the state they add up to, durable when [`Manifest::commit`] returns: the
//! second of the two commit points of the engine. The file is a log of records that is written anew
//! when most of it is history.

mod edit;
pub(crate) mod format;
pub(crate) mod pending;
pub(crate) mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, is_full};
use crate::limits::MAX_MANIFEST_RECORD_BYTES;
use crate::poison::Failure;
use crate::publish::{publish, renew};
use crate::reserve::Reserve;
use crate::vfs::{File, Vfs};
use format::{Edit, HEADER_BYTES, RECORD_HEADER_BYTES, Record, State, VERSION};

/// Name of the manifest in the database directory.
pub(crate) const NAME: &str = "manifest";
/// Name of a manifest being written.
pub(crate) const TEMPORARY_NAME: &str = "manifest.tmp";

/// Size from which a manifest that is mostly history is written anew.
const REWRITE_BYTES: u64 = 64 << 10;
/// Largest manifest that is read.
const MAX_BYTES: u64 = 1 << 30;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Manifest {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    file: Arc<dyn File>,
    database: u64,
    /// Version of the format that the file is written in.
    version: u32,
    state: State,
    /// Where the next record goes.
    len: u64,
    /// Number of the next record.
    next_record: u64,
    /// Whether the directory was let go.
    ended: bool,
}

impl Manifest {
    /// Makes the manifest of a new database, durably.
    pub(crate) fn create(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        database: u64,
        state: State,
    ) -> Result<Self> {
        let (file, len) = write_whole(&*vfs, dir, database, &state).map_err(Failure::into_error)?;
        Ok(Self {
            vfs,
            dir: dir.to_owned(),
            file,
            database,
            version: VERSION,
            state,
            len,
            next_record: 1,
            ended: false,
        })
    }

    /// Reads the manifest of `dir`; `None` when there is none. Also says how many bytes of a record
    /// that was never durable were found at its end. Changes nothing: [`Manifest::renew`] must come
    /// before the first commit.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Option<(Self, u64)>> {
        let path = dir.join(NAME);
        let Some(bytes) = read(&*vfs, dir)? else {
            return Ok(None);
        };
        let contents = Contents::parse(&path, &bytes)?;
        let torn = bytes.len() as u64 - contents.len;
        if torn > 0 {
            tracing::warn!(bytes = torn, "manifest record that was never durable cut");
        }
        let file = vfs
            .open_rw(&path)
            .map_err(|error| Error::io("open", &path, error))?;
        let manifest = Self {
            vfs,
            dir: dir.to_owned(),
            file,
            database: contents.database,
            version: contents.version,
            state: contents.state,
            len: contents.len,
            next_record: contents.next_record,
            ended: false,
        };
        Ok(Some((manifest, torn)))
    }

    /// Makes what was read durable, without the torn record, once it is known to be right.
    pub(crate) fn renew(&mut self) -> Result<()> {
        let path = self.dir.join(NAME);
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.file
            .read_exact_at(&mut bytes, 0)
            .map_err(|error| Error::io("read", &path, error))?;
        self.file = renew(&*self.vfs, &self.dir.join(TEMPORARY_NAME), &path, &bytes)?;
        Ok(())
    }

    /// Refuses every further commit: the directory is let go.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The id of the database.
    pub(crate) fn database(&self) -> u64 {
        self.database
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Length of the file, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// An edit that changes nothing: the counters are those of now.
    pub(crate) fn edit(&self) -> Edit {
        Edit {
            next_block: self.state.next_block,
            flushed_through: self.state.flushed_through,
            wal_floor: self.state.wal_floor,
            next_namespace: self.state.next_namespace,
            ..Edit::default()
        }
    }

    /// Makes `edit` durable; what it adds is live from then on. On a full disk the reserve is
    /// spent before giving up.
    pub(crate) fn commit(&mut self, edit: &Edit, reserve: &Reserve) -> Result<(), Failure> {
        if self.ended {
            return Err(Failure::Refused(Error::Closed));
        }
        let path = self.dir.join(NAME);
        if let Err(what) = self.state.check(edit) {
            return Err(Failure::Refused(Error::corrupt(&path, self.len, what)));
        }
        if self.version < VERSION {
            return self.commit_whole(edit, reserve);
        }
        let record = format::encode_record(self.database, self.next_record, edit);
        check_length(&path, self.len, record.len())?;
        let mut written = self.file.write_all_at(&record, self.len);
        // Twice at most: what is kept for others goes first, then the reserve.
        while written.as_ref().is_err_and(is_full) && reserve.spend() {
            written = self.file.write_all_at(&record, self.len);
        }
        if let Err(error) = written {
            let cause = Error::io("append to", &path, error);
            // Nothing may follow the stump of a record.
            return Err(
                match self.file.set_len(self.len).and_then(|()| self.file.sync()) {
                    Ok(()) => Failure::Refused(cause),
                    Err(_) => Failure::Unknown(cause),
                },
            );
        }
        // Makes the record durable: the moment at which a block becomes live.
        if let Err(error) = self.file.sync() {
            return Err(Failure::Unknown(Error::io("fsync", &path, error)));
        }
        self.state.apply_checked(edit);
        self.len += record.len() as u64;
        self.next_record += 1;
        self.rewrite_if_long()
    }

    /// Commits by writing the manifest anew: records of this version must not follow the header of
    /// an older one, whose releases would take them for damage.
    fn commit_whole(&mut self, edit: &Edit, reserve: &Reserve) -> Result<(), Failure> {
        let mut state = self.state.clone();
        state.apply_checked(edit);
        let write = || write_whole(&*self.vfs, &self.dir, self.database, &state);
        let mut written = write();
        while matches!(&written, Err(Failure::Refused(error)) if error.is_disk_full())
            && reserve.spend()
        {
            written = write();
        }
        (self.file, self.len) = written?;
        (self.version, self.state, self.next_record) = (VERSION, state, 1);
        Ok(())
    }

    /// Writes the manifest anew when it is long and mostly history.
    fn rewrite_if_long(&mut self) -> Result<(), Failure> {
        let live = self.state.record_bytes();
        if self.len < REWRITE_BYTES.max(4 * live) {
            return Ok(());
        }
        match write_whole(&*self.vfs, &self.dir, self.database, &self.state) {
            Ok((file, len)) => {
                tracing::debug!(from = self.len, to = len, "manifest written anew");
                (self.file, self.len, self.next_record) = (file, len, 1);
                Ok(())
            }
            Err(Failure::Refused(error)) => {
                // The long manifest is as good; the next commit tries again.
                tracing::warn!(%error, "manifest not written anew");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Publishes a manifest that holds `state` as its first record; returns it and its length.
fn write_whole(
    vfs: &dyn Vfs,
    dir: &Path,
    database: u64,
    state: &State,
) -> Result<(Arc<dyn File>, u64), Failure> {
    let (temporary, path) = (dir.join(TEMPORARY_NAME), dir.join(NAME));
    let mut bytes = format::encode_header(database).to_vec();
    bytes.extend(format::encode_record(database, 0, &state.to_edit()));
    check_length(&path, 0, bytes.len() - HEADER_BYTES)?;
    let file = publish(vfs, &temporary, &path, &bytes)?;
    Ok((file, bytes.len() as u64))
}

/// Refuses to write what would not be read: a record too long, or one too far into the file.
fn check_length(path: &Path, at: u64, record: usize) -> Result<(), Failure> {
    let max = (RECORD_HEADER_BYTES + MAX_MANIFEST_RECORD_BYTES) as u64;
    let record = record as u64;
    if record <= max && at.saturating_add(record) <= MAX_BYTES {
        return Ok(());
    }
    let by = format!("a record of {record} bytes at {at} of {}", path.display());
    let hint = "drop namespaces or metadata, or let compaction make fewer blocks";
    Err(Failure::Refused(Error::limit(
        "manifest record limit",
        max,
        by,
        hint,
    )))
}

/// The bytes of the manifest of `dir`; `None` when there is none.
pub(crate) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Vec<u8>>> {
    let path = dir.join(NAME);
    let exists = vfs.exists(&path);
    if !exists.map_err(|error| Error::io("look for", &path, error))? {
        return Ok(None);
    }
    let bytes = vfs.read(&path, MAX_BYTES);
    bytes
        .map(Some)
        .map_err(|error| Error::io("read", &path, error))
}

/// What the bytes of a manifest say.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) database: u64,
    version: u32,
    pub(crate) state: State,
    /// Length up to which they are whole records.
    pub(crate) len: u64,
    next_record: u64,
}

impl Contents {
    /// Reads `bytes`, those of the file `path`; a torn record at their end is left out.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (database, version) = format::decode_header(bytes).map_err(|error| match error {
            treering_codec::Error::Unsupported { found, .. } => Error::Version {
                file: path.to_owned(),
                found: found as u32,
                supported: VERSION,
            },
            error => Error::codec(path, 0, error),
        })?;
        let read = read_records(path, database, bytes)?;
        Ok(Self {
            database,
            version,
            state: read.state,
            len: read.len,
            next_record: read.next_record,
        })
    }
}

struct Records {
    state: State,
    len: u64,
    next_record: u64,
}

/// Reads all records. The last may be torn, as it was being written; one that others follow, and
/// the first of a file, were durable: damage to them is an error. So is a whole record that makes
/// no sense: no crash leaves a right checksum behind.
fn read_records(path: &Path, database: u64, bytes: &[u8]) -> Result<Records> {
    let mut records = Records {
        state: State::default(),
        len: HEADER_BYTES as u64,
        next_record: 0,
    };
    loop {
        let at = records.len;
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let record = match Record::open(database, rest) {
            Ok(record) => record,
            Err(error) if records.next_record == 0 || record_follows(database, &records, rest) => {
                return Err(Error::codec(path, at, error));
            }
            Err(_) => return Ok(records),
        };
        if record.number != records.next_record {
            return Err(Error::corrupt(path, at, "a manifest record out of order"));
        }
        let content = |error| Error::content(path, at + RECORD_HEADER_BYTES as u64, error);
        let edit = Edit::decode(record.payload).map_err(content)?;
        let applied = records.state.apply(&edit);
        applied.map_err(|what| Error::corrupt(path, at, what))?;
        records.len += record.len() as u64;
        records.next_record += 1;
    }
    if records.next_record == 0 {
        return Err(Error::corrupt(
            path,
            HEADER_BYTES as u64,
            "the manifest holds no record",
        ));
    }
    Ok(records)
}

/// Whether a later record stands whole behind the damaged one at the start of `rest`.
fn record_follows(database: u64, records: &Records, rest: &[u8]) -> bool {
    (1..rest.len().min(MAX_SEARCH_BYTES)).any(|offset| {
        let Some(tail) = rest.get(offset..) else {
            return false;
        };
        let number = tail.get(8..16).and_then(|bytes| bytes.try_into().ok());
        let number = number.map_or(0, u64::from_le_bytes);
        let near = number > records.next_record && number - records.next_record <= 1 << 20;
        near && Record::open(database, tail).is_ok()
    })
}

/// How far behind a damaged record another one is looked for.
const MAX_SEARCH_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests;
