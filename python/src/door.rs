//! The door between Python and the engine: panics, signals, the interpreter's lock.
//!
//! Input: a call. Output: its value or an exception. Invariants: no panic passes; what runs
//! detached does not touch Python; a question asked by the main thread ends when Python has a
//! signal to raise for, such as Ctrl-C.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use treering::CancelToken;

use crate::failure::{Failure, Outcome};

/// How often the main thread looks for signals while it waits for an answer.
const LOOK: Duration = Duration::from_millis(50);

/// What `call` gives, attached to the interpreter; a panic is an exception.
pub(crate) fn door<T>(py: Python<'_>, call: impl FnOnce() -> Outcome<T>) -> PyResult<T> {
    caught(call).map_err(|failure| failure.raise(py))
}

/// What `call` gives, detached from the interpreter, so that other threads of Python go on.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> Outcome<T> + Send,
) -> Outcome<T> {
    py.detach(|| caught(call))
}

/// What `call` gives; a panic is a failure.
pub(crate) fn caught<T>(call: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    // What a panic left half done is behind locks that are still sound; the exception tells.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let failure = Failure::panic(&*payload);
        // A payload may panic when it is dropped.
        std::mem::forget(payload);
        Err(failure)
    })
}

/// As [`detached`]; on the main thread, where Python takes signals, a thread asks while this one
/// looks for them, and `token` ends the question when one raises.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    token: &CancelToken,
    ask: impl FnOnce() -> Outcome<T> + Send,
) -> Outcome<T> {
    if !is_main_thread(py)? {
        return detached(py, ask);
    }
    let (done, answer) = sync_channel(1);
    thread::scope(|scope| {
        let work = move || {
            // Nobody listens only when this call has ended, which waits for this thread.
            let _ = done.send(caught(ask));
        };
        thread::Builder::new()
            .name("treering-query".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|error| Failure::new("Error", format_args!("no thread to ask: {error}")))?;
        wait(py, token, answer)
    })
}

/// Waits for an answer, and ends the question when a signal raises.
fn wait<T: Send>(
    py: Python<'_>,
    token: &CancelToken,
    mut answer: Receiver<Outcome<T>>,
) -> Outcome<T> {
    loop {
        let (found, receiver) = py.detach(move || (answer.recv_timeout(LOOK), answer));
        answer = receiver;
        match found {
            Ok(found) => return found,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("InternalError", "the question was lost"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Err(raised) = py.check_signals() {
            token.cancel();
            py.detach(move || drop(answer.recv()));
            return Err(raised.into());
        }
    }
}

/// Whether this is the thread in which Python runs handlers of signals.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}
