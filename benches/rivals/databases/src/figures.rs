//! What was measured, told as figures, tables and a chart.
//!
//! Input: figures of appending and times of questions by engine. Output: the figures that the
//! committed targets want of the engines that took part, ratios to ours among them.

use std::collections::BTreeMap;

use treering_benches::Result;
use treering_benches::child::{Measured, figure, median};
use treering_benches::questions::KINDS;
use treering_benches::report::Report;

use crate::chart::{Bars, Chart};
use crate::roster::{EMBEDDED, SINGLE};

const OURS: &str = "treering";

/// The figures of appending, in the order of the tables.
pub(crate) const APPENDED: [&str; 4] = ["rate", "cpu", "settled_cpu", "bytes"];

/// Engines by the names of figures, those of people, colours.
const NAMES: [(&str, &str, &str); 8] = [
    (OURS, "Treering", "#0b7a4b"),
    ("treering_columns", "Treering, columns", "#0b7a4b"),
    ("duckdb", "DuckDB", "#f0b429"),
    ("duckdb_batches", "DuckDB, batches", "#f0b429"),
    ("sqlite", "SQLite", "#4098d7"),
    ("tsink", "tsink", "#9aa5b1"),
    ("victoriametrics", "VictoriaMetrics", "#7c3aa5"),
    ("prometheus", "Prometheus", "#e0532f"),
];

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// By engine, medians of its rounds.
    pub(crate) appended: BTreeMap<&'static str, Measured>,
    /// Milliseconds of each question, by engine and kind.
    pub(crate) asked: BTreeMap<&'static str, BTreeMap<&'static str, Vec<f64>>>,
    /// Milliseconds of a question about nothing.
    pub(crate) floors: BTreeMap<&'static str, f64>,
    /// Threads that wanted to run, before and after.
    pub(crate) loads: [f64; 2],
}

impl Figures {
    /// The middle names of the figures that there are: engines, and `to_` those that ours is
    /// compared with.
    pub(crate) fn groups(engines: &[&str]) -> Vec<String> {
        let mut groups: Vec<String> = engines.iter().map(|name| (*name).to_owned()).collect();
        if EMBEDDED.iter().any(|name| engines.contains(name)) {
            groups.push("to_embedded".to_owned());
        }
        let others = SINGLE.iter().chain(&["duckdb", "duckdb_batches"]);
        let others = others.filter(|name| engines.contains(*name));
        groups.extend(others.map(|name| format!("to_{name}")));
        groups
    }

    fn time(&self, engine: &str, kind: &str) -> Option<f64> {
        Some(median(self.asked.get(engine)?.get(kind)?.clone()))
    }

    fn ours(&self, kind: &str) -> Result<f64> {
        let time = self.time(OURS, kind);
        time.ok_or_else(|| format!("nobody asked {kind}").into())
    }

    /// Tells everything.
    pub(crate) fn tell(&self, report: &mut Report) -> Result<()> {
        report.tell("rivals.load_before", self.loads[0])?;
        report.tell("rivals.load_after", self.loads[1])?;
        for (engine, measured) in &self.appended {
            for what in APPENDED {
                report.tell(&format!("rivals.{engine}.{what}"), figure(measured, what)?)?;
            }
        }
        for (engine, floor) in &self.floors {
            report.tell(&format!("rivals.{engine}.floor"), *floor)?;
        }
        for kind in KINDS {
            let (name, ours) = (kind.name, self.ours(kind.name)?);
            for engine in self.asked.keys() {
                let time = self.time(engine, name).ok_or("an engine was not asked")?;
                report.tell(&format!("rivals.{engine}.{name}"), time)?;
                if SINGLE.contains(engine) {
                    report.tell(&format!("rivals.to_{engine}.{name}"), time / ours)?;
                }
            }
            let embedded = EMBEDDED.iter().filter_map(|engine| self.time(engine, name));
            if let Some(best) = embedded.reduce(f64::min) {
                report.tell(&format!("rivals.to_embedded.{name}"), best / ours)?;
            }
        }
        for (group, ours, what) in [
            ("duckdb", "treering_columns", "columns_cpu"),
            ("duckdb_batches", OURS, "rows_cpu"),
        ] {
            if let (Some(theirs), Some(ours)) = (self.appended.get(group), self.appended.get(ours))
            {
                let ratio = figure(theirs, "cpu")? / figure(ours, "cpu")?;
                report.tell(&format!("rivals.to_{group}.{what}"), ratio)?;
            }
        }
        Ok(())
    }

