//! Changes that are not samples: deletes, namespaces, metadata.
//!
//! Input: what a caller wants changed. Output: a WAL frame and, in order of sequence, its effect in
//! memory; a later flush carries it into the manifest. All of it works on a full disk: the reserve
//! is spent before a change is refused.

use std::ops::RangeBounds;
use std::sync::Arc;

use serde::Serialize;
use treering_index::Selector;

use crate::append::acknowledge;
use crate::db::{Db, bounds};
use crate::error::{Error, Result};
use crate::limits::MAX_NAMESPACES;
use crate::manifest::state::DEFAULT_NAMESPACE;
use crate::metadata::{self, Metadata, check_metric};
use crate::namespace::options::{NamespaceOptions, check_name};
use crate::poison::Failure;
use crate::recover::Maker;
use crate::replay;
use crate::shared::{Commit, Shared};
use crate::space::Space;
use crate::stats::{DbStats, add_space};
use crate::tidy;
use crate::tombstone::admit;
use crate::wal::Draft;
use crate::wal::change::{Change, Delete, MetadataChange, NamespaceChange};

/// A namespace and what it holds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct NamespaceInfo {
    /// Its name.
    pub name: String,
    /// How it is kept.
    pub options: NamespaceOptions,
    /// What it holds; counters of the whole database are zero here.
    pub stats: DbStats,
}

impl Db {
    /// Deletes the samples of the series of `selector` in `range`.
    ///
    /// When it returns, no question sees them any more, and series without other samples are in no
    /// list; how durable that is, [`Options::sync`](crate::Options::sync) says, as for an append.
    /// Samples appended later live, whatever their timestamps. Blocks that lose all of their samples
    /// go at once; the space of the others comes back as they are compacted. Works on a full disk.
    pub fn delete(&self, selector: &Selector, range: impl RangeBounds<i64>) -> Result<()> {
        let shared = self.shared()?;
        match bounds(&range) {
            Some(range) => delete(shared, self.space(), selector, range),
            None => shared.check_writable(),
        }
    }

    /// Makes a namespace: a set of series with retention, block window and limits of its own, in
    /// the same directory and WAL. Names are 1 to 64 letters, digits, `_`, `.` and `-`.
    pub fn create_namespace(&self, name: &str, options: NamespaceOptions) -> Result<Db> {
        let shared = self.shared()?;
        check_name(name)?;
        options.check()?;
        let mut commit = shared.commit.lock();
        if shared.spaces.named(name).is_ok() {
            return Err(Error::InvalidArgument {
                argument: "the name of the namespace",
                why: format!("is taken; open it with Db::namespace(\"{name}\")"),
            });
        }
        if shared.spaces.all().len() >= MAX_NAMESPACES {
            return Err(Error::limit(
                "namespace limit",
                MAX_NAMESPACES as u64,
                format!("`{name}`"),
                "drop one that is not needed any more, or open another database",
            ));
        }
        let id = u32::try_from(shared.spaces.next()).map_err(|_| Error::InvalidArgument {
            argument: "the namespace",
            why: "is one too many: four billion were made".to_owned(),
        })?;
        let change = NamespaceChange::Create {
            id,
            name: name.to_owned(),
            options: options.clone(),
        };
        let position = write(shared, &mut commit, Change::Namespace(change))?;
        let maker = Maker {
            options: &shared.options,
            memory: &shared.memory,
            after_sequence: commit.wal.last_sequence(),
        };
        let space = Arc::new(maker.make((id, name), options, Vec::new(), Vec::new()));
        shared.spaces.insert(Arc::clone(&space));
        drop(commit);
        acknowledge(shared, position)?;
        Ok(self.seen_from(space))
    }

    /// The same database, seen from the namespace `name`: what is appended to the handle, asked of
    /// it or deleted through it is of that namespace only.
    pub fn namespace(&self, name: &str) -> Result<Db> {
        self.core().check_open()?;
        Ok(self.seen_from(self.core().spaces.named(name)?))
    }

    /// All namespaces, in the order in which they were made; `default` is the first.
    pub fn namespaces(&self) -> Vec<NamespaceInfo> {
        let info = |space: Arc<Space>| {
            let mut stats = DbStats::default();
            add_space(&mut stats, &space);
            NamespaceInfo {
                name: space.name.clone(),
                options: NamespaceOptions::clone(&space.options()),
                stats,
            }
        };
        self.core().spaces.all().into_iter().map(info).collect()
    }

    /// Changes how a namespace is kept, from now on and for good: `options` take the place of all
    /// that it had (see [`Db::namespaces`]). A shorter retention hides at once
    /// what is older, and the disk space comes back soon; a longer one brings nothing back that is
    /// gone.
    pub fn alter_namespace(&self, name: &str, options: NamespaceOptions) -> Result<()> {
        let shared = self.shared()?;
        options.check()?;
        let mut commit = shared.commit.lock();
        let space = shared.spaces.named(name)?;
        let change = NamespaceChange::Alter {
            id: space.id,
            options: options.clone(),
        };
        let position = write(shared, &mut commit, Change::Namespace(change))?;
        space.alter(options);
        drop(commit);
        acknowledge(shared, position)
    }

