//! LIST (RFC 3501 §6.3.8) with the options of RFC 5258, RFC 5819 and RFC 6154.

use postrider_meta::query;
use postrider_proto::imap::response::Attribute;
use postrider_proto::imap::{List, Pattern};

use super::list_names::{Listed, collect, special_use};
use super::status;
use crate::error::{Fail, Reply};
use crate::session::Session;
use crate::table::Look;

pub(super) async fn run(session: &mut Session, list: &List) -> Result<Reply, Fail> {
    let only_delimiter = !list.extended && list.patterns.iter().all(|p| p.as_str().is_empty());
    if only_delimiter {
        session.out.list_delimiter();
        return Ok(Reply::ok("LIST completed"));
    }
    let patterns: Vec<Pattern> = list
        .patterns
        .iter()
        .filter(|pattern| !pattern.as_str().is_empty())
        .map(|pattern| pattern.within(&list.reference))
        .collect();
    let mailboxes = session.mailboxes().await?;
    let subscriptions = if list.select.subscribed || list.returns.subscribed {
        let account = session.account()?;
        session
            .ask(query::Subscriptions { account }, Look::Own)
            .await?
    } else {
        Vec::new()
    };
    let names = collect(&mailboxes, &subscriptions);
    for (index, (name, listed)) in names.iter().enumerate() {
        // A hundred long patterns take a while.
        if index % 16 == 0 {
            tokio::task::yield_now().await;
        }
        if !is_selected(list, listed) || !patterns.iter().any(|p| p.matches(name)) {
            continue;
        }
        // RFC 5258 §3.5
        let below =
            list.select.recursive_match && list.select.subscribed && listed.subscribed_below;
        session.out.list(&attributes(list, listed), name, below);
        session.out.relieve().await?;
        if let Some(mailbox) = listed.mailbox
            && !list.returns.status.is_empty()
        {
            status::tell(session, mailbox, &list.returns.status).await?;
        }
    }
    Ok(Reply::ok("LIST completed"))
}

/// Whether the selection options want this name.
fn is_selected(list: &List, listed: &Listed<'_>) -> bool {
    let select = &list.select;
    if select.special_use && listed.mailbox.is_none_or(|m| m.special_use.is_none()) {
        return false;
    }
    if select.subscribed {
        return listed.subscribed || (select.recursive_match && listed.subscribed_below);
    }
    // A mailbox, or a name above one.
    listed.mailbox.is_some() || listed.has_children
}

fn attributes(list: &List, listed: &Listed<'_>) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(4);
    if listed.mailbox.is_none() {
        // RFC 5258 §3: \NonExistent implies \Noselect, which older clients know.
        if list.extended {
            attributes.push(Attribute::NonExistent);
        }
        attributes.push(Attribute::NoSelect);
    }
    // RFC 3348 §3: in every LIST.
    attributes.push(if listed.has_children {
        Attribute::HasChildren
    } else {
        Attribute::HasNoChildren
    });
    if listed.subscribed && (list.select.subscribed || list.returns.subscribed) {
        attributes.push(Attribute::Subscribed);
    }
    // RFC 6154 §2: in every LIST too.
    if let Some(special) = listed.mailbox.and_then(|mailbox| mailbox.special_use) {
        attributes.push(Attribute::SpecialUse(special_use(special)));
    }
    attributes
}
