//! Runs a workload on a recording store and notes what was acknowledged when.
//!
//! Input: a case, steps (append, flush, sync, reopen). Output: the store with all its calls, and the
//! history that recovered databases are held against.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treering::time::ManualClock;
use treering::vfs::{CallKind, CrashVfs, Fault, FaultVfs, Repeat, Vfs};
use treering::{
    Batch, Db, Error, Maintenance, Metadata, MetricKind, NamespaceOptions, Options, Selector,
    SeriesRef, Sync,
};

use crate::beside;
use crate::check::{metadata_fact, read, space_fact, space_name};
use crate::copies::Copy;
use crate::history::{FACTS, History, Random, Row, SPACE_SERIES, labels_of};
use crate::scripts::Step;

/// Interval of the cases with `Sync::Interval`.
const INTERVAL: Duration = Duration::from_millis(200);

/// A workload and the options it runs with.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) sync: Sync,
    pub(crate) dir: &'static str,
    pub(crate) options: fn(Options) -> Options,
    /// Bytes of the WAL that are kept for those who follow.
    pub(crate) keep_bytes: u64,
    pub(crate) run: fn(&mut Stage),
    /// What the clock shows when an image is opened.
    pub(crate) now: i64,
}

impl Case {
    /// The options of an open on this store.
    pub(crate) fn options_on(&self, vfs: Arc<dyn Vfs>, clock: Arc<ManualClock>) -> Options {
        let options = Options::default()
            .memory_bytes(64 << 20)
            .wal_file_bytes(64 << 10)
            .reserve_bytes(0)
            .wal_keep_bytes(self.keep_bytes)
            .maintenance(Maintenance::Manual)
            .sync(self.sync);
        (self.options)(options).vfs(vfs).clock(clock)
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {:?}", self.name, self.sync)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Stage {
    case: Case,
    pub(crate) store: CrashVfs,
    pub(crate) history: History,
    pub(crate) random: Random,
    /// What was done, to be done again where calls fail.
    pub(crate) script: Vec<Step>,
    faults: FaultVfs,
    clock: Arc<ManualClock>,
    db: Option<Db>,
    refs: Vec<Option<SeriesRef>>,
    /// The snapshots made so far.
    pub(crate) copies: Vec<Copy>,
    /// Samples before this moment will be past the retention when images are opened.
    horizon: i64,
    /// Monotonic time at which each batch was written.
    written: Vec<Duration>,
    now: Duration,
}

impl Stage {
    /// Runs the whole workload.
    pub(crate) fn play(case: &Case, seed: u64) -> Self {
        let store = CrashVfs::new();
        let mut stage = Self {
            case: case.clone(),
            faults: FaultVfs::new(Arc::new(store.clone())),
            store,
            history: History::default(),
            random: Random::new(seed),
            script: Vec::new(),
            clock: Arc::new(ManualClock::new(0)),
            db: None,
            refs: Vec::new(),
            copies: Vec::new(),
            horizon: i64::MIN,
            written: Vec::new(),
            now: Duration::ZERO,
        };
        (case.run)(&mut stage);
        stage.db = None;
        stage
    }

    /// Opens the database, or opens it again after closing it.
    pub(crate) fn open(&mut self) {
        self.script.push(Step::Reopen);
        self.open_anew();
    }

    fn open_anew(&mut self) {
        if self.db.is_some() {
            self.db().close().unwrap();
            self.all_durable();
            self.db = None;
        }
        let options = self
            .case
            .options_on(Arc::new(self.faults.clone()), Arc::clone(&self.clock));
        self.db = Some(Db::open(self.case.dir, options).unwrap());
        self.refs.clear();
        self.all_durable();
    }

    /// Opens the database anew without closing it, as after a kill of the process: what was
    /// written is there, what was not synced may still be lost by a power cut.
    pub(crate) fn kill(&mut self) {
        self.script.push(Step::Kill);
        // A write that can neither be made nor taken back poisons, so that dropping does nothing.
        for kind in [CallKind::Write, CallKind::SetLen] {
            self.faults.fail_only(kind, 1, Fault::Io, Repeat::Forever);
        }
        let batch = Batch::new().sample(labels_of(0), 0, 0.0);
        assert!(self.db().append(&batch).unwrap_err().is_poisoned());
        self.db = None;
        self.faults.heal();
        self.open_anew();
    }

    /// Takes everything so far as the start of the recording.
    pub(crate) fn rebase(&mut self) {
        self.db().close().unwrap();
        self.db = None;
        self.store = CrashVfs::resume(&self.store.kill_image());
        self.faults = FaultVfs::new(Arc::new(self.store.clone()));
        self.history.rebase();
        self.open();
    }