    /// Drops a namespace with everything in it, at once and for good; `default` stays. What its
    /// handles are asked or told is refused from then on; their metadata is empty. Its name may be
    /// used again, by a new namespace.
    pub fn drop_namespace(&self, name: &str) -> Result<()> {
        let shared = self.shared()?;
        let mut commit = shared.commit.lock();
        let space = shared.spaces.named(name)?;
        if space.id == DEFAULT_NAMESPACE {
            return Err(Error::InvalidArgument {
                argument: "the namespace",
                why: "`default` cannot be dropped; delete its samples with Db::delete".to_owned(),
            });
        }
        let change = NamespaceChange::Drop { id: space.id };
        write(shared, &mut commit, Change::Namespace(change))?;
        shared.spaces.remove(space.id);
        drop(commit);
        // Makes the drop durable: no block may go before it is certain.
        shared.sync()?;
        tidy::drop_namespace(shared, space.id)?;
        let blocks: Vec<u64> = space
            .view
            .get()
            .blocks
            .iter()
            .map(|b| b.block.id())
            .collect();
        let gone = space.view.replace(&blocks, Vec::new());
        gone.iter().for_each(|block| block.doom());
        Ok(())
    }

    /// Keeps type, unit and help of the metric `metric`, in place of what was known of it.
    pub fn set_metadata(&self, metric: &str, metadata: &Metadata) -> Result<()> {
        metadata.check()?;
        self.describe(metric, Some(metadata.clone()))
    }

    /// Forgets what is known of the metric `metric`.
    pub fn remove_metadata(&self, metric: &str) -> Result<()> {
        self.describe(metric, None)
    }

    fn describe(&self, metric: &str, metadata: Option<Metadata>) -> Result<()> {
        let shared = self.shared()?;
        check_metric(metric)?;
        if self.metadata(metric) == metadata {
            return shared.check_writable();
        }
        let change = MetadataChange {
            namespace: self.space().id,
            metric: metric.to_owned(),
            metadata,
        };
        let mut commit = shared.commit.lock();
        self.space().check()?;
        if let Some(new) = &change.metadata {
            let spaces = shared.spaces.all();
            let total = spaces.iter().map(|s| s.metadata.read().bytes()).sum();
            metadata::admit(total, metric, self.metadata(metric).as_ref(), new)?;
        }
        let position = write(shared, &mut commit, Change::Metadata(change.clone()))?;
        replay::describe(self.space(), &change);
        drop(commit);
        acknowledge(shared, position)
    }

    /// What is known of the metric `metric`.
    pub fn metadata(&self, metric: &str) -> Option<Metadata> {
        let space = self.space();
        let known = space.metadata.read().get(metric);
        known.filter(|_| !space.is_dropped())
    }

    /// All metrics of the namespace that something is known of, by name.
    pub fn all_metadata(&self) -> Vec<(String, Metadata)> {
        let space = self.space();
        if space.is_dropped() {
            return Vec::new();
        }
        space.metadata.read().all()
    }
}

/// Deletes the samples of `selector` in a closed range.
pub(crate) fn delete(
    shared: &Shared,
    space: &Arc<Space>,
    selector: &Selector,
    (first, last): (i64, i64),
) -> Result<()> {
    let mut commit = shared.commit.lock();
    space.check()?;
    let views: Vec<_> = shared.spaces.all().iter().map(|s| s.view.get()).collect();
    let pending = views.iter().flat_map(|view| &view.tombstones);
    admit(pending.map(|tombstone| &**tombstone), selector)?;
    let delete = Delete {
        namespace: space.id,
        selector: selector.clone(),
        first,
        last,
    };
    let position = write(shared, &mut commit, Change::Delete(delete.clone()))?;
    let tombstone = Arc::new(delete.into_tombstone(commit.wal.last_sequence()));
    replay::hide(space, &tombstone, || drop(commit));
    acknowledge(shared, position)?;
    if let Err(error) = tidy::drop_covered(shared, space, &tombstone) {
        // The delete is made; compaction gives the room back as well.
        tracing::warn!(%error, "blocks that lost all samples are not dropped yet");
    }
    Ok(())
}

/// Appends the frame of a change and keeps it for the manifest; the position behind it. A full disk
/// gives up its reserve.
fn write(shared: &Shared, commit: &mut Commit, change: Change) -> Result<u64> {
    shared.check_writable()?;
    let (kind, payload) = change.encode();
    let mut bytes = Vec::new();
    Draft::begin(&mut bytes);
    bytes.extend_from_slice(&payload);
    let mut draft = Draft::finish(kind, bytes);
    let mut written = commit.wal.append(&mut draft, &shared.syncer);
    while let Err(Failure::Refused(error)) = &written
        && error.is_disk_full()
        && shared.reserve.spend()
    {
        written = commit.wal.append(&mut draft, &shared.syncer);
    }
    let written = written.map_err(|failure| failure.report(&shared.poison))?;
    let now = shared.options.clock.monotonic();
    shared.syncer.wrote(written, now);
    commit.head_since.get_or_insert(now);
    commit.changes.push(commit.wal.last_sequence(), change);
    Ok(written.position)
}
