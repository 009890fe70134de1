//! EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).

use postrider_meta::{UidRanges, command};
use postrider_proto::imap::SequenceSet;
use postrider_proto::imap::response::Code;

use crate::error::{Fail, Reply};
use crate::session::Session;

/// The most messages that one step removes, and the most ranges it names.
const STEP: u32 = 2_000;

pub(super) async fn run(session: &mut Session, set: Option<&SequenceSet>) -> Result<Reply, Fail> {
    remove_deleted(session, set).await?;
    // The caller reads the removals from the change log and tells them.
    Ok(Reply::ok("EXPUNGE completed"))
}

/// The reply where a mailbox that was opened by EXAMINE would change.
pub(super) fn read_only() -> Reply {
    Reply::no(
        Code::NoPerm,
        "the mailbox is selected read-only; use SELECT",
    )
}

/// Removes the messages with `\Deleted`, of all or of those with a UID in `set`.
pub(super) async fn remove_deleted(
    session: &mut Session,
    set: Option<&SequenceSet>,
) -> Result<(), Fail> {
    let account = session.account()?;
    let Some(selected) = &session.selected else {
        return Err(Reply::bad("select a mailbox first").into());
    };
    if selected.read_only {
        return Err(read_only().into());
    }
    let mailbox = selected.mailbox;
    let chunks = match set {
        None => vec![UidRanges(vec![1..=u32::MAX])],
        Some(set) => {
            let places = selected.resolve(set, true)?;
            selected.chunks(&places, STEP as usize)
        }
    };
    for uids in chunks {
        loop {
            let expunge = command::Expunge {
                account,
                mailbox,
                uids: uids.clone(),
                only_deleted: true,
                limit: STEP,
            };
            if !session.act(expunge).await?.more {
                break;
            }
        }
    }
    Ok(())
}
