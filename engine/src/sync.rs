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
