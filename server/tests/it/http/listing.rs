//! Names, values and series: sorted, each once, within a range and a limit.

use serde_json::{Value, json};
use treering_promql::Features;

use super::client::{Client, Served};
use super::messages::{request, series};

fn served() -> (Served, Client) {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let one = [(1000, 1.0)];
    let all = vec![
        series(&[("__name__", "up"), ("job", "b"), ("host", "x")], &one),
        series(&[("__name__", "up"), ("job", "a")], &one),
        series(&[("__name__", "down"), ("job", "c")], &[(9_000_000, 1.0)]),
        series(&[("__name__", "my.metric"), ("a b/c", "d")], &one),
    ];
    assert_eq!(client.write(&request(all)).status, 204);
    (served, client)
}

fn list(client: &mut Client, path: &str, params: &[(&str, &str)]) -> Value {
    let reply = client.get(path, params);
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["status"], "success");
    body["data"].clone()
}

#[test]
fn names_and_values_are_sorted() {
    let (_served, mut client) = served();
    let all = list(&mut client, "/api/v1/labels", &[]);
    assert_eq!(all, json!(["__name__", "a b/c", "host", "job"]));
    let some = [("match[]", "up{job=\"a\"}"), ("match[]", "down")];
    let found = list(&mut client, "/api/v1/labels", &some);
    assert_eq!(found, json!(["__name__", "job"]));
    let reply = client.post("/api/v1/labels", &some);
    assert_eq!(reply.json()["data"], json!(["__name__", "job"]));
    let jobs = list(&mut client, "/api/v1/label/job/values", &[]);
    assert_eq!(jobs, json!(["a", "b", "c"]));
    let jobs = list(
        &mut client,
        "/api/v1/label/job/values",
        &[("match[]", "up")],
    );
    assert_eq!(jobs, json!(["a", "b"]));
    let names = list(&mut client, "/api/v1/label/__name__/values", &[]);
    assert_eq!(names, json!(["down", "my.metric", "up"]));
    let none = list(&mut client, "/api/v1/label/nothing/values", &[]);
    assert_eq!(none, json!([]));
}

#[test]
fn names_outside_of_the_old_ones_can_be_asked_for() {
    let (_served, mut client) = served();
    for path in [
        "/api/v1/label/U__a_20_b_2f_c/values",
        "/api/v1/label/a%20b%2Fc/values",
    ] {
        assert_eq!(list(&mut client, path, &[]), json!(["d"]), "{path}");
    }
    let reply = client.get("/api/v1/label/U__/values", &[]);
    assert_eq!(
        (reply.status, &reply.json()["errorType"]),
        (400, &json!("bad_data"))
    );
    assert_eq!(client.get("/api/v1/label/%ff/values", &[]).status, 400);
}

#[test]
fn series_are_maps_of_labels() {
    let (_served, mut client) = served();
    let some = [("match[]", "up"), ("match[]", "{job=~\"a|c\"}")];
    let found = list(&mut client, "/api/v1/series", &some);
    let wanted = json!([
        { "__name__": "down", "job": "c" },
        { "__name__": "up", "host": "x", "job": "b" },
        { "__name__": "up", "job": "a" },
    ]);
    assert_eq!(found, wanted);
    let early = [&some[..], &[("start", "0"), ("end", "60")]].concat();
    let found = list(&mut client, "/api/v1/series", &early);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    let reply = client.post("/api/v1/series", &[("match[]", "nothing")]);
    assert_eq!(reply.body, r#"{"status":"success","data":[]}"#);
}

#[test]
fn a_limit_cuts_and_says_so() {
    let (_served, mut client) = served();
    for (path, params, whole) in [
        ("/api/v1/labels", vec![], 4),
        ("/api/v1/label/job/values", vec![], 3),
        ("/api/v1/series", vec![("match[]", "{job!=\"\"}")], 3),
    ] {
        for limit in 1..=whole + 1 {
            let text = limit.to_string();
            let params = [&params[..], &[("limit", &*text)]].concat();
            let body = client.get(path, &params).json();
            let found = body["data"].as_array().unwrap().len();
            assert_eq!(found, limit.min(whole), "{path} {limit}");
            let warnings = (limit < whole).then(|| json!(["results truncated due to limit"]));
            assert_eq!(body.get("warnings").cloned(), warnings, "{path} {limit}");
        }
    }
}

#[test]
fn what_is_no_selector_is_told() {
    let (_served, mut client) = served();
    for (path, params, text) in [
        ("/api/v1/series", vec![], "no match[] parameter provided"),
        (
            "/api/v1/series",
            vec![("match[]", "{job=\"\"}")],
            "match[] must contain at least one non-empty matcher",
        ),
        (
            "/api/v1/labels",
            vec![("match[]", "up{")],
            "1:4: parse error: ",
        ),
        (
            "/api/v1/label/job/values",
            vec![("start", "x")],
            "invalid parameter \"start\": Invalid time value for 'start': cannot parse",
        ),
        (
            "/api/v1/labels",
            vec![("limit", "-2")],
            "invalid parameter \"limit\": limit must be non-negative",
        ),
    ] {
        let reply = client.get(path, &params);
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["errorType"]),
            (400, &json!("bad_data")),
            "{body}"
        );
        assert!(body["error"].as_str().unwrap().starts_with(text), "{body}");
    }
}
