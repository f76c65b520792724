//! What was measured, told as tables and figures.
//!
//! Input: milliseconds of each query and engine. Output: medians; of a group of queries the sum of
//! their medians; ratios of the others' to ours.

use std::collections::BTreeMap;

use treering_benches::Result;
use treering_benches::child::median;
use treering_benches::report::Report;

const OURS: &str = "treering";
const OTHERS: [(&str, &str); 2] = [
    ("prometheus", "Prometheus"),
    ("victoriametrics", "VictoriaMetrics"),
];

/// Milliseconds by engine.
type ByEngine = BTreeMap<&'static str, Vec<f64>>;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Groups in the order in which they were asked, each with its queries.
    groups: Vec<(String, Vec<(String, ByEngine)>)>,
}

impl Times {
    /// Adds one round of a query that belongs to a group.
    pub(crate) fn add(&mut self, group: &str, query: &str, took: &BTreeMap<&'static str, f64>) {
        let at = match self.groups.iter().position(|(name, _)| name == group) {
            Some(at) => at,
            None => {
                self.groups.push((group.to_owned(), Vec::new()));
                self.groups.len() - 1
            }
        };
        let queries = &mut self.groups[at].1;
        let at = match queries.iter().position(|(text, _)| text == query) {
            Some(at) => at,
            None => {
                queries.push((query.to_owned(), ByEngine::new()));
                queries.len() - 1
            }
        };
        for (engine, millis) in took {
            queries[at].1.entry(engine).or_default().push(*millis);
        }
    }

    /// The middle names of the figures that there are.
    pub(crate) fn groups(&self) -> Vec<String> {
        let queries = self.groups.iter().flat_map(|(_, queries)| queries);
        let is_there = |name: &str| queries.clone().any(|(_, times)| times.contains_key(name));
        let others = OTHERS.iter().filter(|(name, _)| is_there(name));
        let others = others.flat_map(|(name, _)| [(*name).to_owned(), format!("to_{name}")]);
        [OURS.to_owned()].into_iter().chain(others).collect()
    }

    /// Tells everything.
    pub(crate) fn tell(&self, report: &mut Report) -> Result<()> {
        for (group, queries) in &self.groups {
            let ours = sum(queries, OURS).ok_or("ours was not asked")?;
            report.tell(&format!("promql.{OURS}.{group}"), ours)?;
            for (name, _) in OTHERS {
                if let Some(theirs) = sum(queries, name) {
                    report.tell(&format!("promql.{name}.{group}"), theirs)?;
                    report.tell(&format!("promql.to_{name}.{group}"), theirs / ours)?;
                }
            }
        }
        Ok(())
    }

    /// Tables as docs/performance.md has them.
    pub(crate) fn tables(&self) -> String {
        let head = "| ms | Treering | Prometheus | VictoriaMetrics |\n|---|---|---|---|\n";
        let mut text = format!("\n{head}");
        for (group, queries) in &self.groups {
            text += &row(group, |engine| sum(queries, engine));
        }
        text += &format!("\n{head}");
        let dashboards = self
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with("d_"));
        for (text_of, times) in dashboards.flat_map(|(_, queries)| queries) {
            let shown = format!("`{}`", text_of.replace('|', "\\|"));
            text += &row(&shown, |engine| {
                times.get(engine).map(|times| median(times.clone()))
            });
        }
        text
    }
}

/// The sum of the medians of all queries.
fn sum(queries: &[(String, ByEngine)], engine: &str) -> Option<f64> {
    let medians = queries.iter().map(|(_, times)| {
        let times = times.get(engine)?;
        Some(median(times.clone()))
    });
    medians.sum()
}

fn row(name: &str, of: impl Fn(&str) -> Option<f64>) -> String {
    let ours = of(OURS).unwrap_or(f64::NAN);
    let cells = OTHERS.iter().map(|(engine, _)| match of(engine) {
        Some(theirs) => format!("{} ({}x)", digits(theirs), digits(theirs / ours)),
        None => "-".to_owned(),
    });
    let cells: Vec<String> = cells.collect();
    format!("| {name} | {} | {} |\n", digits(ours), cells.join(" | "))
}

/// Three significant digits.
fn digits(value: f64) -> String {
    let digits = 2 - value.abs().log10().floor().clamp(-6.0, 2.0) as i32;
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::DASHBOARDS;
    use treering_benches::questions::KINDS;
    use treering_benches::report::Wish;

    fn times(engines: &[&'static str]) -> Times {
        let mut times = Times::default();
        let took = |scale: f64| -> BTreeMap<&'static str, f64> {
            let each = (1..).zip(engines);
            each.map(|(number, engine)| (*engine, f64::from(number) * scale))
                .collect()
        };
        for name in DASHBOARDS {
            times.add(&format!("d_{name}"), "a", &took(1.0));
            times.add(&format!("d_{name}"), "b", &took(2.0));
        }
        for prefix in ["s", "m"] {
            for kind in KINDS {
                times.add(&format!("{prefix}_{}", kind.name), kind.name, &took(1.0));
            }
        }
        times
    }

    #[test]
    fn the_target_file_names_every_figure() {
        for engines in [
            &["treering", "prometheus", "victoriametrics"][..],
            &["treering", "victoriametrics"],
            &["treering"],
        ] {
            let times = times(engines);
            let (mut report, _) = Report::over("promql", &times.groups()).unwrap();
            times.tell(&mut report).unwrap();
            report.finish(&Wish::default()).unwrap();
        }
    }

    #[test]
    fn a_group_is_the_sum_of_the_medians_of_its_queries() {
        let mut times = times(&["treering", "prometheus"]);
        let slow = BTreeMap::from([("treering", 9.0), ("prometheus", 2.0)]);
        times.add("d_slo", "a", &slow);
        times.add("d_slo", "a", &slow);
        let tables = times.tables();
        assert!(
            tables.contains("| d_slo | 11.0 | 6.00 (0.545x) | - |\n"),
            "{tables}"
        );
    }
}
