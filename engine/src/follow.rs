//! Reading a database beside its writer, or without one: nothing is written, locked or made.
//!
//! Input: a directory that another process may be changing. Output: namespaces as they were at one
//! moment, and again at a later one. The manifest is read first, then the WAL, then the manifest
//! again: when it is another one, the round is repeated. Invariant: what is shown is what the
//! manifest names and a prefix of the changes behind it; a WAL that ends in a torn frame ends before
//! it, and what looks like damage is read again before it is believed, because it may be half of
//! what the writer is writing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::manifest::{self, Contents};
use crate::memory::Memory;
use crate::options::Options;
use crate::recover::{Known, Maker, RecoveryReport, check_complete, open_blocks, open_spaces};
use crate::replay::Replay;
use crate::space::Spaces;
use crate::wal::format::{FrameKind, HEADER_BYTES};
use crate::wal::{self, WalReader};

/// How often a round is tried while the manifest keeps changing.
const ROUNDS: u64 = 100;
/// How often damage must be seen, with nothing changed in between, to be believed.
const LOOKS: u32 = 4;

/// Where the database is and what its parts are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) options: &'a Options,
    pub(crate) memory: &'a Memory,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Follower {
    /// The manifest as it was read last: its bytes, and what they say.
    bytes: Vec<u8>,
    contents: Contents,
    wal: WalReader,
    replay: Replay,
    /// Whether every frame that was read was also applied.
    whole: bool,
    /// Whether anything changed since somebody asked.
    moved: bool,
}

impl Follower {
    /// Reads the database.
    pub(crate) fn open(place: Place<'_>) -> Result<(Self, Spaces, RecoveryReport)> {
        let started = place.options.clock.monotonic();
        let mut opened: Option<(Self, Spaces)> = None;
        rounds(place, |bytes| match &mut opened {
            None => {
                opened = Some(Self::load(place, bytes, &Known::new())?);
                Ok(())
            }
            Some((follower, spaces)) => follower.step(place, spaces, bytes),
        })?;
        let Some((mut follower, spaces)) = opened else {
            return Err(missing(place.dir));
        };
        follower.moved = false;
        let series = spaces.all().into_iter().map(|s| s.registry.read().len());
        let report = RecoveryReport {
            frames: follower.replay.frames,
            samples: follower.replay.samples,
            series: series.sum::<usize>() as u64,
            wal_bytes: follower.wal.bytes(),
            took: place.options.clock.monotonic().saturating_sub(started),
            ..RecoveryReport::default()
        };
        tracing::info!(
            dir = %place.dir.display(),
            blocks = follower.contents.state.blocks.len(),
            frames = report.frames,
            took = ?report.took,
            "database open for reading"
        );
        Ok((follower, spaces, report))
    }

    /// Moves `spaces` on to what the database is now; whether anything changed.
    pub(crate) fn refresh(&mut self, place: Place<'_>, spaces: &Spaces) -> Result<bool> {
        rounds(place, |bytes| self.step(place, spaces, bytes))?;
        Ok(std::mem::take(&mut self.moved))
    }

    /// Sequence of the last change that is shown.
    pub(crate) fn last_sequence(&self) -> u64 {
        let flushed = self.contents.state.flushed_through;
        self.wal.last_sequence().unwrap_or(0).max(flushed)
    }

    /// Bytes of the WAL that was read.
    pub(crate) fn wal_bytes(&self) -> u64 {
        self.wal.bytes()
    }

    /// What the manifest said.
    pub(crate) fn manifest(&self) -> &Contents {
        &self.contents
    }

    /// The WAL files that are shown, by number, each with the length up to which it is.
    pub(crate) fn wal_files(&self) -> Vec<(u64, u64)> {
        let headers = self.wal.headers();
        let next = headers.iter().skip(1).map(|header| header.position);
        let ends = next.chain([self.wal.end()]);
        let file = |(header, end): (&wal::format::FileHeader, u64)| {
            let len = end.saturating_sub(header.position);
            (header.number, len.max(HEADER_BYTES as u64))
        };
        headers.iter().zip(ends).map(file).collect()
    }

    /// Reads the whole database; the manifest has these `bytes`.
    fn load(place: Place<'_>, bytes: &[u8], known: &Known) -> Result<(Self, Spaces)> {
        let Place { dir, options, .. } = place;
        let contents = Contents::parse(&dir.join(manifest::NAME), bytes)?;
        let (database, state) = (contents.database, &contents.state);
        let maker = maker(place, &contents);
        let spaces = open_spaces(dir, (database, state), &maker, known)?;
        let vfs = Arc::clone(&options.vfs);
        let wal = WalReader::open(vfs, dir.join(wal::DIR), database, state.wal_floor)?;
        let mut follower = Self {
            bytes: bytes.to_vec(),
            contents,
            wal,
            replay: Replay::default(),
            whole: true,
            moved: false,
        };
        follower.read_on(place, &spaces)?;
        check_complete(dir, &follower.contents.state, &follower.wal)?;
        Ok((follower, spaces))
    }

    /// One round: the manifest has these `bytes` now. After an error the next one reads everything.
    fn step(&mut self, place: Place<'_>, spaces: &Spaces, bytes: &[u8]) -> Result<()> {
        let stepped = self.try_step(place, spaces, bytes);
        self.whole &= stepped.is_ok();
        stepped
    }

