//! `/v1/domains`

use axum::Json as AxumJson;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use postrider_meta::command::{self, Change};
use postrider_meta::{DkimState, query};
use postrider_types::{Address, DomainName};

use super::api::{AddDomain, Domain, List, SetDomain};
use super::{Handles, Json, Paging, Result};

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Domain>>> {
    let (after, limit) = (paging.after()?, paging.limit());
    Ok(List::of(
        handles.ask(query::Domains { after, limit }).await?,
    ))
}

pub(super) async fn add(
    State(handles): State<Handles>,
    Json(add): Json<AddDomain>,
) -> Result<StatusCode> {
    let name = DomainName::parse(&add.name)?;
    let command = command::AddDomain {
        name: name.clone(),
        internal: add.internal,
        catch_all: add.catch_all.as_deref().map(Address::parse).transpose()?,
    };
    // Nothing was signed before, so nothing has to wait until they are published.
    let keys = handles.new_pair(&[], DkimState::Active).await?;
    handles.run(command).await?;
    let set = command::SetDkimKeys { domain: name, keys };
    handles.run(set).await?;
    Ok(StatusCode::CREATED)
}

pub(super) async fn set(
    State(handles): State<Handles>,
    Path(name): Path<String>,
    Json(set): Json<SetDomain>,
) -> Result<StatusCode> {
    let catch_all = match set.catch_all.as_deref() {
        None => Change::Keep,
        Some("") => Change::Set(None),
        Some(address) => Change::Set(Some(Address::parse(address)?)),
    };
    let command = command::SetDomain {
        name: DomainName::parse(&name)?,
        internal: set.internal.map_or(Change::Keep, Change::Set),
        catch_all,
    };
    handles.run(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let name = DomainName::parse(&name)?;
    handles.run(command::RemoveDomain { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
