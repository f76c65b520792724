//! Walks the frames of a WAL that is being written, up to a sequence that is known to be in it.
//!
//! Input: the files of the folder and the sequence of the last frame written. Output: the frames
//! from the start of a generation on, in order. The files are opened at once, so a flush that
//! removes them takes nothing away; each frame is read with its own checksum, a window of the file
//! at a time. Unlike recovery there is no tail to judge: whatever is wrong below that sequence is
//! damage.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_path;
use super::format::{FRAME_HEADER_BYTES, FileHeader, FrameHeader, HEADER_BYTES, HeaderError};
use super::keep::numbers;
use super::reader::Frame;
use crate::error::{Error, Result};
use crate::limits::MAX_FRAME_BYTES;
use crate::vfs::{File, Vfs};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Walk {
    files: VecDeque<Opened>,
    current: Option<Current>,
    /// Sequence of the next frame; `None` before the first.
    next: Option<u64>,
    /// Sequence of the last frame to read.
    through: u64,
    /// For errors.
    last_file: PathBuf,
}

/// A file whose header was read.
#[derive(Debug)]
struct Opened {
    header: FileHeader,
    path: PathBuf,
    file: Arc<dyn File>,
}

/// The file that frames are read from.
#[derive(Debug)]
struct Current {
    opened: Opened,
    seed: u32,
    /// Where the next frame starts in the file.
    offset: u64,
    /// A part of the file.
    window: Vec<u8>,
    /// Where it starts.
    start: u64,
}

/// Bytes read at once, when no frame is longer.
const WINDOW_BYTES: usize = 256 << 10;

/// How often the files are listed anew when one of them went before it was opened.
const ATTEMPTS: usize = 64;

impl Walk {
    /// The frames of `dir` through the sequence `through`, from the start of the generation that
    /// holds the frame after `since`.
    ///
    /// # Errors
    /// [`Error::FramesGone`] when that frame is not in the WAL any more.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        database: u64,
        (since, through): (u64, u64),
    ) -> Result<Self> {
        let mut walk = Self {
            files: VecDeque::new(),
            current: None,
            next: Some(through + 1),
            through,
            last_file: dir.to_owned(),
        };
        if since >= through {
            return Ok(walk);
        }
        let mut opened = None;
        for _ in 0..ATTEMPTS {
            opened = open_files(vfs, dir, database, through)?;
            if opened.is_some() {
                break;
            }
        }
        let Some(mut files) = opened else {
            let what = "its files go faster than they can be opened";
            return Err(Error::corrupt(dir, 0, what));
        };
        let oldest = files.front().map(|file| file.header.first_sequence);
        let oldest = oldest.unwrap_or(through + 1);
        if oldest > since + 1 {
            return Err(Error::FramesGone { oldest });
        }
        let holds = |file: &Opened| file.header.first_sequence <= since + 1;
        let last = files.iter().rposition(holds).unwrap_or(0);
        let generation = files.get(last).map(|file| file.header.generation);
        let same = |file: &Opened| Some(file.header.generation) == generation;
        let first = files.iter().position(same).unwrap_or(0);
        files.drain(..first);
        (walk.files, walk.next) = (files, None);
        Ok(walk)
    }

    /// The next frame; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>> {
        if self.next.is_some_and(|next| next > self.through) {
            return Ok(None);
        }
        loop {
            if self.current.is_none() {
                let Some(opened) = self.files.pop_front() else {
                    return Err(self.ended_early());
                };
                self.last_file.clone_from(&opened.path);
                self.current = Some(Current::of(opened));
            }
            match self.current.as_mut().map(Current::fill).transpose()? {
                Some(Some(header)) => return self.frame(header).map(Some),
                _ => self.current = None,
            }
        }
    }

    /// Sequence of the first frame of the next generation, or of the one after the last frame.
    pub(crate) fn next_generation(&self) -> u64 {
        let generation = self.current.as_ref().map(|it| it.opened.header.generation);
        let other = |file: &&Opened| Some(file.header.generation) != generation;
        let next = self.files.iter().find(other);
        next.map_or(self.through + 1, |file| file.header.first_sequence)
    }

    fn ended_early(&self) -> Error {
        let what = format!("the frames end before the change {}", self.through);
        Error::corrupt(&self.last_file, 0, what)
    }

    /// The frame that the window holds from the offset on.
    fn frame(&mut self, header: FrameHeader) -> Result<Frame<'_>> {
        let early = self.ended_early();
        let current = self.current.as_mut().ok_or(early)?;
        let first = current.opened.header.first_sequence;
        let expected = self.next.unwrap_or(first);
        let at = current.offset;
        if header.sequence != expected {
            let what = format!("frame {} stands where {expected} is due", header.sequence);
            return Err(Error::corrupt(&current.opened.path, at, what));
        }
        let path = &current.opened.path;
        let Some(kind) = header.known_kind() else {
            return Err(Error::Unsupported {
                file: path.clone(),
                offset: at,
                what: format!("a WAL frame of kind {} {:?}", header.kind, header.flags),
            });
        };
        self.next = Some(expected + 1);
        current.offset += header.stride();
        let from = (at - current.start) as usize + FRAME_HEADER_BYTES;
        let payload = current.window.get(from..from + header.len as usize);
        Ok(Frame {
            kind,
            sequence: header.sequence,
            generation: current.opened.header.generation,
            file: path,
            offset: at + FRAME_HEADER_BYTES as u64,
            payload: payload.unwrap_or_default(),
        })
    }
}

