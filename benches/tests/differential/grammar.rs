//! Random queries, well typed, over the series of a world.
//!
//! Input: random numbers, a world. Output: the text of a query and when it is asked. Everything that
//! Prometheus 2.42 knows of the language occurs. Invariant: in a world that is not on the grid the
//! times of a query end in 350 ms, subqueries reach 500 ms more than whole seconds and their steps
//! are whole seconds, so that neither samples nor steps stand on the edges of windows.

use treering_benches::random::Random;
use treering_benches::rival::asked::Asked;

use crate::world::{MILLISECOND, SECOND, World};

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) asked: Asked,
    /// Whether the text was made wrong in some place, and need not be a query.
    pub(crate) is_mangled: bool,
}

const NAMES: &[&str] = &[
    "requests_total",
    "requests_total",
    "requests_total",
    "errors_total",
    "temperature",
    "temperature",
    "temperature_max",
    "memory_bytes",
    "up",
    "weird",
    "build_info",
    "started_seconds",
    "latency_seconds_bucket",
    "latency_seconds_count",
    "latency_seconds_sum",
    "odd_bucket",
    "pod_cpu_total",
    "lonely",
    "sparse",
    "missing",
];

const MATCHERS: &[&str] = &[
    "job=\"api\"",
    "job=~\"api|web\"",
    "job!=\"db\"",
    "instance=\"a\"",
    "instance=~\".+\"",
    "instance!~\"b|c\"",
    "code=~\"[45]..\"",
    "code=\"200\"",
    "method=\"get\"",
    "missing=\"\"",
    "missing!=\"x\"",
    "le=\"0.5\"",
    "le!=\"+Inf\"",
    "version!~\"1.*\"",
    "pod=~\"pod-[0-3]\"",
    "__name__!=\"weird\"",
];

const RANGE_FUNCTIONS: &[&str] = &[
    "irate",
    "idelta",
    "resets",
    "changes",
    "deriv",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "absent_over_time",
    "quantile_over_time",
    "predict_linear",
    "double_exponential_smoothing",
];

/// These look at the length of their window, which is another one on the grid.
const EXTRAPOLATING: &[&str] = &["rate", "rate", "rate", "increase", "increase", "delta"];

const MATH: &[&str] = &[
    "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad",
    "round", "abs", "ceil", "floor",
];

const DATES: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
];

const AGGREGATIONS: &[&str] = &[
    "sum", "sum", "sum", "avg", "avg", "min", "max", "count", "group", "stddev", "stdvar",
    "quantile",
];

/// Aggregations of all that `topk` gave, whichever of equals it took.
const UNMOVED: &[&str] = &["count", "min", "max", "group", "sum"];

const LABELS: &[&str] = &[
    "job", "job", "instance", "instance", "code", "method", "le", "version", "pod", "missing",
    "__name__",
];

const NUMBERS: &[&str] = &[
    "0", "1", "2", "3", "5", "10", "100", "0.5", "-1", "-2.5", "1e3", "0x1f", "1e-3", "Inf",
    "-Inf", "NaN", "0.25", "12", "+4", ".5",
];

/// Characters that a text is mangled with.
const STRAY: &[u8] = b"(){}[],\"'`+-*/%^=!<>~@: #05smx_eE.";

/// Makes queries.
#[derive(Debug)]
pub(crate) struct Grammar<'a> {
    random: Random,
    world: &'a World,
    /// How many subqueries are around what is made.
    nested: usize,
}

impl<'a> Grammar<'a> {
    pub(crate) fn new(random: Random, world: &'a World) -> Self {
        Self {
            random,
            world,
            nested: 0,
        }
    }

