//! Asks the index: exact, by prefix, suffix, infix and negation, for values, for a host with its data.
//!
//! Input: a filled database and what is in it. Output: median milliseconds. Each answer is counted
//! and held against a plain scan of the names of all hosts.

use treering::{Db, Selector};
use treering_benches::Result;
use treering_benches::child::{Measured, median_millis};

use crate::fill::{Plan, time, value};

/// How often a question is asked; the median counts.
const ASKED: usize = 51;

/// Questions about one metric: name, matcher of the host name, and which names it accepts.
type Question = (&'static str, &'static str, fn(&str) -> bool);
const QUESTIONS: [Question; 4] = [
    ("prefix", "=~\"host_123.*\"", |name| {
        name.starts_with("host_123")
    }),
    ("suffix", "=~\".*4321\"", |name| name.ends_with("4321")),
    ("infix", "=~\".*234.*\"", |name| name.contains("234")),
    ("negation", "!~\"host_[0-8].*\"", |name| {
        name.starts_with("host_9")
    }),
];

/// Asks everything.
pub(crate) fn ask(db: &Db, plan: &Plan) -> Result<Measured> {
    let mut measured = Measured::new();
    let names = plan.names();
    let last = plan.rows - 1;
    let host = plan.hosts / 81 * 10 + 5;
    let name = plan.name(host, last);

    let exact = of_metric(&format!("=\"{name}\""))?;
    measured.insert("exact".into(), asked(db, &exact, 1)?);
    for (what, matcher, accepts) in QUESTIONS {
        let wanted = names.iter().filter(|name| accepts(name)).count();
        measured.insert(what.into(), asked(db, &of_metric(matcher)?, wanted)?);
    }

    let all = Selector::all();
    let found = db.label_values("hostname", &all, ..)?;
    if found != names {
        return Err(format!("{} host names, not {}", found.len(), names.len()).into());
    }
    let values = median_millis(ASKED, || {
        db.label_values("hostname", &all, ..)?;
        Ok(())
    })?;
    measured.insert("values".into(), values);

    let ten = Selector::parse(&format!("{{hostname=\"{name}\"}}"))?;
    check_host(db, &ten, plan, host)?;
    let ten = median_millis(ASKED, || {
        for series in db.select(&ten, ..)? {
            series?.columns()?;
        }
        Ok(())
    })?;
    measured.insert("ten".into(), ten);
    Ok(measured)
}

fn of_metric(matcher: &str) -> Result<Selector> {
    let text = format!("{{__name__=\"cpu_usage_user\",hostname{matcher}}}");
    Ok(Selector::parse(&text)?)
}

/// Milliseconds to plan the series of a selector, which must be `wanted` many.
fn asked(db: &Db, selector: &Selector, wanted: usize) -> Result<f64> {
    let found = db.select(selector, ..)?.count();
    if found != wanted {
        return Err(format!("{selector} found {found} series, not {wanted}").into());
    }
    median_millis(ASKED, || {
        db.select(selector, ..)?;
        Ok(())
    })
}

/// The ten series of a host that is there in the last row, and their samples.
fn check_host(db: &Db, selector: &Selector, plan: &Plan, host: u32) -> Result<()> {
    let last = plan.rows - 1;
    let mut wanted = plan.labels(host, last)?;
    wanted.sort_unstable();
    let name = plan.name(host, last);
    let rows: Vec<u32> = (0..plan.rows)
        .filter(|&row| plan.name(host, row) == name)
        .collect();
    let mut found = Vec::new();
    for series in db.select(selector, ..)? {
        let series = series?;
        let columns = series.columns()?;
        let times = rows.iter().map(|&row| time(row));
        let values = rows.iter().map(|&row| value(host, row));
        if !times.eq(columns.timestamps.iter().copied())
            || !values.eq(columns.values.iter().copied())
        {
            return Err(format!("the samples of {} changed", series.labels()).into());
        }
        found.push(series.labels().clone());
    }
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{selector} found other series than those of its host").into()),
    }
}
