//! A disk whose fsync fails, under the built binary: `strace` makes each fsync in turn the failing
//! one. What was told to be in is there afterwards, nothing is invented, and no file is fsynced
//! again after that failed once.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{BINARY, Ran, feed, lines, samples, samples_of_lines, treering};

/// The calls that make a file durable; each is failed by itself.
const CALLS: [&str; 2] = ["fdatasync", "fsync"];

/// Runs `treering` while the call number `nth` of that name fails in each thread; gives how it ended
/// and what was traced.
fn with_failing(
    dir: &Path,
    (call, nth): (&str, u64),
    words: &[&str],
    input: &[u8],
) -> (Ran, String) {
    let log = dir.join("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", "trace=fdatasync,fsync", "-o"]);
    command.arg(&log).arg("-e");
    command.arg(format!("inject={call}:error=EIO:when={nth}"));
    command.arg(BINARY).args(words).current_dir(dir);
    let ran = feed(&mut command, input);
    (ran, std::fs::read_to_string(log).unwrap())
}

/// Whether processes can be traced here; says so when not.
fn can_trace() -> bool {
    let mut trace = Command::new("strace");
    trace.args(["-o", "/dev/null", "true"]);
    let ran = trace.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = ran.is_ok_and(|status| status.success());
    if !can {
        // Past the capture of the test harness: nobody may think that it ran.
        let why = "SKIPPED: failing fsync under the binary; that needs strace (apt-get install \
                   strace) and a kernel that lets it trace";
        let mut errors = std::io::stderr();
        writeln!(errors, "{why}").unwrap();
    }
    can
}

/// The file of each traced call that failed by injection, with the calls on it that came later.
fn injected(log: &str) -> BTreeMap<String, u64> {
    let mut failed = BTreeMap::new();
    for line in log.lines() {
        let file = line.split(['<', '>']).nth(1).unwrap_or(line);
        if line.contains("(INJECTED)") {
            failed.entry(file.to_owned()).or_insert(0);
        } else if let Some(later) = failed.get_mut(file) {
            *later += 1;
        }
    }
    failed
}

/// Imports `count` lines in batches of `batch` while each fsync in turn fails; of which files.
fn import_while_each_fsync_fails(count: u64, batch: u64) -> Vec<String> {
    let (input, all) = (lines(count), samples_of_lines(count));
    let mut files = Vec::new();
    for call in CALLS {
        for nth in 1.. {
            let story = format!("{call} {nth}");
            let dir = tempfile::tempdir().unwrap();
            let words = ["import", "db", "--json", "--batch", &batch.to_string()];
            let (ran, log) = with_failing(dir.path(), (call, nth), &words, input.as_bytes());
            let failed = injected(&log);
            if failed.is_empty() {
                assert_eq!(ran.code, Some(0), "{story}: {}", ran.err);
                break;
            }
            files.extend(failed.keys().cloned());
            assert_eq!(ran.code, Some(2), "{story} of {failed:?}: {ran:?}");
            assert!(
                ran.err.contains("Input/output error"),
                "{story}: {}",
                ran.err
            );
            assert!(failed.values().all(|&later| later == 0), "{story}: {log}");
            let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
            let told = report["samples"].as_u64().unwrap();
            if told > 0 && told < count {
                let stopped = "an earlier failure stopped all writes (cannot fsync ";
                assert!(ran.err.contains(stopped), "{story}: {}", ran.err);
                let place = format!("standard input:{} is in the database", told + 1);
                assert!(ran.err.contains(&place), "{story}: {}", ran.err);
            }
            // The disk is well again. The batch that failed may be there, or not.
            let words = ["import", "db"];
            let ran = treering(dir.path(), &words, b"");
            assert_eq!(ran.code, Some(0), "{story}: {}", ran.err);
            let found = samples(&dir.path().join("db"));
            let there = found.len() as u64;
            assert!(
                there >= told && there <= told + batch && there.is_multiple_of(batch),
                "{story}: {told} were told to be in, {there} are there"
            );
            assert!(found == samples_of_lines(there), "{story}");
            if there > 0 && there < count {
                let again = treering(dir.path(), &words, input.as_bytes());
                assert_eq!(again.code, Some(0), "{story}: {}", again.err);
                assert!(samples(&dir.path().join("db")) == all, "{story}");
            }
            assert_eq!(treering(dir.path(), &["verify", "db"], b"").code, Some(0));
        }
    }
    eprintln!("fsync failures: {} in {count} lines", files.len());
    files
}

#[test]
fn an_import_tells_the_truth_when_any_fsync_fails() {
    if can_trace() {
        let files = import_while_each_fsync_fails(600, 100);
        let logs = files.iter().filter(|file| file.ends_with(".wal")).count();
        assert!(logs > 6 && files.len() > logs, "{files:?}");
    }
}

/// So much that closing writes a block.
#[test]
fn a_flush_tells_the_truth_when_any_fsync_fails() {
    if can_trace() {
        let files = import_while_each_fsync_fails(530_000, 530_000);
        assert!(
            files.iter().any(|file| file.contains("/blocks/")),
            "{files:?}"
        );
    }
}

#[test]
fn a_repair_is_whole_or_not_there_when_any_fsync_fails() {
    if !can_trace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    treering(dir.path(), &["import", "db"], lines(600).as_bytes());
    let mut failures = 0;
    for call in CALLS {
        for nth in 1.. {
            let words = ["repair", "db", "new"];
            let (ran, log) = with_failing(dir.path(), (call, nth), &words, b"");
            let failed = injected(&log);
            if failed.is_empty() {
                assert_eq!(ran.code, Some(0), "{call} {nth}: {}", ran.err);
                assert_eq!(samples(&dir.path().join("new")), samples_of_lines(600));
                std::fs::remove_dir_all(dir.path().join("new")).unwrap();
                break;
            }
            failures += 1;
            assert_eq!(ran.code, Some(2), "{call} {nth}: {ran:?}\n{log}");
            assert!(ran.err.contains("Input/output error"), "{}", ran.err);
            let names = std::fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["db", "strace.log"], "{call} {nth}: {}", ran.err);
        }
    }
    assert!(failures > 3, "{failures} calls failed");
    assert_eq!(samples(&dir.path().join("db")), samples_of_lines(600));
}
