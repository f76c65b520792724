//! A world: random series as a fleet of scraped programs leaves them.
//!
//! Input: a seed. Output: series with labels and samples. Values are whole multiples of powers of
//! two, so that sums of them are exact in any order. Invariant: no sample of a world that is not
//! `on_grid` has a time that is a multiple of ten milliseconds, and all times that a query names are:
//! none stands on the edge of a window.

use treering::{Batch, Db, Labels, stale_marker};
use treering_benches::Result;
use treering_benches::random::Random;
use treering_benches::rival::remote_write::Encoder;

pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1000 * MILLISECOND;
pub(crate) const MINUTE: i64 = 60 * SECOND;

/// Worlds begin within a year of this: 2023-11-14T22:13:20Z.
const EPOCH: i64 = 1_700_000_000 * SECOND;

/// How much later samples may stand in one request of remote write than in the one before it: half
/// an hour is less than Prometheus takes for too old.
const SLICE: i64 = 20 * MINUTE;

const JOBS: [&str; 3] = ["api", "db", "web"];
const INSTANCES: [&str; 3] = ["a", "b", "c"];
const BOUNDS: [&str; 6] = ["0.125", "0.25", "0.5", "1", "4", "+Inf"];

/// One series; times are nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<(i64, f64)>,
}

/// All series, and the time in which they live.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Whether samples stand on whole seconds, and so on edges of windows.
    pub(crate) on_grid: bool,
    pub(crate) series: Vec<Series>,
}

impl World {
    /// The world of a number; every fourth is on the grid.
    pub(crate) fn new(seed: u64, number: u64) -> Result<Self> {
        let mut random = Random::stream(seed, number);
        let on_grid = number % 4 == 3;
        let interval = [5, 10, 15, 30, 60][random.below(5) as usize] * SECOND;
        let scrapes = 40 + random.below(100) as i64;
        let start = EPOCH + random.below(365 * 86_400) as i64 * SECOND;
        let mut maker = Maker {
            random,
            on_grid,
            interval,
            start,
            end: start + scrapes * interval,
            series: Vec::new(),
        };
        maker.all()?;
        let end = maker.end;
        let mut series = maker.series;
        series.retain(|one| !one.samples.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Self {
            start,
            end,
            on_grid,
            series,
        })
    }

    /// A database with all of it.
    pub(crate) fn database(&self) -> Result<Db> {
        let db = Db::in_memory()?;
        for series in &self.series {
            let (times, values): (Vec<i64>, Vec<f64>) = series.samples.iter().copied().unzip();
            db.append(&Batch::new().column(&series.labels, &times, &values))?;
        }
        Ok(db)
    }

    /// Bodies of remote write with all of it, to be sent in this order.
    pub(crate) fn requests(&self) -> Result<Vec<Vec<u8>>> {
        let labels = self.series.iter().map(|series| {
            let pairs = series.labels.iter();
            pairs
                .map(|(name, value)| (name, value.to_owned()))
                .collect()
        });
        let mut encoder = Encoder::new(labels);
        let mut bodies = Vec::new();
        let mut from = i64::MIN;
        let mut to = self.start + SLICE;
        while from < self.end + MINUTE {
            let within = |one: &Series| {
                let first = one.samples.partition_point(|sample| sample.0 < from);
                first..one.samples.partition_point(|sample| sample.0 < to)
            };
            let slices: Vec<&[(i64, f64)]> = self
                .series
                .iter()
                .map(|one| one.samples.get(within(one)).unwrap_or_default())
                .collect();
            bodies.push(encoder.request_of(&slices)?);
            (from, to) = (to, to + SLICE);
        }
        Ok(bodies)
    }
}

/// What makes the values of one series.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// Grows by up to so much, and begins again near zero every now and then.
    Counter(u64),
    /// A walk in steps of an eighth.
    Walk,
    /// Large whole numbers.
    Bytes,
    /// 0 or 1.
    Flag,
    /// Whatever a float can be.
    Weird,
    /// Always 1.
    One,
    /// Seconds since the Unix epoch, near the world's own.
    Time,
}

struct Maker {
    random: Random,
    on_grid: bool,
    interval: i64,
    start: i64,
    end: i64,
    series: Vec<Series>,
}

impl Maker {
    fn all(&mut self) -> Result<()> {
        for job in JOBS {
            let count = 1 + self.random.below(3) as usize;
            for instance in &INSTANCES[..count] {
                self.instance(job, instance)?;
            }
        }
        let times = self.scrapes();
        self.put(&[("__name__", "lonely")], &times, Values::Walk)?;
        let sparse = self.sparse();
        self.put(
            &[("__name__", "sparse"), ("job", "api")],
            &sparse,
            Values::Weird,
        )?;
        self.odd_buckets(&times)?;
        self.pods()
    }

