//! What the bench wants of each engine.
//!
//! Input: rows and questions. Output: figures of appending, and answers in one form, whatever the
//! engine calls its series: points by metric and host.

use std::collections::BTreeMap;
use std::path::Path;

use treering_benches::Result;
use treering_benches::child::Measured;
use treering_benches::questions::{Points, Question};

use crate::workload::Rows;

/// Points, nanoseconds and values, by metric and host; a metric of all hosts has the host "".
pub(crate) type Found = BTreeMap<(String, String), Vec<(i64, f64)>>;

/// One engine with one way to append.
pub(crate) trait Engine {
    /// The name in figures.
    fn name(&self) -> &'static str;

    /// Version, configuration, batch size, when it is synced, how it is asked.
    fn about(&self) -> String;

    /// How often a full run appends the workload; a quick one does once.
    fn rounds(&self) -> usize {
        1
    }

    /// Appends the workload into an empty folder, in a process other than this one: `rate` (samples
    /// a second until the last batch is acknowledged), `cpu` (seconds of the engine's process per
    /// million samples until then), `settled_cpu` (the same until all is flushed and compacted as
    /// far as it can be asked for) and `bytes` (per sample, then).
    fn append(&mut self, rows: &Rows, folder: &Path) -> Result<Measured>;

    /// Whether the last round of [`append`](Self::append) left something to ask.
    fn answers(&self) -> bool {
        true
    }

    /// Milliseconds until the whole answer was there, and the answer.
    fn ask(&mut self, question: &Question) -> Result<(f64, Found)>;

    /// Milliseconds of a question about nothing, of those that are asked over a network.
    fn floor(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }
}

/// Points by labels as points by metric and host.
pub(crate) fn found(points: Points) -> Found {
    let name =
        |labels: &treering::Labels, name: &str| labels.get(name).unwrap_or_default().to_owned();
    let points = points.into_iter();
    points
        .map(|(labels, points)| {
            (
                (name(&labels, "__name__"), name(&labels, "hostname")),
                points,
            )
        })
        .collect()
}

/// Fails unless `found` is what a plain scan found: series and times exactly, values to a relative
/// 1e-9.
pub(crate) fn compare(found: &Found, wanted: &Found) -> Result<()> {
    if !found.keys().eq(wanted.keys()) {
        let only = found.keys().find(|key| !wanted.contains_key(*key));
        let lacking = wanted.keys().find(|key| !found.contains_key(*key));
        return Err(format!(
            "{} series instead of {}: invented {only:?}, lacking {lacking:?}",
            found.len(),
            wanted.len()
        )
        .into());
    }
    for ((key, found), wanted) in found.iter().zip(wanted.values()) {
        if found.len() != wanted.len() {
            let counts = (found.len(), wanted.len());
            return Err(format!("{key:?}: {} points instead of {}", counts.0, counts.1).into());
        }
        let differs = |(a, b): &(&(i64, f64), &(i64, f64))| a.0 != b.0 || !is_near(a.1, b.1);
        if let Some((found, wanted)) = found.iter().zip(wanted).find(differs) {
            return Err(format!("{key:?}: {found:?} instead of {wanted:?}").into());
        }
    }
    Ok(())
}

fn is_near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_refused() {
        let key = |host: &str| ("cpu".to_owned(), host.to_owned());
        let wanted = Found::from([(key("a"), vec![(1, 0.5), (2, 3.0)])]);
        assert!(compare(&wanted.clone(), &wanted).is_ok());
        let near = Found::from([(key("a"), vec![(1, 0.5), (2, 3.0 + 1e-9)])]);
        assert!(compare(&near, &wanted).is_ok());
        for wrong in [
            Found::new(),
            Found::from([(key("b"), vec![(1, 0.5), (2, 3.0)])]),
            Found::from([(key("a"), vec![(1, 0.5)])]),
            Found::from([(key("a"), vec![(1, 0.5), (3, 3.0)])]),
            Found::from([(key("a"), vec![(1, 0.5), (2, 3.0001)])]),
            Found::from([(key("a"), vec![(1, 0.5), (2, f64::NAN)])]),
        ] {
            assert!(compare(&wrong, &wanted).is_err(), "{wrong:?}");
        }
    }
}
