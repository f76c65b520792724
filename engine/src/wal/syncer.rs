//! Makes written frames durable: one fsync serves every append that was written before it began.
//!
//! Input: positions written. Output: the position up to which all is fsynced. Whoever waits for a
//! position and finds nobody syncing syncs for everyone; the others find their position covered
//! when it is their turn. A failed fsync is never retried: the caller poisons the database.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::writer::Written;
use crate::sync::Mutex;
use crate::vfs::File;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Syncer {
    /// Held while an fsync runs; holds the first one that failed, after which none is tried again:
    /// a later one could succeed with the bytes lost.
    turn: Mutex<Option<Arc<str>>>,
    tail: Mutex<Tail>,
    synced: AtomicU64,
    /// Sequence of the last frame before `synced`.
    synced_sequence: AtomicU64,
    /// Monotonic nanoseconds at which the oldest unsynced frame was written; `NONE` when none.
    oldest: AtomicU64,
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
            turn: Mutex::new(None),
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
        let mut failed = self.turn.lock();
        if self.synced() >= position {
            return Ok(());
        }
        refuse_after(&failed)?;
        // A frame written from here on counts as unsynced since its own write.
        self.oldest.store(NONE, Ordering::Release);
        let (files, written, sequence) = {
            let tail = self.tail.lock();
            (tail.files.clone(), tail.written, tail.sequence)
        };
        for file in &files {
            // Makes the frames up to `written` durable, in order of file.
            if let Err(error) = file.sync() {
                *failed = Some(error.to_string().into());
                return Err(error);
            }
        }
        self.synced.store(written, Ordering::Release);
        self.synced_sequence.store(sequence, Ordering::Release);
        self.tail.lock().files.drain(..files.len() - 1);
        Ok(())
    }

    /// Cuts `file` back to `len`, durably. Never beside another fsync: the system tells of a failed
    /// write once, and the one told must be the one that counts it.
    pub(crate) fn cut_back(&self, file: &dyn File, len: u64) -> io::Result<()> {
        let mut failed = self.turn.lock();
        refuse_after(&failed)?;
        let cut = file.set_len(len).and_then(|()| file.sync());
        if let Err(error) = &cut {
            *failed = Some(error.to_string().into());
        }
        cut
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
