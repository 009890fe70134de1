//! `/v1/cluster`: its state as this node sees it, and changes of it.

use std::time::Duration;

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_rpc::Failure;
use postrider_types::NodeId;
use serde::Deserialize;

use super::api::{AddToken, Leader, MoveLeader, StateHash, Token};
use super::{Error, Handles, Json, Query, Result};
use crate::cluster::report::Status;
use crate::cluster::{Cluster, TOKEN_AGE};

impl Handles {
    fn cluster(&self) -> Result<&Cluster> {
        self.cluster.as_deref().ok_or_else(|| {
            let text = "this node stands alone. To make it the first of a cluster: add the \
                        section [cluster] to its settings, stop it, run `postrider cluster init \
                        --config FILE`, start it";
            Error::new(StatusCode::CONFLICT, "alone", text)
        })
    }
}

/// What an administrator's change failed with. Logged where it was made.
fn failed(error: &anyhow::Error) -> Error {
    let message = crate::cli::describe(error);
    tracing::warn!(error = message, "the cluster was not changed");
    Error::new(StatusCode::CONFLICT, "refused", message)
}

pub(super) async fn show(State(handles): State<Handles>) -> Result<AxumJson<Status>> {
    Ok(AxumJson(handles.cluster()?.status().await))
}

/// Of this node's own replica. Reads the whole store.
pub(super) async fn hash(State(handles): State<Handles>) -> Result<AxumJson<StateHash>> {
    let (applied, hash) = handles.backend.state_hash().await?;
    let hash = hash.iter().map(|b| format!("{b:02x}")).collect();
    Ok(AxumJson(StateHash { applied, hash }))
}

pub(super) async fn add_token(
    State(handles): State<Handles>,
    Json(add): Json<AddToken>,
) -> Result<(StatusCode, AxumJson<Token>)> {
    let expires = add.expires_seconds.map_or(TOKEN_AGE, Duration::from_secs);
    let token = handles
        .cluster()?
        .issue_token(expires, add.uses.unwrap_or(1))
        .await
        .map_err(|error| failed(&error))?;
    Ok((StatusCode::CREATED, AxumJson(Token { token })))
}

/// `?force=true`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    #[serde(default)]
    force: bool,
}

pub(super) async fn remove_node(
    State(handles): State<Handles>,
    Path(id): Path<u64>,
    Query(force): Query<Force>,
) -> Result<StatusCode> {
    let removed = handles.cluster()?.remove(NodeId(id), force.force).await;
    removed.map_err(|error| failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn move_leader(
    State(handles): State<Handles>,
    Json(to): Json<MoveLeader>,
) -> Result<AxumJson<Leader>> {
    let moved = handles.cluster()?.move_leader(to.node.map(NodeId)).await;
    let leader = moved.map_err(|failure| match failure {
        Failure::Unavailable(text) => {
            Error::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
        }
        failure => failed(&failure.into()),
    })?;
    Ok(AxumJson(Leader { leader: leader.0 }))
}
