//! Moving from Prometheus: it is written to, it is killed, its directory is imported, and what was
//! sent is there, bit for bit. A snapshot of it likewise, which holds blocks only.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use treering::{Db, Histogram, Labels, Options, ResetHint, SampleColumns, Selector, stale_marker};

use super::beside::{program, until};
use super::client::Client;
use super::messages::{self, Count, Span, TimeSeries, ZeroCount};
use crate::support::treering;

const MILLI: i64 = 1_000_000;
/// Requests, and milliseconds between two.
const STEPS: i64 = 240;
const STEP: i64 = 15_000;

/// Prometheus, killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn new(dir: &Path) -> Option<Self> {
        let program = program()?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let config = "storage: { tsdb: { out_of_order_time_window: 2h } }\n";
        fs::write(dir.join("prometheus.yml"), config).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new(program)
            .current_dir(dir)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args([
                "--web.enable-remote-write-receiver",
                "--web.enable-admin-api",
            ])
            .arg("--enable-feature=native-histograms")
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let theirs = Self { child, address };
        until("its port", dir, || TcpStream::connect(theirs.address).ok());
        until("its readiness", dir, || {
            let reply = Client::new(theirs.address).get("/-/ready", &[]);
            (reply.status == 200).then_some(())
        });
        Some(theirs)
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a database should hold.
type Wanted = BTreeMap<Labels, BTreeMap<i64, Kept>>;

#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Bits(u64),
    Histogram(Arc<Histogram>),
}

fn named(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// A histogram of a step: its layout changes in the middle; of whole counts, or a gauge of floats.
fn histogram(step: i64, is_gauge: bool) -> Histogram {
    let at = step as f64;
    let part = if is_gauge { 0.25 } else { 0.0 };
    let mut positive = vec![(-2, 1.0 + at + part), (-1, 7.0 + 3.0 * at), (4, 2.0 + at)];
    if step > STEPS / 2 {
        positive.push((9, at));
    }
    let negative = vec![(1, 5.0 + at)];
    let zero_count = 2.0 * at + part;
    let buckets = positive.iter().chain(&negative).map(|(_, count)| count);
    Histogram {
        schema: 2,
        hint: match is_gauge {
            true => ResetHint::Gauge,
            false => ResetHint::Unknown,
        },
        count: zero_count + buckets.sum::<f64>(),
        sum: at / 7.0,
        zero_threshold: 0.001,
        zero_count,
        positive,
        negative,
        bounds: Arc::default(),
    }
}

fn wire(one: &Histogram, timestamp: i64) -> messages::Histogram {
    let is_float = one.hint == ResetHint::Gauge;
    let spans = |side: &[(i32, f64)]| {
        let mut next = 0;
        let span = |&(index, _): &(i32, f64)| {
            let offset = index - next;
            next = index + 1;
            Span { offset, length: 1 }
        };
        side.iter().map(span).collect()
    };
    let deltas = |side: &[(i32, f64)]| {
        let mut before = 0;
        let delta = |&(_, count): &(i32, f64)| {
            let delta = count as i64 - before;
            before = count as i64;
            delta
        };
        match is_float {
            true => Vec::new(),
            false => side.iter().map(delta).collect(),
        }
    };
    let counts = |side: &[(i32, f64)]| match is_float {
        true => side.iter().map(|(_, count)| *count).collect(),
        false => Vec::new(),
    };
    messages::Histogram {
        count: Some(match is_float {
            true => Count::Float(one.count),
            false => Count::Whole(one.count as u64),
        }),
        sum: one.sum,
        schema: i32::from(one.schema),
        zero_threshold: one.zero_threshold,
        zero_count: Some(match is_float {
            true => ZeroCount::Float(one.zero_count),
            false => ZeroCount::Whole(one.zero_count as u64),
        }),
        negative_spans: spans(&one.negative),
        negative_deltas: deltas(&one.negative),
        negative_counts: counts(&one.negative),
        positive_spans: spans(&one.positive),
        positive_deltas: deltas(&one.positive),
        positive_counts: counts(&one.positive),
        reset_hint: if is_float { 3 } else { 0 },
        timestamp,
        custom_values: Vec::new(),
    }
}

const COUNTER: &[(&str, &str)] = &[("__name__", "requests_total"), ("host", "a b\"\n")];
const GONE: &[(&str, &str)] = &[("__name__", "gone"), ("host", "a")];
const WHOLE: &[(&str, &str)] = &[("__name__", "latency"), ("kind", "whole")];
const GAUGE: &[(&str, &str)] = &[("__name__", "latency"), ("kind", "gauge")];
const LATE: &[(&str, &str)] = &[("__name__", "late")];

/// Sends everything, and tells what that is.
fn send(client: &mut Client, start: i64) -> Wanted {
    let mut wanted = Wanted::new();
    let mut post = |series: Vec<TimeSeries>| {
        let reply = client.write(&messages::request(series));
        assert_eq!(reply.status, 204, "{}", reply.body);
    };
    let mut keep = |pairs: &[(&str, &str)], time: i64, kept: Kept| {
        let series = wanted.entry(named(pairs)).or_default();
        series.insert(time * MILLI, kept);
    };
    for step in 0..STEPS {
        let time = start + step * STEP + step % 7;
        let value = match step % 50 {
            49 => stale_marker(),
            _ => step as f64 * 1.5,
        };
        let mut request = vec![
            messages::series(COUNTER, &[(time, value)]),
            messages::series(GONE, &[(time, -1.0 - value)]),
        ];
        keep(COUNTER, time, Kept::Bits(value.to_bits()));
        keep(GONE, time, Kept::Bits((-1.0 - value).to_bits()));
        for (pairs, is_gauge) in [(WHOLE, false), (GAUGE, true)] {
            let one = histogram(step, is_gauge);
            request.push(TimeSeries {
                labels: messages::labels(pairs),
                histograms: vec![wire(&one, time)],
                ..TimeSeries::default()
            });
            keep(pairs, time, Kept::Histogram(unhinted(one)));
        }
        post(request);
    }
    // The second half comes before the first.
    for (from, to) in [(STEPS / 2, STEPS), (0, STEPS / 2)] {
        let times = (from..to).map(|step| (start + step * STEP, step as f64));
        let samples: Vec<(i64, f64)> = times.collect();
        for (time, value) in &samples {
            keep(LATE, *time, Kept::Bits(value.to_bits()));
        }
        post(vec![messages::series(LATE, &samples)]);
    }
    wanted
}

/// Without its hint: chunks know more of counters than whoever sent them, and where windows of two
/// hours meet Prometheus 2.42 forgets what is a gauge.
fn unhinted(mut one: Histogram) -> Arc<Histogram> {
    one.hint = ResetHint::Unknown;
    Arc::new(one)
}

/// All that a database holds.
fn held(path: &Path) -> Wanted {
    let db = Db::open(path, Options::default().create(false)).unwrap();
    let mut held = Wanted::new();
    for series in db.select(&Selector::all(), ..).unwrap() {
        let series = series.unwrap();
        let SampleColumns {
            timestamps,
            values,
            histograms,
            ..
        } = series.sample_columns().unwrap();
        let kept = held.entry(series.labels().clone()).or_default();
        for (at, time) in timestamps.into_iter().enumerate() {
            let one = match histograms.get(at).cloned().flatten() {
                None => Kept::Bits(values[at].to_bits()),
                Some(one) => Kept::Histogram(unhinted(Histogram::clone(&one))),
            };
            kept.insert(time, one);
        }
    }
    db.close().unwrap();
    held
}

fn imports(dir: &Path, db: &str, from: &Path) -> Wanted {
    // Less than a series has: long ones come in pieces.
    let words = ["import", db, from.to_str().unwrap(), "--batch", "100"];
    let ran = treering(dir, &words, b"");
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    held(&dir.join(db))
}

fn compare(found: &Wanted, wanted: &Wanted) {
    let series: Vec<&Labels> = wanted.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), series);
    for (labels, samples) in wanted {
        let found = &found[labels];
        assert_eq!(found.len(), samples.len(), "{labels}");
        for (time, kept) in samples {
            assert_eq!(found.get(time), Some(kept), "{labels} at {time}");
        }
    }
}

