//! COPY, UID COPY (RFC 3501 §6.4.7), MOVE and UID MOVE (RFC 6851).

use postrider_meta::{Refusal, UidRanges, command};
use postrider_proto::imap::Copy;
use postrider_proto::imap::response::{Code, Condition};
use postrider_types::{MailboxId, Uid, UidValidity};

use super::expunge::read_only;
use crate::error::{Fail, Reply, ReplyCode};
use crate::selected::ranges;
use crate::session::Session;

/// The most messages of one metadata command.
const STEP: usize = 1_000;

/// What was copied so far.
#[derive(Default)]
struct Done {
    target: Option<(MailboxId, UidValidity)>,
    from: Vec<u32>,
    to: Vec<u32>,
}

impl Done {
    /// RFC 4315 §3; None where nothing was copied.
    fn code(&self) -> Option<ReplyCode> {
        let (_, validity) = self.target?;
        if self.to.is_empty() {
            return None;
        }
        let from = ranges(self.from.iter().copied());
        Some(ReplyCode::CopyUid(
            validity,
            from,
            ranges(self.to.iter().copied()),
        ))
    }
}

pub(super) async fn run(session: &mut Session, copy: &Copy, remove: bool) -> Result<Reply, Fail> {
    let Some(selected) = &session.selected else {
        return Ok(Reply::bad("select a mailbox first"));
    };
    if remove && selected.read_only {
        return Ok(read_only());
    }
    let places = selected.resolve(&copy.set, copy.uid)?;
    let wanted: usize = places.iter().map(ExactSizeIterator::len).sum();
    let chunks = selected.chunks(&places, STEP);
    let mut done = Done::default();
    let copied = copy_chunks(session, copy, remove, chunks, &mut done).await;
    if remove {
        // RFC 6851 §4.3: told before the messages are told to be gone. What one
        // step moved stays moved: each message is in one place, none in two.
        if let Some(code) = done.code() {
            let text = "these messages were moved";
            session
                .out
                .untagged(Condition::Ok, Some(&code.as_code()), text);
        }
        copied?;
        if done.to.len() < wanted && !copy.uid {
            return Ok(expunged());
        }
        return Ok(Reply::ok("MOVE completed"));
    }
    // RFC 2180 §4.4.1: a UID without a message is passed over, a number the client
    // knows is not.
    let copied = copied.and_then(|()| match done.to.len() < wanted && !copy.uid {
        true => Err(expunged().into()),
        false => Ok(()),
    });
    if let Err(fail) = copied {
        // RFC 3501 §6.4.7: all or none.
        take_back(session, &done).await;
        return Err(fail);
    }
    let reply = Reply::ok("COPY completed");
    Ok(match done.code() {
        Some(code) => reply.with(code),
        None => reply,
    })
}

/// RFC 5530 §3
fn expunged() -> Reply {
    let text = "some of the messages no longer exist";
    Reply::no(Code::ExpungeIssued, text)
}

async fn copy_chunks(
    session: &mut Session,
    copy: &Copy,
    remove: bool,
    chunks: Vec<UidRanges>,
    done: &mut Done,
) -> Result<(), Fail> {
    let account = session.account()?;
    let from = session.selected.as_ref().map(|s| s.mailbox);
    for uids in chunks {
        let command = command::Copy {
            account,
            from: from.unwrap_or_default(),
            uids,
            to: copy.mailbox.clone(),
            remove,
        };
        match session.try_act(command).await? {
            Ok(copied) => {
                done.target = Some((copied.mailbox, copied.uid_validity));
                for (from, to) in copied.uids {
                    done.from.push(from.0);
                    done.to.push(to.0);
                }
            }
            Err(Refusal::NotFound(what)) => {
                // RFC 3501 §6.4.7
                let missing = session.find_mailbox(&copy.mailbox).await?.is_none();
                let code = if missing {
                    Code::TryCreate
                } else {
                    Code::NonExistent
                };
                return Err(Reply::no(code, format!("no such {what}")).into());
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

/// Removes the copies that were made before a later step was refused.
async fn take_back(session: &mut Session, done: &Done) {
    let (Some((mailbox, _)), Ok(account)) = (done.target, session.account()) else {
        return;
    };
    for uids in done.to.chunks(STEP) {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else {
            continue;
        };
        let expunge = command::Expunge {
            account,
            mailbox,
            uids: UidRanges(ranges(uids.iter().copied())),
            only_deleted: false,
            limit: STEP as u32,
        };
        if session.act(expunge).await.is_err() {
            let (first, last) = (Uid(*first), Uid(*last));
            tracing::warn!(%account, %mailbox, %first, %last, "copies of a refused COPY remain");
        }
    }
}
