//! Prometheus and VictoriaMetrics: servers of their own, on this machine's loopback.
//!
//! Input: the workload by remote write, questions by their HTTP API. Output: figures of the server's
//! process, times of whole replies. Each runs in the folder that it is given and ends with the bench;
//! one connection, batches of 10,000 samples, ten of each series, encoded before the clock runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use treering_benches::child::{Measured, median};
use treering_benches::questions::Question;
use treering_benches::rival::remote_write::Encoder;
use treering_benches::rival::server::{self, Dialect, wait};
use treering_benches::{Result, process};

use crate::engine::{Engine, Found};
use crate::promql;
use crate::workload::Rows;

/// One of the two.
#[derive(Debug)]
pub(crate) struct Server {
    dialect: Dialect,
    program: PathBuf,
    /// Nanoseconds between samples, and the last of them.
    step: i64,
    end: i64,
    running: Option<server::Server>,
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

    fn running(&mut self) -> Result<&mut server::Server> {
        self.running
            .as_mut()
            .ok_or_else(|| "the server does not run".into())
    }

    /// Flushes and compacts as far as the server can be asked to; bytes of all that it keeps.
    fn settle(&mut self, folder: &Path) -> Result<u64> {
        let dialect = self.dialect;
        let client = self.running()?.client();
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
        self.running = Some(server::Server::start(
            self.dialect,
            &self.program,
            folder,
            &[],
        )?);
        let labels = (0..rows.width() as u64).map(|series| rows.generator.labels(series));
        let mut encoder = Encoder::new(labels);
        let running = self.running()?;
        let process = running.process();
        let cpu = process::cpu_seconds_of(process)?;
        let mut took = Duration::ZERO;
        for (times, values) in rows.batches() {
            let body = encoder.request(times, values)?;
            let at = Instant::now();
            running.write(&body)?;
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
        let reply = self.running()?.client().get(&path)?;
        let took = at.elapsed().as_secs_f64() * 1e3;
        Ok((took, promql::found(&reply)?))
    }

    fn floor(&mut self) -> Result<Option<f64>> {
        let client = self.running()?.client();
        let mut times = Vec::new();
        for _ in 0..21 {
            let at = Instant::now();
            client.get("/api/v1/query?query=nothing_of_this_name")?;
            times.push(at.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Some(median(times)))
    }
}
