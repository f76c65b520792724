//! Prometheus itself beside us: it scrapes itself, writes what it finds to us, and both answer the
//! same questions alike.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use treering_promql::Features;

use super::client::{Client, Served};

/// A scrape, and so a sample of each series.
const INTERVAL_MILLIS: i64 = 200;

/// How long Prometheus may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prometheus, killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn new(program: &OsString, dir: &Path, writes_to: SocketAddr) -> Self {
        // Free now; nobody else here asks for ports by number.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let config = format!(
            "global: {{ scrape_interval: {INTERVAL_MILLIS}ms, scrape_timeout: 150ms }}\n\
             scrape_configs:\n\
             - job_name: itself\n  \
               static_configs: [{{ targets: ['{address}'] }}]\n\
             remote_write:\n\
             - url: http://{writes_to}/api/v1/write\n  \
               queue_config: {{ max_shards: 1, batch_send_deadline: 100ms }}\n"
        );
        fs::write(dir.join("prometheus.yml"), config).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new(program)
            .current_dir(dir)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, address }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, dir: &Path, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if began.elapsed() > PATIENCE {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            panic!("{what} did not come about; Prometheus says\n{log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The result of a query; an instant vector in the order of its labels.
fn result(client: &mut Client, path: &str, params: &[(&str, &str)]) -> Vec<Value> {
    let reply = client.post(path, params);
    assert_eq!(reply.status, 200, "{params:?}: {}", reply.body);
    let mut result = reply.json()["data"]["result"].as_array().unwrap().clone();
    result.sort_by_key(|series| series["metric"].to_string());
    result
}

pub(crate) fn program() -> Option<OsString> {
    if let Some(program) = std::env::var_os("TREERING_PROMETHEUS") {
        return Some(program);
    }
    let found = Command::new("prometheus").arg("--version").output();
    found.is_ok().then(|| "prometheus".into())
}

/// When the newest sample of `up` is that we have, in milliseconds.
fn newest(client: &mut Client) -> Option<i64> {
    let found = result(client, "/api/v1/query", &[("query", "timestamp(up)")]);
    let seconds: f64 = found.first()?["value"][1].as_str()?.parse().ok()?;
    Some((seconds * 1e3).round() as i64)
}

#[test]
fn prometheus_writes_to_us_and_both_answer_alike() {
    let Some(program) = program() else {
        eprintln!(
            "SKIPPED: Prometheus beside us, because it is missing: apt-get install prometheus, or \
             name the program in TREERING_PROMETHEUS"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let served = Served::new(Features::default());
    let theirs = Prometheus::new(&program, dir, served.address);
    until("its port", dir, || TcpStream::connect(theirs.address).ok());
    let mut ours = served.client();
    let count = ("query", "count_over_time(up[1m]) >= 20");
    until("twenty scrapes", dir, || {
        result(&mut ours, "/api/v1/query", &[count])
            .first()
            .cloned()
    });
    // Windows reach back for three of these four seconds: what a rate makes of the first samples of
    // a counter is another thing in Prometheus 2.
    // Between two scrapes, so that no window of whole scrapes begins or ends on a sample: in
    // Prometheus 2 it holds the one on which it begins.
    let time = newest(&mut ours).unwrap() + 77;
    // With one queue of theirs, all that is before a sample has come with it.
    until("what comes after", dir, || {
        newest(&mut ours).filter(|newest| *newest > time + 5 * INTERVAL_MILLIS)
    });
    let mut theirs = Client::new(theirs.address);
    let seconds = |millis: i64| format!("{}", millis as f64 / 1e3);
    let (start, end) = (seconds(time - 1000), seconds(time));
    for query in [
        "up",
        "{job=\"itself\"}",
        "rate(prometheus_tsdb_head_samples_appended_total[2s])",
        "sum by (code) (increase(prometheus_http_requests_total[2s]))",
        "histogram_quantile(0.9, sum by (le) \
         (rate(prometheus_http_request_duration_seconds_bucket[2s])))",
        "topk(3, go_memstats_alloc_bytes) / 2",
        "max_over_time(go_goroutines[1s:200ms]) - go_goroutines",
        "count({__name__=~\"go_.*\"})",
        "prometheus_build_info * on (instance) group_left () up",
        "absent(nothing{a=\"b\"})",
    ] {
        let at = [("query", query), ("time", end.as_str())];
        let found = result(&mut ours, "/api/v1/query", &at);
        assert!(!found.is_empty(), "{query}");
        assert_eq!(found, result(&mut theirs, "/api/v1/query", &at), "{query}");
        let over = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", "0.2"),
        ];
        let found = result(&mut ours, "/api/v1/query_range", &over);
        assert_eq!(
            found,
            result(&mut theirs, "/api/v1/query_range", &over),
            "{query}"
        );
    }
}
