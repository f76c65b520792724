//! Remote write: what is taken is seen by the next query, what is not is named.

use prost::Message;
use serde_json::json;
use treering::{STALE_MARKER_BITS, Selector};
use treering_promql::Features;

use super::client::{Served, compressed};
use super::messages::{
    Count, Exemplar, Histogram, Label, Metadata, Span, TimeSeries, ZeroCount, labels, request,
    series,
};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "a")];

/// All samples of a server's database: series, milliseconds, bits.
fn stored(served: &Served) -> Vec<(String, i64, u64)> {
    let mut found = Vec::new();
    for series in served.db.select(&Selector::all(), ..).unwrap() {
        let series = series.unwrap();
        for sample in series.samples() {
            let sample = sample.unwrap();
            let millis = sample.timestamp / 1_000_000;
            found.push((series.labels().to_string(), millis, sample.value.to_bits()));
        }
    }
    found
}

#[test]
fn what_was_acknowledged_is_seen_by_the_next_query() {
    let served = Served::new(Features::default());
    let (mut writer, mut reader) = (served.client(), served.client());
    for at in 0..50_i64 {
        let reply = writer.write(&request(vec![series(UP, &[(at * 1000, at as f64)])]));
        assert_eq!((reply.status, &*reply.body), (204, ""));
        let time = at.to_string();
        let reply = reader.get("/api/v1/query", &[("query", "up"), ("time", &time)]);
        let wanted = json!([{
            "metric": { "__name__": "up", "job": "a" },
            "value": [at, time],
        }]);
        assert_eq!(reply.json()["data"]["result"], wanted);
    }
}

#[test]
fn late_samples_duplicates_and_every_bit_are_taken() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let stale = f64::from_bits(STALE_MARKER_BITS);
    let odd = f64::from_bits(0xfff8_0000_dead_beef);
    let sent = [
        (9000, 1.0),
        (-5000, 5e-324),
        (9000, 2.0),
        (9001, stale),
        (9002, odd),
    ];
    assert_eq!(client.write(&request(vec![series(UP, &sent)])).status, 204);
    let again = request(vec![series(UP, &[(9000, 3.0)]), series(UP, &[(1, 0.5)])]);
    assert_eq!(client.write(&again).status, 204);
    let name = "up{job=\"a\"}".to_owned();
    let wanted = [
        (-5000, 1),
        (1, 0.5_f64.to_bits()),
        (9000, 3.0_f64.to_bits()),
        (9001, STALE_MARKER_BITS),
        (9002, 0xfff8_0000_dead_beef),
    ];
    let wanted = wanted.map(|(time, bits)| (name.clone(), time, bits));
    assert_eq!(stored(&served), wanted);
}

#[test]
fn exemplars_metadata_and_empty_requests_do_no_harm() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let mut sent = request(vec![TimeSeries {
        exemplars: vec![Exemplar {
            labels: labels(&[("trace", "x")]),
            value: 1.0,
        }],
        // Values that are empty are as good as missing; the order does not matter.
        labels: labels(&[("z", "1"), ("__name__", "up"), ("a", "")]),
        ..series(&[], &[(1, 1.0)])
    }]);
    sent.metadata.push(Metadata {
        kind: 1,
        name: "up".to_owned(),
        help: "Up.".to_owned(),
    });
    assert_eq!(client.write(&sent).status, 204);
    assert_eq!(
        stored(&served),
        [("up{z=\"1\"}".to_owned(), 1, 1f64.to_bits())]
    );
    assert_eq!(client.write(&request(vec![])).status, 204);
    assert_eq!(client.write(&request(vec![series(UP, &[])])).status, 204);
}

