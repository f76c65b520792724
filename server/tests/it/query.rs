//! `treering query`: tables, JSON, CSV, charts, and what cannot be answered.

use std::fs;
use std::path::Path;

use serde_json::Value;
use treering::{Db, Options};

use crate::support::{Ran, treering};

/// A database `db` with a counter on two hosts, every ten seconds for ten minutes.
fn filled(dir: &Path) {
    let line = |at: u64| {
        let host = ["a", "b"][(at % 2) as usize];
        let (value, time) = (at / 2 * (at % 2 + 1), at / 2 * 10_000);
        format!("hits_total{{host=\"{host}\"}} {value} {time}\n")
    };
    let lines: String = (0..122).map(line).collect();
    assert_eq!(
        treering(dir, &["import", "db"], lines.as_bytes()).code,
        Some(0)
    );
}

fn query(dir: &Path, words: &[&str]) -> Ran {
    treering(dir, &[&["query", "--db", "db"], words].concat(), b"")
}

fn out(dir: &Path, words: &[&str]) -> String {
    let ran = query(dir, words);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{words:?}");
    ran.out
}

#[test]
fn one_time_is_a_line_for_each_series() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let at = ["--time", "1970-01-01T00:10:00Z"];
    let sum = [&["sum by (host) (rate(hits_total[1m]))"][..], &at].concat();
    let table = "series      value\n{host=\"a\"}  0.1\n{host=\"b\"}  0.2\n";
    assert_eq!(out(dir.path(), &sum), table);
    let csv = "host,timestamp,value\na,600,0.1\nb,600,0.2\n";
    assert_eq!(
        out(dir.path(), &[&sum[..], &["--format", "csv"]].concat()),
        csv
    );
    let json = concat!(
        r#"{"status":"success","data":{"resultType":"vector","result":["#,
        r#"{"metric":{"host":"a"},"value":[600,"0.1"]},"#,
        r#"{"metric":{"host":"b"},"value":[600,"0.2"]}]}}"#,
        "\n"
    );
    assert_eq!(
        out(dir.path(), &[&sum[..], &["--format", "json"]].concat()),
        json
    );
    assert_eq!(out(dir.path(), &["1 + 1"]), "2\n");
    assert_eq!(out(dir.path(), &["-1"]), "-1\n");
    assert_eq!(out(dir.path(), &["nothing"]), "no series\n");
}

#[test]
fn a_range_is_a_line_for_each_step() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let range = ["--start", "0", "--end", "20", "--step", "10s"];
    let table = out(
        dir.path(),
        &[&["hits_total{host=\"b\"}"][..], &range].concat(),
    );
    let wanted = "\
series                time                  value
hits_total{host=\"b\"}  1970-01-01T00:00:00Z  0
                      1970-01-01T00:00:10Z  2
                      1970-01-01T00:00:20Z  4
";
    assert_eq!(table, wanted);
    let words = [&["sum(hits_total)", "--format", "csv"][..], &range].concat();
    assert_eq!(
        out(dir.path(), &words),
        "timestamp,value\n0,0\n10,3\n20,6\n"
    );
}

#[test]
fn a_chart_has_its_bounds_and_its_times() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let range = ["--start", "0", "--end", "600", "--step", "10", "--plot"];
    let chart = out(dir.path(), &[&["hits_total"][..], &range].concat());
    let lines: Vec<&str> = chart.lines().collect();
    assert_eq!(lines.len(), 11, "{chart}");
    assert_eq!(
        (lines[0], lines[5]),
        ("hits_total{host=\"a\"}", "hits_total{host=\"b\"}")
    );
    assert!(
        lines[1].starts_with("120 |") && lines[4].starts_with("  0 |"),
        "{chart}"
    );
    assert!(lines[10].contains("1970-01-01T00:00:00Z"), "{chart}");
    assert!(
        chart.contains(|c: char| ('\u{2801}'..='\u{28ff}').contains(&c)),
        "{chart}"
    );
    let chart = out(dir.path(), &["hits_total[5m]", "--time", "600", "--plot"]);
    assert!(chart.contains("1970-01-01T00:10:00Z"), "{chart}");
    let ran = query(dir.path(), &["hits_total", "--plot"]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(
        ran.err.contains("--plot draws series over time"),
        "{}",
        ran.err
    );
}

#[test]
fn a_question_can_be_explained_in_place_of_answered() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let words = ["sum(rate(hits_total[1m]))", "--explain", "--time", "600"];
    let plan = out(dir.path(), &words);
    let lines: Vec<&str> = plan.lines().collect();
    assert!(lines[0].starts_with("sum") && lines.len() >= 3, "{plan}");
    assert!(plan.contains("hits_total[1m]"), "{plan}");
    let range = ["--start", "0", "--end", "600", "--step", "60"];
    let plan = out(dir.path(), &[&words[..2], &range].concat());
    assert!(plan.contains("11 steps"), "{plan}");
}

#[test]
fn warnings_go_to_standard_error_or_into_the_json() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let words = ["quantile(2, hits_total)", "--time", "600"];
    let ran = query(dir.path(), &words);
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "series  value\n{}      +Inf\n")
    );
    let warning = "quantile value should be between 0 and 1, got 2 (1:10)";
    assert_eq!(ran.err, format!("treering: PromQL warning: {warning}\n"));
    let json = out(dir.path(), &[&words[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["warnings"][0], format!("PromQL warning: {warning}"));
}

#[test]
fn what_cannot_be_answered_is_told_in_the_format_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    for (words, kind, why) in [
        (&["up("][..], "bad_data", "1:"),
        (
            &["up", "--enable-feature", "magic"],
            "bad_data",
            "there is no feature \"magic\"",
        ),
        (
            &["hits_total[5m]", "--start", "0"],
            "bad_data",
            "invalid expression type",
        ),
        (
            &["up", "--start", "9", "--end", "3"],
            "bad_data",
            "--end must not be before --start",
        ),
        (
            &[
                "label_replace(hits_total, \"host\", \"\", \"host\", \".*\")",
                "--time",
                "600",
            ],
            "execution",
            "vector cannot contain metrics with the same labelset",
        ),
    ] {
        let ran = query(dir.path(), words);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{ran:?}");
        assert!(
            ran.err.starts_with(&format!("treering: {why}")),
            "{}",
            ran.err
        );
        let ran = query(dir.path(), &[words, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(2));
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(
            (&json["status"], &json["errorType"]),
            (&"error".into(), &kind.into())
        );
        assert_eq!(
            format!("treering: {}\n", json["error"].as_str().unwrap()),
            ran.err
        );
    }
    for words in [
        &["up", "--end", "3"][..],
        &["up", "--step", "3"],
        &["up", "--start", "0", "--step", "0"],
        &["up", "--start", "0", "--time", "0"],
        &["up", "--time", "noon"],
        &["up", "--plot", "--format", "csv"],
    ] {
        assert_eq!(query(dir.path(), words).code, Some(2), "{words:?}");
    }
}

#[test]
fn nothing_is_made_or_changed_and_a_writer_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let ran = query(dir.path(), &["up"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("is not a Treering database"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    filled(dir.path());
    let db = Db::open(dir.path().join("db"), Options::default()).unwrap();
    let words = ["count(hits_total)", "--time", "600"];
    assert_eq!(out(dir.path(), &words), "series  value\n{}      2\n");
    db.close().unwrap();
}