    /// Tables as docs/performance.md has them.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::from(
            "\n| engine | samples/s | CPU s per million | until compacted | bytes per sample |\n\
             |---|---|---|---|---|\n",
        );
        for (engine, name, _) in NAMES {
            if let Some(measured) = self.appended.get(engine) {
                let cell = |what: &str| measured.get(what).copied().unwrap_or(f64::NAN);
                text.push_str(&format!(
                    "| {name} | {:.2} M | {:.3} | {:.3} | {:.2} |\n",
                    cell("rate") / 1e6,
                    cell("cpu"),
                    cell("settled_cpu"),
                    cell("bytes"),
                ));
            }
        }
        let asked: Vec<_> = NAMES
            .iter()
            .filter(|(name, ..)| self.asked.contains_key(name))
            .collect();
        let names: Vec<&str> = asked.iter().map(|(_, name, _)| *name).collect();
        text.push_str(&format!("\n| question, ms | {} |\n", names.join(" | ")));
        text.push_str(&"|---".repeat(names.len() + 1));
        text.push_str("|\n");
        for kind in KINDS {
            let ours = self.time(OURS, kind.name).unwrap_or(f64::NAN);
            let cells = asked.iter().map(|(engine, ..)| {
                let time = self.time(engine, kind.name).unwrap_or(f64::NAN);
                match *engine {
                    OURS => format!("{time:.3}"),
                    _ => format!("{} ({}x)", digits(time), digits(time / ours)),
                }
            });
            let cells: Vec<String> = cells.collect();
            text.push_str(&format!(
                "| {} | {} |\n",
                title(kind.name),
                cells.join(" | ")
            ));
        }
        text
    }

    /// The times of the questions.
    pub(crate) fn chart(&self, remark: String) -> Chart {
        let asked = NAMES
            .iter()
            .filter(|(name, ..)| self.asked.contains_key(name));
        let bars = asked.map(|&(engine, name, colour)| Bars {
            name: name.to_owned(),
            colour,
            values: KINDS
                .iter()
                .map(|kind| self.time(engine, kind.name))
                .collect(),
        });
        Chart {
            title: "Questions of dashboards, side by side".to_owned(),
            remark,
            groups: KINDS.iter().map(|kind| title(kind.name)).collect(),
            bars: bars.collect(),
        }
    }
}

fn title(kind: &str) -> String {
    kind.replace('_', "-")
}

/// Three significant digits.
fn digits(value: f64) -> String {
    let digits = 2 - value.abs().log10().floor().clamp(-6.0, 2.0) as i32;
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(engines: &[&'static str]) -> Figures {
        let mut figures = Figures::default();
        for (number, engine) in engines.iter().enumerate() {
            let value = 1.0 + number as f64;
            let measured = APPENDED.map(|what| (what.to_owned(), value));
            figures.appended.insert(engine, Measured::from(measured));
            if !["treering_columns", "duckdb_batches"].contains(engine) {
                let asked = KINDS.map(|kind| (kind.name, vec![value]));
                figures.asked.insert(engine, BTreeMap::from(asked));
            }
            if ["prometheus", "victoriametrics"].contains(engine) {
                figures.floors.insert(engine, value);
            }
        }
        figures
    }

    /// Whatever is there or missing, the target file names all that is told, and nothing else.
    #[test]
    fn the_target_file_names_every_figure() {
        let all: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
        let least = ["treering", "treering_columns", "tsink"];
        let some = [
            "treering",
            "treering_columns",
            "tsink",
            "sqlite",
            "victoriametrics",
        ];
        for engines in [&all[..], &least[..], &some[..]] {
            let (mut report, _) = Report::over("rivals", &Figures::groups(engines)).unwrap();
            figures(engines).tell(&mut report).unwrap();
            let file = tempfile::NamedTempFile::new().unwrap();
            let wish = treering_benches::report::Wish {
                json: Some(file.path().to_path_buf()),
                ..Default::default()
            };
            report.finish(&wish).unwrap();
            let told = std::fs::read_to_string(file.path()).unwrap();
            assert!(told.contains("rivals.to_embedded.lastpoint"));
            assert_eq!(
                told.contains("rivals.to_prometheus."),
                engines.contains(&"prometheus")
            );
        }
    }

    #[test]
    fn ratios_are_times_of_the_best_by_ours() {
        let figures = figures(&["treering", "sqlite", "duckdb"]);
        let text = figures.tables();
        assert!(
            text.contains("| lastpoint | 1.000 | 3.00 (3.00x) | 2.00 (2.00x) |"),
            "{text}"
        );
        assert_eq!(figures.chart(String::new()).bars.len(), 3);
        assert_eq!(
            (digits(1234.5), digits(0.01234)),
            ("1234".into(), "0.0123".into())
        );
    }
}
