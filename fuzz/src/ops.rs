//! A life of a database told by bytes: appends, deletes, flushes, merges, clocks that jump, calls
//! that fail, kills, power cuts, against a plain model.
//!
//! Input: any bytes; each operation takes as many as it wants. Output: nothing, or a panic. It says
//! that an answer is everything acknowledged and at most the one change whose call failed; after a
//! power cut it is that of an earlier moment, not before the last that was durable; nothing is invented;
//! a failing disk is never called damage, and when it is healed the database goes on.

use std::sync::Arc;
use std::time::Duration;

use treering::time::{Clock, ManualClock};
use treering::vfs::{CrashVfs, Fault, FaultVfs, Repeat};
use treering::{
    Aggregate, Batch, Db, Error, Function, Maintenance, Metadata, NamespaceOptions, Options, Reads,
    Selector, Sync, is_stale, stale_marker,
};

use crate::model::{SECOND, SPACES, State, horizon, series};

/// Most operations of one life, and most samples that it appends.
const OPERATIONS: usize = 150;
const SAMPLES: usize = 20_000;
/// What goes by between two operations.
const PACE: Duration = Duration::from_millis(25);

/// The operations of a life, one after the other.
pub fn engine_ops(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut life = Life::begin(bytes.next());
    for _ in 0..OPERATIONS {
        if bytes.0.is_empty() {
            break;
        }
        life.clock.advance(PACE);
        life.operation(&mut bytes);
    }
    life.end();
}

/// Zeros once all were taken.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.next() % end
    }

    /// Mostly a time near the others, sometimes one far away.
    fn time(&mut self) -> i64 {
        match self.next() {
            255 => i64::MIN,
            254 => i64::MAX,
            253 => -86_400 * SECOND,
            252 => 40 * 86_400 * SECOND,
            near => i64::from(near) * 15 * SECOND,
        }
    }

    fn range(&mut self) -> (i64, i64) {
        match self.below(4) {
            0 => (i64::MIN, i64::MAX),
            _ => {
                let (a, b) = (self.time(), self.time());
                (a.min(b), a.max(b))
            }
        }
    }
}

