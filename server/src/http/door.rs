//! The door of the database: who may ask or write, how many at a time, and for how long.
//!
//! Input: work that blocks. Output: what it gave, or why it was not done. Invariant: work runs with
//! a permit of its kind, which it keeps to its end also when nobody waits for it any more; whoever
//! stops waiting cancels the query that was for him.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use treering::{CancelToken, Db, Options};
use treering_promql::{Features, Pool};

use crate::failure::{Failure, Kind};

/// Queries that run at a time, as many as Prometheus lets by default.
pub(crate) const MOST_QUERIES: usize = 20;

/// Writes that run at a time: each holds its whole body in memory.
pub(crate) const MOST_WRITES: usize = 8;

/// Bytes of the bodies of all writes that arrive or wait for their turn, in KiB.
const BODY_ROOM_KIB: usize = 256 << 10;

/// How long a write waits for room, and for its turn.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// What all requests share.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    features: Features,
    /// The memory of all queries.
    pool: Pool,
    queries: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    /// In KiB.
    room: Arc<Semaphore>,
    running: Mutex<Running>,
    is_closing: AtomicBool,
}

/// The queries under way.
#[derive(Debug, Default)]
struct Running {
    next: u64,
    tokens: HashMap<u64, CancelToken>,
}

/// Ends the query when dropped: also when the client went away.
#[derive(Debug)]
struct Turn {
    door: Door,
    number: u64,
    token: CancelToken,
}

impl Door {
    pub(crate) fn new(db: Db, features: Features) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                features,
                pool: Pool::new(usize::try_from(Options::default().memory()).unwrap_or(usize::MAX)),
                queries: Arc::new(Semaphore::new(MOST_QUERIES)),
                writes: Arc::new(Semaphore::new(MOST_WRITES)),
                room: Arc::new(Semaphore::new(BODY_ROOM_KIB)),
                running: Mutex::default(),
                is_closing: AtomicBool::new(false),
            }),
        }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn features(&self) -> Features {
        self.inner.features
    }

    pub(crate) fn pool(&self) -> Pool {
        self.inner.pool.clone()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.inner.is_closing.load(Ordering::Acquire)
    }

    /// From now on nothing new is begun.
    pub(crate) fn begin_closing(&self) {
        self.inner.is_closing.store(true, Ordering::Release);
    }

    /// Ends every query under way.
    pub(crate) fn cancel_all(&self) {
        for token in self.running().tokens.values() {
            token.cancel();
        }
    }

    /// Does the work of a query within `patience`, waiting for its turn included. The work gets what
    /// is left of that, and how long it waited.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        cancel: &CancelToken,
        work: impl FnOnce(&Db, Duration, Duration) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turn(cancel);
        let began = Instant::now();
        let permit = self.permit(&self.inner.queries, 1, patience).await;
        let permit = permit.map_err(|late| late.of("query timed out in query queue"))?;
        let waited = began.elapsed();
        let left = patience.saturating_sub(waited);
        let done = self.block(permit, move |db| work(db, left, waited)).await;
        drop(turn);
        done
    }

    /// Does the work of a write.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.permit(&self.inner.writes, 1, WRITE_PATIENCE).await;
        let permit = permit.map_err(|late| late.of(TOO_MANY_WRITES))?;
        self.block(permit, work).await
    }

    /// Room for the body of a write, for as long as what it gives is kept.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let kib = bytes.div_ceil(1024).clamp(1, BODY_ROOM_KIB) as u32;
        let room = self.permit(&self.inner.room, kib, WRITE_PATIENCE).await;
        room.map_err(|late| late.of(TOO_MANY_WRITES))
    }

    async fn permit(
        &self,
        of: &Arc<Semaphore>,
        many: u32,
        patience: Duration,
    ) -> Result<OwnedSemaphorePermit, Late> {
        match timeout(patience, Arc::clone(of).acquire_many_owned(many)).await {
            _ if self.is_closing() => Err(Late::Closing),
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Late::Closing),
            Err(_) => Err(Late::Waited),
        }
    }

    async fn block<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        work: impl FnOnce(&Db) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let door = self.clone();
        let task = spawn_blocking(move || {
            let _permit = permit;
            work(door.db())
        });
        let broken = |_| Failure::new(Kind::Internal, "the work broke off: this is a bug");
        task.await.map_err(broken)?
    }

    fn turn(&self, token: &CancelToken) -> Turn {
        let mut running = self.running();
        let number = running.next;
        running.next += 1;
        running.tokens.insert(number, token.clone());
        drop(running);
        Turn {
            door: self.clone(),
            number,
            token: token.clone(),
        }
    }

    /// A panic elsewhere leaves the map whole.
    fn running(&self) -> MutexGuard<'_, Running> {
        let lock = self.inner.running.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.token.cancel();
        self.door.running().tokens.remove(&self.number);
    }
}

