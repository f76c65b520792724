//! The questions of dashboards (TSBS) in PromQL and in VictoriaMetrics' dialect.
//!
//! Input: a question. Output: the text of a query, when it is asked, points of an answer by metric
//! and host. Prometheus 2.42 takes both ends of a window: windows are a millisecond shorter there,
//! so that they are left-open as in 3.x. It drops names of metrics before it groups: each metric is
//! asked for by itself, named again by a label, and all are joined by `or` in one query; ours is
//! asked in the same words. VictoriaMetrics keeps names and takes left-open windows.

use super::answer::Points;
use super::asked::Asked;
use super::server::Dialect;
use crate::generator::{METRICS, START};
use crate::questions::{Question, Task};

const MILLISECOND: i64 = 1_000_000;

/// The text; without a dialect in ours, which is that of Prometheus 3.x.
pub fn text(dialect: Option<Dialect>, question: &Question) -> String {
    let named = question.metric_names();
    let names = question.host_names();
    let hosts = match &names[..] {
        [] => String::new(),
        [one] => format!("hostname=\"{one}\""),
        some => format!("hostname=~\"{}\"", some.join("|")),
    };
    let all = match (named, hosts.as_str()) {
        ([one], "") => (*one).to_owned(),
        ([one], hosts) => format!("{one}{{{hosts}}}"),
        (some, "") => format!("{{__name__=~\"{}\"}}", some.join("|")),
        (some, hosts) => format!("{{__name__=~\"{}\",{hosts}}}", some.join("|")),
    };
    let each = |one: &dyn Fn(&str) -> String| {
        let texts = named.iter().map(|metric| {
            let selector = format!("{metric}{{{hosts}}}");
            let text = one(&selector);
            match named.len() {
                1 => text,
                _ => format!("label_replace({text},\"metric\",\"{metric}\",\"\",\"\")"),
            }
        });
        texts.collect::<Vec<String>>().join(" or ")
    };
    let range = |step: i64| match dialect {
        Some(Dialect::Prometheus) => format!("{}ms", step / MILLISECOND - 1),
        Some(Dialect::VictoriaMetrics) | None => format!("{}s", step / MILLISECOND / 1000),
    };
    let keeps_names = dialect == Some(Dialect::VictoriaMetrics);
    match question.task {
        Task::MaxByMetric(step) if keeps_names => {
            format!("max by (__name__) (max_over_time({all}[{}]))", range(step))
        }
        Task::MaxByMetric(step) => {
            each(&|selector| format!("max(max_over_time({selector}[{}]))", range(step)))
        }
        Task::MeanBySeries(step) if keeps_names => {
            format!("avg_over_time({all}[{}])", range(step))
        }
        Task::MeanBySeries(step) => {
            each(&|selector| format!("avg_over_time({selector}[{}])", range(step)))
        }
        Task::High => format!("{all} > 90"),
        Task::Newest => all,
    }
}

/// When it is asked, of data of one sample each `step`, which end at `end`.
pub fn asked(question: &Question, step: i64, end: i64) -> Asked {
    let first = question.first - 1;
    let (start, step) = match question.task {
        Task::MaxByMetric(step) | Task::MeanBySeries(step) => (first + step, step),
        Task::High => (START + (first - START + step) / step * step, step),
        Task::Newest => return Asked::Instant(end),
    };
    Asked::Range {
        start,
        end: question.last,
        step,
    }
}

/// Points of which each series is known by its metric and host; one without a name is of the first
/// metric.
pub fn by_host(points: Points) -> Points {
    let of = |(key, points): (super::answer::Key, _)| {
        let label = |wanted: &str| {
            let mut found = key.iter().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| value.clone())
        };
        let metric = label("__name__").or_else(|| label("metric"));
        let metric = metric.unwrap_or_else(|| METRICS[0].to_owned());
        let host = label("hostname").unwrap_or_default();
        let key = vec![("metric".to_owned(), metric), ("host".to_owned(), host)];
        (key, points)
    };
    points.into_iter().map(of).collect()
}
