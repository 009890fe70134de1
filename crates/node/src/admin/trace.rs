//! `/v1/trace`

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use postrider_meta::{Acceptance as AcceptanceView, Accepting, Refusal, TraceView, limit, query};
use postrider_types::{AccountId, BodyId, QueueId};

use super::api::{Acceptance, Entry, Event, Place, Trace};
use super::queue::entry_id;
use super::{Error, Handles, Result};

/// How many pages of accounts are looked through for the one that was logged in.
const PAGES: usize = 20;

/// Of a message, named by its id or by an entry of the queue (`q12`).
pub(super) async fn show(
    State(handles): State<Handles>,
    Path(id): Path<String>,
) -> Result<AxumJson<Trace>> {
    let message = match message_id(&id) {
        Some(message) => message,
        None => handles.message_of(&id).await?,
    };
    let lines = handles.ask(query::Trace { id: message }).await?;
    let (mut accepted, mut events) = (None, Vec::new());
    for line in lines {
        match line {
            TraceView::Accepted(acceptance) => accepted = Some(acceptance),
            TraceView::Event(event) => events.push(Event::from(event)),
        }
    }
    if accepted.is_none() && events.is_empty() {
        let text = format!("message: {message}; what happened to one is kept for 30 days");
        return Err(Refusal::NotFound(text).into());
    }
    let waiting = handles.waiting(accepted.as_ref()).await?;
    let accepted = match accepted {
        Some(acceptance) => Some(handles.acceptance(acceptance).await?),
        None => None,
    };
    Ok(AxumJson(Trace {
        message: message.to_string(),
        accepted,
        events,
        waiting,
    }))
}

/// 32 hexadecimal digits.
fn message_id(text: &str) -> Option<BodyId> {
    let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| fits)?;
    Some(BodyId::from_bytes(number.to_be_bytes()))
}

impl Handles {
    async fn message_of(&self, text: &str) -> Result<BodyId> {
        let id = entry_id(text).map_err(|_| {
            let text = format!(
                "`{text}` is no id of a message: that has 32 hexadecimal digits, as in the reply \
                 to DATA and in the Received field; an entry of the queue is named as q12"
            );
            Error::invalid(text)
        })?;
        let view = self.entry(id).await?.ok_or_else(|| {
            let text = format!("entry of the queue: q{id}; if it has left, use the message's id");
            Error::from(Refusal::NotFound(text))
        })?;
        Ok(view.body)
    }

    /// The entries of a message that are in the queue still.
    async fn waiting(&self, accepted: Option<&AcceptanceView>) -> Result<Vec<Entry>> {
        let named = accepted.iter().flat_map(|it| &it.recipients);
        let mut ids: Vec<QueueId> = named
            .filter_map(|recipient| match recipient {
                Accepting::Queued { entry, .. } => Some(*entry),
                Accepting::Local { .. } => None,
            })
            .collect();
        ids.dedup();
        ids.truncate(limit::LEASED);
        let found = self.ask(query::Queued { ids }).await?;
        Ok(found.into_iter().flatten().map(Entry::from).collect())
    }

    async fn acceptance(&self, view: AcceptanceView) -> Result<Acceptance> {
        let origin = view.origin;
        let login = match origin.login {
            Some(account) => Some(self.address_of(account).await?),
            None => None,
        };
        Ok(Acceptance {
            at: view.at.into(),
            node: origin.node.map(|node| node.0),
            peer: origin.peer,
            protocol: origin.protocol,
            login,
            sender: origin.reverse_path,
            recipients: view.recipients.into_iter().map(Place::from).collect(),
            count: view.count,
        })
    }

    /// The address of an account, or its number: there is no query for one by its
    /// id, and of very many not all are looked at.
    async fn address_of(&self, account: AccountId) -> Result<String> {
        let mut after = None;
        for _ in 0..PAGES {
            let ask = query::Accounts {
                domain: None,
                after,
                limit: 1_000,
            };
            let page = self.ask(ask).await?;
            if let Some(found) = page.items.into_iter().find(|view| view.id == account) {
                return Ok(found.address.to_string());
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(format!("account {account}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_messages_have_32_digits() {
        let id = "0192f0c1a2b3000000000000000000ff";
        assert_eq!(message_id(id).unwrap().to_string(), id);
        for bad in [
            "q12",
            "12",
            "+192f0c1a2b3000000000000000000ff",
            &id[1..],
            "",
        ] {
            assert_eq!(message_id(bad), None, "{bad}");
        }
    }
}