#[test]
fn a_bad_sample_is_named_and_the_good_ones_are_stored() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let long = "x".repeat(5000);
    let mut bad_text = series(UP, &[(1, 1.0)]);
    bad_text.labels.push(Label {
        name: b"path".to_vec(),
        value: vec![b'a', 0xff],
    });
    for (bad, why) in [
        (series(&[("job", "a")], &[(1, 1.0)]), "has no __name__"),
        (series(&[("__name__", "")], &[(1, 1.0)]), "has no __name__"),
        (
            series(&[("__name__", "up"), ("", "x")], &[(1, 1.0)]),
            "has no name",
        ),
        (
            series(&[("__name__", "up"), ("a", "1"), ("a", "2")], &[(1, 1.0)]),
            "\"a\"",
        ),
        (
            series(&[("__name__", "up"), ("a", &long)], &[(1, 1.0)]),
            "5000",
        ),
        (bad_text, "a label is not UTF-8"),
        (
            series(UP, &[(i64::MAX, 1.0)]),
            "up{job=\"a\"}: the time 9223372036854775807 ms",
        ),
    ] {
        let good = series(&[("__name__", "good")], &[(7, 7.0)]);
        let reply = client.write(&request(vec![good.clone(), bad, good]));
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(
            reply.body.starts_with("1 of 3 samples are refused"),
            "{reply:?}"
        );
        assert!(reply.body.contains(why), "{why}: {}", reply.body);
        assert!(reply.body.len() < 3000, "{}", reply.body.len());
        let wanted = ("good".to_owned(), 7, 7f64.to_bits());
        assert_eq!(stored(&served), [wanted]);
    }
}

#[test]
fn large_requests_are_stored_in_pieces_and_seen_whole() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let many = |host: u32| {
        let samples: Vec<_> = (0..1000).map(|at| (at * 1000, f64::from(host))).collect();
        series(
            &[("__name__", "load"), ("host", &host.to_string())],
            &samples,
        )
    };
    let mut sent = request((0..300).map(many).collect());
    sent.timeseries
        .push(series(&[("job", "nameless")], &[(1, 1.0), (2, 2.0)]));
    let reply = client.write(&sent);
    assert_eq!(reply.status, 400);
    assert!(
        reply.body.starts_with("2 of 300002 samples are refused"),
        "{}",
        reply.body
    );
    let asked = [
        ("query", "sum(count_over_time(load[1h]))"),
        ("time", "1000"),
    ];
    let reply = client.get("/api/v1/query", &asked);
    assert_eq!(
        reply.json()["data"]["result"][0]["value"],
        json!([1000, "300000"])
    );
}

#[test]
fn bodies_that_are_no_requests_store_nothing() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let good = request(vec![series(UP, &[(1, 1.0)])]).encode_to_vec();
    let torn = [good.as_slice(), &[0x0a, 0x7f]].concat();
    let huge = compressed(&vec![0; (32 << 20) + 1]);
    for (body, why) in [
        (&b"no snappy"[..], "the body is no snappy block"),
        (&[], "the body is no snappy block"),
        (
            &compressed(&torn),
            "the body is no prometheus.WriteRequest: it is cut off",
        ),
        (&huge, "the request is 33554433 bytes"),
    ] {
        let reply = client.write_bytes(body);
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.body.starts_with(why), "{reply:?}");
    }
    assert_eq!(stored(&served), []);
}

#[test]
fn what_is_not_remote_write_one_is_refused_before_it_is_read() {
    let served = Served::new(Features::default());
    let body = compressed(&request(vec![series(UP, &[(1, 1.0)])]).encode_to_vec());
    let send = |encoding, kind| {
        let headers = [("Content-Encoding", encoding), ("Content-Type", kind)];
        served
            .client()
            .send("POST", "/api/v1/write", &headers, &body)
            .status
    };
    let plain = "application/x-protobuf";
    assert_eq!(send("gzip", plain), 415);
    assert_eq!(send("snappy", "application/json"), 415);
    let second = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    assert_eq!(send("snappy", second), 415);
    let first = "application/x-protobuf; proto=prometheus.WriteRequest";
    assert_eq!(send("snappy", first), 204);
    let mut client = served.client();
    let reply = client.send("POST", "/api/v1/write", &[], &body);
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(client.get("/api/v1/write", &[]).status, 405);
}

#[test]
fn a_body_that_is_too_long_is_refused_by_its_length() {
    let served = Served::new(Features::default());
    let reply = served.client().write_bytes(&vec![0; (32 << 20) + 1]);
    assert_eq!(reply.status, 413, "{reply:?}");
}

/// `1, 2, 1` above one, at 1 s.
fn whole() -> Histogram {
    Histogram {
        count: Some(Count::Whole(6)),
        sum: 12.5,
        zero_threshold: 0.25,
        zero_count: Some(ZeroCount::Whole(2)),
        positive_spans: vec![
            Span {
                offset: 1,
                length: 2,
            },
            Span {
                offset: 1,
                length: 1,
            },
        ],
        positive_deltas: vec![1, 1, -1],
        timestamp: 1000,
        ..Histogram::default()
    }
}

