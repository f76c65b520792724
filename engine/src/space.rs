//! A namespace of an open database: its series, its heads and blocks, and how it is kept.
//!
//! Input: changes, in order of sequence. Output: what queries, flush and compaction of this
//! namespace start from. Namespaces share the WAL, the manifest and the memory; nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::metadata::Known;
use crate::namespace::options::NamespaceOptions;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::view::CurrentView;
use crate::watch::Watchers;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: u32,
    pub(crate) name: String,
    options: RwLock<Arc<NamespaceOptions>>,
    pub(crate) registry: RwLock<Registry>,
    pub(crate) view: CurrentView,
    pub(crate) metadata: RwLock<Known>,
    pub(crate) watchers: Arc<Watchers>,
    /// Samples refused because they were older than the retention.
    pub(crate) expired: AtomicU64,
    dropped: AtomicBool,
    /// How often the registry forgot series; see [`Space::round`].
    rounds: AtomicU64,
}

impl Space {
    pub(crate) fn new(
        (id, name): (u32, &str),
        options: NamespaceOptions,
        registry: Registry,
        view: CurrentView,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            options: RwLock::new(Arc::new(options)),
            registry: RwLock::new(registry),
            view,
            metadata: RwLock::default(),
            watchers: Arc::default(),
            expired: AtomicU64::new(0),
            dropped: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
        }
    }

    /// A number that changes whenever ids may have gone to other series.
    pub(crate) fn round(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Says that ids are about to go to other series. Whoever has the registry locked for writing
    /// while it says so keeps the promise that a round lasts for as long as anybody reads there.
    pub(crate) fn next_round(&self) {
        self.rounds.fetch_add(1, Ordering::AcqRel);
    }

    /// How it is kept.
    pub(crate) fn options(&self) -> Arc<NamespaceOptions> {
        Arc::clone(&self.options.read())
    }

    /// Changes how it is kept.
    pub(crate) fn alter(&self, options: NamespaceOptions) {
        let most = options.max_series.unwrap_or(u64::MAX);
        self.registry.write().limit_series(most);
        *self.options.write() = Arc::new(options);
    }

    /// The first timestamp that is not expired at the time `now`.
    pub(crate) fn horizon(&self, now: i64) -> i64 {
        match self.options.read().retention {
            Some(age) => now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)),
            None => i64::MIN,
        }
    }

    /// Takes the series, view, options and metadata of `fresh` in place of its own. A question that
    /// meets both is asked again: between the two rounds nobody gets at the registry.
    pub(crate) fn take_over(&self, fresh: &Space) {
        {
            let mut registry = self.registry.write();
            self.next_round();
            std::mem::swap(&mut *registry, &mut *fresh.registry.write());
            self.view.swap(&fresh.view);
            self.next_round();
        }
        // What was written and flushed since the last look was in no frame that was read.
        self.watchers.miss();
        *self.options.write() = fresh.options();
        std::mem::swap(&mut *self.metadata.write(), &mut *fresh.metadata.write());
    }

    /// Marks it as dropped: every handle on it is refused from now on.
    pub(crate) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
        self.watchers.end(&self.no_namespace());
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Refuses when it was dropped.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_dropped() {
            return Err(self.no_namespace());
        }
        Ok(())
    }

    fn no_namespace(&self) -> Error {
        Error::NoNamespace {
            name: self.name.clone(),
        }
    }
}

/// The namespaces of an open database.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    by_id: RwLock<BTreeMap<u32, Arc<Space>>>,
    /// Ids from here on were never used.
    next: AtomicU64,
}

impl Spaces {
    pub(crate) fn get(&self, id: u32) -> Option<Arc<Space>> {
        self.by_id.read().get(&id).cloned()
    }

    pub(crate) fn named(&self, name: &str) -> Result<Arc<Space>> {
        let found = self.all().into_iter().find(|space| space.name == name);
        found.ok_or_else(|| Error::NoNamespace {
            name: name.to_owned(),
        })
    }

    /// All of them, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Space>> {
        self.by_id.read().values().cloned().collect()
    }

    pub(crate) fn insert(&self, space: Arc<Space>) {
        self.next
            .fetch_max(u64::from(space.id) + 1, Ordering::AcqRel);
        self.by_id.write().insert(space.id, space);
    }

    pub(crate) fn remove(&self, id: u32) -> Option<Arc<Space>> {
        let space = self.by_id.write().remove(&id);
        space.inspect(|space| space.mark_dropped())
    }

    /// Ids from here on were never used.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Notes that ids below `next` were used.
    pub(crate) fn used(&self, next: u32) {
        self.next.fetch_max(u64::from(next), Ordering::AcqRel);
    }
}
