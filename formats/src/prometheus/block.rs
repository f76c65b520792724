//! A block: its series with their samples.
//!
//! Input: an index, the files of its chunks, what was deleted. Output: series after series, deleted
//! samples left out. Whoever asks opens the files: [`ChunkFile`].

use treering::{Labels, SampleColumns};

use super::chunk::decode;
use super::index::{ChunkRef, Index, IndexedSeries};
use super::tombstones::Tombstones;
use crate::cursor::Cursor;
use crate::error::{Error, Result};

const MAGIC: u32 = 0x85BD_40DD;
const VERSION: u8 = 1;
/// Magic, version, three bytes of nothing.
const HEADER_BYTES: usize = 8;
/// Behind a chunk's length: its encoding and, at the end, a checksum.
const ENCODING_BYTES: usize = 1;

/// Bytes that are read at first: most chunks are smaller.
const FIRST_BYTES: usize = 1024;
const CHECKSUM_BYTES: usize = 4;

/// A file of chunks, of which parts can be read.
pub trait ChunkFile: std::fmt::Debug {
    /// `length` bytes from `offset` on, or as many as there are. An implementation allocates no more
    /// than there are.
    ///
    /// # Errors
    ///
    /// Those of reading.
    fn part(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>>;
}

impl ChunkFile for Vec<u8> {
    fn part(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let from = usize::try_from(offset).map_or(self.len(), |at| at.min(self.len()));
        let to = from.saturating_add(length).min(self.len());
        Ok(self.get(from..to).unwrap_or_default().to_vec())
    }
}

/// The files of a block's folder `chunks`, in the order of their names.
#[derive(Debug)]
pub struct ChunkFiles<F> {
    files: Vec<F>,
}

impl<F: ChunkFile> ChunkFiles<F> {
    /// Checks the head of each file.
    ///
    /// # Errors
    ///
    /// The number of the file, from 0, and what is wrong with it.
    pub fn new(files: Vec<F>) -> std::result::Result<Self, (usize, Error)> {
        for (number, file) in files.iter().enumerate() {
            check(file).map_err(|error| (number, error))?;
        }
        Ok(Self { files })
    }

    /// Adds the samples of a chunk.
    fn decode(&self, chunk: &ChunkRef, samples: &mut SampleColumns) -> Result<()> {
        let place = u64::from(chunk.offset);
        let file = self.files.get(chunk.file as usize);
        let file = file.ok_or_else(|| Error::corrupt(place, "the file is not there"))?;
        let part = |length| {
            let part = file.part(place, length);
            part.map_err(|error| Error::unread(place, &error))
        };
        let mut bytes = part(FIRST_BYTES)?;
        let mut cursor = Cursor::new(&bytes, 0);
        let moved = |error: Error| error.moved(place);
        let length = cursor.uvarint("the length of a chunk").map_err(moved)?;
        let begin = cursor.at();
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        let whole = whole.saturating_add(begin + ENCODING_BYTES + CHECKSUM_BYTES);
        if whole > bytes.len() {
            bytes = part(whole)?;
        }
        let mut cursor = Cursor::new(&bytes, begin);
        let body = whole.saturating_sub(begin + CHECKSUM_BYTES);
        let body = cursor.take(body, "a chunk").map_err(moved)?;
        let checksum = cursor.u32("the checksum of a chunk").map_err(moved)?;
        if crc32c::crc32c(body) != checksum {
            return Err(Error::corrupt(place, "the checksum of a chunk is wrong"));
        }
        let Some((&encoding, chunk)) = body.split_first() else {
            return Err(Error::corrupt(place, "an empty chunk"));
        };
        let before = samples.timestamps.len();
        decode(encoding, chunk, samples)
            .map_err(|error| error.moved(place + (begin + ENCODING_BYTES) as u64))?;
        match samples.timestamps.len() == before {
            true => Err(Error::corrupt(place, "a chunk without samples")),
            false => Ok(()),
        }
    }
}

/// The head of a file of chunks.
fn check(file: &impl ChunkFile) -> Result<()> {
    let head = file.part(0, HEADER_BYTES);
    let head = head.map_err(|error| Error::unread(0, &error))?;
    let mut header = Cursor::new(&head, 0);
    if header.u32("the magic number")? != MAGIC {
        return Err(Error::corrupt(0, "no chunks of Prometheus"));
    }
    let version = header.u8("the version")?;
    header.take(HEADER_BYTES - header.at(), "the header")?;
    match version {
        VERSION => Ok(()),
        other => Err(Error::unsupported(4, format!("version {other} of chunks"))),
    }
}

/// A block.
#[derive(Debug)]
pub struct Block<'a, F> {
    index: Index<'a>,
    files: ChunkFiles<F>,
    tombstones: Tombstones,
}

impl<'a, F: ChunkFile> Block<'a, F> {
    /// Of its parts; a block without a file of tombstones has [`Tombstones::default`].
    pub fn new(index: Index<'a>, files: ChunkFiles<F>, tombstones: Tombstones) -> Self {
        Self {
            index,
            files,
            tombstones,
        }
    }

    /// Each series with its samples, in the order of the index. A series whose samples are all
    /// deleted has none. Behind an error in the index nothing comes; one in a chunk is of that
    /// series alone, and names the file and the byte.
    pub fn series(&self) -> impl Iterator<Item = Result<(Labels, SampleColumns)>> + '_ {
        self.index.series().map(|series| self.read(series?))
    }

    fn read(&self, series: IndexedSeries) -> Result<(Labels, SampleColumns)> {
        let mut samples = SampleColumns::default();
        for chunk in &series.chunks {
            let decoded = self.files.decode(chunk, &mut samples);
            decoded.map_err(|error| {
                error.in_file(format!("chunks/{:06}", u64::from(chunk.file) + 1))
            })?;
        }
        if let Some(deleted) = self.tombstones.of(series.reference) {
            deleted.apply(&mut samples);
        }
        Ok((series.labels, samples))
    }
}
