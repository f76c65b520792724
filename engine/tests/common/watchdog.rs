//! Ends the process when one run out of many hangs, and says which one.
//!
//! Input: the name of each run as it begins. Output: nothing, or the end of the process with that
//! name. A thread that waits for ever cannot be failed in any other way.
#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a watchdog needs a real clock and a thread that nobody joins"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No run takes nearly as long, even where other work has the processors.
const LONGEST: Duration = Duration::from_secs(60);

/// Watches one thread until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    run: Arc<Mutex<(Instant, String)>>,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let run = Arc::new(Mutex::new((Instant::now(), String::new())));
        let watched = Arc::downgrade(&run);
        std::thread::spawn(move || {
            while let Some(run) = watched.upgrade() {
                let (since, name) = run.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if since.elapsed() > LONGEST {
                    eprintln!("it hangs: {name}");
                    std::process::abort();
                }
                drop(run);
                std::thread::park_timeout(Duration::from_secs(1));
            }
        });
        Self { run }
    }

    /// A run begins, and the one before has ended.
    pub(crate) fn begin(&self, name: impl FnOnce() -> String) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        *run = (Instant::now(), name());
    }
}