#[test]
fn a_directory_of_prometheus_is_imported_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(theirs) = Prometheus::new(dir) else {
        eprintln!(
            "SKIPPED: a directory of Prometheus, because it is missing: apt-get install \
             prometheus, or name the program in TREERING_PROMETHEUS"
        );
        return;
    };
    let mut client = Client::new(theirs.address);
    let began = Instant::now();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = i64::try_from(now.as_millis()).unwrap() - STEPS * STEP;
    let mut wanted = send(&mut client, start);

    let reply = client.post("/api/v1/admin/tsdb/snapshot", &[]);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let name = reply.json()["data"]["name"].as_str().unwrap().to_owned();
    let snapshot = dir.join("data/snapshots").join(name);
    // Prometheus leaves late samples out of its snapshots.
    let mut of_snapshot = wanted.clone();
    let late = of_snapshot.get_mut(&named(LATE)).unwrap();
    late.retain(|time, _| *time >= (start + STEPS / 2 * STEP) * MILLI);
    compare(&imports(dir, "of-snapshot", &snapshot), &of_snapshot);

    // Of one series a part is deleted, then written no more.
    let (first, last) = (start + 10 * STEP, start + 100 * STEP);
    let seconds = |millis: i64| format!("{}", millis as f64 / 1e3);
    let (from, to) = (seconds(first), seconds(last));
    let params = [("match[]", "gone"), ("start", &*from), ("end", &*to)];
    let reply = client.post("/api/v1/admin/tsdb/delete_series", &params);
    assert_eq!(reply.status, 204, "{}", reply.body);
    let gone = wanted.get_mut(&named(GONE)).unwrap();
    gone.retain(|time, _| !(first * MILLI..=last * MILLI).contains(time));
    theirs.kill();
    let found = imports(dir, "of-data", &dir.join("data"));
    compare(&found, &wanted);
    // Twice is once.
    compare(&imports(dir, "of-data", &dir.join("data")), &wanted);
    assert!(began.elapsed() < Duration::from_secs(120));
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let ran = treering(dir.path(), &["import", "db", "empty"], b"");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("neither one of Prometheus' data"),
        "{}",
        ran.err
    );
    assert!(!dir.path().join("db").exists());
}