const TOO_MANY_WRITES: &str = "too many writes at a time; try again";

/// Why there was no permit.
enum Late {
    Waited,
    Closing,
}

impl Late {
    fn of(self, waited: &str) -> Failure {
        match self {
            Late::Waited => Failure::new(Kind::Timeout, waited),
            Late::Closing => Failure::new(Kind::Unavailable, "the server is going down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door::new(Db::in_memory().unwrap(), Features::default())
    }

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_comes_too_late_is_told_that_he_waited() {
        let door = door();
        runtime().block_on(async {
            let all = Arc::clone(&door.inner.queries);
            let held = all.acquire_many_owned(MOST_QUERIES as u32).await.unwrap();
            let none = CancelToken::new();
            let asked = door.ask(Duration::ZERO, &none, |_, _, _| Ok(()));
            let failure = asked.await.unwrap_err();
            assert_eq!(failure.kind, Kind::Timeout);
            assert_eq!(failure.text, "query timed out in query queue");
            drop(held);
            let asked = door.ask(MINUTE, &none, |_, left, waited| Ok(left + waited));
            assert_eq!(asked.await, Ok(MINUTE));
        });
    }

    #[test]
    fn whoever_stops_waiting_cancels_what_was_for_him() {
        let door = door();
        runtime().block_on(async {
            let cancel = CancelToken::new();
            let seen = cancel.clone();
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let (ended, has_ended) = tokio::sync::oneshot::channel();
            let work = move |_: &Db, _, _| {
                begun.send(()).unwrap();
                while !seen.is_cancelled() {
                    std::thread::yield_now();
                }
                ended.send(()).unwrap();
                Ok(())
            };
            let asking = tokio::spawn({
                let (door, cancel) = (door.clone(), cancel.clone());
                async move { door.ask(MINUTE, &cancel, work).await }
            });
            has_begun.await.unwrap();
            assert_eq!(door.running().tokens.len(), 1);
            asking.abort();
            has_ended.await.unwrap();
            assert!(asking.await.unwrap_err().is_cancelled());
            assert_eq!(door.running().tokens.len(), 0);
        });
    }

    /// A body takes its room when it begins to arrive, not when it is there.
    #[test]
    fn bodies_wait_for_room() {
        let door = door();
        runtime().block_on(async {
            let most = door.room(usize::MAX).await.unwrap();
            assert_eq!(door.inner.room.available_permits(), 0);
            let none = door.permit(&door.inner.room, 1, Duration::ZERO).await;
            let failure = none.map_err(|late| late.of(TOO_MANY_WRITES)).unwrap_err();
            assert_eq!(failure.kind, Kind::Timeout);
            drop(most);
            let (one, two) = (door.room(0).await, door.room(1025).await);
            assert_eq!(door.inner.room.available_permits(), BODY_ROOM_KIB - 3);
            drop((one, two));
        });
    }

    #[test]
    fn nothing_begins_once_it_is_closing() {
        let door = door();
        door.begin_closing();
        let failure = runtime().block_on(door.write(|_| Ok(()))).unwrap_err();
        assert_eq!(failure.kind, Kind::Unavailable);
    }

    #[test]
    fn work_that_breaks_off_is_a_failure() {
        let door = door();
        let broken = door.write(|_| -> Result<(), Failure> { panic!("on purpose") });
        let failure = runtime().block_on(broken).unwrap_err();
        assert_eq!(failure.kind, Kind::Internal);
    }
}
