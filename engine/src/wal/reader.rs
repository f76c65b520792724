//! Walks the frames of a WAL folder in order, and tells a tail that was never synced from damage.
//!
//! Input: the files of the folder. Output: frames, then perhaps a [`Cut`]; [`WalReader::resume`] goes
//! on from there when a writer may have appended more. Reads only: cutting is recovery's work. Every
//! frame says how far the WAL was durable when it was written, so a bad frame below the highest such
//! position in any later valid frame is damage and an error; above it the bytes were never promised
//! to anyone, and the log ends before them.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    ALIGN, FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind, HEADER_BYTES, HeaderError,
    VERSION,
};
use super::stretches::{Stretch, Stretches};
use super::{file_path, parse_name};
use crate::error::{Error, Result};
use crate::limits::MAX_FRAME_BYTES;
use crate::vfs::{EntryKind, Vfs};

/// Largest WAL file that is read: the largest `Options::wal_file_bytes` and one frame.
pub(crate) const MAX_FILE_BYTES: u64 = (1 << 30) + MAX_FRAME_BYTES as u64 + 4096;

/// A frame as it was read.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    /// Its place in the order of all change.
    pub(crate) sequence: u64,
    /// Scope of the series ids in the payload.
    pub(crate) generation: u64,
    /// File and offset of the payload, for errors.
    pub(crate) file: &'a Path,
    pub(crate) offset: u64,
    pub(crate) payload: &'a [u8],
}

/// Where the log ends although bytes follow: they were never synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The file to shorten, and to which length; length 0 means that the file goes.
    pub(crate) file: u64,
    pub(crate) len: u64,
    /// Files behind it, which go.
    pub(crate) later: Vec<u64>,
    /// Bytes that this drops.
    pub(crate) bytes: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct WalReader {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    database: u64,
    /// Files with lower numbers are not read.
    floor: u64,
    /// Files behind the current one.
    files: VecDeque<u64>,
    /// The file of the last frame.
    current: Option<Current>,
    /// Headers of the files read so far, in order.
    seen: Vec<FileHeader>,
    /// Files of which at least one frame was read.
    with_frames: Vec<u64>,
    last_sequence: Option<u64>,
    last_kind: Option<FrameKind>,
    synced: u64,
    end: u64,
    bytes: u64,
    cut: Option<Cut>,
}

#[derive(Debug)]
struct Current {
    header: FileHeader,
    path: PathBuf,
    /// Bytes of the file from `base` on.
    bytes: Vec<u8>,
    base: usize,
    /// Offset in the file of the next frame; not below `base`.
    offset: usize,
}

impl Current {
    /// What was not read yet.
    fn rest(&self) -> &[u8] {
        self.bytes
            .get(self.offset - self.base..)
            .unwrap_or_default()
    }
}

