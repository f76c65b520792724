//! Processes and their threads as the kernel sees them, for whoever has to end what hangs.
//!
//! Input: the id of a process, or `self`. Output: those that it started, what their threads wait for,
//! and their end. Linux only: elsewhere there is nothing to see. `xtask` uses this file as well.
#![allow(
    clippy::disallowed_methods,
    reason = "it looks at processes from outside"
)]

use std::fs;
use std::process::Command;

/// A process and all that it started, directly or not.
pub(crate) fn family_of(process: &str) -> Vec<String> {
    let mut family = vec![process.to_owned()];
    let mut next = 0;
    while let Some(parent) = family.get(next) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task"));
        let tasks = tasks.into_iter().flatten().flatten();
        let children = tasks.map(|task| fs::read_to_string(task.path().join("children")));
        let children: String = children.map(Result::unwrap_or_default).collect();
        family.extend(children.split_ascii_whitespace().map(str::to_owned));
        next += 1;
    }
    family
}

/// The words that a process was started with, and a line for each of its threads: name (libtest
/// gives it that of its test), id, state, and in which call it waits.
pub(crate) fn threads_of(process: &str) -> String {
    let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let mut text = format!("{process} {}", words.replace('\0', " "));
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(") ").next().and_then(|rest| rest.get(..1));
        let (name, wait, call) = (read("comm"), read("wchan"), read("syscall"));
        text += &format!(
            "\n  {} {}: {} in {} (call {})",
            name.trim(),
            task.file_name().display(),
            state.unwrap_or("?"),
            wait.trim(),
            call.split(' ').next().unwrap_or_default().trim()
        );
    }
    text
}

/// Ends processes, the last first.
pub(crate) fn end(processes: &[String]) {
    for process in processes.iter().rev() {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-9", process]).status();
    }
}
