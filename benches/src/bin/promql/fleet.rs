//! A fleet: what node exporters, a cluster, services and rooms export, for dashboards to show.
//!
//! Input: hours. Output: series with labels and samples, their times in nanoseconds. All series of
//! one target have the same times, 15 s apart, each target some milliseconds off whole seconds: no
//! sample stands on the edge of a window, so that it does not matter which edge belongs to it. Rooms
//! have a sample every five minutes in the thirty days before. Counters begin far above zero. The
//! workload of TSBS, in the same form, comes a day later.

use treering_benches::generator::{Generator, START, Shape};
use treering_benches::random::Random;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

const MILLISECOND: i64 = 1_000_000;
const SEED: u64 = 7;

/// Where the fleet begins: a day before the workload of TSBS.
pub(crate) const BEGIN: i64 = START - DAY;

const NODES: u64 = 20;
const NAMESPACES: u64 = 10;
const PODS: u64 = 200;
const SERVICES: u64 = 10;
const ROOMS: u64 = 50;

const MODES: [(&str, f64); 8] = [
    ("idle", 0.8),
    ("iowait", 0.02),
    ("irq", 0.005),
    ("nice", 0.001),
    ("softirq", 0.01),
    ("steal", 0.002),
    ("system", 0.05),
    ("user", 0.1),
];
const CODES: [(&str, f64); 4] = [("200", 40.0), ("404", 1.0), ("500", 0.3), ("503", 0.1)];
const BOUNDS: [(&str, f64); 12] = [
    ("0.005", 2.0),
    ("0.01", 3.0),
    ("0.025", 6.0),
    ("0.05", 9.0),
    ("0.1", 8.0),
    ("0.25", 6.0),
    ("0.5", 3.0),
    ("1", 2.0),
    ("2.5", 1.0),
    ("5", 0.4),
    ("10", 0.1),
    ("+Inf", 0.02),
];

/// One series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) samples: Vec<(i64, f64)>,
}

/// What the values of a series do.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Grows by so much a second, in the mean.
    Grows(f64),
    /// Walks between two numbers.
    Walks(f64, f64),
    /// Is this.
    Is(f64),
    /// 1, now and then 0.
    IsUp,
}

/// Times of one target, and a random stream for each of its series.
struct Target {
    times: Vec<i64>,
    series: Vec<Series>,
    number: u64,
}

/// All series but those of the rooms.
pub(crate) fn series(hours: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for node in 0..NODES {
        all.extend(of_node(node, hours));
    }
    all.extend(of_cluster(hours));
    for service in 0..SERVICES {
        for instance in 0..4 {
            all.extend(of_service(service, instance, hours));
        }
    }
    all
}

/// A workload of TSBS.
pub(crate) fn tsbs(shape: Shape, seed: u64) -> Vec<Series> {
    let mut generator = Generator::new(shape, seed);
    let labels = (0..shape.series()).map(|series| generator.labels(series));
    let empty = labels.map(|labels| Series {
        labels,
        samples: Vec::with_capacity(shape.samples as usize),
    });
    let mut all: Vec<Series> = empty.collect();
    let mut row = Vec::new();
    while let Some(time) = generator.next_row(&mut row) {
        for (series, &value) in all.iter_mut().zip(&row) {
            series.samples.push((time, value));
        }
    }
    all
}

/// The end of a fleet of so many hours.
pub(crate) fn end(hours: i64) -> i64 {
    BEGIN + hours * HOUR
}

impl Target {
    fn new(number: u64, hours: i64) -> Self {
        let mut random = Random::stream(SEED, number);
        let phase = random.below(14_000) as i64 / 10 * 10 + 1 + random.below(9) as i64;
        let count = hours * HOUR / (15 * SECOND);
        let times = (0..count).map(|at| BEGIN + at * 15 * SECOND + phase * MILLISECOND);
        Self {
            times: times.collect(),
            series: Vec::new(),
            number,
        }
    }

    fn put(&mut self, name: &'static str, labels: &[(&'static str, &str)], does: Does) {
        let stream = self.number << 32 | self.series.len() as u64;
        let mut random = Random::stream(SEED ^ 1, stream);
        let mut value = match does {
            Does::Grows(_) => 1e6 + random.below(1 << 30) as f64,
            Does::Walks(low, high) => low + (high - low) * random.unit(),
            Does::Is(value) => value,
            Does::IsUp => 1.0,
        };
        let samples = self.times.iter().map(|&time| {
            match does {
                Does::Grows(mean) => value += mean * 15.0 * 2.0 * random.unit(),
                Does::Walks(low, high) => {
                    value = (value + (high - low) * 0.01 * random.normal()).clamp(low, high);
                }
                Does::Is(_) => {}
                Does::IsUp => value = if random.below(400) == 0 { 0.0 } else { 1.0 },
            }
            (time, value)
        });
        let samples = samples.collect();
        let mut labels: Vec<(&'static str, String)> = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        labels.push(("__name__", name.to_owned()));
        labels.sort();
        self.series.push(Series { labels, samples });
    }
}

