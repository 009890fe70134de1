//! `/v1/default-mailboxes`

use axum::Json as AxumJson;
use axum::extract::State;
use axum::http::StatusCode;
use postrider_meta::{command, query};

use super::api::{DefaultMailboxes, Mailbox};
use super::{Error, Handles, Json, Result};

pub(super) async fn list(State(handles): State<Handles>) -> Result<AxumJson<DefaultMailboxes>> {
    let mailboxes = handles.ask(query::DefaultMailboxes {}).await?;
    let mailboxes = mailboxes.into_iter().map(Mailbox::from).collect();
    Ok(AxumJson(DefaultMailboxes { mailboxes }))
}

pub(super) async fn set(
    State(handles): State<Handles>,
    Json(list): Json<DefaultMailboxes>,
) -> Result<StatusCode> {
    let mailboxes = list.mailboxes.into_iter().map(Mailbox::into_default);
    let mailboxes = mailboxes
        .collect::<std::result::Result<_, _>>()
        .map_err(Error::invalid)?;
    handles
        .run(command::SetDefaultMailboxes { mailboxes })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
