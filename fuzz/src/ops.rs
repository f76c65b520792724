//! A life of a database told by bytes: appends, deletes, flushes, merges, clocks that jump, calls
//! that fail, kills, power cuts, against a plain model.
//!
//! Input: any bytes; each operation takes as many as it wants. Output: nothing, or a panic. It says
//! that an answer is everything acknowledged and at most the one change whose call failed; after a
//! power cut it is that of an earlier moment, not before the last that was durable; nothing is invented;
//! a failing disk is never called damage, and when it is healed the database goes on.

mod answers;
mod bytes;
mod changes;

use std::sync::Arc;
use std::time::Duration;

use treering::time::{Clock, ManualClock};
use treering::vfs::{CrashVfs, Fault, FaultVfs, Repeat};
use treering::{Db, Error, Maintenance, Options, Reads, Sync};

use crate::model::State;
use bytes::Bytes;

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
}