    /// Makes the disk too small for `free` more bytes.
    pub(crate) fn fill_disk(&mut self, free: u64) {
        self.script.push(Step::FillDisk(free));
        self.faults.set_capacity(Path::new("/"), u64::MAX).unwrap();
        self.faults
            .set_capacity(Path::new("/"), self.faults.used() + free)
            .unwrap();
    }

    /// Makes the disk endless again.
    pub(crate) fn free_disk(&mut self) {
        self.script.push(Step::FreeDisk);
        self.faults.clear_capacity();
    }

    pub(crate) fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.script.push(Step::Wait(millis));
        self.clock.advance(Duration::from_millis(millis));
        self.now += Duration::from_millis(millis);
    }

    /// Appends a batch that must be accepted.
    pub(crate) fn append(&mut self, rows: &[(u32, i64, f64)]) {
        self.try_append(rows).unwrap();
    }

    /// Appends a batch; an error must be that of a full disk, which changes nothing.
    pub(crate) fn try_append(&mut self, rows: &[(u32, i64, f64)]) -> Result<(), Error> {
        self.script.push(Step::Batch(rows.to_vec()));
        let batch = self.batch_of(rows);
        let bits = rows
            .iter()
            .filter(|row| row.1 >= self.horizon)
            .map(|&(series, at, value)| (series, at, value.to_bits()));
        self.history
            .begin(bits.collect::<Vec<Row>>(), self.store.calls());
        let space = rows.first().map_or(0, |row| row.0 / SPACE_SERIES);
        let appended = self.seen_from(space).append(&batch);
        match &appended {
            Ok(()) => self.acknowledged(),
            Err(error) if error.is_disk_full() => self.history.refused(),
            Err(error) => panic!("an append failed: {error}"),
        }
        appended
    }

    /// The database from the namespace `space`.
    pub(crate) fn seen_from(&self, space: u32) -> Db {
        self.db().namespace(&space_name(space)).unwrap()
    }

    /// Deletes the series `numbers` of a namespace in a range.
    pub(crate) fn delete(&mut self, space: u32, numbers: Range<u32>, range: RangeInclusive<i64>) {
        self.script
            .push(Step::DeleteMany(space, numbers.clone(), range.clone()));
        let (first, last) = (numbers.start, numbers.end);
        let names: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let selector = Selector::all().regex("n", &names.join("|")).unwrap();
        let wanted = range.clone();
        let gone = move |series: u32, at: i64| {
            let number = series % SPACE_SERIES;
            let here = series / SPACE_SERIES == space && (first..last).contains(&number);
            series < FACTS && here && wanted.contains(&at)
        };
        self.history.take_away(gone, self.store.calls());
        self.seen_from(space).delete(&selector, range).unwrap();
        self.acknowledged();
    }

    /// Makes a namespace, or changes how it is kept: for so many seconds.
    pub(crate) fn keep(&mut self, space: u32, seconds: u64) {
        self.script.push(Step::Keep(space, seconds, None));
        let options = NamespaceOptions::default().retention(Duration::from_secs(seconds));
        self.history
            .begin(vec![space_fact(space, &options)], self.store.calls());
        let name = space_name(space);
        match self.db().namespace(&name) {
            Ok(_) => self.db().alter_namespace(&name, options).unwrap(),
            Err(_) => drop(self.db().create_namespace(&name, options).unwrap()),
        }
        self.acknowledged();
    }

    pub(crate) fn drop_space(&mut self, space: u32) {
        self.script.push(Step::Drop(space));
        let gone = move |key: u32, _: i64| match key.checked_sub(FACTS) {
            Some(fact) => fact / 1000 == space,
            None => key / SPACE_SERIES == space,
        };
        self.history.take_away(gone, self.store.calls());
        self.db().drop_namespace(&space_name(space)).unwrap();
        self.all_durable_but_written();
    }

    /// Keeps a help text of so many bytes for a metric; none removes it.
    pub(crate) fn describe(&mut self, space: u32, metric: u32, help: Option<usize>) {
        self.script.push(Step::Describe(space, metric, help));
        let (key, at, bits) = metadata_fact(space, metric, help.unwrap_or(0));
        let bits = help.map(|_| bits);
        self.history
            .change(vec![((key, at), bits)], self.store.calls());
        let (db, name) = (self.seen_from(space), format!("m{metric}"));
        match help {
            Some(help) => {
                let known = Metadata::new(MetricKind::Gauge).help("h".repeat(help));
                db.set_metadata(&name, &known).unwrap();
            }
            None => db.remove_metadata(&name).unwrap(),
        }
        self.acknowledged();
    }

    /// From now on nothing is appended that is older than the retention will be when images are
    /// opened, or it is not counted on.
    pub(crate) fn expect_horizon(&mut self, horizon: i64) {
        self.horizon = horizon;
    }

    pub(crate) fn set_clock(&mut self, now: i64) {
        self.script.push(Step::Clock(now));
        self.clock.set(now);
    }

