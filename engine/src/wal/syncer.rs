//! Makes written frames durable: one fsync serves every append that was written before it began.
//!
//! Input: positions written. Output: the position up to which all is fsynced. Whoever waits for a
//! position and finds nobody syncing syncs for everyone; all others wait until it is through, and
//! one of those that it did not cover syncs next. A failed fsync is never retried: the caller
//! poisons the database.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::writer::Written;
use crate::sync::{Condvar, Mutex};
use crate::vfs::File;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Syncer {
    state: Mutex<State>,
    /// Told when an fsync is through: whoever it covers goes on, one of the others syncs next.
    through: Condvar,
    tail: Mutex<Tail>,
    synced: AtomicU64,
    /// Sequence of the last frame before `synced`.
    synced_sequence: AtomicU64,
    /// Monotonic nanoseconds at which the oldest unsynced frame was written; `NONE` when none.
    oldest: AtomicU64,
}

/// Who syncs, and whether that goes on.
#[derive(Debug, Default)]
struct State {
    /// Somebody has the turn. No lock is held while an fsync runs: who is covered by one goes on
    /// without waiting for the next.
    taken: bool,
    /// The first fsync that failed, after which none is tried again: a later one could succeed with
    /// the bytes lost.
    failed: Option<Arc<str>>,
}

/// The turn to sync, given back however it ends.
struct Turn<'a> {
    syncer: &'a Syncer,
}

impl Turn<'_> {
    /// Notes what the turn came to and gives it back.
    fn end(self, outcome: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &outcome {
            self.syncer.state.lock().failed = Some(error.to_string().into());
        }
        outcome
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.syncer.state.lock().taken = false;
        self.syncer.through.notify_all();
    }
}

/// What is written and perhaps not synced.
#[derive(Debug)]
struct Tail {
    /// Files with unsynced frames, oldest first; the last one is being written.
    files: Vec<Arc<dyn File>>,
    /// Position behind the last frame written.
    written: u64,
    /// Its sequence.
    sequence: u64,
}

const NONE: u64 = u64::MAX;

impl Syncer {
    /// Everything before `position` is durable, through the frame `sequence`; `file` is being
    /// written.
    pub(crate) fn new(file: Arc<dyn File>, position: u64, sequence: u64) -> Self {
        Self {
            state: Mutex::default(),
            through: Condvar::new(),
            tail: Mutex::new(Tail {
                files: vec![file],
                written: position,
                sequence,
            }),
            synced: AtomicU64::new(position),
            synced_sequence: AtomicU64::new(sequence),
            oldest: AtomicU64::new(NONE),
        }
    }

    /// Notes that a frame was written at `now` (monotonic).
    pub(crate) fn wrote(&self, frame: Written, now: Duration) {
        {
            let mut tail = self.tail.lock();
            (tail.written, tail.sequence) = (frame.position, frame.sequence);
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(NONE - 1);
        let _ = self
            .oldest
            .compare_exchange(NONE, now, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Notes that `file` takes the frames from now on; its header is durable already.
    /// Returns how many files wait to be synced.
    pub(crate) fn rotated(&self, file: Arc<dyn File>, position: u64) -> usize {
        let mut tail = self.tail.lock();
        tail.files.push(file);
        tail.written = position;
        tail.files.len()
    }

    /// Position behind the last frame written.
    pub(crate) fn written(&self) -> u64 {
        self.tail.lock().written
    }

    /// Position up to which everything is durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Sequence of the last frame that is durable.
    pub(crate) fn synced_sequence(&self) -> u64 {
        self.synced_sequence.load(Ordering::Acquire)
    }

    /// Age of the oldest frame that is not durable yet.
    pub(crate) fn unsynced_for(&self, now: Duration) -> Option<Duration> {
        let oldest = self.oldest.load(Ordering::Acquire);
        (oldest != NONE).then(|| now.saturating_sub(Duration::from_nanos(oldest)))
    }

    /// Waits until everything before `position` is durable. An error means that nothing is known
    /// any more about what the disk holds.
    pub(crate) fn sync_to(&self, position: u64) -> io::Result<()> {
        if self.synced() >= position {
            return Ok(());
        }
        let Some(turn) = self.turn_unless(|| self.synced() >= position)? else {
            return Ok(());
        };
        turn.end(self.sync_files())
    }

    /// Waits for the turn to sync; none when `is_done` holds before it comes.
    fn turn_unless(&self, is_done: impl Fn() -> bool) -> io::Result<Option<Turn<'_>>> {
        let mut state = self.state.lock();
        loop {
            if is_done() {
                return Ok(None);
            }
            refuse_after(&state.failed)?;
            if !state.taken {
                state.taken = true;
                return Ok(Some(Turn { syncer: self }));
            }
            self.through.wait(&mut state);
        }
    }

    /// Makes what was written before now durable, for whose turn it is.
    fn sync_files(&self) -> io::Result<()> {
        // A frame written from here on counts as unsynced since its own write.
        self.oldest.store(NONE, Ordering::Release);
        let (files, written, sequence) = {
            let tail = self.tail.lock();
            (tail.files.clone(), tail.written, tail.sequence)
        };
        // Makes the frames up to `written` durable, in order of file.
        files.iter().try_for_each(|file| file.sync())?;
        self.synced.store(written, Ordering::Release);
        self.synced_sequence.store(sequence, Ordering::Release);
        self.tail.lock().files.drain(..files.len() - 1);
        Ok(())
    }

    /// Cuts `file` back to `len`, durably. Never beside another fsync: the system tells of a failed
    /// write once, and the one told must be the one that counts it.
    pub(crate) fn cut_back(&self, file: &dyn File, len: u64) -> io::Result<()> {
        let Some(turn) = self.turn_unless(|| false)? else {
            return Ok(());
        };
        turn.end(file.set_len(len).and_then(|()| file.sync()))
    }

    /// Waits until everything written so far is durable.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        let written = self.tail.lock().written;
        self.sync_to(written)
    }
}

/// Refuses to sync again after a failure.
fn refuse_after(failed: &Option<Arc<str>>) -> io::Result<()> {
    match failed {
        Some(first) => Err(io::Error::other(format!(
            "an earlier fsync failed: {first}"
        ))),
        None => Ok(()),
    }
}