    pub(crate) fn query(&mut self) -> Query {
        let depth = 1 + self.random.below(4) as usize;
        let is_range = self.random.below(100) < 45;
        let mut text = match self.random.below(100) {
            0..=3 => self.scalar(depth),
            4..=8 if !is_range => self.matrix(depth),
            9..=11 => self.picked(depth),
            12..=14 => {
                let name = self.one(&["sort", "sort_desc"]);
                format!("{name}({})", self.vector(depth))
            }
            15 if !is_range => "\"a text\\t\"".to_owned(),
            _ => self.vector(depth),
        };
        let is_mangled = self.random.below(25) == 0;
        if is_mangled {
            text = self.mangled(&text);
        }
        let asked = self.asked(is_range);
        Query {
            text,
            asked,
            is_mangled,
        }
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of.get(self.random.below(of.len() as u64) as usize)
            .copied()
            .unwrap_or_default()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// A time of the world, a little more than it.
    fn time(&mut self) -> i64 {
        let seconds = (self.world.end - self.world.start) / SECOND + 400;
        let time = self.world.start + self.random.below(seconds as u64) as i64 * SECOND;
        match self.world.on_grid {
            true => time / (5 * SECOND) * 5 * SECOND,
            false => time + 350 * MILLISECOND,
        }
    }

    fn asked(&mut self, is_range: bool) -> Asked {
        let start = self.time();
        if !is_range {
            return Asked::Instant(start);
        }
        let step = [5, 15, 30, 60, 97, 300][self.random.below(6) as usize] * SECOND;
        // Mostly not a step itself, which `@ end()` shows.
        let more = self.random.below((step / SECOND) as u64) as i64 * SECOND;
        let end = start + self.random.below(30) as i64 * step + more;
        Asked::Range { start, end, step }
    }

    fn duration(millis: i64) -> String {
        match millis {
            _ if millis % 1000 != 0 => format!("{}s{}ms", millis / 1000, millis % 1000),
            _ if millis % 60_000 != 0 => format!("{}s", millis / 1000),
            _ => format!("{}m", millis / 60_000),
        }
    }

    /// `offset` and `@`, mostly none.
    fn shift(&mut self) -> String {
        let offset = match self.chance(12) {
            true => {
                let seconds = self.random.below(900) as i64 - 200;
                let sign = if seconds < 0 { "-" } else { "" };
                let seconds = seconds.abs().max(1);
                format!(" offset {sign}{}", Self::duration(seconds * 1000))
            }
            false => String::new(),
        };
        let at = match self.random.below(100) {
            0..=1 => " @ start()".to_owned(),
            2..=3 => " @ end()".to_owned(),
            4..=8 => {
                let millis = self.time() / MILLISECOND;
                format!(" @ {}.{:03}", millis / 1000, millis % 1000)
            }
            _ => String::new(),
        };
        match self.chance(50) {
            true => format!("{offset}{at}"),
            false => format!("{at}{offset}"),
        }
    }

    fn bare_selector(&mut self) -> String {
        let mut matchers = Vec::new();
        let name = match self.random.below(40) {
            0 => {
                matchers.push("job=\"api\"");
                ""
            }
            1 => {
                matchers.push("__name__=~\"temperature.*|up\"");
                ""
            }
            2 => {
                matchers.push("__name__=\"errors_total\"");
                ""
            }
            _ => self.one(NAMES),
        };
        while self.chance(25) && matchers.len() < 3 {
            matchers.push(self.one(MATCHERS));
        }
        match matchers.is_empty() {
            true => name.to_owned(),
            false => format!("{name}{{{}}}", matchers.join(",")),
        }
    }

    fn selector(&mut self) -> String {
        format!("{}{}", self.bare_selector(), self.shift())
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth == 0 || self.chance(75) {
            let seconds = [45, 60, 60, 120, 300, 300, 450, 1200][self.random.below(8) as usize];
            let (selector, shift) = (self.bare_selector(), self.shift());
            return format!("{selector}[{}]{shift}", Self::duration(seconds * 1000));
        }
        let more = if self.world.on_grid { 0 } else { 500 };
        let (range, step) = [
            (60, "10s"),
            (120, "7s"),
            (300, "30s"),
            (300, "1m"),
            (600, ""),
            (900, "97s"),
        ][self.random.below(6) as usize];
        self.nested += 1;
        let inner = self.vector(depth - 1);
        self.nested -= 1;
        let mut shift = self.shift();
        if self.world.on_grid && shift.contains(" offset -") {
            // Where the first step of a subquery is the time of the query, 2.42 forgets how far off
            // an `@` below it is.
            shift = String::new();
        }
        let range = Self::duration(range * 1000 + more);
        format!("({inner})[{range}:{step}]{shift}")
    }

    fn scalar(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 60 } else { 100 }) {
            0..=49 => self.one(NUMBERS).to_owned(),
            50..=56 => "time()".to_owned(),
            57..=59 => "pi()".to_owned(),
            60..=84 => format!("scalar({})", self.vector(depth - 1)),
            85..=94 => {
                let op = self.one(&["+", "-", "*", "/", "%", "^", "atan2"]);
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                format!("({left} {op} {right})")
            }
            _ => {
                let op = self.one(&["==", "!=", "<", "<=", ">", ">="]);
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                format!("({left} {op} bool {right})")
            }
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        let depth = depth - 1;
        match self.random.below(100) {
            0..=9 => self.selector(),
            10..=33 => self.over_range(depth),
            34..=51 => self.aggregate(depth),
            52..=62 => self.mathematics(depth),
            63..=75 => self.pair(depth),
            76..=83 => self.with_scalar(depth),
            84..=87 => self.set(depth),
            88..=89 => format!("-({})", self.vector(depth)),
            90 => format!("vector({})", self.scalar(depth)),
            91..=92 => self.labelled(depth),
            93..=95 => self.quantile_of_buckets(depth),
            96 => format!("absent({})", self.vector(depth)),
            97 => self.date(depth),
            98 => self.timestamp(depth),
            _ => {
                let name = self.one(UNMOVED);
                format!("{name}({})", self.picked(depth))
            }
        }
    }