    /// Rounds of maintenance until nothing is due.
    pub(crate) fn maintain(&mut self) {
        self.script.push(Step::MaintainAll);
        while self.db().maintain().unwrap() {}
    }

    /// Makes a snapshot in a directory of its own.
    pub(crate) fn snapshot(&mut self) {
        self.script.push(Step::Snapshot);
        let dir = format!("/copy{}", self.copies.len() + 1);
        self.db().snapshot(&dir).unwrap();
        self.copies.push(Copy {
            dir,
            made: self.store.calls(),
            batches: self.history.len(),
        });
    }

    pub(crate) fn compact(&mut self) {
        self.script.push(Step::Compact);
        self.db().compact().unwrap();
    }

    /// Holds the default namespace to so many bytes of blocks: the oldest samples go, which is one
    /// change like a delete.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        self.script.push(Step::Shrink(bytes));
        let options = NamespaceOptions::default().retention_bytes(bytes);
        let fact = space_fact(0, &options);
        self.history.begin(vec![fact], self.store.calls());
        self.db().alter_namespace("default", options).unwrap();
        self.acknowledged();
        let calls = self.store.calls();
        self.db().maintain().unwrap();
        let held = read(self.db(), false).unwrap().rows;
        let held: BTreeSet<_> = held.iter().map(|row| (row.0, row.1)).collect();
        let gone = self
            .history
            .state()
            .keys()
            .filter(|key| !held.contains(key));
        let gone: Vec<_> = gone.copied().collect();
        assert!(!gone.is_empty());
        self.history
            .take_away(move |series, at| gone.contains(&(series, at)), calls);
        self.all_durable_but_written();
    }

    /// What a call made durable before it returned.
    fn all_durable_but_written(&mut self) {
        self.written.resize(self.history.len(), self.now);
        self.all_durable();
    }

    /// Appends `count` samples of the series `numbers`, one row of them every second from `at` on.
    pub(crate) fn scrape(&mut self, numbers: Range<u32>, at: i64, count: usize) {
        let mut rows = Vec::new();
        for step in 0..count {
            for number in numbers.clone() {
                rows.push((
                    number,
                    at + step as i64 * 1_000_000_000,
                    self.random.value(),
                ));
            }
        }
        self.append(&rows);
    }

    /// As [`Stage::scrape`], of histograms and of floats that know since when they count.
    pub(crate) fn scrape_beside(&mut self, numbers: Range<u32>, at: i64, count: usize) {
        let mut rows = Vec::new();
        for step in 0..count {
            for number in numbers.clone() {
                let value = beside::value_of(self.random.below(1 << 40));
                rows.push((number, at + step as i64 * 1_000_000_000, value));
            }
        }
        self.append(&rows);
    }

    pub(crate) fn sync(&mut self) {
        self.script.push(Step::Sync);
        self.db().sync().unwrap();
        self.all_durable();
    }

    pub(crate) fn flush(&mut self) {
        self.script.push(Step::Flush);
        self.db().flush().unwrap();
        self.all_durable();
    }

    /// A flush for which there is no room: the head stays, nothing changes.
    pub(crate) fn flush_in_vain(&mut self) {
        self.script.push(Step::Flush);
        assert!(self.db().flush().unwrap_err().is_disk_full());
    }

    /// Everything so far is durable from now on.
    pub(crate) fn all_durable(&mut self) {
        self.history.durable(self.store.calls(), self.history.len());
    }

    fn acknowledged(&mut self) {
        self.written.resize(self.history.len() - 1, Duration::ZERO);
        self.written.push(self.now);
        match self.case.sync {
            Sync::Always => self.all_durable(),
            Sync::Interval(_) => {
                let now = self.now;
                let old = self
                    .written
                    .iter()
                    .take_while(|&&at| now - at > INTERVAL)
                    .count();
                self.history.durable(self.store.calls(), old);
            }
            _ => {}
        }
    }

    /// Names series by labels and by references in turn.
    fn batch_of(&mut self, rows: &[(u32, i64, f64)]) -> Batch {
        let mut batch = Batch::new();
        let by_labels = self.random.below(2) == 0;
        for &(number, at, value) in rows {
            if by_labels {
                beside::push(&mut batch, labels_of(number), at, value);
                continue;
            }
            if number >= SPACE_SERIES {
                beside::push(&mut batch, labels_of(number), at, value);
                continue;
            }
            let index = number as usize;
            self.refs.resize(self.refs.len().max(index + 1), None);
            let known = self.refs[index];
            let series = known.unwrap_or_else(|| self.db().series(&labels_of(number)).unwrap());
            self.refs[index] = Some(series);
            beside::push(&mut batch, series, at, value);
        }
        batch
    }
}

/// The three modes that every workload runs with.
pub(crate) const MODES: [Sync; 3] = [Sync::Always, Sync::Interval(INTERVAL), Sync::Never];
