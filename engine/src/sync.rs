//! Locks, channels and threads behind one import, so that a model checker can take their place.
//!
//! Everything in the engine that blocks or shares takes its types from here.

#[cfg(shuttle)]
mod model;

pub(crate) use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
#[cfg(shuttle)]
pub(crate) use model::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Starts a named thread of the engine.
#[expect(clippy::disallowed_methods, reason = "the one door for threads")]
pub(crate) fn spawn<F>(name: &str, body: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    std::thread::Builder::new()
        .name(format!("treering-{name}"))
        .spawn(body)
}

/// Threads that the questions of a database may take beside those that ask.
#[derive(Debug)]
pub(crate) struct SpareThreads(AtomicUsize);

impl SpareThreads {
    /// So many of them.
    pub(crate) fn new(threads: usize) -> Self {
        Self(AtomicUsize::new(threads))
    }

    /// At most `most` of those that nobody has, until they are dropped.
    pub(crate) fn lend(&self, most: usize) -> LentThreads<'_> {
        let left = |spare: usize| Some(spare - spare.min(most));
        let spare = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        let count = spare.unwrap_or(0).min(most);
        LentThreads { spare: self, count }
    }
}

/// Threads that are given back when this goes.
#[derive(Debug)]
pub(crate) struct LentThreads<'a> {
    spare: &'a SpareThreads,
    pub(crate) count: usize,
}

impl Drop for LentThreads<'_> {
    fn drop(&mut self) {
        self.spare.0.fetch_add(self.count, Ordering::Relaxed);
    }
}

/// Does `work` with each of `parts` on at most `threads` threads, the caller's among them; the
/// results in the order of the parts, or an error of one of them, after which no other is begun.
pub(crate) fn side_by_side<P, R, E>(
    parts: Vec<P>,
    threads: usize,
    work: impl Fn(P) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    P: Send,
    R: Send,
    E: Send,
{
    // A model checker has threads of its own.
    if threads < 2 || parts.len() < 2 || cfg!(shuttle) {
        return parts.into_iter().map(work).collect();
    }
    let threads = threads.min(parts.len());
    let waiting = Mutex::new(parts.into_iter().enumerate());
    let mut done = Mutex::new(Vec::new());
    let failed = AtomicBool::new(false);
    let take_part = || {
        while !failed.load(Ordering::Relaxed) {
            let next = waiting.lock().next();
            let Some((number, part)) = next else { break };
            let result = work(part);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.lock().push((number, result));
        }
    };
    std::thread::scope(|scope| {
        let spawn = |_| {
            let thread = std::thread::Builder::new().name("treering-query".to_owned());
            thread.spawn_scoped(scope, take_part)
        };
        // Where no thread can be had, those that there are do it.
        let others: Vec<_> = (1..threads).map(spawn).map_while(Result::ok).collect();
        take_part();
        // A scope waits too, but inside std, where no sanitizer sees it.
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let mut done = std::mem::take(done.get_mut());
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_threads_are_lent_once_and_come_back() {
        let spare = SpareThreads::new(3);
        let first = spare.lend(2);
        let second = spare.lend(2);
        assert_eq!((first.count, second.count, spare.lend(2).count), (2, 1, 0));
        drop(first);
        assert_eq!(spare.lend(9).count, 2);
        drop(second);
        assert_eq!(spare.lend(9).count, 3);
    }

    #[test]
    fn parts_done_by_several_threads_come_in_order_and_an_error_ends_them() {
        let parts: Vec<u64> = (0..1000).collect();
        for threads in [1, 2, 7] {
            let squares = side_by_side(parts.clone(), threads, |part| Ok::<_, ()>(part * part));
            let wanted: Vec<u64> = parts.iter().map(|part| part * part).collect();
            assert_eq!(squares.unwrap(), wanted);
            let refused = side_by_side(parts.clone(), threads, |part| match part {
                500.. => Err(part),
                _ => Ok(part),
            });
            assert!(refused.is_err_and(|part| part >= 500));
        }
    }
}
