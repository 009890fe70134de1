//! `/v1/status` and `/v1/check`

use axum::Json as AxumJson;
use axum::extract::State;
use axum::http::StatusCode;

use super::{Error, Handles, Result};
use crate::health::Report;

pub(super) async fn show(State(handles): State<Handles>) -> AxumJson<Report> {
    AxumJson(handles.health.report().await)
}

/// Every contradiction in the metadata. Reads the whole store.
pub(super) async fn check(State(handles): State<Handles>) -> Result<AxumJson<Vec<String>>> {
    let problems = handles.backend.check_consistency().await.map_err(|error| {
        Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            error.to_string(),
        )
    })?;
    Ok(AxumJson(problems))
}
