//! `/v1/domains`

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_meta::command::{self, Change};
use postrider_meta::{DkimState, Refusal, Relay, query};
use postrider_types::{Address, DomainName, HostPort};

use super::api::{AddDomain, Domain, List, RelayTls, SetDomain};
use super::{Error, Handles, Json, Paging, Query, Result};

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Domain>>> {
    let (after, limit) = (paging.after()?, paging.limit());
    Ok(List::of(
        handles.ask(query::Domains { after, limit }).await?,
    ))
}

pub(super) async fn show(
    State(handles): State<Handles>,
    Path(name): Path<String>,
) -> Result<AxumJson<Domain>> {
    let name = DomainName::parse(&name)?;
    let domain = handles.ask(query::Domain { name: name.clone() }).await?;
    let unknown = || Refusal::NotFound(format!("local domain {name}"));
    Ok(AxumJson(domain.ok_or_else(unknown)?.into()))
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
        relay: match &add.relay_to {
            Some(to) => Some(relay(to, add.relay_tls)?),
            None if add.relay_tls.is_some() => return Err(nowhere()),
            None => None,
        },
    };
    // Nothing was signed before, so nothing has to wait until they are published.
    let keys = handles.new_pair(&[], DkimState::Active).await?;
    handles.run(command).await?;
    let set = command::SetDkimKeys {
        domain: name,
        before: Vec::new(),
        keys,
    };
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
    let name = DomainName::parse(&name)?;
    let relay = match (set.relay_to.as_deref(), set.relay_tls) {
        (None, None) => Change::Keep,
        (Some(""), None) => Change::Set(None),
        (Some(""), Some(_)) => return Err(nowhere()),
        (Some(to), tls) => Change::Set(Some(relay(to, tls)?)),
        (None, Some(tls)) => {
            let name = name.clone();
            let domain = handles.ask(query::Domain { name }).await?;
            let known = domain.and_then(|domain| domain.relay).ok_or_else(nowhere)?;
            Change::Set(Some(Relay {
                tls: tls.into(),
                ..known
            }))
        }
    };
    let command = command::SetDomain {
        name,
        internal: set.internal.map_or(Change::Keep, Change::Set),
        catch_all,
        relay,
    };
    handles.run(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The server behind this one, as it was written.
fn relay(to: &str, tls: Option<RelayTls>) -> Result<Relay> {
    let parsed = to.parse::<HostPort>();
    let to = parsed.map_err(|error| {
        let text = format!("`{to}` is no server: {error}");
        Error::new(StatusCode::BAD_REQUEST, "invalid", text)
    })?;
    Ok(Relay {
        to,
        tls: tls.map(Into::into).unwrap_or_default(),
    })
}

/// Something was said of the way to a server, and there is none.
fn nowhere() -> Error {
    let text = "relay_tls goes with relay_to: the domain's mail goes on to no server";
    Error::new(StatusCode::BAD_REQUEST, "invalid", text)
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let name = DomainName::parse(&name)?;
    handles.run(command::RemoveDomain { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