    /// Everything that one program exports; all of it has the same times.
    fn instance(&mut self, job: &str, instance: &str) -> Result<()> {
        let times = self.scrapes();
        let is_there = |random: &mut Random| random.below(10) > 0;
        for (name, values) in [
            ("temperature", Values::Walk),
            ("temperature_max", Values::Walk),
            ("memory_bytes", Values::Bytes),
            ("up", Values::Flag),
            ("weird", Values::Weird),
            ("errors_total", Values::Counter(3)),
            ("started_seconds", Values::Time),
        ] {
            if is_there(&mut self.random) {
                let labels = [("__name__", name), ("instance", instance), ("job", job)];
                self.put(&labels, &times, values)?;
            }
        }
        for method in ["get", "post"] {
            for code in ["200", "404", "500"] {
                if self.random.below(3) == 0 {
                    continue;
                }
                let labels = [
                    ("__name__", "requests_total"),
                    ("code", code),
                    ("instance", instance),
                    ("job", job),
                    ("method", method),
                ];
                self.put(&labels, &times, Values::Counter(40))?;
            }
        }
        let version = ["1.0", "1.1", "2.0"][self.random.below(3) as usize];
        let labels = [
            ("__name__", "build_info"),
            ("instance", instance),
            ("job", job),
            ("version", version),
        ];
        self.put(&labels, &times, Values::One)?;
        if self.random.below(3) > 0 {
            self.histogram(job, instance, &times)?;
        }
        Ok(())
    }

    /// Times of scrapes: late or early by up to a fiftieth, some missed, some programs gone for a
    /// while or from some time on. The last before a hole says `true`: a stale marker follows.
    fn scrapes(&mut self) -> Vec<(i64, bool)> {
        let (length, random) = (self.end - self.start, &mut self.random);
        let part = |random: &mut Random| (random.unit() * length as f64) as i64;
        let mut first = self.start;
        let mut last = self.end;
        if random.below(5) == 0 {
            first += part(random) / 2;
        }
        if random.below(5) == 0 {
            last -= part(random) / 2;
        }
        let hole = match random.below(3) {
            0 => {
                let from = first + part(random);
                from..from + (1 + random.below(15) as i64) * MINUTE
            }
            _ => i64::MAX..i64::MAX,
        };
        let missed = [0, 0, 20, 7][random.below(4) as usize];
        let is_marked = random.below(4) > 0;
        let phase = random.below((self.interval / SECOND) as u64) as i64 * SECOND;
        let mut times: Vec<(i64, bool)> = Vec::new();
        let mut time = first + phase;
        while time < last {
            let is_missed = missed > 0 && random.below(missed) == 0;
            let jitter = match self.on_grid {
                true => 0,
                false => random.below((self.interval / 50 / MILLISECOND) as u64) as i64,
            };
            if hole.contains(&time) || is_missed {
                if let Some(before) = times.last_mut() {
                    before.1 = is_marked;
                }
            } else {
                let millis = (time / MILLISECOND + jitter) / 10 * 10;
                let off = match self.on_grid {
                    true => 0,
                    false => 1 + random.below(9) as i64,
                };
                times.push(((millis + off) * MILLISECOND, false));
            }
            time += self.interval;
        }
        if last < self.end
            && let Some(before) = times.last_mut()
        {
            before.1 = is_marked;
        }
        times
    }

    /// Few times, far apart.
    fn sparse(&mut self) -> Vec<(i64, bool)> {
        let mut times = Vec::new();
        let mut time = self.start;
        while time < self.end {
            let off = match self.on_grid {
                true => 0,
                false => 1 + self.random.below(9) as i64,
            };
            times.push((time + off * MILLISECOND, self.random.below(5) == 0));
            time += (1 + self.random.below(700) as i64) * SECOND;
        }
        times
    }

    fn put(
        &mut self,
        labels: &[(&str, &str)],
        times: &[(i64, bool)],
        values: Values,
    ) -> Result<()> {
        let mut column = Vec::with_capacity(times.len());
        let mut value = match values {
            Values::Counter(_) if self.random.below(2) == 0 => 0.0,
            Values::Counter(_) => self.random.below(100_000) as f64,
            Values::Time => ((self.start / SECOND) - self.random.below(90_000_000) as i64) as f64,
            _ => self.random.below(800) as f64 / 8.0 - 30.0,
        };
        for _ in times {
            column.push(value);
            value = self.next(values, value);
        }
        if let Values::Weird | Values::Flag | Values::Bytes | Values::One = values {
            for value in &mut column {
                *value = self.next(values, *value);
            }
        }
        self.push(labels, times, &column)
    }