#[test]
fn native_histograms_of_every_form_are_taken_and_answered() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let float = Histogram {
        count: Some(Count::Float(1.5)),
        sum: -3.0,
        schema: 1,
        negative_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        negative_counts: vec![1.5],
        reset_hint: 3,
        timestamp: 2000,
        ..Histogram::default()
    };
    let custom = Histogram {
        count: Some(Count::Whole(3)),
        schema: -53,
        positive_spans: vec![
            Span {
                offset: 0,
                length: 1,
            },
            Span {
                offset: 1,
                length: 1,
            },
        ],
        positive_deltas: vec![1, 1],
        custom_values: vec![0.5, 10.0],
        timestamp: 3000,
        ..Histogram::default()
    };
    let stale = Histogram {
        sum: f64::from_bits(STALE_MARKER_BITS),
        timestamp: 4000,
        ..Histogram::default()
    };
    let sent = TimeSeries {
        histograms: vec![custom, whole(), stale, float],
        ..series(&[("__name__", "took")], &[(3500, 7.0)])
    };
    assert_eq!(client.write(&request(vec![sent])).status, 204);
    let reply = client.get("/api/v1/query", &[("query", "took[1m]"), ("time", "5")]);
    let wanted = json!([{
        "metric": { "__name__": "took" },
        "values": [[3.5, "7"]],
        "histograms": [
            [1, { "count": "6", "sum": "12.5", "buckets": [
                [3, "-0.25", "0.25", "2"], [0, "1", "2", "1"], [0, "2", "4", "2"],
                [0, "8", "16", "1"],
            ] }],
            [2, { "count": "1.5", "sum": "-3", "buckets": [
                [1, "-1", "-0.7071067811865475", "1.5"],
            ] }],
            [3, { "count": "3", "sum": "0", "buckets": [
                [3, "-Inf", "0.5", "1"], [0, "10", "+Inf", "2"],
            ] }],
        ],
    }]);
    assert_eq!(reply.json()["data"]["result"], wanted);
    // The stale marker ends the series.
    for (time, found) in [("3.9", 1), ("4", 0)] {
        let reply = client.get("/api/v1/query", &[("query", "took"), ("time", time)]);
        assert_eq!(
            reply.json()["data"]["result"].as_array().unwrap().len(),
            found,
            "{time}"
        );
    }
}

#[test]
fn a_histogram_that_is_none_is_named_and_the_others_are_stored() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    let wrong = Histogram {
        count: Some(Count::Whole(7)),
        timestamp: 2000,
        ..whole()
    };
    let sent = TimeSeries {
        histograms: vec![whole(), wrong],
        ..series(UP, &[])
    };
    let reply = client.write(&request(vec![sent]));
    assert_eq!(reply.status, 400);
    let why = "1 of 2 samples are refused, the others stored; the first: up{job=\"a\"}: 6 \
               observations found in buckets, but the count field is 7\n";
    assert_eq!(reply.body, why);
    let reply = client.get(
        "/api/v1/query",
        &[("query", "histogram_count(up)"), ("time", "1")],
    );
    assert_eq!(reply.json()["data"]["result"][0]["value"], json!([1, "6"]));
}

#[test]
fn large_histograms_are_stored_in_pieces_and_seen_whole() {
    let served = Served::new(Features::default());
    let mut client = served.client();
    // 32 bytes of memory for each byte on the way: several batches within one series.
    let large = |at: i64| Histogram {
        count: Some(Count::Whole(4000)),
        positive_spans: vec![Span {
            offset: 1,
            length: 1000,
        }],
        positive_deltas: [&[4][..], &[0; 999]].concat(),
        zero_count: None,
        timestamp: at * 1000,
        schema: 8,
        ..Histogram::default()
    };
    let sent = TimeSeries {
        histograms: (0..3000).map(large).collect(),
        ..series(UP, &[])
    };
    assert_eq!(client.write(&request(vec![sent])).status, 204);
    let asked = [("query", "count_over_time(up[1h])"), ("time", "3000")];
    let reply = client.get("/api/v1/query", &asked);
    assert_eq!(
        reply.json()["data"]["result"][0]["value"],
        json!([3000, "3000"])
    );
    let asked = [("query", "histogram_count(up)"), ("time", "2999")];
    let reply = client.get("/api/v1/query", &asked);
    assert_eq!(
        reply.json()["data"]["result"][0]["value"],
        json!([2999, "4000"])
    );
}
