//! The writing end of the WAL: one frame at a time, in files of bounded size.
//!
//! Input: drafts (payloads not yet given their place). Output: frames in the current file. The
//! caller holds the commit lock, so this is single-threaded; making frames durable is the
//! syncer's work. Invariant: behind `offset` the file holds nothing, or the database is poisoned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_codec::crc32;

use super::file_path;
use super::format::{FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind, HEADER_BYTES, padded};
use super::syncer::Syncer;
use crate::error::{Error, Result};
use crate::limits::MAX_FRAME_BYTES;
use crate::poison::Failure;
use crate::vfs::{File, Vfs};

/// A frame without its place: room for the header, the payload, its padding and its checksum.
#[derive(Debug)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    kind: FrameKind,
    len: u32,
    payload_crc: u32,
}

impl Draft {
    /// Starts a draft in `bytes`, whose memory is used again; write the payload behind it.
    pub(crate) fn begin(bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.resize(FRAME_HEADER_BYTES, 0);
    }

    /// Finishes the draft begun in `bytes`.
    pub(crate) fn finish(kind: FrameKind, mut bytes: Vec<u8>) -> Self {
        let len = bytes.len() - FRAME_HEADER_BYTES;
        bytes.resize(padded(bytes.len() as u64) as usize, 0);
        let payload_crc = crc32(0, &bytes[FRAME_HEADER_BYTES..]);
        Self {
            bytes,
            kind,
            len: len as u32,
            payload_crc,
        }
    }

    /// Gives the memory back.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The writing end of the WAL.
#[derive(Debug)]
pub(crate) struct Wal {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    header: FileHeader,
    seed: u32,
    file: Arc<dyn File>,
    /// Where the next frame goes in the file.
    offset: u64,
    next_sequence: u64,
    file_bytes: u64,
}

/// Where a frame went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Position behind the frame.
    pub(crate) position: u64,
    /// Its sequence.
    pub(crate) sequence: u64,
    /// Whether the frame began a new file.
    pub(crate) rotated: bool,
}

impl Wal {
    /// Begins file `header.number`, durably, before it takes a frame.
    pub(crate) fn create(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        header: FileHeader,
        file_bytes: u64,
    ) -> Result<Self> {
        let file = create_file(&*vfs, &dir, &header).map_err(Failure::into_error)?;
        Ok(Self {
            vfs,
            dir,
            seed: FileHeader::seed(header.database, header.number),
            file,
            offset: HEADER_BYTES as u64,
            next_sequence: header.first_sequence,
            header,
            file_bytes,
        })
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Number of the current file.
    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    /// Length of the current file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Scope of the series ids in the frames written now.
    pub(crate) fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Whether the current file holds a frame.
    pub(crate) fn has_frames(&self) -> bool {
        self.offset > HEADER_BYTES as u64
    }

    /// Position behind the last frame. The header of a file counts with its first frame, so that a
    /// file without frames can go without leaving a gap.
    pub(crate) fn position(&self) -> u64 {
        self.header.position + if self.has_frames() { self.offset } else { 0 }
    }

    /// Sequence of the last frame; 0 before the first.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Appends a frame and gives it the next sequence. A frame that no reader would take is refused.
    pub(crate) fn append(
        &mut self,
        draft: &mut Draft,
        syncer: &Syncer,
    ) -> Result<Written, Failure> {
        if draft.bytes.len() - FRAME_HEADER_BYTES > MAX_FRAME_BYTES {
            return Err(Failure::Refused(Error::limit(
                "WAL frame limit",
                MAX_FRAME_BYTES as u64,
                format!("a batch that takes {} bytes", draft.bytes.len()),
                "append it in smaller batches: new series bring their labels along",
            )));
        }
        let full = self.offset + draft.bytes.len() as u64 > self.file_bytes;
        let rotated = full && self.has_frames();
        if rotated {
            self.rotate(self.header.generation, syncer)?;
        }
        let header = FrameHeader {
            len: draft.len,
            kind: draft.kind as u8,
            flags: [0; 7],
            sequence: self.next_sequence,
            synced: syncer.synced(),
        };
        let head = header.seal(self.seed, draft.payload_crc);
        draft.bytes[..FRAME_HEADER_BYTES].copy_from_slice(&head);
        if let Err(error) = self.file.write_all_at(&draft.bytes, self.offset) {
            return Err(self.take_back(Error::io("append to", &self.path(), error), syncer));
        }
        self.offset += draft.bytes.len() as u64;
        self.next_sequence += 1;
        Ok(Written {
            position: self.position(),
            sequence: self.last_sequence(),
            rotated,
        })
    }

    /// Goes on in a new file; `generation` is the scope of ids from there on.
    pub(crate) fn rotate(&mut self, generation: u64, syncer: &Syncer) -> Result<(), Failure> {
        let header = FileHeader {
            number: self.header.number + 1,
            generation,
            position: self.position(),
            first_sequence: self.next_sequence,
            ..self.header
        };
        self.file = create_file(&*self.vfs, &self.dir, &header)?;
        self.seed = FileHeader::seed(header.database, header.number);
        self.header = header;
        self.offset = HEADER_BYTES as u64;
        tracing::debug!(file = header.number, generation, "WAL file begun");
        let waiting = syncer.rotated(Arc::clone(&self.file), self.position());
        if waiting > MOST_UNSYNCED_FILES
            && let Err(error) = syncer.sync_all()
        {
            return Err(Failure::Unknown(Error::io("fsync", &self.path(), error)));
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        file_path(&self.dir, self.header.number)
    }

    /// After a failed write: nothing may follow its stump, so the file ends before it again, or
    /// the database takes no more writes.
    fn take_back(&self, cause: Error, syncer: &Syncer) -> Failure {
        // The fsync in it makes the truncation durable before any later frame.
        match syncer.cut_back(&*self.file, self.offset) {
            Ok(()) => Failure::Refused(cause),
            Err(_) => Failure::Unknown(cause),
        }
    }
}

/// Files that may wait for an fsync before a rotation does it itself.
const MOST_UNSYNCED_FILES: usize = 4;

/// Makes a WAL file whose header and directory entry are durable.
fn create_file(vfs: &dyn Vfs, dir: &Path, header: &FileHeader) -> Result<Arc<dyn File>, Failure> {
    let path = file_path(dir, header.number);
    let made = vfs.create(&path).and_then(|file| {
        file.write_all_at(&header.encode(), 0)?;
        Ok(file)
    });
    let file = match made {
        Ok(file) => file,
        Err(error) => {
            let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
            let cause = Error::io("create", &path, error);
            // Leave no half-made file in the way of the next attempt.
            let cleared = !exists && vfs.remove(&path).is_ok_or_missing();
            return Err(if cleared {
                Failure::Refused(cause)
            } else {
                Failure::Unknown(cause)
            });
        }
    };
    // The file's fsync makes the header durable, the folder's its name: both before any frame.
    file.sync()
        .and_then(|()| vfs.sync_dir(dir))
        .map_err(|error| Failure::Unknown(Error::io("fsync", &path, error)))?;
    Ok(file)
}

/// Whether a removal left no file.
trait OkOrMissing {
    fn is_ok_or_missing(&self) -> bool;
}

impl OkOrMissing for std::io::Result<()> {
    fn is_ok_or_missing(&self) -> bool {
        self.as_ref()
            .err()
            .is_none_or(|error| error.kind() == std::io::ErrorKind::NotFound)
    }
}
