//! Ends a command that hangs, and tells what it and all that it started were doing.
//!
//! Input: the id of a process. Output: each thread below it as the kernel sees it: name, state, and
//! where it waits; then none of them is left. Linux only: elsewhere only the process itself ends.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

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
    let mut processes = vec![child.id().to_string()];
    let mut next = 0;
    while let Some(process) = processes.get(next) {
        println!("{}", threads_of(process));
        processes.extend(children_of(process));
        next += 1;
    }
    for process in processes.iter().rev() {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-9", process]).status();
    }
    let _ = child.kill();
    child.wait()?;
    Ok(None)
}

/// The processes that a process started.
fn children_of(process: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let children = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let children: String = children.map(Result::unwrap_or_default).collect();
    let ids = children.split_ascii_whitespace();
    ids.map(str::to_owned).collect()
}

/// The threads of a process; libtest names each after its test.
fn threads_of(process: &str) -> String {
    let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let mut text = format!("{process} {}", words.replace('\0', " "));
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(") ").next().and_then(|rest| rest.get(..1));
        let (name, wait) = (read("comm"), read("wchan"));
        let (name, state) = (name.trim(), state.unwrap_or("?"));
        text += &format!("\n  {name}: {state} in {}", wait.trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_ended_with_all_it_started() {
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", "sleep 1000 & wait"]).spawn().unwrap();
        let id = child.id().to_string();
        let started = Instant::now();
        let mut children = children_of(&id);
        while children.is_empty() && started.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
            children = children_of(&id);
        }
        assert!(threads_of(&id).contains("\n  sh: "), "{}", threads_of(&id));
        let ended = wait(&mut child, Duration::ZERO).unwrap();
        assert!(ended.is_none());
        for process in &children {
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