    fn next(&mut self, values: Values, value: f64) -> f64 {
        let random = &mut self.random;
        match values {
            Values::Counter(_) if random.below(60) == 0 => random.below(3) as f64,
            Values::Counter(most) => value + random.below(most + 1) as f64,
            Values::Walk => value + random.below(33) as f64 / 8.0 - 2.0,
            Values::Bytes => random.below(1 << 22) as f64 * 4096.0,
            Values::Flag => random.below(2) as f64,
            Values::One => 1.0,
            Values::Time if random.below(40) == 0 => value + random.below(4_000_000) as f64,
            Values::Time => value,
            Values::Weird => match random.below(16) {
                0 | 1 => f64::NAN,
                2 => f64::INFINITY,
                3 => f64::NEG_INFINITY,
                4 => -0.0,
                5 => 0.0,
                6 => 1.0 / f64::from(1 << 20),
                7 => -((1_u64 << 40) as f64),
                _ => random.below(200) as f64 / 4.0 - 25.0,
            },
        }
    }

    /// Puts a series: a marker half an interval after each sample that is one's last.
    fn push(
        &mut self,
        labels: &[(&str, &str)],
        times: &[(i64, bool)],
        column: &[f64],
    ) -> Result<()> {
        let mut samples = Vec::with_capacity(times.len());
        let half = self.interval / 2 / SECOND * SECOND;
        for (&(time, is_last), &value) in times.iter().zip(column) {
            if samples
                .last()
                .is_some_and(|last: &(i64, f64)| last.0 >= time)
            {
                continue;
            }
            samples.push((time, value));
            if is_last {
                samples.push((time + half, stale_marker()));
            }
        }
        let labels = Labels::from_pairs(labels.iter().copied())?;
        self.series.push(Series { labels, samples });
        Ok(())
    }

    /// A classic histogram: buckets, sum and count.
    fn histogram(&mut self, job: &str, instance: &str, times: &[(i64, bool)]) -> Result<()> {
        let mut counts = [0_u64; BOUNDS.len()];
        let mut sum = 0.0;
        let mut columns = vec![Vec::new(); BOUNDS.len() + 1];
        for _ in times {
            if self.random.below(80) == 0 {
                (counts, sum) = ([0; BOUNDS.len()], 0.0);
            }
            for (at, count) in counts.iter_mut().enumerate() {
                let more = self.random.below(6 - at as u64);
                *count += more;
                sum += more as f64 / 4.0;
            }
            let mut below = 0;
            for (column, count) in columns.iter_mut().zip(counts) {
                below += count;
                column.push(below as f64);
            }
            columns[BOUNDS.len()].push(sum);
        }
        for (bound, column) in BOUNDS.iter().zip(&columns) {
            let labels = [
                ("__name__", "latency_seconds_bucket"),
                ("instance", instance),
                ("job", job),
                ("le", bound),
            ];
            self.push(&labels, times, column)?;
        }
        for (name, at) in [
            ("latency_seconds_count", BOUNDS.len() - 1),
            ("latency_seconds_sum", BOUNDS.len()),
        ] {
            let labels = [("__name__", name), ("instance", instance), ("job", job)];
            self.push(&labels, times, &columns[at])?;
        }
        Ok(())
    }

    /// Buckets as they should not be: none for all, two that mean the same, no number, falling.
    fn odd_buckets(&mut self, times: &[(i64, bool)]) -> Result<()> {
        for (job, bounds) in [
            ("api", &["1", "2", "4"][..]),
            ("db", &["1", "1.0", "2", "+Inf", "many"]),
            ("web", &["-2", "-1", "0", "1", "+Inf"]),
        ] {
            for bound in bounds {
                let labels = [("__name__", "odd_bucket"), ("job", job), ("le", bound)];
                self.put(&labels, times, Values::Counter(9))?;
            }
        }
        Ok(())
    }

    /// Short-lived series, one after the other.
    fn pods(&mut self) -> Result<()> {
        let times = self.scrapes();
        let mut from = 0;
        let mut number = 0;
        while from < times.len() && number < 8 {
            let to = (from + 5 + self.random.below(40) as usize).min(times.len());
            let mut life = times[from..to].to_vec();
            if self.random.below(4) > 0
                && let Some(last) = life.last_mut()
            {
                last.1 = true;
            }
            let pod = format!("pod-{number}");
            let labels = [
                ("__name__", "pod_cpu_total"),
                ("job", "web"),
                ("pod", pod.as_str()),
            ];
            self.put(&labels, &life, Values::Counter(7))?;
            from = to.saturating_sub(self.random.below(3) as usize);
            number += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_where_no_window_ends_unless_they_are_on_the_grid() {
        for number in 0..16 {
            let world = World::new(3, number).unwrap();
            assert!(world.series.len() > 30);
            for series in &world.series {
                assert!(series.samples.is_sorted_by(|a, b| a.0 < b.0));
                for (time, _) in &series.samples {
                    assert_eq!(time % MILLISECOND, 0);
                    assert_eq!(time % (10 * MILLISECOND) == 0, world.on_grid);
                }
            }
        }
    }
}
