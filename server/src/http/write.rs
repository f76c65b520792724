//! Remote write 1.0: `/api/v1/write`.
//!
//! Input: a snappy block of a `prometheus.WriteRequest`. Output: samples in the database, visible to
//! the next query when 204 is answered. Invariant: a body that is no request stores nothing; of one
//! that is, what is good is stored, and the answer to anything bad is 400 with the first reason.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::time::timeout;
use treering::{Batch, Db, Error, Histogram, Labels};

use super::door::Door;
use super::params::BODY_PATIENCE;
use super::reply;
use super::wire::{self, WireSample, WireSeries};
use super::wire_histogram::histogram;
use crate::failure::{Failure, Kind};
use crate::number::nanos;

/// Longest body, and longest request in it, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// Samples, and bytes of labels and histograms, after which a batch is appended.
const BATCH_SAMPLES: usize = 200_000;
const BATCH_BYTES: usize = 16 << 20;

/// Bytes of labels that a reason shows.
const SHOWN_BYTES: usize = 1 << 10;

/// `/api/v1/write`.
pub(crate) async fn write(State(door): State<Door>, request: Request) -> Response {
    if let Err(why) = check_headers(request.headers()) {
        return reply::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    // Kept until the body is gone: many senders at a time must not fill the memory.
    let _room = match door.room(length(request.headers())).await {
        Ok(room) => room,
        Err(failure) => return reply::plain_failure(&failure),
    };
    let body = match timeout(BODY_PATIENCE, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return unread(&error),
        Err(_) => return reply::plain(StatusCode::REQUEST_TIMEOUT, "the body did not arrive"),
    };
    match door.write(move |db| take(db, &body)).await {
        Ok(()) => reply::nothing(),
        Err(failure) => reply::plain_failure(&failure),
    }
}

/// Whether the body is what we read.
fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| {
        let value = headers.get(name).map(|value| value.to_str());
        value.transpose().map(Option::unwrap_or_default)
    };
    let wrong = |_| "a header is no text".to_owned();
    let encoding = text(CONTENT_ENCODING).map_err(wrong)?;
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!("the body is {encoding}; only snappy is taken"));
    }
    let kind = text(CONTENT_TYPE).map_err(wrong)?;
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && !media.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(format!(
            "the body is {media}; only application/x-protobuf is taken"
        ));
    }
    let message = parts.find_map(|part| part.strip_prefix("proto="));
    match message {
        None | Some("prometheus.WriteRequest") => Ok(()),
        Some(other) => Err(format!(
            "the message is {other}; only remote write 1.0, prometheus.WriteRequest, is taken"
        )),
    }
}

/// The bytes that a body has at most.
fn length(headers: &HeaderMap) -> usize {
    let told = headers.get(CONTENT_LENGTH);
    let told = told.and_then(|told| told.to_str().ok()?.parse::<usize>().ok());
    told.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX)
}

fn unread(error: &BytesRejection) -> Response {
    let text = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => format!("the body is longer than {BODY_BYTES_MAX} bytes"),
        _ => error.to_string(),
    };
    reply::plain(error.status(), text)
}

/// Stores what a body holds.
fn take(db: &Db, body: &[u8]) -> Result<(), Failure> {
    let no_block = |error| Failure::bad_data(format!("the body is no snappy block: {error}"));
    let length = snap::raw::decompress_len(body).map_err(no_block)?;
    if length > BODY_BYTES_MAX {
        return Err(Failure::bad_data(format!(
            "the request is {length} bytes; at most {BODY_BYTES_MAX} are taken"
        )));
    }
    let request = snap::raw::Decoder::new().decompress_vec(body);
    let request = request.map_err(no_block)?;
    check(&request)?;
    let mut intake = Intake::new(db);
    for series in wire::series(&request) {
        intake.series(&series.map_err(malformed)?)?;
    }
    intake.finish()
}

/// Reads a whole request before anything of it is stored.
fn check(request: &[u8]) -> Result<(), Failure> {
    for series in wire::series(request) {
        for sample in series.map_err(malformed)?.samples() {
            sample.map_err(malformed)?;
        }
    }
    Ok(())
}

fn malformed(what: &'static str) -> Failure {
    Failure::bad_data(format!("the body is no prometheus.WriteRequest: {what}"))
}

/// Samples on their way into a database.
#[derive(Debug)]
struct Intake<'a> {
    db: &'a Db,
    batch: Batch,
    /// For each series in the batch its first row.
    rows: Vec<(usize, Labels)>,
    /// What its labels and histograms take.
    bytes: usize,
    stored: u64,
    refused: u64,
    /// Why the first one was refused.
    first: Option<String>,
}

