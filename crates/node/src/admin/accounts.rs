//! `/v1/accounts`

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_auth::hash_password;
use postrider_meta::command::{self, Change};
use postrider_meta::{AccountState, AccountView, QuotaLimit, Refusal, query};
use postrider_types::{Address, DomainName};

use super::api::{Account, AddAccount, List, SetAccount};
use super::{Error, Handles, Json, Paging, Query, Result};
use crate::date;

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Account>>> {
    let ask = query::Accounts {
        domain: paging
            .domain
            .as_deref()
            .map(DomainName::parse)
            .transpose()?,
        after: paging.after()?,
        limit: paging.limit(),
    };
    Ok(List::of(handles.ask(ask).await?))
}

pub(super) async fn show(
    State(handles): State<Handles>,
    Path(address): Path<String>,
) -> Result<AxumJson<Account>> {
    let view = find(&handles, Address::parse(&address)?).await?;
    Ok(AxumJson(view.into()))
}

async fn find(handles: &Handles, address: Address) -> Result<AccountView> {
    let name = format!("account {address}");
    let view = handles.ask(query::Account { address }).await?;
    view.ok_or_else(|| Refusal::NotFound(name).into())
}

pub(super) async fn add(
    State(handles): State<Handles>,
    Json(add): Json<AddAccount>,
) -> Result<StatusCode> {
    let command = command::AddAccount {
        address: Address::parse(&add.address)?,
        quota: QuotaLimit {
            bytes: add.quota_bytes.filter(|n| *n > 0),
            messages: add.quota_messages.filter(|n| *n > 0),
        },
        expires: expires(add.expires.as_deref().unwrap_or_default())?,
        verifier: hash_password(add.password).await?,
    };
    handles.run(command).await?;
    Ok(StatusCode::CREATED)
}

fn expires(text: &str) -> Result<Option<postrider_types::Millis>> {
    if text.is_empty() {
        return Ok(None);
    }
    date::parse(text).map(Some).map_err(Error::invalid)
}

pub(super) async fn set(
    State(handles): State<Handles>,
    Path(address): Path<String>,
    Json(set): Json<SetAccount>,
) -> Result<StatusCode> {
    let address = Address::parse(&address)?;
    let quota = match (set.quota_bytes, set.quota_messages) {
        (None, None) => Change::Keep,
        (bytes, messages) => {
            // One of two limits is set: the other stays as it is.
            let old = find(&handles, address.clone()).await?.quota.limit;
            let limit = |new: Option<u64>, old| new.map_or(old, |n| Some(n).filter(|n| *n > 0));
            Change::Set(QuotaLimit {
                bytes: limit(bytes, old.bytes),
                messages: limit(messages, old.messages),
            })
        }
    };
    let state = match set.state.as_deref() {
        None => Change::Keep,
        Some("active") => Change::Set(AccountState::Active),
        Some("suspended") => Change::Set(AccountState::Suspended),
        Some(_) => return Err(Error::invalid("`state` is `active` or `suspended`")),
    };
    let verifier = match set.password {
        None => Change::Keep,
        Some(password) => Change::Set(hash_password(password).await?),
    };
    let command = command::SetAccount {
        address,
        verifier,
        quota,
        expires: match set.expires {
            None => Change::Keep,
            Some(text) => Change::Set(expires(&text)?),
        },
        state,
    };
    handles.run(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(address): Path<String>,
) -> Result<StatusCode> {
    let address = Address::parse(&address)?;
    handles.run(command::RemoveAccount { address }).await?;
    Ok(StatusCode::NO_CONTENT)
}