impl Current {
    fn of(opened: Opened) -> Self {
        Self {
            seed: FileHeader::seed(opened.header.database, opened.header.number),
            opened,
            offset: HEADER_BYTES as u64,
            window: Vec::new(),
            start: 0,
        }
    }

    /// Reads the next frame whole into the window; `None` at the end of the file.
    fn fill(&mut self) -> Result<Option<FrameHeader>> {
        let path = &self.opened.path;
        let damaged = |offset| {
            let what = "a frame that was written does not match its checksum";
            Error::corrupt(path, offset, what)
        };
        let failed = |error| Error::io("read", path, error);
        let mut want = FRAME_HEADER_BYTES;
        loop {
            let held = (self.start + self.window.len() as u64).saturating_sub(self.offset);
            if held < want as u64 {
                let left = self.opened.file.len().map_err(failed)?;
                let left = left.saturating_sub(self.offset);
                if left == 0 {
                    return Ok(None);
                }
                if left < want as u64 {
                    return Err(damaged(self.offset));
                }
                let len = (want.max(WINDOW_BYTES) as u64).min(left) as usize;
                self.window.resize(len, 0);
                self.start = self.offset;
                let file = &self.opened.file;
                file.read_exact_at(&mut self.window, self.offset)
                    .map_err(failed)?;
            }
            let from = (self.offset - self.start) as usize;
            let rest = self.window.get(from..).unwrap_or_default();
            if want > FRAME_HEADER_BYTES || rest.len() >= want_of(rest) {
                let frame = FrameHeader::open(self.seed, rest);
                return match frame {
                    Some((header, _)) => Ok(Some(header)),
                    None => Err(damaged(self.offset)),
                };
            }
            want = want_of(rest);
        }
    }
}

/// Bytes that the frame takes whose header starts `bytes`, as far as it can be believed.
fn want_of(bytes: &[u8]) -> usize {
    let len = bytes.get(4..8).and_then(|len| len.try_into().ok());
    let len = u32::from_le_bytes(len.unwrap_or_default()) as usize;
    (FRAME_HEADER_BYTES + len.min(MAX_FRAME_BYTES)).next_multiple_of(super::format::ALIGN)
}

/// The newest files that follow each other without a gap, up to the one with the frame `through`;
/// `None` when one of them went meanwhile.
fn open_files(
    vfs: &dyn Vfs,
    dir: &Path,
    database: u64,
    through: u64,
) -> Result<Option<VecDeque<Opened>>> {
    let mut files: VecDeque<Opened> = VecDeque::new();
    for number in numbers(vfs, dir)?.into_iter().rev() {
        let path = file_path(dir, number);
        let file = match vfs.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        let header = match read_header(&*file, &path) {
            // A file that is just being made has no frame yet.
            Err(Error::Corrupt { .. }) if files.is_empty() => continue,
            header => header?,
        };
        if header.database != database || header.number != number {
            return Err(Error::corrupt(&path, 0, "the WAL file belongs elsewhere"));
        }
        if header.first_sequence > through {
            continue;
        }
        if let Some(next) = files.front() {
            let len = file
                .len()
                .map_err(|error| Error::io("measure", &path, error))?;
            // The header of a file counts with its first frame.
            let frames = if len > HEADER_BYTES as u64 { len } else { 0 };
            if header.position + frames != next.header.position {
                break;
            }
        }
        files.push_front(Opened { header, path, file });
    }
    Ok(Some(files))
}

/// The header of a WAL file.
pub(super) fn read_header(file: &dyn File, path: &Path) -> Result<FileHeader> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(Error::io("read", path, error)),
    }
    FileHeader::decode(&bytes).map_err(|error| match error {
        HeaderError::Damaged => Error::corrupt(path, 0, "the header does not match its checksum"),
        HeaderError::Version(found) => Error::Version {
            file: path.to_owned(),
            found,
            supported: super::format::VERSION,
        },
    })
}
