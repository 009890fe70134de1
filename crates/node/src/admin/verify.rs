//! `/v1/verify/{part}`: compares metadata and bucket, a bounded piece per request.

use std::time::Duration;

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_body::Verified as OfBodies;
use serde::Deserialize;

use super::api::Verified;
use super::{Error, Handles, Query, Result, cursor, hex};

/// How long one request looks at backups.
const TIME: Duration = Duration::from_secs(10);

/// `?after=…&quick=…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    after: Option<String>,
    #[serde(default)]
    quick: bool,
}

pub(super) async fn step(
    State(handles): State<Handles>,
    Path(part): Path<String>,
    Query(from): Query<From>,
) -> Result<AxumJson<Verified>> {
    let after = from.after.as_deref();
    let verified = match part.as_str() {
        "bodies" => {
            let found = handles.verifier.bodies(cursor(after)?).await;
            told(found.map_err(unavailable)?, hex)
        }
        "objects" => {
            let found = handles.verifier.objects(cursor(after)?).await;
            told(found.map_err(unavailable)?, hex)
        }
        "unknown" => {
            let folder = after.map_or(Ok(0), str::parse);
            let folder = folder.map_err(|_| Error::invalid("`after` is no number"))?;
            let found = handles.verifier.unknown(folder).await;
            told(found.map_err(unavailable)?, |next| next.to_string())
        }
        "backup" => backup(&handles, after, from.quick).await?,
        _ => {
            let text = "there are bodies, objects, unknown and backup to verify";
            return Err(Error::new(StatusCode::NOT_FOUND, "not_found", text));
        }
    };
    Ok(AxumJson(verified))
}

async fn backup(handles: &Handles, after: Option<&str>, quick: bool) -> Result<Verified> {
    // A node that stands alone has none.
    let Some(archive) = &handles.archive else {
        return Ok(Verified::default());
    };
    let found = archive.verify(after, quick, TIME).await;
    let found = found.map_err(unavailable)?;
    Ok(Verified {
        problems: found.problems,
        waiting: Vec::new(),
        checked: found.checked,
        bytes: found.bytes,
        next: found.next,
    })
}

fn told<C>(found: OfBodies<C>, next: impl Fn(C) -> String) -> Verified {
    Verified {
        problems: found.problems,
        waiting: found.waiting,
        checked: found.checked,
        bytes: found.bytes,
        next: found.next.map(next),
    }
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        error.to_string(),
    )
}
