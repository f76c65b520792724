//! Replies: bodies with their status and type.
//!
//! Input: JSON, failures, sentences. Output: HTTP answers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::failure::{Failure, Kind};
use crate::json;

/// The answer of an endpoint of the query API.
pub(crate) fn of(answer: Result<String, Failure>) -> Response {
    match answer {
        Ok(text) => with(StatusCode::OK, JSON, text),
        Err(failure) => with(status(failure.kind), JSON, json::failed(&failure)),
    }
}

/// A sentence.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    with(status, PLAIN, text.into() + "\n")
}

/// Nothing but success.
pub(crate) fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A failure as a sentence, as remote write has it. A sender shall come again after some time
/// where it was not its fault.
pub(crate) fn plain_failure(failure: &Failure) -> Response {
    let mut response = plain(status(failure.kind), failure.text.clone());
    if matches!(failure.kind, Kind::Timeout | Kind::Unavailable) {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with(status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
