//! Appending: batch -> resolve -> WAL frame -> head -> sync as the mode says -> acknowledged.
//!
//! Input: a batch for one namespace. Output: its samples in the WAL and in the head, or an error and
//! nothing of it. Frames, and with them the changes of a head, are in order of sequence.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use treering_codec::Extras;

use crate::background;
use crate::batch::Batch;
use crate::error::{Error, Rejection, Result};
use crate::head::Sealed;
use crate::ingest::{Refusal, Resolved, Series, resolve};
use crate::options::{Maintenance, Sync};
use crate::shared::{Commit, Shared};
use crate::space::Space;
use crate::stats::Counters;
use crate::wal::Draft;
use crate::wal::format::FrameKind;
use crate::wal::payload::{Definition, IdRun, put_definitions, put_samples};

/// What a partial append did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Appended {
    /// Samples appended.
    pub samples: usize,
    /// Rows left out, each with its reason.
    pub rejected: Vec<Rejection>,
}

thread_local! {
    /// Memory of the frame that this thread wrote last.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Frame memory that a thread keeps at most.
const KEPT_FRAME_BYTES: usize = 4 << 20;

/// Appends `batch` to `space`, without the rows that are bad if `refusal` says so. `wake_flush` asks
/// the flush thread to look at what is due.
pub(crate) fn append(
    shared: &Shared,
    space: &Arc<Space>,
    batch: &Batch,
    refusal: Refusal,
    wake_flush: impl Fn(),
) -> Result<Appended> {
    shared.check_writable()?;
    space.check()?;
    let refused = |rows: u64| Counters::add(&shared.counters.rejected, rows);
    loop {
        let resolved = resolve(batch, &series(shared, space), refusal);
        let resolved = resolved.inspect_err(|error| {
            refused(batch.len() as u64);
            if let Error::Rejected(first) = error {
                count_expired(space, std::slice::from_ref(first));
            }
        })?;
        let samples = resolved.values.len();
        if samples > 0 && !commit(shared, space, &resolved, &wake_flush)? {
            // It waited for so long that its series may have been forgotten.
            continue;
        }
        refused((batch.len() - samples) as u64);
        count_expired(space, &resolved.rejected);
        return Ok(Appended {
            samples,
            rejected: resolved.rejected,
        });
    }
}

/// Counts the samples that were refused because they are older than the retention.
fn count_expired(space: &Space, rejected: &[impl Borrow<Rejection>]) {
    for rejection in rejected.iter().map(Borrow::borrow) {
        if matches!(rejection.reason, Error::Expired { .. }) {
            Counters::add(&space.expired, rejection.samples as u64);
        }
    }
}

/// What a batch is resolved against.
fn series<'a>(shared: &Shared, space: &'a Space) -> Series<'a> {
    Series {
        space,
        open: shared.open,
        generation: shared.generation.load(Ordering::Acquire),
        horizon: space.horizon(shared.now()),
    }
}

/// WAL frame, head, sync: one resolved batch. `false` when it must be resolved anew.
fn commit(
    shared: &Shared,
    space: &Arc<Space>,
    resolved: &Resolved<'_>,
    wake_flush: &impl Fn(),
) -> Result<bool> {
    background::make_room(shared, wake_flush)?;
    let mut prepared = 0;
    // Before any lock: the longest part of the work on whole columns.
    let sealed = Sealed::of(&resolved.runs, resolved.columns(), &resolved.extras);
    let (position, turn) = loop {
        let noted = space.view.get().live.prepare(&resolved.runs);
        let generation = shared.generation.load(Ordering::Acquire);
        let (mut draft, defined) = encode(space, generation, resolved);
        let mut commit = shared.commit.lock();
        shared.check_writable()?;
        space.check()?;
        if generation > resolved.generation + 1 {
            keep(draft);
            return Ok(false);
        }
        if commit.wal.generation() != generation {
            // A flush came between: series must be defined again for the new generation.
            keep(draft);
            continue;
        }
        let head = Arc::clone(&space.view.get().live);
        if !head.is_prepared(&resolved.runs, noted) && prepared < MOST_PREPARED {
            prepared += 1;
            keep(draft);
            continue;
        }
        write_definitions(shared, space, &mut commit, &defined)?;
        let wal = &mut commit.wal;
        let append = || wal.append(&mut draft, &shared.syncer);
        let written = shared.reserve.with_room(append);
        let written = written.map_err(|failure| failure.report(&shared.poison))?;
        let now = shared.options.clock.monotonic();
        shared.syncer.wrote(written, now);
        commit.head_since.get_or_insert(now);
        defined.note(space, generation);
        let turn = space.watchers.enter(written.sequence, generation);
        // Locked before the WAL is let go: shards see batches in order of sequence.
        let shards = head.lock(&resolved.runs);
        drop(commit);
        let (runs, columns) = (&resolved.runs, resolved.columns());
        head.apply(shards, runs, columns, &resolved.extras, &sealed);
        keep(draft);
        if written.rotated || shared.memory.head_bytes() >= shared.memory.heads_full() {
            wake_flush();
        }
        break (written.position, turn);
    };
    Counters::add(&shared.counters.samples, resolved.values.len() as u64);
    Counters::add(&shared.counters.batches, 1);
    acknowledge(shared, position)?;
    if let Some(turn) = turn {
        turn.publish(space, &resolved.runs, resolved.columns(), &resolved.extras);
    }
    Ok(true)
}

