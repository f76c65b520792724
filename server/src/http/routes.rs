//! Routes: which address is answered by what.
//!
//! Input: the door. Output: a router. Invariant: bodies are bounded before they are read.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::door::Door;
use super::params::FORM_BYTES_MAX;
use super::{listing, queries, reply, write};

/// The router over a database.
pub(crate) fn routes(door: Door) -> Router {
    let write = post(write::write).layer(DefaultBodyLimit::max(write::BODY_BYTES_MAX));
    Router::new()
        .route(
            "/api/v1/query",
            get(queries::instant).post(queries::instant),
        )
        .route(
            "/api/v1/query_range",
            get(queries::range).post(queries::range),
        )
        .route("/api/v1/labels", get(listing::names).post(listing::names))
        .route("/api/v1/label/{name}/values", get(listing::values))
        .route("/api/v1/series", get(listing::series).post(listing::series))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .route("/api/v1/write", write)
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
        .with_state(door)
}

async fn healthy() -> Response {
    reply::plain(StatusCode::OK, "Treering is healthy.")
}

async fn ready(State(door): State<Door>) -> Response {
    match door.is_closing() {
        false => reply::plain(StatusCode::OK, "Treering is ready."),
        true => reply::plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

async fn not_found() -> Response {
    reply::plain(StatusCode::NOT_FOUND, "404 page not found")
}

async fn not_allowed() -> Response {
    reply::plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