    fn try_step(&mut self, place: Place<'_>, spaces: &Spaces, bytes: &[u8]) -> Result<()> {
        if self.whole && self.bytes == bytes {
            self.wal.resume()?;
            return self.read_on(place, spaces);
        }
        let contents = Contents::parse(&place.dir.join(manifest::NAME), bytes)?;
        if contents.database != self.contents.database {
            let what = "another database took its place; open it anew";
            return Err(Error::NotADatabase {
                path: place.dir.to_owned(),
                why: what.to_owned(),
            });
        }
        let flushed = |contents: &Contents| {
            let state = &contents.state;
            (state.wal_floor, state.flushed_through)
        };
        if !self.whole || flushed(&self.contents) != flushed(&contents) {
            let (fresh, into) = Self::load(place, bytes, &known(spaces))?;
            install(&into, spaces);
            *self = fresh;
            self.moved = true;
            return Ok(());
        }
        // Blocks were merged or dropped: the heads stay as they are.
        self.wal.resume()?;
        self.read_on(place, spaces)?;
        if differ(&self.contents, &contents) {
            replace_blocks(place, spaces, &contents)?;
            self.moved = true;
        }
        (self.bytes, self.contents) = (bytes.to_vec(), contents);
        Ok(())
    }

    /// Applies the frames from where the reader is to the end of the log.
    fn read_on(&mut self, place: Place<'_>, spaces: &Spaces) -> Result<()> {
        let maker = maker(place, &self.contents);
        let make = |id, name: &str, options| maker.make((id, name), options, vec![], vec![]);
        while let Some(frame) = self.wal.next()? {
            self.whole = false;
            self.moved |= frame.kind != FrameKind::Mark;
            self.replay.apply(&frame, spaces, &make)?;
            self.whole = true;
        }
        self.wal.pause();
        Ok(())
    }
}

fn maker<'a>(place: Place<'a>, contents: &Contents) -> Maker<'a> {
    Maker {
        options: place.options,
        memory: place.memory,
        after_sequence: contents.state.flushed_through,
    }
}

/// Whether two manifests with the same WAL show something else.
fn differ(old: &Contents, new: &Contents) -> bool {
    let (old, new) = (&old.state, &new.state);
    old.blocks != new.blocks || old.tombstones != new.tombstones
}

/// The blocks that are open already.
fn known(spaces: &Spaces) -> Known {
    let mut known = Known::new();
    for space in spaces.all() {
        for live in &space.view.get().blocks {
            known.insert(live.block.id(), Arc::clone(&live.block));
        }
    }
    known
}

/// Puts what was read anew in the place of what was there; handles keep their namespace.
fn install(fresh: &Spaces, spaces: &Spaces) {
    for space in spaces.all() {
        if fresh.get(space.id).is_none() {
            spaces.remove(space.id);
        }
    }
    for space in fresh.all() {
        match spaces.get(space.id) {
            Some(known) => known.take_over(&space),
            None => spaces.insert(space),
        }
    }
    spaces.used(u32::try_from(fresh.next()).unwrap_or(u32::MAX));
}

/// Shows the blocks of `contents`, whose WAL is the one that was read.
fn replace_blocks(place: Place<'_>, spaces: &Spaces, contents: &Contents) -> Result<()> {
    let (state, known) = (&contents.state, known(spaces));
    let mut opened = Vec::new();
    for space in spaces.all() {
        let manifest = (contents.database, state);
        let opener = (place.options, place.memory);
        let blocks = open_blocks(place.dir, manifest, space.id, opener, &known)?;
        opened.push((space, blocks));
    }
    for (space, blocks) in opened {
        // Those that only the WAL holds are in the view already.
        let view = space.view.get();
        let in_wal = view.tombstones.iter();
        let in_wal = in_wal.filter(|tombstone| tombstone.sequence > state.flushed_through);
        let flushed = state.tombstones.values();
        let flushed = flushed.filter(|tombstone| tombstone.namespace == space.id);
        let tombstones = flushed.chain(in_wal).cloned().collect();
        space.view.set(blocks, tombstones);
    }
    Ok(())
}

/// Repeats `round`, which is given the bytes of the manifest, until the manifest is the same before
/// and after it.
fn rounds(place: Place<'_>, mut round: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let read = || {
        let bytes = manifest::read(&*place.options.vfs, place.dir)?;
        bytes.ok_or_else(|| missing(place.dir))
    };
    let mut looks = 0;
    for _ in 0..ROUNDS {
        let bytes = read()?;
        let outcome = round(&bytes);
        let steady = read()? == bytes;
        match outcome {
            Ok(()) if steady => return Ok(()),
            Err(error) if !may_be_a_race(&error) => return Err(error),
            Err(error) if steady => {
                looks += 1;
                if looks == LOOKS {
                    return Err(error);
                }
            }
            _ => {}
        }
    }
    Err(Error::limit(
        "limit of rounds to read beside a writer",
        ROUNDS,
        format!("{}, whose manifest kept changing", place.dir.display()),
        "try again; the writer makes blocks faster than they can be opened",
    ))
}

/// Whether a writer at work can be the reason: a file it removed, or bytes it was writing.
fn may_be_a_race(error: &Error) -> bool {
    match error {
        Error::Corrupt { .. } => true,
        Error::Io { source, .. } => {
            matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::UnexpectedEof
            )
        }
        _ => false,
    }
}

fn missing(dir: &Path) -> Error {
    Error::NotADatabase {
        path: PathBuf::from(dir),
        why: "it holds no manifest, and an open for reading makes nothing".to_owned(),
    }
}
