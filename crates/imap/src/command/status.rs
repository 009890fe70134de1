//! STATUS (RFC 3501 §6.3.10), alone and with LIST (RFC 5819).

use postrider_meta::{Detail, MailboxView, UidRanges, query};
use postrider_proto::imap::{Status, StatusItem};
use postrider_types::ModSeq;

use crate::error::{Fail, Reply};
use crate::session::Session;
use crate::table::Look;

pub(super) async fn run(session: &mut Session, status: &Status) -> Result<Reply, Fail> {
    let view = session.mailbox(&status.mailbox).await?;
    tell(session, &view, &status.items).await?;
    Ok(Reply::ok("STATUS completed"))
}

/// Tells the status of one mailbox.
pub(super) async fn tell(
    session: &mut Session,
    view: &MailboxView,
    items: &[StatusItem],
) -> Result<(), Fail> {
    let recent = if items.contains(&StatusItem::Recent) {
        count_recent(session, view).await?
    } else {
        0
    };
    if items.contains(&StatusItem::HighestModSeq) {
        // RFC 7162 §3.1
        session.condstore = true;
    }
    let value = |item: &StatusItem| match item {
        StatusItem::Messages => u64::from(view.messages),
        StatusItem::Recent => recent,
        StatusItem::UidNext => u64::from(view.uid_next.0),
        StatusItem::UidValidity => u64::from(view.uid_validity.0),
        StatusItem::Unseen => u64::from(view.unseen),
        StatusItem::Deleted => u64::from(view.deleted),
        StatusItem::Size => view.size,
        StatusItem::HighestModSeq => view.highest_mod_seq.0,
    };
    let values = items.iter().map(|item| (*item, value(item)));
    session.out.status(&view.name, values);
    session.out.relieve().await?;
    Ok(())
}

async fn count_recent(session: &mut Session, view: &MailboxView) -> Result<u64, Fail> {
    let mut count = 0;
    let mut from = (view.first_recent < view.uid_next).then_some(view.first_recent);
    while let Some(first) = from {
        let query = query::Messages {
            account: session.account()?,
            mailbox: view.id,
            uids: UidRanges(vec![first.0.max(1)..=u32::MAX]),
            detail: Detail::Flags,
            changed_since: ModSeq(0),
            limit: 5_000,
        };
        let page = session.ask(query, Look::Own).await?;
        count += page.messages.len() as u64;
        from = page.next;
    }
    Ok(count)
}