/// A value by number: counters, decimals, odd ones.
fn value(number: u8) -> f64 {
    match number {
        0..100 => f64::from(number),
        100..200 => f64::from(number) / 100.0,
        200 => stale_marker(),
        201 => f64::NAN,
        202 => -0.0,
        203 => f64::INFINITY,
        odd => f64::from_bits(u64::from(odd).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    }
}

struct Life {
    store: CrashVfs,
    faults: FaultVfs,
    clock: Arc<ManualClock>,
    sync: Sync,
    reads: Reads,
    db: Option<Db>,
    /// What may be there after a power cut: first what is durable for certain, last what was
    /// acknowledged.
    states: Vec<State>,
    /// What is there if the change was made whose call failed.
    perhaps: Option<State>,
    /// Whether calls may fail.
    failing: bool,
    samples: usize,
    snapshots: u32,
}

impl Life {
    fn begin(choice: u8) -> Self {
        let syncs = [
            Sync::Always,
            Sync::Interval(Duration::from_millis(200)),
            Sync::Never,
        ];
        let store = CrashVfs::new();
        let mut life = Self {
            faults: FaultVfs::new(Arc::new(store.clone())),
            store,
            clock: Arc::new(ManualClock::new(0)),
            sync: syncs[usize::from(choice % 3)],
            reads: if choice < 128 {
                Reads::Mmap
            } else {
                Reads::Pread
            },
            db: None,
            states: vec![State::default()],
            perhaps: None,
            failing: false,
            samples: 0,
            snapshots: 0,
        };
        life.open();
        life
    }

    fn operation(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(24) {
            0..=4 => self.scatter(bytes),
            5..=7 => self.column(bytes),
            8 | 9 => self.delete(bytes),
            10 | 11 => self.durable_by(Db::flush),
            12 => self.attempt(Db::compact),
            13 => self.attempt(|db| db.maintain().map(drop)),
            14 => self.durable_by(Db::sync),
            15 => self.reopen(),
            16 => self.kill(),
            17 => self.cut_the_power(bytes.next()),
            18 => self.namespace(bytes),
            19 => self.describe(bytes),
            20 => {
                let seconds = u64::from(bytes.next());
                self.clock.advance(Duration::from_secs(seconds * seconds));
            }
            21 => {
                let fault = Fault::ALL[usize::from(bytes.below(6))];
                let after = bytes.next();
                let repeat = match after < 128 {
                    true => Repeat::Once,
                    false => Repeat::Forever,
                };
                let call = self.faults.calls() + 1 + u64::from(after % 128);
                self.faults.fail(call, fault, repeat);
                self.failing = true;
            }
            22 => self.heal(),
            _ => self.ask(bytes),
        }
    }

    /// Healed: all is there, and it goes on.
    fn end(&mut self) {
        self.heal();
        if self.db.as_ref().is_none_or(|db| db.stats().poisoned) {
            self.reopen();
        }
        self.look();
        self.append(0, &[(9, self.now(), 0.5)]);
        self.durable_by(Db::flush);
        self.reopen();
        self.look();
        let report = self.db.as_ref().map(Db::verify);
        let report = report.expect("open").expect("a healthy disk");
        assert!(report.is_clean(), "{report:?}");
    }

    fn now(&self) -> i64 {
        self.clock.now()
    }

    fn last(&self) -> State {
        let last = self.states.last().cloned();
        last.unwrap_or_default().at(self.now())
    }

    fn heal(&mut self) {
        self.faults.heal();
        self.failing = false;
    }

    fn options(&self) -> Options {
        Options::default()
            .vfs(Arc::new(self.faults.clone()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .sync(self.sync)
            .reads(self.reads)
            .maintenance(Maintenance::Manual)
            .memory_bytes(64 << 20)
            .wal_file_bytes(64 << 10)
            .block_window(Duration::from_secs(3600))
            .reserve_bytes(4096)
    }

    /// A user tries twice.
    fn open(&mut self) {
        for _ in 0..2 {
            match Db::open("/db", self.options()) {
                Ok(db) => {
                    assert!(db.recovery().quarantined.is_empty());
                    self.db = Some(db);
                    self.look();
                    return;
                }
                Err(error) => self.note(&error),
            }
        }
    }

    fn reopen(&mut self) {
        self.durable_by(Db::close);
        self.db = None;
        self.open();
    }

    /// The process dies; the system has all that it wrote.
    fn kill(&mut self) {
        let image = self.store.kill_image();
        self.restart(CrashVfs::resume(&image));
        self.open();
    }

    /// The machine dies: what was not synced may be there, torn or gone.
    fn cut_the_power(&mut self, index: u8) {
        let calls = self.store.calls();
        let image = self.store.image(calls, u64::from(index), index.into());
        self.restart(CrashVfs::resume(&image));
        let db = Db::open("/db", self.options()).expect("a power cut is no damage");
        assert!(db.recovery().quarantined.is_empty());
        let found = State::read(&db).expect("a healthy disk");
        let now = self.now();
        let mut allowed = self.states.iter().chain(&self.perhaps);
        assert!(
            allowed.any(|state| state.clone().at(now) == found),
            "a power cut left {found:?}; durable is {:?}",
            self.states.first()
        );
        self.settled(found);
        self.db = Some(db);
    }

    /// Another process on this store; what it finds is durable once it has opened.
    fn restart(&mut self, store: CrashVfs) {
        self.faults = FaultVfs::new(Arc::new(store.clone()));
        self.store = store;
        self.failing = false;
        self.db = None;
    }

    fn settled(&mut self, state: State) {
        self.states = vec![state];
        self.perhaps = None;
    }

    /// A failing disk is no damage, and no other error either.
    fn note(&self, error: &Error) {
        let poisoned = self.db.as_ref().is_some_and(|db| db.stats().poisoned);
        let fits = matches!(
            error,
            Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. }
        );
        assert!(fits && (self.failing || poisoned), "{error:?}");
    }

    fn attempt(&mut self, call: impl FnOnce(&Db) -> Result<(), Error>) {
        if let Some(Err(error)) = self.db.as_ref().map(call) {
            self.note(&error);
            self.look();
        }
    }

    /// A call after which everything acknowledged is durable.
    fn durable_by(&mut self, call: impl FnOnce(&Db) -> Result<(), Error>) {
        match self.db.as_ref().map(call) {
            Some(Ok(())) => drop(self.states.drain(..self.states.len() - 1)),
            Some(Err(error)) => self.note(&error),
            None => {}
        }
    }

    /// Asks for everything, and knows then whether the change in doubt was made.
    fn look(&mut self) {
        let Some(db) = &self.db else { return };
        let found = match State::read(db) {
            Ok(found) => found,
            Err(error) => {
                assert!(self.failing, "{error:?}");
                return;
            }
        };
        let poisoned = db.stats().poisoned;
        if found != self.last() {
            let perhaps = self.perhaps.clone().map(|state| state.at(self.now()));
            assert_eq!(
                Some(&found),
                perhaps.as_ref(),
                "told; last {:?}",
                self.last()
            );
            if !poisoned {
                self.states.push(found);
            }
        }
        if !poisoned {
            self.perhaps = None;
        }
    }

    /// Makes a change, unless another one is in doubt.
    fn change(&mut self, then: State, call: impl FnOnce(&Db) -> Result<(), Error>) {
        if self.perhaps.is_some() {
            self.look();
        }
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_none()) else {
            return;
        };
        match call(db) {
            Ok(()) => {
                if self.sync == Sync::Always {
                    self.states.clear();
                }
                self.states.push(then);
            }
            Err(error) => {
                self.note(&error);
                self.perhaps = Some(then);
                self.look();
            }
        }
    }

    /// The namespace of a number, if it is there.
    fn space(&mut self, number: u8) -> Option<(u8, State)> {
        if self.perhaps.is_some() {
            self.look();
        }
        let state = self.last();
        state
            .spaces
            .contains_key(&number)
            .then_some((number, state))
    }

    fn append(&mut self, space: u8, rows: &[(u8, i64, f64)]) {
        let Some((space, mut state)) = self.space(space) else {
            return;
        };
        let first = horizon(space, self.now());
        let mut batch = Batch::new();
        for &(host, at, value) in rows.iter().filter(|row| row.1 >= first) {
            batch.push(series(host), at, value);
            let samples = state.spaces.get_mut(&space).map(|space| &mut space.samples);
            samples.and_then(|samples| samples.insert((host, at), value.to_bits()));
        }
        self.samples += rows.len();
        if self.samples <= SAMPLES {
            self.change(state, |db| {
                db.namespace(SPACES[usize::from(space)])?.append(&batch)
            });
        }
    }

    fn scatter(&mut self, bytes: &mut Bytes<'_>) {
        let space = bytes.below(3);
        let row = |bytes: &mut Bytes<'_>| (bytes.below(6), bytes.time(), value(bytes.next()));
        let rows: Vec<_> = (0..=bytes.below(6)).map(|_| row(bytes)).collect();
        self.append(space, &rows);
    }

    fn column(&mut self, bytes: &mut Bytes<'_>) {
        let (space, host, start) = (bytes.below(3), bytes.below(6), bytes.time());
        let (step, count) = (i64::from(bytes.next()) + 1, i64::from(bytes.next()) * 3);
        let first = bytes.next();
        let at = |index: i64| start.saturating_add(index * step * SECOND);
        let rows =
            (0..count).map(|index| (host, at(index), value(first.wrapping_add(index as u8))));
        self.append(space, &rows.collect::<Vec<_>>());
    }

    fn delete(&mut self, bytes: &mut Bytes<'_>) {
        let Some((space, mut state)) = self.space(bytes.below(3)) else {
            return;
        };
        let host = bytes.below(8);
        let (first, last) = bytes.range();
        let mut selector = Selector::metric("m");
        if host < 6 {
            selector = selector.eq("host", &host.to_string());
        }
        let hit = |key: &(u8, i64)| (host >= 6 || key.0 == host) && (first..=last).contains(&key.1);
        if let Some(space) = state.spaces.get_mut(&space) {
            space.samples.retain(|key, _| !hit(key));
        }
        let name = SPACES[usize::from(space)];
        self.change(state, |db| {
            db.namespace(name)?.delete(&selector, first..=last)
        });
    }

    /// Makes one that is not there, drops one that is.
    fn namespace(&mut self, bytes: &mut Bytes<'_>) {
        let number = 1 + bytes.below(2);
        let name = SPACES[usize::from(number)];
        if let Some((number, mut state)) = self.space(number) {
            state.spaces.remove(&number);
            return self.change(state, |db| db.drop_namespace(name));
        }
        let mut state = self.last();
        state.spaces.insert(number, Default::default());
        let mut options = NamespaceOptions::default();
        if number == 2 {
            options = options.retention(Duration::from_secs(3600));
        }
        self.change(state, |db| db.create_namespace(name, options).map(drop));
    }

    fn describe(&mut self, bytes: &mut Bytes<'_>) {
        let Some((space, mut state)) = self.space(bytes.below(3)) else {
            return;
        };
        let help = Some(usize::from(bytes.next())).filter(|help| help % 4 > 0);
        if let Some(space) = state.spaces.get_mut(&space) {
            space.help = help;
        }
        self.change(state, |db| {
            let db = db.namespace(SPACES[usize::from(space)])?;
            match help {
                Some(len) => db.set_metadata("m", &Metadata::default().help("h".repeat(len))),
                None => db.remove_metadata("m"),
            }
        });
    }

    /// Asks in one of several ways, all of which agree.
    fn ask(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(4) {
            0 => self.look(),
            1 => self.snapshot(),
            2 => self.read_beside(),
            _ => {
                let range = bytes.range();
                self.count(range);
            }
        }
    }

    fn snapshot(&mut self) {
        self.snapshots += 1;
        let dir = format!("/snapshot{}", self.snapshots);
        match self.db.as_ref().map(|db| db.snapshot(&dir)) {
            Some(Ok(_)) => self.compare(Db::open(&dir, self.options())),
            Some(Err(error)) => self.note(&error),
            None => {}
        }
    }

    fn read_beside(&self) {
        if self.db.is_some() {
            self.compare(Db::open_read_only("/db", self.options()));
        }
    }

    /// Another database tells what this one does.
    fn compare(&self, other: Result<Db, Error>) {
        match other.and_then(|db| State::read(&db)) {
            Ok(found) => {
                let perhaps = self.perhaps.clone().map(|state| state.at(self.now()));
                assert!(found == self.last() || Some(&found) == perhaps.as_ref());
            }
            Err(error) => self.note(&error),
        }
    }

    /// Samples of the default namespace that are no stale markers, series by series.
    fn count(&mut self, (first, last): (i64, i64)) {
        self.look();
        let Some(db) = self.db.as_ref().filter(|_| self.perhaps.is_none()) else {
            return;
        };
        let count = Aggregate::new(Function::Count);
        let found = match db.aggregate(&Selector::all(), first..=last, &count) {
            Ok(found) => found,
            Err(error) => return self.note(&error),
        };
        let points = found.iter().flat_map(|series| &series.points);
        let counted: f64 = points.map(|point| point.value).sum();
        let state = self.last();
        let samples = state
            .spaces
            .get(&0)
            .into_iter()
            .flat_map(|space| &space.samples);
        let held = samples.filter(|(key, bits)| {
            (first..=last).contains(&key.1) && !is_stale(f64::from_bits(**bits))
        });
        assert_eq!(counted, held.count() as f64, "{first}..={last}");
    }
}
