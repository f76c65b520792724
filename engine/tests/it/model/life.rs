//! One life: a database, the model, and the steps that change both.
//!
//! Input: steps. Output: nothing, or a panic where the two differ.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::Vfs;
use treering::{Batch, Db, Error, Metadata, MetricKind, Options, Reads, SeriesRef, labels};

use super::answers;
use super::beside::Reader;
use super::plain::{Plain, Samples};
use super::steps::{ALL, HOSTS, Kept, SPACES, Step};
use crate::support::{manual, memory, selector};

/// A database and what it should hold.
pub(crate) struct Life {
    pub(super) vfs: Arc<dyn Vfs>,
    /// The folder of the database.
    pub(super) dir: String,
    clock: Arc<ManualClock>,
    pub(super) now: i64,
    reads: Reads,
    window: Option<u64>,
    pub(crate) db: Db,
    /// By index into [`SPACES`].
    pub(crate) model: BTreeMap<u8, Plain>,
    /// Beside the writer, once there is one.
    pub(super) reader: Option<Reader>,
    pub(super) snapshots: u32,
    refs: Vec<Taken>,
    /// Opens so far, namespaces made so far.
    opens: u32,
    births: u32,
    /// Samples refused in this open because they were past the retention.
    expired: u64,
    /// A handle on a namespace that was dropped.
    ghost: Option<Db>,
}

/// A reference that was taken.
#[derive(Debug, Clone, Copy)]
struct Taken {
    series: SeriesRef,
    space: u8,
    host: u8,
    /// The open and the namespace that it is of.
    open: u32,
    born: u32,
    /// Not released since: then it is good for as long as these two are.
    pinned: bool,
}

pub(super) fn host(number: u8) -> treering::Labels {
    labels! { "__name__" => "m", "host" => format!("h{number}"), "odd" => (number % 2).to_string() }
}

/// Small files and much flushing by itself, so that everything happens in a short life.
fn options(
    vfs: &Arc<dyn Vfs>,
    clock: &Arc<ManualClock>,
    reads: Reads,
    window: Option<u64>,
) -> Options {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    let options = manual(vfs)
        .clock(clock)
        .reads(reads)
        .wal_file_bytes(64 << 10)
        .wal_max_bytes(256 << 10);
    match window {
        Some(seconds) => options.block_window(Duration::from_secs(seconds)),
        None => options,
    }
}

impl Life {
    pub(crate) fn begin(window: Option<u64>) -> Self {
        let (vfs, clock) = (memory(), Arc::new(ManualClock::new(0)));
        let reads = Reads::Mmap;
        let dir = "/db0".to_owned();
        let db = Db::open(&dir, options(&vfs, &clock, reads, window)).unwrap();
        Self {
            vfs,
            dir,
            reader: None,
            snapshots: 0,
            clock,
            now: 0,
            reads,
            window,
            db,
            model: BTreeMap::from([(0, Plain::default())]),
            refs: Vec::new(),
            opens: 0,
            births: 0,
            expired: 0,
            ghost: None,
        }
    }