impl WalReader {
    /// A reader over the files of `dir` numbered `floor` and up.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: PathBuf, database: u64, floor: u64) -> Result<Self> {
        let files = list(&*vfs, &dir, floor)?;
        Ok(Self {
            vfs,
            dir,
            database,
            floor,
            files: files.into(),
            current: None,
            seen: Vec::new(),
            with_frames: Vec::new(),
            last_sequence: None,
            last_kind: None,
            synced: 0,
            end: 0,
            bytes: 0,
            cut: None,
        })
    }

    /// The next frame, or `None` at the end of the log; then [`WalReader::cut`] tells whether bytes
    /// follow that were never synced.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>> {
        loop {
            match self.step()? {
                Step::Frame(header, start) => return Ok(self.frame(header, start)),
                Step::EndOfFile if self.begin_file()? => {}
                Step::EndOfFile | Step::EndOfLog => return Ok(None),
            }
        }
    }

    /// Lets go of the bytes that were read.
    pub(crate) fn pause(&mut self) {
        if let Some(current) = &mut self.current {
            (current.bytes, current.base) = (Vec::new(), current.offset);
        }
    }

    /// Looks behind the last frame again, once [`WalReader::next`] gave `None`: for what a writer
    /// has appended since, and for new files. An error leaves the reader where it was.
    pub(crate) fn resume(&mut self) -> Result<()> {
        let current = self.current.as_ref();
        let first = current.map_or(self.floor, |current| current.header.number + 1);
        // Listed before the rest of the current file is read: once there is a later file, nothing
        // is appended to this one any more.
        self.files = list(&*self.vfs, &self.dir, first)?.into();
        self.cut = None;
        if let Some(current) = &mut self.current {
            let failed = |error| Error::io("read", &current.path, error);
            let file = self.vfs.open(&current.path).map_err(failed)?;
            let len = file.len().map_err(failed)?;
            let from = current.offset as u64;
            let rest = len.checked_sub(from).ok_or_else(|| {
                Error::corrupt(&current.path, len, "the file is shorter than it was")
            })?;
            let rest = usize::try_from(rest).ok().filter(|_| len <= MAX_FILE_BYTES);
            let rest = rest.ok_or_else(|| failed(ErrorKind::FileTooLarge.into()))?;
            let mut bytes = Vec::new();
            let reserved = bytes.try_reserve_exact(rest);
            reserved.map_err(|_| failed(ErrorKind::OutOfMemory.into()))?;
            bytes.resize(rest, 0);
            file.read_exact_at(&mut bytes, from).map_err(failed)?;
            (current.bytes, current.base) = (bytes, current.offset);
        }
        Ok(())
    }

    /// Where the log was cut, once [`WalReader::next`] gave `None`.
    pub(crate) fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Headers of all files that were read.
    pub(crate) fn headers(&self) -> &[FileHeader] {
        &self.seen
    }

    /// Numbers of the files read that hold no frame.
    pub(crate) fn empty_files(&self) -> Vec<u64> {
        let numbers = self.seen.iter().map(|header| header.number);
        numbers
            .filter(|number| !self.with_frames.contains(number))
            .collect()
    }

    /// Sequence of the last frame read.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        self.last_sequence
    }

    /// Whether frames were read and the last one is not a mark: what it holds is durable from now
    /// on, but nothing in the WAL says so.
    pub(crate) fn ends_unmarked(&self) -> bool {
        self.last_kind.is_some_and(|kind| kind != FrameKind::Mark)
    }

    /// Position up to which the frames read say that the WAL was durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Position behind the last frame read.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of all frames read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn frame(&self, header: FrameHeader, start: usize) -> Option<Frame<'_>> {
        let current = self.current.as_ref()?;
        Some(Frame {
            kind: header.known_kind()?,
            sequence: header.sequence,
            generation: current.header.generation,
            file: &current.path,
            offset: start as u64,
            payload: (current.bytes.get(start - current.base..))?.get(..header.len as usize)?,
        })
    }

    /// Loads the next file; `false` at the end of the log.
    fn begin_file(&mut self) -> Result<bool> {
        let Some(number) = self.files.pop_front() else {
            return Ok(false);
        };
        let path = file_path(&self.dir, number);
        let bytes = self.load(&path)?;
        let header = match FileHeader::decode(&bytes) {
            Ok(header) => header,
            Err(HeaderError::Version(found)) => {
                return Err(Error::Version {
                    file: path,
                    found,
                    supported: VERSION,
                });
            }
            Err(HeaderError::Damaged) => {
                self.end_at_bad_header(number, &path, &bytes)?;
                return Ok(false);
            }
        };
        if header.database != self.database || header.number != number {
            return Err(Error::corrupt(&path, 0, "the WAL file belongs elsewhere"));
        }
        if let Some(previous) = self.seen.last()
            && header.position != self.end
        {
            // Frames are missing between two files: the tail of the earlier one.
            // It keeps its header even when all of its frames are gone.
            let len = (self.end - previous.position).max(HEADER_BYTES as u64);
            let earlier = previous.number;
            if self.synced_beyond(Some(self.end), number, &bytes, HEADER_BYTES)? {
                let path = file_path(&self.dir, earlier);
                return Err(Error::corrupt(&path, len, "frames are missing at its end"));
            }
            self.cut_at(earlier, len, 0, Some((number, bytes.len() as u64)))?;
            return Ok(false);
        }
        self.seen.push(header);
        // The header counts with the first frame: a file without frames takes no positions.
        self.end = header.position;
        self.current = Some(Current {
            header,
            path,
            bytes,
            base: 0,
            offset: HEADER_BYTES,
        });
        Ok(true)
    }

    /// Reads one frame of the current file.
    fn step(&mut self) -> Result<Step> {
        let Some(current) = &mut self.current else {
            return Ok(Step::EndOfFile);
        };
        let rest = current.rest();
        if rest.is_empty() {
            return Ok(Step::EndOfFile);
        }
        let seed = FileHeader::seed(self.database, current.header.number);
        if let Some((header, _)) = FrameHeader::open(seed, rest) {
            let expected = self
                .last_sequence
                .map_or(current.header.first_sequence, |last| last + 1);
            if header.sequence != expected {
                let what = format!("frame {} stands where {expected} is due", header.sequence);
                return Err(Error::corrupt(&current.path, current.offset as u64, what));
            }
            let Some(kind) = header.known_kind() else {
                let what = format!("a WAL frame of kind {} {:?}", header.kind, header.flags);
                let (file, offset) = (current.path.clone(), current.offset as u64);
                return Err(Error::Unsupported { file, offset, what });
            };
            self.last_kind = Some(kind);
            let start = current.offset + FRAME_HEADER_BYTES;
            current.offset += header.stride() as usize;
            self.last_sequence = Some(header.sequence);
            self.synced = self.synced.max(header.synced);
            self.end = current.header.position + current.offset as u64;
            self.bytes += header.stride();
            let number = current.header.number;
            if self.with_frames.last() != Some(&number) {
                self.with_frames.push(number);
            }
            return Ok(Step::Frame(header, start));
        }
        self.end_at_bad_frame()
    }

    /// The current file goes on with something that is no frame: damage, or a tail that was never
    /// durable.
    fn end_at_bad_frame(&mut self) -> Result<Step> {
        let Some(current) = &self.current else {
            return Ok(Step::EndOfFile);
        };
        let (number, bad, rest) = (current.header.number, current.offset, current.rest());
        let position = current.header.position + bad as u64;
        if self.synced_beyond(Some(position), number, rest, ALIGN)? {
            let what = "a frame that was durable does not match its checksum";
            return Err(Error::corrupt(&current.path, bad as u64, what));
        }
        let bytes = rest.len() as u64;
        self.cut_at(number, bad as u64, bytes, None)?;
        Ok(Step::EndOfLog)
    }

    /// A header is durable before the first frame, so a damaged one with any valid frame behind it
    /// is damage; with none it is a file that was just being made.
    fn end_at_bad_header(&mut self, number: u64, path: &Path, bytes: &[u8]) -> Result<()> {
        if self.synced_beyond(None, number, bytes, 0)? {
            return Err(Error::corrupt(
                path,
                0,
                "the header does not match its checksum",
            ));
        }
        self.cut_at(number, 0, bytes.len() as u64, None)
    }

    /// Whether any valid frame from `offset` of file `number` on, or in a later file, was written
    /// when the log was durable beyond `position`; or any frame at all, without one.
    fn synced_beyond(
        &self,
        position: Option<u64>,
        number: u64,
        bytes: &[u8],
        offset: usize,
    ) -> Result<bool> {
        if finds_frame(
            bytes,
            offset,
            FileHeader::seed(self.database, number),
            position,
        ) {
            return Ok(true);
        }
        for &later in &self.files {
            let bytes = self.load(&file_path(&self.dir, later))?;
            if finds_frame(&bytes, 0, FileHeader::seed(self.database, later), position) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn cut_at(
        &mut self,
        file: u64,
        len: u64,
        mut bytes: u64,
        also: Option<(u64, u64)>,
    ) -> Result<()> {
        let mut later = Vec::new();
        if let Some((number, len)) = also {
            later.push(number);
            bytes += len;
        }
        for number in self.files.drain(..) {
            let path = file_path(&self.dir, number);
            let file = self
                .vfs
                .open(&path)
                .map_err(|error| Error::io("open", &path, error))?;
            bytes += file
                .len()
                .map_err(|error| Error::io("measure", &path, error))?;
            later.push(number);
        }
        self.cut = Some(Cut {
            file,
            len,
            later,
            bytes,
        });
        Ok(())
    }

    /// The bytes of a WAL file.
    pub(crate) fn load(&self, path: &Path) -> Result<Vec<u8>> {
        self.vfs
            .read(path, MAX_FILE_BYTES)
            .map_err(|error| Error::io("read", path, error))
    }
}

/// Numbers of the files of `dir` from `floor` on, ascending.
fn list(vfs: &dyn Vfs, dir: &Path, floor: u64) -> Result<Vec<u64>> {
    let entries = vfs.list(dir);
    let entries = entries.map_err(|error| Error::io("list", dir, error))?;
    let mut files: Vec<u64> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .filter_map(|entry| parse_name(&entry.name))
        .filter(|number| *number >= floor)
        .collect();
    files.sort_unstable();
    Ok(files)
}

enum Step {
    Frame(FrameHeader, usize),
    EndOfFile,
    EndOfLog,
}

/// Whether a valid frame whose `synced` is above `position`, if there is one, starts anywhere from
/// `offset` on.
fn finds_frame(bytes: &[u8], offset: usize, seed: u32, position: Option<u64>) -> bool {
    Stretches::of(seed, bytes, offset).any(|part| match part {
        Stretch::Frame(_, header, _) => position.is_none_or(|at| header.synced > at),
        Stretch::Bad(..) => false,
    })
}
