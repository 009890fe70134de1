//! APPEND (RFC 3501 §6.3.11, RFC 4315 §3, RFC 3502): messages stream from the
//! connection into the body store; one metadata command at the end makes them
//! visible, all or none.

use postrider_meta::{Content, Refusal, command, query};
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{Append, AppendMessage, Frame};

use crate::error::{End, Fail, Reply, ReplyCode};
use crate::selected::ranges;
use crate::session::Session;
use crate::table::Look;

/// The most messages of one command.
const MOST: usize = 100;
/// The most bytes of small bodies in one command.
const MOST_INLINE: usize = 4 << 20;

pub(crate) async fn run(session: &mut Session, append: &Append) -> Result<Reply, Fail> {
    let mut messages = Vec::new();
    let mut bytes = 0u64;
    let mut coming = append.message.clone();
    loop {
        bytes = bytes.saturating_add(coming.length);
        if let Err(fail) = admit(session, append, &coming, messages.len(), bytes).await {
            session.refuse_append(&coming).await?;
            return Err(fail);
        }
        match receive(session, coming).await {
            Ok(message) => messages.push(message),
            Err(Fail::Reply(reply)) => {
                session.reader.skip_append();
                return Ok(reply);
            }
            Err(end) => return Err(end),
        }
        match session.next_frame().await? {
            Frame::AppendNext(next) => coming = next,
            Frame::AppendEnd => break,
            Frame::Invalid(error) if !error.fatal => {
                return Ok(Reply::bad(error.problem.to_string()));
            }
            Frame::Invalid(error) => {
                session.out.error(&error);
                return Err(End::Silent.into());
            }
            _ => return Err(End::Bye("the command cannot be understood").into()),
        }
    }
    store(session, append, messages).await
}

/// Whether the next message may come at all, before any byte of it does.
async fn admit(
    session: &mut Session,
    append: &Append,
    coming: &AppendMessage,
    already: usize,
    bytes: u64,
) -> Result<(), Fail> {
    session.check_writable()?;
    let largest = session.shared.settings.max_message_size;
    if coming.length > largest {
        let text = format!("the message is too large, at most {largest} bytes are taken");
        return Err(Reply::no(Code::TooBig, text).into());
    }
    if coming.length == 0 {
        return Err(Reply::no(Code::Cannot, "an empty message is not taken").into());
    }
    if already >= MOST {
        return Err(Reply::no(Code::Limit, "at most 100 messages at once").into());
    }
    if already == 0 && session.find_mailbox(&append.mailbox).await?.is_none() {
        return Err(no_mailbox().into());
    }
    let account = session.account()?;
    let quota = session.ask(query::Quota { account }, Look::Own).await?;
    let beyond = |limit: Option<u64>, use_then: u64| limit.is_some_and(|limit| use_then > limit);
    let count = quota.messages.saturating_add(already as u64 + 1);
    if beyond(quota.limit.bytes, quota.bytes.saturating_add(bytes))
        || beyond(quota.limit.messages, count)
    {
        return Err(Refusal::OverQuota.into());
    }
    Ok(())
}

/// RFC 3501 §6.3.11
fn no_mailbox() -> Reply {
    Reply::no(Code::TryCreate, "there is no such mailbox, create it first")
}

/// Takes one message in. After a failure all of its bytes have been read.
async fn receive(
    session: &mut Session,
    coming: AppendMessage,
) -> Result<command::AppendMessage, Fail> {
    if coming.synchronising {
        session.out.continuation("go ahead");
    }
    let mut intake = Some(session.shared.handles.bodies.intake());
    let mut failed = None;
    let mut missing = coming.length;
    let mut pace = session.pace();
    while missing > 0 {
        let chunk = session.read_chunk(missing, &mut pace).await?;
        missing = missing.saturating_sub(chunk.len() as u64);
        let Some(open) = &mut intake else { continue };
        // RFC 3501 §9: a literal holds no NUL.
        let written = if memchr::memchr(0, &chunk).is_some() {
            Err(Reply::no(Code::Cannot, "the message holds a NUL byte").into())
        } else {
            open.write(&chunk).await.map_err(Fail::from)
        };
        if let Err(fail) = written {
            failed = Some(fail);
            intake = None;
        }
    }
    let body = match (failed, intake) {
        (None, Some(intake)) => intake.finish().await?,
        (Some(fail), _) => return Err(fail),
        (None, None) => return Err(Reply::bad("the message was not read").into()),
    };
    let now = session.meta().clock().now();
    Ok(command::AppendMessage {
        body,
        flags: coming.flags,
        internal_date: coming.date.map_or(now, |date| date.at),
        zone: coming.date.map_or(0, |date| date.zone),
    })
}

async fn store(
    session: &mut Session,
    append: &Append,
    messages: Vec<command::AppendMessage>,
) -> Result<Reply, Fail> {
    let inline = |message: &command::AppendMessage| match &message.body.content {
        Content::Inline(bytes) => bytes.len(),
        Content::Object { .. } => 0,
    };
    if messages.len() > 1 && messages.iter().map(inline).sum::<usize>() > MOST_INLINE {
        return Ok(Reply::no(
            Code::Limit,
            "too much at once, append the messages one by one",
        ));
    }
    let command = command::Append {
        account: session.account()?,
        mailbox: append.mailbox.clone(),
        messages,
    };
    match session.try_act(command).await? {
        Ok(appended) => {
            let uids = ranges(appended.uids.iter().map(|uid| uid.0));
            let code = ReplyCode::AppendUid(appended.uid_validity, uids);
            Ok(Reply::ok("APPEND completed").with(code))
        }
        Err(Refusal::NotFound(_)) => Ok(no_mailbox()),
        Err(refusal) => Err(refusal.into()),
    }
}
