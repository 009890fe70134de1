//! What RETR and TOP share: sending a message as it is read, never holding a
//! large one.

use postrider_body::Error;
use postrider_proto::pop3::{ErrorCode, Stuffer, TopLines};
use tracing::{error, warn};

use super::NO_SUCH_MESSAGE;
use crate::ahead::Fetched;
use crate::session::{Session, Step, Stop};

/// How much of a message is sent.
pub(super) enum Part {
    Whole,
    Top(TopLines),
}

impl Part {
    /// How much of `chunk` is sent.
    fn take(&mut self, chunk: &[u8]) -> usize {
        match self {
            Self::Whole => chunk.len(),
            Self::Top(lines) => lines.take(chunk),
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Top(lines) if lines.is_done())
    }
}

pub(super) async fn run(session: &mut Session<'_>, message: u32, part: Part) -> Step {
    let Some(maildrop) = &session.maildrop else {
        return Ok(());
    };
    let Some(index) = maildrop.index(message) else {
        return session.wrong(NO_SUCH_MESSAGE);
    };
    let size = maildrop.entry(index).map_or(0, |e| e.size);
    let pipelined = !session.input.is_empty();
    let handles = &session.server.handles;
    match session
        .ahead
        .take(handles, maildrop, index, pipelined)
        .await
    {
        Ok(Some(fetched)) => send(session, fetched, size, part).await,
        Ok(None) => {
            session.err(ErrorCode::None, "another session has removed this message");
            Ok(())
        }
        Err(error) => {
            fail(session, &error);
            Ok(())
        }
    }
}

async fn send(session: &mut Session<'_>, fetched: Fetched, size: u64, mut part: Part) -> Step {
    let Fetched { prefix, mut body } = fetched;
    // The first piece comes before the reply: most errors show here, while they
    // can still be told.
    let mut next = match body.next_chunk().await {
        Ok(next) => next,
        Err(error) => {
            fail(session, &error);
            return Ok(());
        }
    };
    match &part {
        Part::Whole => session.ok(&format!("{size} octets")),
        Part::Top(_) => session.ok("top of the message follows"),
    }
    let mut stuffer = Stuffer::new();
    let shown = part.take(&prefix);
    stuffer.push(&prefix[..shown], &mut session.out);
    while let Some(chunk) = next.filter(|_| !part.is_done()) {
        let shown = part.take(&chunk);
        stuffer.push(&chunk[..shown], &mut session.out);
        session.flush_if_long().await?;
        next = match body.next_chunk().await {
            Ok(next) => next,
            Err(cause) => {
                // Half a message must not look like a whole one.
                error!(body = %body.id(), %cause, "a message broke off while it was sent");
                return Err(Stop::Lost);
            }
        };
    }
    stuffer.finish(&mut session.out);
    Ok(())
}

fn fail(session: &mut Session<'_>, cause: &Error) {
    match cause {
        Error::Damaged { .. } => {
            error!(%cause, "a message cannot be read");
            session.err(
                ErrorCode::SysPerm,
                "the message is damaged; ask your administrator",
            );
        }
        Error::NotFound(_) => {
            session.err(ErrorCode::None, "another session has removed this message");
        }
        Error::Unavailable(_) | Error::Crowded(_) | Error::TooLarge { .. } => {
            warn!(%cause, "a message cannot be read now");
            session.err(
                ErrorCode::SysTemp,
                "the message is not available now, try again later",
            );
        }
    }
}
