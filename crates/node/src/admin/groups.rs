//! `/v1/groups`

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_meta::command::{self, Change, ListChange};
use postrider_meta::{Refusal, query};
use postrider_types::Address;

use super::api::{Group, List, SetGroup};
use super::{Error, Handles, Json, Paging, Query, Result, one_of_several};

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Group>>> {
    let (after, limit) = (paging.after()?, paging.limit());
    Ok(List::of(handles.ask(query::Groups { after, limit }).await?))
}

pub(super) async fn show(
    State(handles): State<Handles>,
    Path(address): Path<String>,
) -> Result<AxumJson<Group>> {
    let address = Address::parse(&address)?;
    let mut after = None;
    // There is no query for a single group; groups are few.
    loop {
        let page = handles.ask(query::Groups { after, limit: 100 }).await?;
        if let Some(found) = page.items.into_iter().find(|g| g.address == address) {
            return Ok(AxumJson(found.into()));
        }
        after = page.next;
        if after.is_none() {
            return Err(Refusal::NotFound(format!("group {address}")).into());
        }
    }
}

fn addresses(texts: &[String]) -> Result<Vec<Address>> {
    texts.iter().map(|text| one_of_several(text)).collect()
}

/// The owner that is asked for: an empty one is the postmaster of the domain.
fn owner(text: Option<&str>) -> Result<Change<Option<Address>>> {
    Ok(match text {
        None => Change::Keep,
        Some("") => Change::Set(None),
        Some(text) => Change::Set(Some(one_of_several(text)?)),
    })
}

/// Refuses to let members leave by links that lead nowhere.
fn check_links(handles: &Handles, unsubscribe: bool) -> Result<()> {
    if unsubscribe && handles.site.url().is_none() {
        return Err(Error::invalid(
            "members leave a list by a link to a web listener, and this node has none: add a \
             [[listener]] with protocol = \"web\", or set web.url if another node or a server in \
             front of it has one",
        ));
    }
    Ok(())
}

pub(super) async fn add(
    State(handles): State<Handles>,
    Json(group): Json<Group>,
) -> Result<StatusCode> {
    check_links(&handles, group.unsubscribe)?;
    let command = command::SetGroup {
        address: Address::parse(&group.address)?,
        add: addresses(&group.members)?,
        remove: Vec::new(),
        internal: Change::Set(group.internal),
        list: ListChange {
            on: Change::Set(group.list),
            owner: owner(group.owner.as_deref())?,
            unsubscribe: Change::Set(group.unsubscribe),
        },
        only_new: true,
    };
    handles.run(command).await?;
    Ok(StatusCode::CREATED)
}

pub(super) async fn set(
    State(handles): State<Handles>,
    Path(address): Path<String>,
    Json(set): Json<SetGroup>,
) -> Result<StatusCode> {
    check_links(&handles, set.unsubscribe == Some(true))?;
    let command = command::SetGroup {
        address: Address::parse(&address)?,
        add: addresses(&set.add)?,
        remove: addresses(&set.remove)?,
        internal: set.internal.map_or(Change::Keep, Change::Set),
        list: ListChange {
            on: set.list.map_or(Change::Keep, Change::Set),
            owner: owner(set.owner.as_deref())?,
            unsubscribe: set.unsubscribe.map_or(Change::Keep, Change::Set),
        },
        only_new: false,
    };
    handles.run(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(address): Path<String>,
) -> Result<StatusCode> {
    let address = Address::parse(&address)?;
    handles.run(command::RemoveGroup { address }).await?;
    Ok(StatusCode::NO_CONTENT)
}
