//! The end of every bench: one RESULT line per figure, held against the committed targets.
//!
//! Input: figures by name. Output: the lines `RESULT <metric> <value> <unit> target <op> <value>
//! met|missed` (or `target none`) in the order of `benches/targets.txt`, and the same as JSON. A
//! bench that leaves a figure out, or tells one that the file does not know, fails. A missed target
//! does not fail the bench: it is a fact to print.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::Result;

/// The committed file: `METRIC UNIT <=|>= VALUE` or `METRIC UNIT none`, one a line. A metric
/// `bench.*.what` stands for one of each corpus that has no row of its own.
const TARGETS: &str = include_str!("../targets.txt");

/// One figure of one bench.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// `bench.what`, as in the targets file.
    pub metric: String,
    /// The value measured.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What the value should reach.
    pub target: Option<Target>,
    /// Whether it does; `None` without a target.
    pub met: Option<bool>,
}

/// A bound on a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Target {
    /// Whether the value should be at most (`true`) or at least (`false`) the bound.
    pub at_most: bool,
    /// The bound, in the figure's unit.
    pub bound: f64,
}

/// What a bench was asked to do, from its command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Smaller sizes, to see that the bench works; its figures are not comparable.
    pub quick: bool,
    /// Where the figures go as JSON.
    pub json: Option<PathBuf>,
    /// Words that are not flags.
    pub words: Vec<String>,
}

impl Wish {
    /// Reads `[--quick] [--json FILE] [WORD...]`; refuses other flags.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut wish = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => wish.quick = true,
                "--json" => {
                    wish.json = Some(words.next().ok_or("--json needs a file")?.into());
                }
                flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}").into()),
                _ => wish.words.push(word),
            }
        }
        Ok(wish)
    }

    /// The wish of this process.
    pub fn of_process() -> Result<Self> {
        Self::parse(std::env::args().skip(1))
    }
}

/// The figures of one run of one bench.
#[derive(Debug)]
pub struct Report {
    wanted: Vec<Figure>,
    told: BTreeMap<String, f64>,
}

impl Report {
    /// A report of the bench `name`: the metrics that start with `name.` are wanted.
    pub fn new(name: &str) -> Result<Self> {
        Self::from_targets(TARGETS, name)
    }

    /// A report of the bench `name` over corpora: the rows `name.*.what` are wanted for each of
    /// them, rows of a corpus that is not among them for none. The second value names those.
    pub fn over(name: &str, corpora: &[String]) -> Result<(Self, Vec<String>)> {
        let mut report = Self::new(name)?;
        let missing = report.expand(corpora);
        Ok((report, missing))
    }

    fn expand(&mut self, corpora: &[String]) -> Vec<String> {
        let rows = std::mem::take(&mut self.wanted);
        let own: BTreeSet<String> = rows.iter().map(|row| row.metric.clone()).collect();
        let mut missing = BTreeSet::new();
        for row in rows {
            match corpus_of(&row.metric) {
                Some("*") => {
                    let metrics = corpora.iter().map(|name| row.metric.replace('*', name));
                    let lacking = metrics.filter(|metric| !own.contains(metric));
                    self.wanted.extend(lacking.map(|metric| Figure {
                        metric,
                        ..row.clone()
                    }));
                }
                Some(name) if !corpora.iter().any(|corpus| corpus == name) => {
                    missing.insert(name.to_owned());
                }
                _ => self.wanted.push(row),
            }
        }
        missing.into_iter().collect()
    }