    fn timestamp(&mut self, depth: usize) -> String {
        let inner = self.vector(depth);
        // With both, 2.42 forgets the offset.
        match inner.contains(" @ ") && inner.contains(" offset ") {
            true => format!("timestamp(abs({inner}))"),
            false => format!("timestamp({inner})"),
        }
    }

    fn over_range(&mut self, depth: usize) -> String {
        let is_extrapolating = !self.world.on_grid && self.chance(45);
        let name = match is_extrapolating {
            true => self.one(EXTRAPOLATING),
            false => self.one(RANGE_FUNCTIONS),
        };
        let matrix = match name {
            // 2.42 forgets the `@` of these from the second step on: inside of a subquery nobody can
            // ask it step by step.
            "predict_linear" | "quantile_over_time" if self.nested > 0 => {
                format!("{}[5m]", self.bare_selector())
            }
            _ => self.matrix(depth),
        };
        match name {
            "quantile_over_time" => {
                let quantile = self.quantile(depth);
                format!("{name}({quantile}, {matrix})")
            }
            "predict_linear" => format!("{name}({matrix}, {})", self.scalar(0)),
            "double_exponential_smoothing" => {
                let factors = ["0.3", "0.5", "0.9", "0.01"];
                let (smoothing, trend) = (self.one(&factors), self.one(&factors));
                format!("{name}({matrix}, {smoothing}, {trend})")
            }
            _ => format!("{name}({matrix})"),
        }
    }

    fn quantile(&mut self, depth: usize) -> String {
        // Inside of a subquery 2.42 cannot be asked step by step, see `predict_linear`.
        match self.nested > 0 || self.chance(90) {
            true => self
                .one(&["0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2", "NaN"])
                .to_owned(),
            false => self.scalar(depth.min(1)),
        }
    }

