//! `/v1/queue`

use std::time::Duration;

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_meta::command::{self, QueueChange};
use postrider_meta::query::{self, QueueFilter, StateKind};
use postrider_meta::{Cursor, Page, QueueState, QueuedView, Refusal};
use postrider_types::{DomainName, QueueId};
use tokio::time::Instant;

use super::api::{Changed, Destination, Entry, List, Select, Stats};
use super::{Error, Handles, Json, PAGE, Paging, Query, Result, cursor, hex};

/// The longest page of entries, and the most that one command changes.
const MOST: u32 = 1_000;
/// How long one request goes on changing entries; who asks goes on with `next`.
const SPAN: Duration = Duration::from_secs(20);

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(select): Query<Select>,
) -> Result<AxumJson<List<Entry>>> {
    let limit = select.limit.unwrap_or(PAGE).clamp(1, MOST);
    let after = cursor(select.after.as_deref())?;
    Ok(List::of(handles.entries(&select, after, limit).await?))
}

pub(super) async fn show(
    State(handles): State<Handles>,
    Path(id): Path<String>,
) -> Result<AxumJson<Entry>> {
    let id = entry_id(&id)?;
    let view = handles.entry(id).await?.ok_or_else(|| unknown(id))?;
    Ok(AxumJson(view.into()))
}

/// One entry: who names it wants to know why nothing was done.
pub(super) async fn change(
    State(handles): State<Handles>,
    Path((id, action)): Path<(String, String)>,
) -> Result<StatusCode> {
    let change = change_of(&action)?;
    handles.change(entry_id(&id)?, change).await
}

pub(super) async fn remove(
    State(handles): State<Handles>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    handles.change(entry_id(&id)?, QueueChange::Remove).await
}

/// All entries that fit, in commands of a bounded size.
pub(super) async fn change_all(
    State(handles): State<Handles>,
    Path(action): Path<String>,
    Json(select): Json<Select>,
) -> Result<AxumJson<Changed>> {
    let change = change_of(&action)?;
    if select.is_open() && !select.all {
        let text = "say which entries: by sender, recipient, domain, error or state, or `all`";
        return Err(Error::invalid(text));
    }
    let until = Instant::now() + SPAN;
    let mut after = cursor(select.after.as_deref())?;
    let mut changed = 0;
    loop {
        let page = handles.entries(&select, after, MOST).await?;
        let ids: Vec<QueueId> = page.items.iter().map(|view| view.id).collect();
        if !ids.is_empty() {
            let count = handles.run(command::ChangeQueued { ids, change }).await?;
            changed += u64::from(count);
        }
        after = page.next;
        if after.is_none() || Instant::now() >= until {
            let next = after.map(hex);
            return Ok(AxumJson(Changed { changed, next }));
        }
    }
}

pub(super) async fn destinations(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<Destination>>> {
    let (after, limit) = (paging.after()?, paging.limit());
    let ask = query::QueueDestinations { after, limit };
    Ok(List::of(handles.ask(ask).await?))
}

pub(super) async fn stats(State(handles): State<Handles>) -> Result<AxumJson<Stats>> {
    let stats = handles.ask(query::QueueStats {}).await?;
    Ok(AxumJson(stats.into()))
}

impl Handles {
    /// One page of the entries that `select` means.
    async fn entries(
        &self,
        select: &Select,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QueuedView>> {
        let domain = select.domain.as_deref().map(destination);
        let filter = QueueFilter {
            sender: select.sender.clone(),
            recipient: select.recipient.clone(),
            destination: domain.clone(),
            error: select.error.clone(),
            state: select.state.as_deref().map(state).transpose()?,
        };
        let ask = query::Queue {
            filter,
            now: self.meta.clock().now(),
            after,
            limit,
        };
        let mut page = self.ask(ask).await?;
        // The filter fits wherever the name occurs.
        let is_meant = |view: &QueuedView| domain.as_ref().is_none_or(|d| *d == view.destination);
        page.items.retain(is_meant);
        Ok(page)
    }

    /// The entry `id`.
    pub(super) async fn entry(&self, id: QueueId) -> Result<Option<QueuedView>> {
        let mut found = self.ask(query::Queued { ids: vec![id] }).await?;
        Ok(found.pop().flatten())
    }

    async fn change(&self, id: QueueId, change: QueueChange) -> Result<StatusCode> {
        let ids = vec![id];
        let changed = self.run(command::ChangeQueued { ids, change }).await?;
        if changed == 0 {
            let view = self.entry(id).await?.ok_or_else(|| unknown(id))?;
            // Whatever else was not changed is so already.
            if let Some(text) = hindrance(&view, change) {
                return Err(Error::new(StatusCode::CONFLICT, "not_now", text));
            }
        }
        Ok(StatusCode::NO_CONTENT)
    }
}

/// Why an entry is not tried at once.
fn hindrance(view: &QueuedView, change: QueueChange) -> Option<String> {
    let id = view.id;
    match (change, view.state) {
        (QueueChange::Retry, QueueState::Held) => Some(format!(
            "q{id} is held: let it go with `postrider queue release q{id}`"
        )),
        (QueueChange::Retry, QueueState::Leased { holder, .. }) => {
            Some(format!("q{id} is being tried right now, by node {holder}"))
        }
        _ => None,
    }
}

fn unknown(id: QueueId) -> Error {
    Refusal::NotFound(format!("entry of the queue: q{id}; it may have left")).into()
}

/// An id as we show it, `q12`, or its number alone.
pub(super) fn entry_id(text: &str) -> Result<QueueId> {
    let error = || {
        let text = format!(
            "`{text}` is no id of the queue; it looks like q12, as `postrider queue list` shows it"
        );
        Error::invalid(text)
    };
    let digits = text.strip_prefix(['q', 'Q']).unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    digits.parse().map(QueueId).map_err(|_| error())
}

fn change_of(word: &str) -> Result<QueueChange> {
    Ok(match word {
        "retry" => QueueChange::Retry,
        "hold" => QueueChange::Hold,
        "release" => QueueChange::Release,
        "remove" => QueueChange::Remove,
        _ => {
            let text = "entries can be changed by retry, hold, release and remove";
            return Err(Error::new(StatusCode::NOT_FOUND, "not_found", text));
        }
    })
}

fn state(word: &str) -> Result<StateKind> {
    match word {
        "waiting" => Ok(StateKind::Waiting),
        "leased" => Ok(StateKind::Leased),
        "held" => Ok(StateKind::Held),
        _ => Err(Error::invalid("`state` is `waiting`, `leased` or `held`")),
    }
}

/// A destination in the form in which the queue names it.
fn destination(text: &str) -> String {
    let name = DomainName::parse(text);
    name.map_or_else(|_| text.to_lowercase(), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_shown() {
        for text in ["12", "q12", "Q12"] {
            assert_eq!(entry_id(text).ok(), Some(QueueId(12)), "{text}");
        }
        for bad in ["", "q", "12x", "+12", "qq1", "99999999999999999999"] {
            assert!(entry_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn destinations_have_one_form() {
        assert_eq!(destination("Example.ORG"), "example.org");
        assert_eq!(destination("münchen.example"), "xn--mnchen-3ya.example");
        assert_eq!(destination("[IPv6:2001:DB8::1]"), "[ipv6:2001:db8::1]");
    }
}
