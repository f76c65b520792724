//! Prometheus and VictoriaMetrics as processes of ours.
//!
//! Input: a program, an empty folder. Output: a server that is ready and listens on a free port of
//! the loopback; what it says goes to the file `log` of its folder. Dropped, it is gone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::{Client, free_port};
use crate::Result;

/// Longer does no server take to start or to settle.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts with a port that somebody took meanwhile are repeated.
const STARTS: usize = 3;

/// What requests of remote write say of themselves.
const WRITTEN: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Whose server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus, 2.42 of Debian.
    Prometheus,
    /// VictoriaMetrics, 1.79 of Debian.
    VictoriaMetrics,
}

impl Dialect {
    /// Name of the program and of its Debian package.
    pub const fn program(self) -> &'static str {
        match self {
            Dialect::Prometheus => "prometheus",
            Dialect::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// The program: in the folder that `cargo xtask` fills, or else on the path.
    pub fn find(self, tools: Option<&Path>) -> Option<PathBuf> {
        let name = self.program();
        let kept = tools.map(|folder| folder.join("debian/usr/bin").join(name));
        let mut programs = kept.into_iter().chain([PathBuf::from(name)]);
        programs.find(|program| runs(program, &["--version"]))
    }

    fn ready(self) -> &'static str {
        match self {
            Dialect::Prometheus => "/-/ready",
            Dialect::VictoriaMetrics => "/health",
        }
    }
}

/// Whether a program is there and succeeds.
pub fn runs(program: &Path, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is kept: its files go with their folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server in a folder, with more flags than it always gets, and waits until it is ready.
    pub fn start(dialect: Dialect, program: &Path, folder: &Path, more: &[&str]) -> Result<Self> {
        let mut failed = None;
        for _ in 0..STARTS {
            match Self::start_once(dialect, program, folder, more) {
                Ok(server) => return Ok(server),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| "the server was not started".into()))
    }

    fn start_once(dialect: Dialect, program: &Path, folder: &Path, more: &[&str]) -> Result<Self> {
        let address = free_port()?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        match dialect {
            Dialect::Prometheus => {
                std::fs::write(folder.join("prometheus.yml"), "global: {}\n")?;
                prometheus(&mut command, folder, address);
            }
            Dialect::VictoriaMetrics => victoria_metrics(&mut command, folder, address),
        }
        command.args(more).current_dir(folder).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let mut server = Self {
            child: command.spawn()?,
            address,
            client: Client::new(address),
        };
        wait(dialect.program(), || {
            if let Some(status) = server.child.try_wait()? {
                let log = std::fs::read_to_string(folder.join("log"))?;
                return Err(format!("{}: {status}: {log}", program.display()).into());
            }
            Ok(server.client.get(dialect.ready()).is_ok())
        })?;
        Ok(server)
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The connection that the server has with its owner.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// One more connection.
    pub fn connect(&self) -> Client {
        Client::new(self.address)
    }

    /// Sends a body of remote write; fails unless all of it was taken.
    pub fn write(&mut self, body: &[u8]) -> Result<()> {
        self.client.post("/api/v1/write", &WRITTEN, body)?;
        Ok(())
    }
}

fn prometheus(command: &mut Command, folder: &Path, address: SocketAddr) {
    command.arg(format!(
        "--config.file={}",
        folder.join("prometheus.yml").display()
    ));
    command.arg(format!(
        "--storage.tsdb.path={}",
        folder.join("data").display()
    ));
    command.arg("--storage.tsdb.retention.time=100y");
    command.arg(format!("--web.listen-address={address}"));
    command.args([
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
    ]);
    command.arg("--log.level=warn");
}

fn victoria_metrics(command: &mut Command, folder: &Path, address: SocketAddr) {
    command.arg(format!(
        "-storageDataPath={}",
        folder.join("data").display()
    ));
    command.arg("-retentionPeriod=100y");
    command.arg(format!("-httpListenAddr={address}"));
    command.arg("-loggerLevel=WARN");
}

/// Asks again and again until it is so; fails after two minutes.
pub fn wait(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let at = Instant::now();
    while !is_so()? {
        if at.elapsed() > PATIENCE {
            return Err(format!("{what} took longer than {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