    fn labels(&mut self) -> String {
        let mut labels = Vec::new();
        while labels.len() < 3 && (labels.is_empty() || self.chance(40)) {
            let label = self.one(LABELS);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels.join(", ")
    }

    fn grouping(&mut self) -> String {
        match self.random.below(100) {
            0..=29 => String::new(),
            30..=74 => format!("by ({})", self.labels()),
            75..=96 => format!("without ({})", self.labels()),
            97 => "without ()".to_owned(),
            _ => "by ()".to_owned(),
        }
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let inner = self.vector(depth);
        let mut name = self.one(AGGREGATIONS);
        let grouping = self.grouping();
        if grouping.contains("__name__") && !UNMOVED.contains(&name) {
            // Rules that say a query in other words would lose the name.
            name = "max";
        }
        if name == "quantile" {
            return format!("{name} {grouping} ({}, {inner})", self.quantile(depth));
        }
        match self.random.below(20) {
            // Digits of a value that was rounded are labels, so only whole numbers. 2.42 loses labels
            // that come after this one.
            0 => format!("count_values {grouping} (\"zz\", round({inner}))"),
            1 => format!("{name}({inner}) {grouping}"),
            2 => format!("{}({inner}) {grouping}", name.to_uppercase()),
            _ => format!("{name} {grouping} ({inner})"),
        }
    }

    /// The first few of something.
    fn picked(&mut self, depth: usize) -> String {
        let name = self.one(&["topk", "bottomk"]);
        let count = self.one(&["1", "2", "3", "0", "5", "2.9", "-1"]);
        let (grouping, inner) = (self.grouping(), self.vector(depth));
        format!("{name} {grouping} ({count}, {inner})")
    }

    fn mathematics(&mut self, depth: usize) -> String {
        let inner = self.vector(depth);
        match self.random.below(12) {
            0 => format!("round({inner}, {})", self.scalar(depth.min(1))),
            1 => {
                let (low, high) = (self.scalar(0), self.scalar(0));
                format!("clamp({inner}, {low}, {high})")
            }
            2 => format!("clamp_min({inner}, {})", self.scalar(0)),
            3 => format!("clamp_max({inner}, {})", self.scalar(0)),
            _ => format!("{}({inner})", self.one(MATH)),
        }
    }

    fn arithmetic(&mut self) -> String {
        match self.chance(65) {
            true => self
                .one(&["+", "-", "*", "/", "/", "%", "^", "atan2"])
                .to_owned(),
            false => {
                let op = self.one(&["==", "!=", "<", "<=", ">", ">="]);
                let is_bool = if self.chance(40) { " bool" } else { "" };
                format!("{op}{is_bool}")
            }
        }
    }

    /// An operator between two vectors, made so that they mostly meet.
    fn pair(&mut self, depth: usize) -> String {
        let op = self.arithmetic();
        match self.random.below(10) {
            0..=2 => {
                let inner = self.vector(depth);
                let grouping = self.grouping();
                let (left, right) = (self.one(&["sum", "avg", "max"]), self.one(UNMOVED));
                format!("{left} {grouping} ({inner}) {op} {right} {grouping} ({inner})")
            }
            3..=4 => {
                let (left, right) = (self.vector(depth), self.selector());
                format!("({left}) {op} on (job, instance) group_left () {right}")
            }
            5 => {
                let left = self.vector(depth);
                let include = self.one(&["version", "missing", "version, job", ""]);
                format!("({left}) {op} on (job, instance) group_left ({include}) build_info")
            }
            6 => {
                let right = self.vector(depth);
                let include = self.one(&["version", "", "instance"]);
                format!("build_info {op} on (job, instance) group_right ({include}) ({right})")
            }
            7 => {
                let inner = self.vector(depth);
                let scale = self.one(&["1", "2", "0.5"]);
                format!("({inner}) {op} (({inner}) * {scale})")
            }
            _ => {
                let (left, right) = (self.vector(depth), self.vector(depth));
                let matching = self.matching();
                format!("({left}) {op} {matching} ({right})")
            }
        }
    }

    fn matching(&mut self) -> String {
        match self.random.below(10) {
            0..=2 => String::new(),
            3..=6 => format!("on ({})", self.labels()),
            7 => "on ()".to_owned(),
            _ => format!("ignoring ({})", self.labels()),
        }
    }

    fn with_scalar(&mut self, depth: usize) -> String {
        let (vector, scalar) = (self.vector(depth), self.scalar(depth.min(1)));
        let op = self.arithmetic();
        match self.chance(70) {
            true => format!("({vector}) {op} {scalar}"),
            false => format!("{scalar} {op} ({vector})"),
        }
    }

    fn set(&mut self, depth: usize) -> String {
        let op = self.one(&["and", "or", "unless", "AND"]);
        let (left, right) = (self.vector(depth), self.vector(depth));
        format!("({left}) {op} {} ({right})", self.matching())
    }

    fn labelled(&mut self, depth: usize) -> String {
        let inner = self.vector(depth);
        match self.random.below(6) {
            0 => format!("label_join({inner}, \"both\", \"-\", \"job\", \"instance\")"),
            1 => format!("label_join({inner}, \"job\", \"\")"),
            2 => format!("label_replace({inner}, \"instance\", \"$2\", \"job\", \"(.)(.*)\")"),
            3 => format!("label_replace({inner}, \"job\", \"\", \"code\", \"200\")"),
            4 => format!("label_replace({inner}, \"kind\", \"x-${{1}}y\", \"pod\", \"pod-(.*)\")"),
            _ => format!("label_replace({inner}, \"__name__\", \"renamed\", \"\", \"\")"),
        }
    }

    fn quantile_of_buckets(&mut self, depth: usize) -> String {
        let quantile = self.quantile(depth);
        let name = self.one(&["latency_seconds_bucket", "odd_bucket"]);
        let inner = match self.random.below(6) {
            0 => format!("{name}{}", self.shift()),
            1 if !self.world.on_grid => format!("rate({name}[5m]{})", self.shift()),
            2 if !self.world.on_grid => format!("sum by (le, job) (rate({name}[2m]))"),
            3 => format!("sum by (le) ({name}{})", self.shift()),
            4 => format!("sum without (instance) (max_over_time({name}[3m]))"),
            _ => self.vector(depth),
        };
        format!("histogram_quantile({quantile}, {inner})")
    }

    fn date(&mut self, depth: usize) -> String {
        let name = self.one(DATES);
        match self.random.below(8) {
            0 => format!("{name}()"),
            1 => format!("{name}(vector(time()))"),
            // What Go makes of a date beyond all calendars hangs on the machine.
            2 => format!("{name}(({}) > -1e9 < 1e11)", self.vector(depth)),
            3 => format!("{name}(started_seconds{} + 86400 * 30)", self.shift()),
            _ => format!("{name}(started_seconds{})", self.shift()),
        }
    }

    /// A text with one character more, less or another.
    fn mangled(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let at = self.random.below(bytes.len().max(1) as u64) as usize;
        let stray = STRAY[self.random.below(STRAY.len() as u64) as usize];
        match self.random.below(3) {
            0 => bytes.insert(at, stray),
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => bytes[at] = stray,
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