    fn from_targets(text: &str, name: &str) -> Result<Self> {
        let mut wanted = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let figure =
                parse_target(line).ok_or_else(|| format!("targets.txt line {number}: {line:?}"))?;
            if figure.metric.split('.').next() == Some(name) {
                wanted.push(figure);
            }
        }
        if wanted.is_empty() {
            return Err(format!("targets.txt knows no figures of the bench {name}").into());
        }
        Ok(Self {
            wanted,
            told: BTreeMap::new(),
        })
    }

    /// Tells one figure, in the unit of the targets file.
    pub fn tell(&mut self, metric: &str, value: f64) -> Result<()> {
        if !self.wanted.iter().any(|figure| figure.metric == metric) {
            return Err(format!("targets.txt knows no figure {metric}").into());
        }
        if !value.is_finite() {
            return Err(format!("{metric} is {value}").into());
        }
        match self.told.insert(metric.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(format!("{metric} was told twice").into()),
        }
    }

    /// Prints every RESULT line and writes the JSON; fails when a figure was left out.
    pub fn finish(self, wish: &Wish) -> Result<()> {
        let figures = self.figures()?;
        println!();
        if wish.quick {
            println!("quick: smaller sizes than the targets are about");
        }
        for figure in &figures {
            println!("{}", result_line(figure));
        }
        if let Some(path) = &wish.json {
            std::fs::write(path, serde_json::to_string_pretty(&figures)? + "\n")
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn figures(self) -> Result<Vec<Figure>> {
        let mut figures = self.wanted;
        for figure in &mut figures {
            let told = self.told.get(&figure.metric);
            figure.value = *told.ok_or_else(|| format!("{} was left out", figure.metric))?;
            figure.met = figure.target.map(|target| target.holds(figure.value));
        }
        Ok(figures)
    }
}

impl Target {
    fn holds(&self, value: f64) -> bool {
        if self.at_most {
            value <= self.bound
        } else {
            value >= self.bound
        }
    }
}

/// `node_1s` in `codec.node_1s.chunks`; `None` in `codec.chunks`.
fn corpus_of(metric: &str) -> Option<&str> {
    let (_, rest) = metric.split_once('.')?;
    let (corpus, _) = rest.rsplit_once('.')?;
    Some(corpus)
}

fn parse_target(line: &str) -> Option<Figure> {
    let mut words = line.split_whitespace();
    let (metric, unit) = (words.next()?.to_owned(), words.next()?.to_owned());
    let at_most = match words.next()? {
        "none" => None,
        "<=" => Some(true),
        ">=" => Some(false),
        _ => return None,
    };
    let target = match at_most {
        None => None,
        Some(at_most) => Some(Target {
            at_most,
            bound: words.next()?.parse().ok()?,
        }),
    };
    let is_all = words.next().is_none();
    is_all.then_some(Figure {
        metric,
        value: f64::NAN,
        unit,
        target,
        met: None,
    })
}

fn result_line(figure: &Figure) -> String {
    let start = format!(
        "RESULT {} {} {}",
        figure.metric,
        rounded(figure.value),
        figure.unit
    );
    match (figure.target, figure.met) {
        (Some(target), Some(met)) => {
            let op = if target.at_most { "<=" } else { ">=" };
            let verdict = if met { "met" } else { "missed" };
            format!("{start} target {op} {} {verdict}", target.bound)
        }
        _ => format!("{start} target none"),
    }
}

/// Four significant digits below 1000, whole numbers above.
fn rounded(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1000.0 {
        return format!("{value:.0}");
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    format!("{value:.*}", digits.clamp(0, 12) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# remark\na.size B <= 10\na.speed M/s >= 2.5\na.note s none\nb.x s none\n";

    fn report(size: f64) -> Report {
        let mut report = Report::from_targets(TEXT, "a").unwrap();
        report.tell("a.size", size).unwrap();
        report.tell("a.speed", 2.4999).unwrap();
        report.tell("a.note", 0.0123456).unwrap();
        report
    }

    #[test]
    fn lines_have_the_form_of_the_contract() {
        let lines: Vec<_> = report(10.0)
            .figures()
            .unwrap()
            .iter()
            .map(result_line)
            .collect();
        assert_eq!(
            lines,
            [
                "RESULT a.size 10.00 B target <= 10 met",
                "RESULT a.speed 2.500 M/s target >= 2.5 missed",
                "RESULT a.note 0.01235 s target none",
            ]
        );
        assert_eq!(rounded(12_345_678.9), "12345679");
    }

    #[test]
    fn a_figure_left_out_or_unknown_or_not_a_number_fails() {
        let mut report = Report::from_targets(TEXT, "a").unwrap();
        assert!(report.tell("a.other", 1.0).is_err());
        assert!(report.tell("b.x", 1.0).is_err());
        assert!(report.tell("a.size", f64::NAN).is_err());
        report.tell("a.size", 1.0).unwrap();
        assert!(report.tell("a.size", 1.0).is_err());
        assert!(
            report
                .figures()
                .unwrap_err()
                .to_string()
                .contains("a.speed was left out")
        );
        assert!(Report::from_targets(TEXT, "c").is_err());
    }

    #[test]
    fn the_committed_targets_are_readable() {
        for bench in [
            "codec",
            "corpora",
            "cardinality",
            "ingest",
            "lifecycle",
            "promql",
            "rivals",
        ] {
            assert!(!Report::new(bench).unwrap().wanted.is_empty());
        }
        assert!(Report::from_targets("a.size B about 10\n", "a").is_err());
        assert!(Report::from_targets("a.size B <= 10 20\n", "a").is_err());
    }

    #[test]
    fn a_row_for_every_corpus_gives_way_to_a_row_of_one() {
        let text = "a.*.size B <= 3\na.one.size B <= 2\na.gone.size B <= 1\na.all B none\n";
        let mut report = Report::from_targets(text, "a").unwrap();
        let missing = report.expand(&["one".to_owned(), "two".to_owned()]);
        assert_eq!(missing, ["gone"]);
        for metric in ["a.two.size", "a.one.size", "a.all"] {
            report.tell(metric, 2.5).unwrap();
        }
        let figures = report.figures().unwrap();
        let verdicts: Vec<_> = figures.iter().map(|f| (f.metric.as_str(), f.met)).collect();
        let wanted = [
            ("a.two.size", Some(true)),
            ("a.one.size", Some(false)),
            ("a.all", None),
        ];
        assert_eq!(verdicts, wanted);
    }

    #[test]
    fn the_command_line_is_read() {
        let words = ["--quick", "node_1s", "--json", "x.json"].map(str::to_owned);
        let wish = Wish::parse(words).unwrap();
        assert!(wish.quick && wish.json == Some("x.json".into()) && wish.words == ["node_1s"]);
        assert!(Wish::parse(["--wat".to_owned()]).is_err());
    }
}
