//! The questions as requests of Prometheus' HTTP API, and its answers in JSON.
//!
//! Input: a question. Output: the path of a request; points by metric and host of a reply.
//! `nocache=1` keeps VictoriaMetrics from moving the windows to multiples of the step.

use serde_json::Value;
use treering_benches::Result;
use treering_benches::generator::METRICS;
use treering_benches::questions::Question;
use treering_benches::rival::asked::{Asked, seconds};
use treering_benches::rival::http::escape;
use treering_benches::rival::server::Dialect;
use treering_benches::rival::words;

use crate::engine::Found;

const MILLISECOND: i64 = 1_000_000;

/// The path and parameters of a question about data of one sample each `step`, which end at `end`.
pub(crate) fn request(dialect: Dialect, question: &Question, step: i64, end: i64) -> String {
    let text = escape(&words::text(Some(dialect), question));
    let suffix = match dialect {
        Dialect::Prometheus => "",
        Dialect::VictoriaMetrics => "&nocache=1",
    };
    match words::asked(question, step, end) {
        Asked::Instant(time) => {
            format!("/api/v1/query?query={text}&time={}{suffix}", seconds(time))
        }
        Asked::Range { start, end, step } => {
            let (start, end, step) = (seconds(start), seconds(end), seconds(step));
            let range = format!("start={start}&end={end}&step={step}");
            format!("/api/v1/query_range?query={text}&{range}{suffix}")
        }
    }
}

/// Points of a reply; a series without a name is of the first metric.
pub(crate) fn found(reply: &[u8]) -> Result<Found> {
    let reply: Value = serde_json::from_slice(reply)?;
    if reply["status"] != "success" {
        return Err(format!("the reply is {reply}").into());
    }
    let series = reply["data"]["result"]
        .as_array()
        .ok_or("a reply without a result")?;
    let mut found = Found::new();
    for series in series {
        let labels = &series["metric"];
        let name = labels["__name__"].as_str().or(labels["metric"].as_str());
        let key = (
            name.unwrap_or(METRICS[0]).to_owned(),
            labels["hostname"].as_str().unwrap_or_default().to_owned(),
        );
        let points = match series.get("values").and_then(Value::as_array) {
            Some(values) => values.iter().map(point).collect::<Result<Vec<_>>>()?,
            None => vec![point(&series["value"])?],
        };
        if found.insert(key.clone(), points).is_some() {
            return Err(format!("{key:?} comes twice").into());
        }
    }
    Ok(found)
}

/// Seconds and a value as text.
fn point(pair: &Value) -> Result<(i64, f64)> {
    let time = pair[0].as_f64().ok_or("a point without a time")?;
    let value = pair[1].as_str().ok_or("a point without a value")?;
    Ok(((time * 1e3).round() as i64 * MILLISECOND, value.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{SEED, shape};
    use treering_benches::generator::START;
    use treering_benches::questions::KINDS;

    fn question(name: &str) -> Question {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        kind.questions(&shape(false), 1, SEED).unwrap().remove(0)
    }

    #[test]
    fn questions_are_asked_in_the_words_of_each() {
        let one = question("single_groupby_1_1_1");
        let host = one.host_names().remove(0);
        assert_eq!(
            words::text(Some(Dialect::Prometheus), &one),
            format!("max(max_over_time(cpu_usage_user{{hostname=\"{host}\"}}[59999ms]))")
        );
        assert_eq!(
            words::text(Some(Dialect::VictoriaMetrics), &one),
            format!(
                "max by (__name__) (max_over_time(cpu_usage_user{{hostname=\"{host}\"}}[60s]))"
            )
        );
        let all = question("double_groupby_all");
        let prometheus = words::text(Some(Dialect::Prometheus), &all);
        assert_eq!(prometheus.matches(" or ").count(), 9);
        assert!(prometheus.contains(
            "label_replace(avg_over_time(cpu_usage_irq{}[3599999ms]),\"metric\",\"cpu_usage_irq\""
        ));
        assert_eq!(
            words::text(Some(Dialect::Prometheus), &question("high_cpu_all")),
            "cpu_usage_user > 90"
        );
    }

    #[test]
    fn windows_end_where_the_questions_say() {
        let mut all = question("double_groupby_1");
        (all.first, all.last) = (
            START + 7_000_000_001,
            START + 7_000_000_000 + 12 * 3600 * 1_000_000_000,
        );
        let path = request(Dialect::VictoriaMetrics, &all, 10_000_000_000, 0);
        let (from, to) = (1_704_067_200 + 7 + 3600, 1_704_067_200 + 7 + 12 * 3600);
        let range = format!("&start={from}.000&end={to}.000&step=3600.000&nocache=1");
        assert!(path.ends_with(&range), "{path}");
        let mut high = question("high_cpu_all");
        for (first, start) in [(1, 10), (7_000_000_001, 10), (10_000_000_001, 20)] {
            high.first = START + first;
            let path = request(Dialect::Prometheus, &high, 10_000_000_000, 0);
            let start = format!("&start={}.000&", 1_704_067_200 + start);
            assert!(path.contains(&start), "{first}: {path}");
        }
    }

    #[test]
    fn replies_become_points() {
        let reply = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"hostname":"h","metric":"cpu_x"},"values":[[1704067200.001,"0.5"],[2,"1e3"]]},
            {"metric":{},"value":[10,"NaN"]}]}}"#;
        let found = found(reply).unwrap();
        let key = |metric: &str, host: &str| (metric.to_owned(), host.to_owned());
        let points = &found[&key("cpu_x", "h")];
        assert_eq!(
            points,
            &[(1_704_067_200_001_000_000, 0.5), (2_000_000_000, 1000.0)]
        );
        assert!(found[&key("cpu_usage_user", "")][0].1.is_nan());
        assert!(super::found(br#"{"status":"error"}"#).is_err());
    }
}
