//! Prometheus and VictoriaMetrics: servers of their own, on this machine's loopback.
//!
//! Input: the workload by remote write, questions by their HTTP API. Output: figures of the server's
//! process, times of whole replies. Each runs in the folder that it is given and ends with the bench;
//! one connection, batches of 10,000 samples, ten of each series, encoded before the clock runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use treering_benches::child::{Measured, median};
use treering_benches::questions::Question;
use treering_benches::{Result, process};

use crate::engine::{Engine, Found};
use crate::http::{Client, free_port};
use crate::promql::{self, Dialect};
use crate::remote_write::Encoder;
use crate::workload::Rows;

const PATIENCE: Duration = Duration::from_secs(120);

const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// One of the two.
#[derive(Debug)]
pub(crate) struct Server {
    dialect: Dialect,
    program: PathBuf,
    /// Nanoseconds between samples, and the last of them.
    step: i64,
    end: i64,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    client: Client,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing of it is kept: its files go with their folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn new(dialect: Dialect, program: PathBuf) -> Self {
        Self {
            dialect,
            program,
            step: 0,
            end: 0,
            running: None,
        }
    }

    fn start(&self, folder: &Path) -> Result<Running> {
        let address = free_port()?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(&self.program);
        match self.dialect {
            Dialect::Prometheus => {
                std::fs::write(folder.join("prometheus.yml"), "global: {}\n")?;
                prometheus(&mut command, folder, address);
            }
            Dialect::VictoriaMetrics => victoria_metrics(&mut command, folder, address),
        }
        command.current_dir(folder).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let mut running = Running {
            child: command.spawn()?,
            client: Client::new(address),
        };
        let path = match self.dialect {
            Dialect::Prometheus => "/-/ready",
            Dialect::VictoriaMetrics => "/health",
        };
        wait(self.name(), || {
            if let Some(status) = running.child.try_wait()? {
                let log = std::fs::read_to_string(folder.join("log"))?;
                return Err(format!("{}: {status}: {log}", self.program.display()).into());
            }
            Ok(running.client.get(path).is_ok())
        })?;
        Ok(running)
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running
            .as_mut()
            .ok_or_else(|| "the server does not run".into())
    }

    /// Flushes and compacts as far as the server can be asked to; bytes of all that it keeps.
    fn settle(&mut self, folder: &Path) -> Result<u64> {
        let dialect = self.dialect;
        let client = &mut self.running()?.client;
        match dialect {
            // The head has no other way to the form of blocks.
            Dialect::Prometheus => {
                client.post("/api/v1/admin/tsdb/snapshot", &[], &[])?;
                process::folder_bytes(&folder.join("data/snapshots"))
            }
            Dialect::VictoriaMetrics => {
                client.get("/internal/force_flush")?;
                client.get("/internal/force_merge")?;
                wait("the forced merge", || {
                    let text = String::from_utf8(client.get("/metrics")?)?;
                    let merges = text
                        .lines()
                        .filter(|line| line.starts_with("vm_active_merges{"));
                    let active = merges.filter(|line| !line.ends_with(" 0"));
                    let forced = text
                        .lines()
                        .find(|l| l.starts_with("vm_active_force_merges "));
                    Ok(active.count() == 0 && forced.is_none_or(|line| line.ends_with(" 0")))
                })?;
                let data = process::folder_bytes(&folder.join("data/data"))?;
                Ok(data + process::folder_bytes(&folder.join("data/indexdb"))?)
            }
        }
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

/// Asks again and again until it is so.
fn wait(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let at = Instant::now();
    while !is_so()? {
        if at.elapsed() > PATIENCE {
            return Err(format!("{what} took longer than {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

impl Engine for Server {
    fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Prometheus => "prometheus",
            Dialect::VictoriaMetrics => "victoriametrics",
        }
    }

    fn about(&self) -> String {
        let (version, settled) = match self.dialect {
            Dialect::Prometheus => ("2.42 of Debian", "a snapshot through the admin API"),
            Dialect::VictoriaMetrics => ("1.79.5 of Debian", "force_flush and force_merge"),
        };
        format!(
            "{version}, defaults, retention of 100 years; remote write of 10,000 samples a request \
             (ten of each series, syncing is the server's own affair); HTTP on loopback, one \
             connection; then {settled}"
        )
    }

    fn append(&mut self, rows: &Rows, folder: &Path) -> Result<Measured> {
        self.step = rows.generator.shape().step;
        self.end = rows.times.last().copied().unwrap_or_default();
        self.running = Some(self.start(folder)?);
        let labels = (0..rows.width() as u64).map(|series| rows.generator.labels(series));
        let mut encoder = Encoder::new(labels);
        let running = self.running()?;
        let process = running.child.id();
        let cpu = process::cpu_seconds_of(process)?;
        let mut took = Duration::ZERO;
        for (times, values) in rows.batches() {
            let body = encoder.request(times, values)?;
            let at = Instant::now();
            running.client.post("/api/v1/write", &HEADERS, &body)?;
            took += at.elapsed();
        }
        let appended = process::cpu_seconds_of(process)?;
        let bytes = self.settle(folder)? as f64;
        let settled = process::cpu_seconds_of(process)?;
        let millions = rows.values.len() as f64 / 1e6;
        Ok(Measured::from([
            ("rate".to_owned(), millions * 1e6 / took.as_secs_f64()),
            ("cpu".to_owned(), (appended - cpu) / millions),
            ("settled_cpu".to_owned(), (settled - cpu) / millions),
            ("bytes".to_owned(), bytes / (millions * 1e6)),
        ]))
    }

    fn ask(&mut self, question: &Question) -> Result<(f64, Found)> {
        let path = promql::request(self.dialect, question, self.step, self.end);
        let at = Instant::now();
        let reply = self.running()?.client.get(&path)?;
        let took = at.elapsed().as_secs_f64() * 1e3;
        Ok((took, promql::found(&reply)?))
    }

    fn floor(&mut self) -> Result<Option<f64>> {
        let client = &mut self.running()?.client;
        let mut times = Vec::new();
        for _ in 0..21 {
            let at = Instant::now();
            client.get("/api/v1/query?query=nothing_of_this_name")?;
            times.push(at.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Some(median(times)))
    }
}
