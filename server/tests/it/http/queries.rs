//! Queries: answers in Prometheus' shapes, and its words for what is wrong.

use serde_json::{Value, json};
use treering_promql::Features;

use super::client::{Client, Served};
use super::messages::{request, series};

/// Two counters, one of which is written every 15 seconds for ten minutes, and odd numbers.
fn served(features: Features) -> (Served, Client) {
    let served = Served::new(features);
    let mut client = served.client();
    let counter: Vec<_> = (0..=40).map(|at| (at * 15_000, at as f64 * 30.0)).collect();
    let half: Vec<_> = (0..=40).map(|at| (at * 15_000, at as f64 * 15.0)).collect();
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e-7,
        1e21,
        0.1 + 0.2,
        5e-324,
    ];
    let mut all = vec![
        series(&[("__name__", "requests_total"), ("job", "b")], &half),
        series(&[("__name__", "requests_total"), ("job", "a")], &counter),
    ];
    for (at, value) in (0..).zip(odd) {
        let at = format!("{at}");
        all.push(series(
            &[("__name__", "odd"), ("at", &at)],
            &[(600_000, value)],
        ));
    }
    assert_eq!(client.write(&request(all)).status, 204);
    (served, client)
}

fn ask(client: &mut Client, params: &[(&str, &str)]) -> (u16, String) {
    let reply = client.get("/api/v1/query", params);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    (reply.status, reply.body)
}

#[test]
fn instant_answers_are_these() {
    let (_served, mut client) = served(Features::default());
    for (query, answer) in [
        (
            "sort(sum by (job) (requests_total))",
            r#"{"resultType":"vector","result":[{"metric":{"job":"b"},"value":[600,"600"]},{"metric":{"job":"a"},"value":[600,"1200"]}]}"#,
        ),
        (
            "requests_total{job=\"a\"}[30s]",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total","job":"a"},"values":[[585,"1170"],[600,"1200"]]}]}"#,
        ),
        (
            "1e21 + 1",
            r#"{"resultType":"scalar","result":[600,"1000000000000000000000"]}"#,
        ),
        (
            "\"a\\nb\"",
            r#"{"resultType":"string","result":[600,"a\nb"]}"#,
        ),
        ("nothing", r#"{"resultType":"vector","result":[]}"#),
    ] {
        let wanted = format!(r#"{{"status":"success","data":{answer}}}"#);
        let params = [("query", query), ("time", "600")];
        assert_eq!(ask(&mut client, &params), (200, wanted.clone()), "{query}");
        let reply = client.post("/api/v1/query", &params);
        assert_eq!((reply.status, reply.body), (200, wanted), "{query}");
    }
    let (_, body) = ask(
        &mut client,
        &[("query", "odd"), ("time", "1970-01-01T00:10:00.123Z")],
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    let series = body["data"]["result"].as_array().unwrap();
    let values: Vec<_> = series.iter().map(|one| one["value"].clone()).collect();
    let wanted = [
        "NaN",
        "+Inf",
        "-Inf",
        "1e-07",
        "1e+21",
        "0.30000000000000004",
        "5e-324",
    ];
    assert_eq!(values, wanted.map(|value| json!([600.123, value])));
}

#[test]
fn range_answers_are_sorted_by_labels() {
    let (_served, mut client) = served(Features::default());
    let params = [
        ("query", "requests_total - requests_total offset 15s"),
        ("start", "120"),
        ("end", "1970-01-01T00:02:30Z"),
        ("step", "15s"),
    ];
    let a = r#"{"metric":{"job":"a"},"values":[[120,"30"],[135,"30"],[150,"30"]]}"#;
    let b = r#"{"metric":{"job":"b"},"values":[[120,"15"],[135,"15"],[150,"15"]]}"#;
    let wanted =
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{a},{b}]}}}}"#);
    let reply = client.post("/api/v1/query_range", &params);
    assert_eq!((reply.status, &reply.body), (200, &wanted));
    let reply = client.get("/api/v1/query_range", &params);
    assert_eq!((reply.status, &reply.body), (200, &wanted));
    let limited = [&params[..], &[("limit", "1")]].concat();
    let reply = client.get("/api/v1/query_range", &limited);
    let wanted = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{a}]}},"warnings":["results truncated due to limit"]}}"#
    );
    assert_eq!(reply.body, wanted);
}

