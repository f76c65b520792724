//! Two hundred kills of a writing process, the short form of `cargo xtask soak kill`.
//!
//! Input: the bench `kill`. Nothing acknowledged may be lost, nothing invented, every reopen clean.
#![allow(
    clippy::print_stdout,
    reason = "a test shows what the run that failed printed"
)]

use std::process::Command;

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    let run = Command::new(env!("CARGO_BIN_EXE_kill"))
        .args(["--rounds", "200"])
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&run.stdout));
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
