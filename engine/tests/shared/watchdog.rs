//! Ends a test that hangs, and says what each thread was doing.
//!
//! Input: a note from each thread of the test whenever it did something. Output: nothing, as long as
//! any of them does; after a while without one the notes, the threads of the process as the kernel
//! sees them, and the end of the process: a test that waits for ever tells nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "it looks at the test from outside: at its threads, its files, its time"
)]

mod threads;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use threads::{family_of, threads_of};

/// Without a note of any thread for so long, a test is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a thread did last.
#[derive(Debug)]
struct Note {
    thread: String,
    what: Cow<'static, str>,
    when: Instant,
}

type Notes = Mutex<Vec<Arc<Mutex<Note>>>>;

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    steps: AtomicU64,
    notes: Notes,
}

thread_local! {
    /// The note of this thread, and the watchdog that it is for.
    static MINE: RefCell<Option<(usize, Arc<Mutex<Note>>)>> = const { RefCell::new(None) };
}

impl Watchdog {
    /// Watches the test of this name.
    pub(crate) fn of(test: &'static str) -> Self {
        Self::patient(test, PATIENCE, |report| {
            eprintln!("{report}");
            // Nobody else would end the children.
            threads::end(family_of("self").get(1..).unwrap_or_default());
            std::process::abort();
        })
    }

    fn patient(
        test: &'static str,
        patience: Duration,
        end: impl FnOnce(String) + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (alive, watched) = channel::<()>();
        let watching = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut seen = 0;
            while watched.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let steps = watching.steps.load(Ordering::Relaxed);
                if steps == seen {
                    return end(watching.report(test, patience));
                }
                seen = steps;
            }
        });
        Self {
            shared,
            alive: Some(alive),
            thread: Some(thread),
        }
    }

    /// This thread goes on, and is about to do this.
    pub(crate) fn note(&self, what: impl Into<Cow<'static, str>>) {
        let what = what.into();
        let shared = &*self.shared;
        shared.steps.fetch_add(1, Ordering::Relaxed);
        MINE.with_borrow_mut(|mine| {
            let id = Arc::as_ptr(&self.shared).addr();
            if mine.as_ref().is_none_or(|(of, _)| *of != id) {
                let note = Arc::new(Mutex::new(Note::new(what)));
                locked(&shared.notes).push(Arc::clone(&note));
                *mine = Some((id, note));
            } else if let Some((_, note)) = mine {
                let mut note = locked(note);
                (note.what, note.when) = (what, Instant::now());
            }
        });
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
        }
    }
}

impl Note {
    fn new(what: Cow<'static, str>) -> Self {
        let current = std::thread::current();
        let name = current.name().unwrap_or("unnamed");
        Self {
            thread: format!("{name} {:?}", current.id()),
            what,
            when: Instant::now(),
        }
    }
}

impl Shared {
    fn report(&self, test: &str, patience: Duration) -> String {
        let mut text = format!("{test}: no thread went on for {patience:?}\n");
        for note in locked(&self.notes).iter() {
            // A thread holds its note for a moment only.
            let Note { thread, what, when } = &*locked(note);
            let ago = when.elapsed();
            let _ = writeln!(text, "  {thread}: {what}, since {ago:?}");
        }
        for process in family_of("self") {
            let _ = writeln!(text, "{}", threads_of(&process));
        }
        text
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn who_does_not_go_on_is_named() {
    let (said, heard) = channel();
    let dog = Watchdog::patient("a test", Duration::from_millis(20), move |report| {
        // The test may have failed meanwhile.
        let _ = said.send(report);
    });
    let (release, released) = channel::<()>();
    std::thread::scope(|scope| {
        let stuck = std::thread::Builder::new().name("stuck".to_owned());
        let dog = &dog;
        let waits = move || {
            dog.note("wait for ever");
            let _ = released.recv();
        };
        stuck.spawn_scoped(scope, waits).unwrap();
        let report = heard.recv().unwrap();
        drop(release);
        assert!(
            report.contains("a test: no thread went on for 20ms"),
            "{report}"
        );
        assert!(report.contains(": wait for ever, since "), "{report}");
        assert!(report.contains("stuck"), "{report}");
    });
}

#[test]
fn who_goes_on_is_left_alone() {
    let dog = Watchdog::patient("a test", Duration::from_secs(3600), |report| {
        panic!("{report}");
    });
    dog.note("begin");
    dog.note("end");
    drop(dog);
}