/// Times that a large batch waits anew for a delete that came while it got ready.
const MOST_PREPARED: usize = 4;

/// Waits for as much durability as the mode promises.
pub(crate) fn acknowledge(shared: &Shared, position: u64) -> Result<()> {
    match shared.options.sync {
        Sync::Always => shared.sync_to(position),
        Sync::Never => Ok(()),
        Sync::Interval(every) => {
            let patience = match shared.options.maintenance {
                Maintenance::Background => every * 2,
                Maintenance::Manual => every,
            };
            let age = shared.syncer.unsynced_for(shared.options.clock.monotonic());
            if age.is_some_and(|age| age > patience) {
                return shared.sync_to(position);
            }
            Ok(())
        }
    }
}

/// The series that a batch defines: named for the first time in a generation.
#[derive(Debug, Default)]
struct Defined {
    ids: Vec<u32>,
    /// Their canonical labels, one after the other, and where each ends.
    labels: Vec<u8>,
    ends: Vec<usize>,
}

/// Label bytes up to which definitions stand in the frame of their batch; more go before it, in
/// frames of their own, so that no frame grows beyond what a reader takes.
const DEFINITION_BYTES: usize = 32 << 20;

impl Defined {
    /// The series of `runs` that `generation` has not defined yet.
    fn of(space: &Space, generation: u64, runs: &[IdRun]) -> Self {
        let registry = space.registry.read();
        let ids = runs.iter().flat_map(|run| run.first..run.first + run.ids);
        let mut defined = Self {
            ids: ids
                .filter(|&id| !registry.is_defined(id, generation))
                .collect(),
            ..Self::default()
        };
        defined.ids.sort_unstable();
        defined.ids.dedup();
        for &id in &defined.ids {
            registry.index().write_canonical(id, &mut defined.labels);
            defined.ends.push(defined.labels.len());
        }
        defined
    }

    /// Whether they stand in the frame of their batch.
    fn is_inline(&self) -> bool {
        self.labels.len() <= DEFINITION_BYTES
    }

    /// The definitions in pieces that fit a frame each.
    fn pieces(&self) -> Vec<Vec<Definition<'_>>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut pieces = vec![Vec::new()];
        let mut bytes = 0;
        for ((&id, start), &end) in self.ids.iter().zip(starts).zip(&self.ends) {
            let labels = &self.labels[start..end];
            if bytes + labels.len() > DEFINITION_BYTES {
                pieces.push(Vec::new());
                bytes = 0;
            }
            bytes += labels.len();
            if let Some(piece) = pieces.last_mut() {
                piece.push(Definition { id, labels });
            }
        }
        pieces
    }

    /// Notes that they were written.
    fn note(&self, space: &Space, generation: u64) {
        if !self.ids.is_empty() {
            let registry = space.registry.read();
            self.ids
                .iter()
                .for_each(|&id| registry.set_defined(id, generation));
        }
    }
}

/// Writes the definitions that are too many for the frame of their batch. Without samples they
/// change nothing that can be seen, so the batch is still all or nothing.
fn write_definitions(
    shared: &Shared,
    space: &Space,
    commit: &mut Commit,
    defined: &Defined,
) -> Result<()> {
    if defined.is_inline() {
        return Ok(());
    }
    for piece in defined.pieces() {
        let mut bytes = Vec::new();
        Draft::begin(&mut bytes);
        put_definitions(&mut bytes, space.id, piece.into_iter());
        put_samples(&mut bytes, &[], (&[], &[]), &Extras::new());
        let mut draft = Draft::finish(FrameKind::Batch, bytes);
        let append = || commit.wal.append(&mut draft, &shared.syncer);
        let written = shared.reserve.with_room(append);
        let written = written.map_err(|failure| failure.report(&shared.poison))?;
        shared
            .syncer
            .wrote(written, shared.options.clock.monotonic());
    }
    Ok(())
}

/// The draft of a batch frame for `generation`, and the series that the batch defines.
fn encode(space: &Space, generation: u64, resolved: &Resolved<'_>) -> (Draft, Defined) {
    let mut bytes = FRAME.take();
    Draft::begin(&mut bytes);
    let defined = Defined::of(space, generation, &resolved.runs);
    let inline = if defined.is_inline() {
        defined.pieces().concat()
    } else {
        Vec::new()
    };
    put_definitions(&mut bytes, space.id, inline.into_iter());
    let extras = &resolved.extras;
    put_samples(&mut bytes, &resolved.runs, resolved.columns(), extras);
    (Draft::finish(FrameKind::Batch, bytes), defined)
}

/// Keeps the memory of a draft for the thread's next one.
fn keep(draft: Draft) {
    let bytes = draft.into_bytes();
    if bytes.capacity() <= KEPT_FRAME_BYTES {
        FRAME.set(bytes);
    }
}
