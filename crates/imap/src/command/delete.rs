//! DELETE (RFC 3501 §6.3.4).

use postrider_meta::{Refusal, command};
use postrider_proto::imap::response::{Code, Condition};

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session, name: &str) -> Result<Reply, Fail> {
    let selected = session.selected.as_ref().map(|s| s.mailbox);
    let own = match selected {
        Some(id) => session
            .find_mailbox(name)
            .await?
            .is_some_and(|m| m.id == id),
        None => false,
    };
    let command = command::DeleteMailbox {
        account: session.account()?,
        name: name.to_owned(),
    };
    let (verdict, token) = session.meta().run(command).await?;
    session.token = session.token.max(token);
    match verdict {
        Ok(()) => {}
        // RFC 9051 §6.3.5
        Err(Refusal::InUse(text)) => return Ok(Reply::no(Code::HasChildren, text)),
        Err(refusal) => return Err(refusal.into()),
    }
    if own {
        session.selected = None;
        session
            .out
            .untagged(Condition::Ok, Some(&Code::Closed), "the mailbox is closed");
    }
    Ok(Reply::ok("DELETE completed"))
}
