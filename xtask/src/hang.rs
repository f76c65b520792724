//! Ends a command that hangs, and tells what it and all that it started were doing.
//!
//! Input: the id of a process. Output: each thread below it as the kernel sees it: name, state, and
//! where it waits; then none of them is left. Linux only: elsewhere only the process itself ends.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::threads::{self, family_of, threads_of};

/// How often a command is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Waits for `child`; `None` when it took longer than `limit` and was ended.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            break;
        }
        std::thread::sleep(GLANCE);
    }
    println!("\nno end after {} s; what there is:", limit.as_secs());
    let processes = family_of(&child.id().to_string());
    for process in &processes {
        println!("{}", threads_of(process));
    }
    threads::end(&processes);
    let _ = child.kill();
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn what_hangs_is_ended_with_all_it_started() {
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", "sleep 1000 & wait"]).spawn().unwrap();
        let id = child.id().to_string();
        let started = Instant::now();
        let mut family = family_of(&id);
        while family.len() < 2 && started.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
            family = family_of(&id);
        }
        assert!(threads_of(&id).contains("\n  sh "), "{}", threads_of(&id));
        let ended = wait(&mut child, Duration::ZERO).unwrap();
        assert!(ended.is_none());
        for process in &family[1..] {
            let path = format!("/proc/{process}/stat");
            let is_left = || fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z"));
            while is_left() && started.elapsed() < Duration::from_secs(60) {
                std::thread::yield_now();
            }
            assert!(!is_left(), "{process} goes on");
        }
    }

    #[test]
    fn what_ends_by_itself_has_its_own_end() {
        let mut child = Command::new("true").spawn().unwrap();
        let ended = wait(&mut child, Duration::from_secs(60)).unwrap();
        assert!(ended.unwrap().success());
    }
}