#[test]
fn warnings_and_infos_stand_in_the_envelope() {
    let (_served, mut client) = served(Features::default());
    let (status, body) = ask(
        &mut client,
        &[("query", "quantile(2, odd)"), ("time", "600")],
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
    assert_eq!((status, &body["warnings"]), (200, &json!([warning])));
    assert_eq!(body.get("infos"), None);
    let (_, body) = ask(&mut client, &[("query", "rate(odd[1m])"), ("time", "600")]);
    assert!(!body.contains("warnings"), "{body}");
}

#[test]
fn statistics_come_when_they_are_asked_for() {
    let (_served, mut client) = served(Features::default());
    let query = ("query", "sum(requests_total)");
    let (_, body) = ask(&mut client, &[query, ("time", "600"), ("stats", "all")]);
    let body: Value = serde_json::from_str(&body).unwrap();
    let samples = &body["data"]["stats"]["samples"];
    assert!(
        samples["totalQueryableSamples"].as_u64() > Some(0),
        "{body}"
    );
    assert!(
        body["data"]["stats"]["timings"]["evalTotalTime"].is_number(),
        "{body}"
    );
    let (_, body) = ask(&mut client, &[query, ("time", "600"), ("stats", "yes")]);
    assert!(
        body.contains("\"stats\":{") && body.contains("deprecated"),
        "{body}"
    );
}

#[test]
fn a_shorter_lookback_sees_less() {
    let (_served, mut client) = served(Features::default());
    for (lookback, found) in [("", 2), ("20", 0), ("31s", 2), ("0", 2)] {
        let query = ("query", "requests_total");
        let params = [query, ("time", "630"), ("lookback_delta", lookback)];
        let (_, body) = ask(&mut client, &params);
        assert_eq!(
            body.matches("\"metric\"").count(),
            found,
            "{lookback}: {body}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_in_prometheus_words() {
    let (_served, mut client) = served(Features::default());
    let range = "/api/v1/query_range";
    let instant = "/api/v1/query";
    let steps = [
        ("query", "up"),
        ("start", "0"),
        ("end", "60"),
        ("step", "15"),
    ];
    let with = |name: &'static str, value: &'static str| {
        steps
            .map(|(one, old)| (one, if one == name { value } else { old }))
            .to_vec()
    };
    for (path, params, status, kind, text) in [
        (
            instant,
            vec![("query", "up(")],
            400,
            "bad_data",
            "invalid parameter \"query\": 1:",
        ),
        (
            instant,
            vec![],
            400,
            "bad_data",
            "invalid parameter \"query\": unknown position: parse",
        ),
        (
            instant,
            vec![("query", "up"), ("time", "soon")],
            400,
            "bad_data",
            "invalid parameter \"time\": Invalid time value for 'time': cannot parse \"soon\"",
        ),
        (
            instant,
            vec![("query", "up"), ("timeout", "long")],
            400,
            "bad_data",
            "invalid parameter \"timeout\": cannot parse \"long\" to a valid duration",
        ),
        (
            instant,
            vec![
                ("query", "label_replace(odd, \"at\", \"\", \"at\", \".*\")"),
                ("time", "600"),
            ],
            422,
            "execution",
            "vector cannot contain metrics with the same labelset",
        ),
        (
            instant,
            vec![("query", "requests_total"), ("timeout", "0")],
            503,
            "timeout",
            "query timed out in ",
        ),
        (
            range,
            vec![],
            400,
            "bad_data",
            "invalid parameter \"start\": cannot parse \"\"",
        ),
        (
            range,
            with("end", "-1"),
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            range,
            with("step", "0"),
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not \
             accepted. Try a positive integer",
        ),
        (
            range,
            with("end", "165015"),
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ),
        (
            range,
            with("query", "up[5m]"),
            400,
            "bad_data",
            "invalid parameter \"query\": invalid expression type \"range vector\" for range \
             query, must be Scalar or instant Vector",
        ),
    ] {
        let reply = client.get(path, &params);
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["status"]),
            (status, &json!("error")),
            "{body}"
        );
        assert_eq!(body["errorType"], kind, "{body}");
        let found = body["error"].as_str().unwrap();
        assert!(found.starts_with(text), "{text}\n{found}");
    }
    assert_eq!(client.get(range, &with("end", "165000")).status, 200);
}

#[test]
fn experimental_parts_are_off_until_they_are_switched_on() {
    let query = [
        ("query", "sort_by_label(requests_total, \"job\")"),
        ("time", "600"),
    ];
    let (_plain, mut client) = served(Features::default());
    assert_eq!(ask(&mut client, &query).0, 400);
    let (_all, mut client) = served(Features::all());
    assert_eq!(ask(&mut client, &query).0, 200);
}

#[test]
fn other_addresses_and_methods_have_their_status() {
    let (served, mut client) = served(Features::default());
    for (method, path, status) in [
        ("GET", "/-/ready", 200),
        ("HEAD", "/-/healthy", 200),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/query", 405),
        ("POST", "/api/v1/label/job/values", 405),
    ] {
        let reply = Client::new(served.address).send(method, path, &[], b"");
        assert_eq!(reply.status, status, "{method} {path}");
    }
    let reply = client.send("GET", "/api/v1/query?query=1&%zz", &[], b"");
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn a_server_that_ended_left_its_database_closed() {
    let (mut served, _client) = served(Features::default());
    served.end().unwrap();
    let refused = served.db.latest(&treering::Selector::all()).unwrap_err();
    assert!(matches!(refused, treering::Error::Closed), "{refused}");
}
