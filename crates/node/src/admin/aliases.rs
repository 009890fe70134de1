//! `/v1/aliases`

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_meta::{command, query};
use postrider_types::Address;

use super::api::{Alias, List};
use super::{Handles, Json, Paging, Query, Result, one_of_several};

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Alias>>> {
    let (after, limit) = (paging.after()?, paging.limit());
    Ok(List::of(
        handles.ask(query::Aliases { after, limit }).await?,
    ))
}

pub(super) async fn set(
    State(handles): State<Handles>,
    Json(alias): Json<Alias>,
) -> Result<StatusCode> {
    let targets = alias.targets.iter().map(|target| one_of_several(target));
    let command = command::SetAlias {
        address: Address::parse(&alias.address)?,
        targets: targets.collect::<Result<_>>()?,
        only_new: alias.only_new,
    };
    handles.run(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(address): Path<String>,
) -> Result<StatusCode> {
    let address = Address::parse(&address)?;
    handles.run(command::RemoveAlias { address }).await?;
    Ok(StatusCode::NO_CONTENT)
}