impl<'a> Intake<'a> {
    fn new(db: &'a Db) -> Self {
        Self {
            db,
            batch: Batch::new(),
            rows: Vec::new(),
            bytes: 0,
            stored: 0,
            refused: 0,
            first: None,
        }
    }

    fn series(&mut self, series: &WireSeries<'_>) -> Result<(), Failure> {
        let labels = match labels(series) {
            Ok(labels) => labels,
            Err(why) => {
                let samples = series.samples().count() as u64;
                self.refuse(samples, || format!("a series is refused: {why}"));
                return Ok(());
            }
        };
        self.row(&labels);
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for sample in series.samples() {
            let pushed = match sample.map_err(malformed)? {
                WireSample::Float(millis, value) => time(millis).map(|time| {
                    times.push(time);
                    values.push(value);
                }),
                WireSample::Histogram(millis, wire) => {
                    match time(millis).and_then(|time| Ok((time, histogram(&wire)?))) {
                        Ok((time, one)) => Ok(self.histogram(&labels, time, &one)?),
                        Err(why) => Err(why),
                    }
                }
            };
            if let Err(why) = pushed {
                self.refuse(1, || of_series(&labels, &why));
            }
        }
        self.batch.push_column(&labels, &times, &values);
        self.append_if_full()
    }

    /// From here on the batch is about a series.
    fn row(&mut self, labels: &Labels) {
        self.rows.push((self.batch.len(), labels.clone()));
        self.bytes += labels.as_canonical().len();
    }

    fn histogram(&mut self, labels: &Labels, time: i64, one: &Histogram) -> Result<(), Failure> {
        self.batch.push_histogram(labels, time, one);
        self.bytes += size_of::<Histogram>() + one.heap_bytes();
        self.append_if_full()?;
        if self.rows.is_empty() {
            self.row(labels);
        }
        Ok(())
    }

    fn append_if_full(&mut self) -> Result<(), Failure> {
        match self.batch.len() >= BATCH_SAMPLES || self.bytes >= BATCH_BYTES {
            true => self.append(),
            false => Ok(()),
        }
    }

    fn refuse(&mut self, samples: u64, why: impl FnOnce() -> String) {
        self.refused += samples;
        if samples > 0 {
            self.first.get_or_insert_with(why);
        }
    }

    fn append(&mut self) -> Result<(), Failure> {
        let appended = self.db.append_partial(&self.batch).map_err(not_stored)?;
        self.stored += appended.samples as u64;
        let rows = std::mem::take(&mut self.rows);
        for rejection in appended.rejected {
            let after = rows.partition_point(|(row, _)| *row <= rejection.row);
            let series = after.checked_sub(1).and_then(|at| rows.get(at));
            self.refuse(rejection.samples as u64, || match series {
                Some((_, labels)) => of_series(labels, &rejection.reason.to_string()),
                None => rejection.reason.to_string(),
            });
        }
        self.batch.clear();
        self.bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.append()?;
        match self.first {
            None => Ok(()),
            Some(first) => Err(Failure::bad_data(format!(
                "{} of {} samples are refused, the others stored; the first: {first}",
                self.refused,
                self.refused + self.stored
            ))),
        }
    }
}

/// The labels of a series, which must have a name.
fn labels(series: &WireSeries<'_>) -> Result<Labels, String> {
    let text = |bytes| {
        std::str::from_utf8(bytes).map_err(|_| {
            let text = String::from_utf8_lossy(bytes);
            format!("a label is not UTF-8: {:?}", cut(&text))
        })
    };
    let mut pairs = Vec::with_capacity(series.labels.len());
    for (name, value) in &series.labels {
        pairs.push((text(name)?, text(value)?));
    }
    let labels = Labels::from_pairs(pairs).map_err(|error| error.to_string())?;
    match labels.name() {
        Some(_) => Ok(labels),
        None => Err(format!("{} has no __name__", cut(&labels.to_string()))),
    }
}

fn time(millis: i64) -> Result<i64, String> {
    nanos(millis).ok_or_else(|| format!("the time {millis} ms is out of range"))
}

fn of_series(labels: &Labels, why: &str) -> String {
    format!("{}: {why}", cut(&labels.to_string()))
}

fn cut(text: &str) -> &str {
    match text.len() > SHOWN_BYTES {
        true => text
            .get(..text.floor_char_boundary(SHOWN_BYTES))
            .unwrap_or(text),
        false => text,
    }
}

/// An error of a whole batch is the server's, so that senders come again.
fn not_stored(error: Error) -> Failure {
    let kind = match error {
        Error::Rejected(_) | Error::Labels(_) => Kind::BadData,
        Error::Closed => Kind::Unavailable,
        _ => Kind::Internal,
    };
    Failure::new(kind, error.to_string())
}