    /// Of the next open.
    pub(super) fn options(&self) -> Options {
        options(&self.vfs, &self.clock, self.reads, self.window)
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Scatter {
                space,
                rows,
                partial,
            } => self.append(*space, rows, *partial),
            Step::Scrape { space, at, value } => {
                let rows: Vec<_> = (0..HOSTS).map(|host| (host, *at, *value)).collect();
                self.append(*space, &rows, true);
            }
            Step::Column {
                space,
                host,
                start,
                step,
                count,
                shape,
            } => self.column((*space, *host), *start, *step, *count, *shape),
            Step::Delete {
                space,
                what,
                first,
                last,
            } => {
                if let Some(db) = self.seen_from(*space) {
                    db.delete(&selector(&what.text()), *first..=*last).unwrap();
                    self.plain(*space).delete(*what, *first, *last);
                }
            }
            Step::Flush => self.db.flush().unwrap(),
            Step::Compact => self.tidy(|db| db.compact().map(|()| true)),
            Step::Maintain => self.tidy(Db::maintain),
            Step::Reopen => self.reopen(),
            Step::Snapshot { moves } => self.snapshot(*moves),
            Step::Refresh => self.refresh(),
            Step::Peek => self.peek(),
            Step::SwitchReads => {
                self.reads = match self.reads {
                    Reads::Mmap => Reads::Pread,
                    _ => Reads::Mmap,
                };
                self.reopen();
            }
            Step::Clock(now) => {
                self.clock.set(*now);
                self.now = *now;
            }
            Step::Create { space, kept } => self.create(*space, *kept),
            Step::Alter { space, kept } => self.alter(*space, *kept),
            Step::Drop { space } => self.drop_space(*space),
            Step::Refer { space, host } => self.refer(*space, *host),
            Step::Use { pick, space, at } => self.use_reference(*pick, *space, *at),
            Step::Release { pick } => self.release(*pick),
            Step::Describe {
                space,
                metric,
                help,
            } => self.describe(*space, *metric, *help),
            Step::Look { space, first, last } => self.look(*space, (*first, *last)),
        }
    }

    /// The database from a namespace; refused when the model has none.
    fn seen_from(&self, space: u8) -> Option<Db> {
        let found = self.db.namespace(SPACES[usize::from(space)]);
        if self.model.contains_key(&space) {
            return Some(found.unwrap());
        }
        assert!(matches!(found, Err(Error::NoNamespace { .. })));
        None
    }

    fn plain(&mut self, space: u8) -> &mut Plain {
        self.model.get_mut(&space).unwrap()
    }

    fn append(&mut self, space: u8, rows: &[(u8, i64, f64)], partial: bool) {
        let Some(db) = self.seen_from(space) else {
            return;
        };
        let mut batch = Batch::new();
        rows.iter()
            .for_each(|&(number, at, value)| batch.push(host(number), at, value));
        let horizon = self.model[&space].horizon(self.now);
        let (kept, expired): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.1 >= horizon);
        if partial {
            let done = db.append_partial(&batch).unwrap();
            assert_eq!(done.samples, kept.len());
            let rejected: usize = done.rejected.iter().map(|rejected| rejected.samples).sum();
            assert_eq!(rejected, expired.len());
            assert!(done.rejected.iter().all(|it| is_expired(&it.reason)));
            self.expired += expired.len() as u64;
        } else {
            match db.append(&batch) {
                Ok(()) => assert!(expired.is_empty()),
                Err(Error::Rejected(first)) => {
                    assert!(is_expired(&first.reason), "{first:?}");
                    let found = rows.iter().position(|row| row.1 < horizon);
                    assert_eq!(Some(first.row), found);
                    self.expired += first.samples as u64;
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
        for &&(number, at, value) in &kept {
            self.plain(space).append(number, at, value);
        }
    }

    fn column(
        &mut self,
        (space, number): (u8, u8),
        start: i64,
        step: i64,
        count: usize,
        shape: u8,
    ) {
        let Some(db) = self.seen_from(space) else {
            return;
        };
        let times = (0..count as i64).map(|index| start.wrapping_add(index * step));
        let times: Vec<i64> = times.collect();
        let values: Vec<f64> = (0..count).map(|index| shaped(shape, index)).collect();
        let batch = Batch::new().column(host(number), &times, &values);
        let done = db.append_partial(&batch).unwrap();
        let horizon = self.model[&space].horizon(self.now);
        let mut appended = 0;
        for (&at, &value) in times.iter().zip(&values).filter(|(at, _)| **at >= horizon) {
            self.plain(space).append(number, at, value);
            appended += 1;
        }
        assert_eq!(done.samples, appended);
        self.expired += (count - appended) as u64;
    }

    /// Runs maintenance, which may take away what is past the retention, and in a namespace with
    /// more bytes than it may hold the oldest samples: whole blocks of them, so all through some
    /// moment, and nothing when its blocks fit.
    pub(crate) fn tidy(&mut self, maintain: impl Fn(&Db) -> treering::Result<bool>) {
        let counts = |plain: &Plain| plain.kept.bytes.is_some() || plain.coarse;
        if self.model.values().any(counts) {
            // Heads are not counted, and not folded; blocks made by the maintenance itself would be.
            self.db.flush().unwrap();
        }
        let coarse = self.model.iter().filter(|(_, plain)| plain.coarse);
        for space in coarse.map(|(&space, _)| space).collect::<Vec<_>>() {
            // What lacks afterwards was there before.
            self.check(space, ALL, false);
        }
        let before = self.block_bytes();
        let more = maintain(&self.db).unwrap();
        let after = self.block_bytes();
        let spaces: Vec<u8> = self.model.keys().copied().collect();
        for space in spaces {
            let now = self.now;
            let plain = self.plain(space);
            plain.dim(now);
            if plain.coarse {
                let found = samples_of(&self.seen_from(space).unwrap());
                self.plain(space).fold(&found, now);
                self.check(space, ALL, false);
                continue;
            }
            let Some(most) = plain.kept.bytes else {
                continue;
            };
            let over = before[&space] > most;
            assert!(more || after[&space] <= most, "{after:?} of {most}");
            self.check(space, ALL, over);
        }
    }

    fn block_bytes(&self) -> BTreeMap<u8, u64> {
        let spaces = self.db.namespaces().into_iter().map(|info| {
            let space = SPACES.iter().position(|name| *name == info.name).unwrap();
            (space as u8, info.stats.block_bytes.total)
        });
        spaces.collect()
    }

    pub(crate) fn reopen(&mut self) {
        self.db.close().unwrap();
        self.db = Db::open(&self.dir, self.options()).unwrap();
        let report = self.db.recovery();
        assert_eq!(report.wal_cut, None);
        assert!(report.quarantined.is_empty());
        self.opens += 1;
        self.expired = 0;
        self.ghost = None;
        self.check_spaces();
    }

    fn create(&mut self, space: u8, kept: Kept) {
        let made = self
            .db
            .create_namespace(SPACES[usize::from(space)], kept.options());
        if self.model.contains_key(&space) {
            assert!(matches!(made, Err(Error::InvalidArgument { .. })));
            return;
        }
        assert!(samples_of(&made.unwrap()).is_empty());
        self.births += 1;
        self.model.insert(space, Plain::new(kept, self.births));
        self.check_spaces();
    }

    fn alter(&mut self, space: u8, kept: Kept) {
        let name = SPACES[usize::from(space)];
        let plain = self.model.get(&space);
        let kept = plain.map_or(kept, |plain| plain.may_keep(kept));
        let altered = self.db.alter_namespace(name, kept.options());
        match self.model.get_mut(&space) {
            Some(plain) => {
                altered.unwrap();
                plain.keep(kept);
            }
            None => assert!(matches!(altered, Err(Error::NoNamespace { .. }))),
        }
        self.check_spaces();
    }

    fn drop_space(&mut self, space: u8) {
        let ghost = self.seen_from(space);
        let dropped = self.db.drop_namespace(SPACES[usize::from(space)]);
        match self.model.remove(&space) {
            Some(_) => {
                dropped.unwrap();
                self.expired = self.db.stats().samples_expired;
            }
            None => assert!(matches!(dropped, Err(Error::NoNamespace { .. }))),
        }
        self.ghost = ghost.or(self.ghost.take());
        self.check_spaces();
    }

    fn refer(&mut self, space: u8, number: u8) {
        if let Some(db) = self.seen_from(space) {
            let born = self.plain(space).born;
            self.refs.push(Taken {
                series: db.series(&host(number)).unwrap(),
                space,
                host: number,
                open: self.opens,
                born,
                pinned: true,
            });
        }
    }

    /// A reference is good for its own namespace in its own open, for as long as nobody released
    /// it; then it is its own series or an error, never another series.
    fn use_reference(&mut self, pick: u8, space: u8, at: i64) {
        let (Some(db), false) = (self.seen_from(space), self.refs.is_empty()) else {
            return;
        };
        let taken = self.refs[usize::from(pick) % self.refs.len()];
        let (now, opens) = (self.now, self.opens);
        let value = f64::from(pick);
        let appended = db.append(&Batch::new().sample(taken.series, at, value));
        let plain = self.model.get_mut(&space).unwrap();
        let own = taken.open == opens && (taken.space, taken.born) == (space, plain.born);
        match appended {
            Ok(()) => {
                assert!(own, "{taken:?} was taken in {space}");
                assert!(at >= plain.horizon(now));
                plain.append(taken.host, at, value);
            }
            Err(Error::Rejected(first)) if is_expired(&first.reason) => {
                assert!(at < plain.horizon(now));
                self.expired += 1;
            }
            Err(Error::Rejected(first)) => {
                assert!(matches!(first.reason, Error::StaleRef), "{first:?}");
                assert!(!(own && taken.pinned), "{taken:?} is stale");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn release(&mut self, pick: u8) {
        if self.refs.is_empty() {
            return;
        }
        let taken = self.refs[usize::from(pick) % self.refs.len()];
        if let Some(db) = self.seen_from(taken.space) {
            db.release(&[taken.series]);
        }
        let same = |other: &&mut Taken| (other.space, other.host) == (taken.space, taken.host);
        self.refs
            .iter_mut()
            .filter(same)
            .for_each(|other| other.pinned = false);
    }

    fn describe(&mut self, space: u8, metric: u8, help: Option<u8>) {
        let Some(db) = self.seen_from(space) else {
            return;
        };
        let metric = format!("metric_{metric}");
        let metadata = &mut self.plain(space).metadata;
        match help {
            Some(help) => {
                let kind = [MetricKind::Counter, MetricKind::Gauge][usize::from(help % 2)];
                let known = Metadata::new(kind).help("x".repeat(usize::from(help)));
                db.set_metadata(&metric, &known).unwrap();
                metadata.insert(metric, known);
            }
            None => {
                db.remove_metadata(&metric).unwrap();
                metadata.remove(&metric);
            }
        }
    }

    /// Namespaces, how they are kept, and what is known of their metrics.
    fn check_spaces(&self) {
        let found = self.db.namespaces().into_iter();
        let found: BTreeMap<_, _> = found.map(|info| (info.name, info.options)).collect();
        let expected = self.model.iter().map(|(&space, plain)| {
            let name = SPACES[usize::from(space)].to_owned();
            (name, plain.kept.options())
        });
        assert_eq!(found, expected.collect());
        for (&space, plain) in &self.model {
            let known = self.seen_from(space).unwrap().all_metadata();
            let expected: Vec<_> = plain.metadata.clone().into_iter().collect();
            assert_eq!(known, expected);
        }
        assert_eq!(self.db.stats().samples_expired, self.expired);
        if let Some(ghost) = &self.ghost {
            let batch = Batch::new().sample(host(0), 0, 0.0);
            assert!(matches!(
                ghost.append(&batch),
                Err(Error::NoNamespace { .. })
            ));
            let asked = ghost.select(&selector("m"), ..);
            assert!(matches!(asked, Err(Error::NoNamespace { .. })));
        }
    }

    /// Samples of a namespace against the model; what is found.
    fn check(&mut self, space: u8, range: (i64, i64), over: bool) -> Option<Samples> {
        let db = self.seen_from(space)?;
        let now = self.now;
        let found = answers::samples(&db, range);
        self.plain(space).compare(&found, range, now, over);
        Some(found)
    }

    /// Every question over a range.
    fn look(&mut self, space: u8, range: (i64, i64)) {
        if self.check(space, ALL, false).is_none() {
            return;
        }
        let db = self.seen_from(space).unwrap();
        let now = self.now;
        let plain = self.plain(space);
        let held = plain.samples(range, now);
        let all = plain.samples(ALL, now);
        let values = plain.values(range, now);
        let steps = plain.coarse.then(|| plain.mixed.clone());
        let exact = !plain.thinned && plain.kept.age.is_none();
        assert_eq!(answers::samples(&db, range), held);
        if range.0 <= range.1 {
            answers::check_aggregates(&db, &values, range, steps.as_ref());
        }
        answers::check_newest_and_names(&db, &all, exact);
    }

    pub(crate) fn look_at_all(&mut self, range: (i64, i64)) {
        (0..SPACES.len() as u8).for_each(|space| self.look(space, range));
        self.check_spaces();
    }
}

pub(super) fn samples_of(db: &Db) -> Samples {
    answers::samples(db, ALL)
}

fn is_expired(error: &Error) -> bool {
    matches!(error, Error::Expired { .. })
}

/// Values of a column: constant, counter with resets, decimals, noise, with stale markers.
fn shaped(shape: u8, index: usize) -> f64 {
    match shape {
        0 => 42.0,
        1 => (index % 700) as f64 * 3.0,
        2 => ((index * 37) % 1000) as f64 / 100.0,
        3 => (index as f64).sin(),
        _ if index % 100 == 99 => treering::stale_marker(),
        _ => index as f64 / 8.0,
    }
}