fn of_node(node: u64, hours: i64) -> Vec<Series> {
    let mut target = Target::new(node, hours);
    let instance = format!("node-{node}");
    let job = ("job", "node");
    let at = ("instance", instance.as_str());
    for cpu in 0..8 {
        let cpu = format!("{cpu}");
        for (mode, share) in MODES {
            let labels = [job, at, ("cpu", &cpu), ("mode", mode)];
            target.put("node_cpu_seconds_total", &labels, Does::Grows(share));
        }
    }
    let total = 64.0 * (1_u64 << 30) as f64;
    target.put("node_memory_MemTotal_bytes", &[job, at], Does::Is(total));
    let free = Does::Walks(total * 0.1, total * 0.9);
    target.put("node_memory_MemAvailable_bytes", &[job, at], free);
    for (device, rate) in [("sda", 4e6), ("sdb", 1e6), ("nvme0n1", 3e7)] {
        let labels = [job, at, ("device", device)];
        target.put("node_disk_read_bytes_total", &labels, Does::Grows(rate));
        target.put("node_disk_written_bytes_total", &labels, Does::Grows(rate));
        target.put("node_disk_io_time_seconds_total", &labels, Does::Grows(0.3));
    }
    for (device, rate) in [("lo", 1e4), ("eth0", 5e6), ("eth1", 1e5)] {
        let labels = [job, at, ("device", device)];
        target.put(
            "node_network_receive_bytes_total",
            &labels,
            Does::Grows(rate),
        );
        target.put(
            "node_network_transmit_bytes_total",
            &labels,
            Does::Grows(rate),
        );
    }
    for (mountpoint, fstype) in [("/", "ext4"), ("/data", "xfs"), ("/run", "tmpfs")] {
        let labels = [job, at, ("mountpoint", mountpoint), ("fstype", fstype)];
        target.put("node_filesystem_size_bytes", &labels, Does::Is(1e12));
        let free = Does::Walks(1e10, 9e11);
        target.put("node_filesystem_avail_bytes", &labels, free);
    }
    target.put("node_load1", &[job, at], Does::Walks(0.0, 12.0));
    let booted = (BEGIN / SECOND - node as i64 * 70_000) as f64;
    target.put("node_boot_time_seconds", &[job, at], Does::Is(booted));
    target.put("up", &[job, at], Does::IsUp);
    target.series
}

fn of_cluster(hours: i64) -> Vec<Series> {
    let mut target = Target::new(1000, hours);
    for pod in 0..PODS {
        let namespace = format!("team-{}", pod % NAMESPACES);
        let name = format!("app-{}-{pod}", pod % 23);
        let node = format!("node-{}", pod % NODES);
        let of_pod = [("namespace", namespace.as_str()), ("pod", name.as_str())];
        for container in ["main", "sidecar"] {
            let labels = [of_pod[0], of_pod[1], ("container", container)];
            let used = Does::Grows(0.2 + (pod % 7) as f64 / 10.0);
            target.put("container_cpu_usage_seconds_total", &labels, used);
            let held = Does::Walks(1e7, 2e9);
            target.put("container_memory_working_set_bytes", &labels, held);
        }
        let labels = [of_pod[0], of_pod[1], ("node", node.as_str())];
        target.put("kube_pod_info", &labels, Does::Is(1.0));
        let restarts = Does::Grows(0.0005);
        target.put(
            "kube_pod_container_status_restarts_total",
            &of_pod,
            restarts,
        );
    }
    target.series
}

fn of_service(service: u64, instance: u64, hours: i64) -> Vec<Series> {
    let mut target = Target::new(2000 + service * 10 + instance, hours);
    let (service, instance) = (
        format!("service-{service}"),
        format!("{service}-{instance}"),
    );
    let of_service = [
        ("service", service.as_str()),
        ("instance", instance.as_str()),
    ];
    for method in ["GET", "POST"] {
        for (code, rate) in CODES {
            let labels = [
                of_service[0],
                of_service[1],
                ("method", method),
                ("code", code),
            ];
            target.put("http_requests_total", &labels, Does::Grows(rate));
        }
    }
    target.put(
        "http_request_duration_seconds_sum",
        &of_service,
        Does::Grows(9.0),
    );
    let first = target.series.len();
    for (bound, rate) in BOUNDS {
        let labels = [of_service[0], of_service[1], ("le", bound)];
        target.put(
            "http_request_duration_seconds_bucket",
            &labels,
            Does::Grows(rate),
        );
    }
    // Buckets hold all that is below them.
    for at in first + 1..target.series.len() {
        let (below, rest) = target.series.split_at_mut(at);
        if let (Some(below), Some(this)) = (below.last(), rest.first_mut()) {
            for (this, below) in this.samples.iter_mut().zip(&below.samples) {
                this.1 += below.1;
            }
        }
    }
    let all = target.series.last().map(|last| last.samples.clone());
    target.put(
        "http_request_duration_seconds_count",
        &of_service,
        Does::Is(0.0),
    );
    if let (Some(count), Some(all)) = (target.series.last_mut(), all) {
        count.samples = all;
    }
    target.series
}

/// The rooms, thirty days before the rest.
pub(crate) fn rooms() -> Vec<Series> {
    let mut target = Target::new(3000, 0);
    let count = 30 * DAY / (300 * SECOND);
    target.times = (0..count)
        .map(|at| BEGIN - 30 * DAY + at * 300 * SECOND + 7 * MILLISECOND)
        .collect();
    for room in 0..ROOMS {
        let (room, building) = (format!("room-{room}"), format!("building-{}", room % 5));
        let labels = [("room", room.as_str()), ("building", building.as_str())];
        target.put("room_temperature", &labels, Does::Walks(15.0, 30.0));
    }
    target.series
}
