//! `treering serve`, the binary: its first line, its end, what it refuses.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::client::Client;
use super::messages::{request, series};
use crate::support::{BINARY, treering};

/// A server of its own process, and what it says.
struct Process {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn new(dir: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.current_dir(dir).args(["serve", "--db", "db"]);
        command
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("first line: {line:?}"));
        let address = address.parse().unwrap();
        Self {
            child,
            out,
            address,
        }
    }

    /// Sends a signal and waits for the end: exit code, what else was said.
    fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(killed.success());
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

#[test]
fn a_signal_ends_it_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    for (signal, time) in [("-TERM", 1000), ("-INT", 2000)] {
        let server = Process::new(dir.path(), &["--listen", "127.0.0.1:0"]);
        assert_ne!(server.address.port(), 0);
        let mut client = Client::new(server.address);
        let sent = request(vec![series(&[("__name__", "up")], &[(time, 1.0)])]);
        assert_eq!(client.write(&sent).status, 204);
        // The connection stays open and idle; that does not hold the end up.
        let began = std::time::Instant::now();
        let (code, out, err) = server.end(signal);
        assert_eq!((code, &*out, &*err), (Some(0), "", ""));
        assert!(began.elapsed().as_secs() < 10);
    }
    let words = [
        "query", "--db", "db", "up[10s]", "--time", "5", "--format", "csv",
    ];
    let ran = treering(dir.path(), &words, b"");
    assert_eq!(ran.out, "__name__,timestamp,value\nup,1,1\nup,2,1\n");
}

#[test]
fn a_query_sees_what_a_server_that_runs_has_taken() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["--listen", "127.0.0.1:0", "--enable-feature", "all"];
    let server = Process::new(dir.path(), &words);
    let sent = request(vec![series(&[("__name__", "up")], &[(1000, 7.0)])]);
    assert_eq!(Client::new(server.address).write(&sent).status, 204);
    let ran = treering(
        dir.path(),
        &["query", "--db", "db", "up", "--time", "1"],
        b"",
    );
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "series  value\nup      7\n")
    );
    // A second writer is refused.
    let ran = treering(
        dir.path(),
        &["serve", "--db", "db", "--listen", "127.0.0.1:0"],
        b"",
    );
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.contains("the database is in use"), "{}", ran.err);
    assert_eq!(server.end("-TERM").0, Some(0));
}

#[test]
fn listening_to_the_world_is_said_loudly() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::new(dir.path(), &["--listen", "0.0.0.0:0"]);
    let (code, _, err) = server.end("-TERM");
    assert_eq!(code, Some(0));
    assert!(err.contains("WARNING: there is no authentication"), "{err}");
}

#[test]
fn what_cannot_be_served_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (words, why) in [
        (["--listen", "nowhere"], "cannot listen at nowhere"),
        (
            ["--enable-feature", "promql-magic"],
            "there is no feature \"promql-magic\"",
        ),
    ] {
        let words = [&["serve", "--db", "db"][..], &words].concat();
        let ran = treering(dir.path(), &words, b"");
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{ran:?}");
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}
