//! IDLE (RFC 2177): changes are told as they happen, until the client says DONE.

use futures::StreamExt;
use postrider_proto::imap::is_done;
use postrider_proto::imap::response::Condition;
use tokio::time::Instant;

use crate::error::{End, Fail, Reply};
use crate::session::{DRAINING, Session};
use crate::table::Look;

/// The longest line in which a client may say DONE.
const LINE: usize = 64;

/// What woke the session.
enum Wake {
    Changed,
    /// No hints come any more.
    NoHints,
    Notice,
    Line(bytes::Bytes),
}

/// Runs until DONE. The changes up to then are told by the caller.
pub(crate) async fn run(session: &mut Session) -> Result<Reply, Fail> {
    // Watched from before the first look on, so that nothing falls between.
    let mut changes = Some(session.meta().watch(session.account()?));
    session.out.continuation("idling");
    session.tell_changes(Look::Latest, true).await?;
    let settings = &session.shared.settings;
    let notice = settings.idle_notice;
    let ends = Instant::now() + settings.idle_timeout;
    let mut next_notice = (!notice.is_zero()).then(|| Instant::now() + notice);
    loop {
        session.flush().await?;
        let wake = wait(session, &mut changes, ends, next_notice).await?;
        session.check_open().await?;
        match wake {
            Wake::Changed => session.tell_changes(Look::Latest, true).await?,
            Wake::NoHints => changes = None,
            Wake::Notice => {
                session.out.untagged(Condition::Ok, None, "still here");
                // A hint may have been lost: look at this occasion.
                session.tell_changes(Look::Latest, true).await?;
                next_notice = Some(Instant::now() + notice);
            }
            Wake::Line(line) if is_done(&line) => return Ok(Reply::ok("IDLE ended")),
            // RFC 2177 §3: nothing else may be sent.
            Wake::Line(_) => return Ok(Reply::bad("IDLE ends with DONE")),
        }
    }
}

async fn wait(
    session: &mut Session,
    changes: &mut Option<postrider_meta::Changes>,
    ends: Instant,
    notice: Option<Instant>,
) -> Result<Wake, End> {
    let forever = session.shared.settings.idle_timeout;
    let hint = async {
        match changes {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = session.drain.cancelled() => Err(End::Bye(DRAINING)),
        line = session.input.read_line(&mut session.out.connection, LINE, forever) => {
            Ok(Wake::Line(line?))
        }
        hint = hint => Ok(hint.map_or(Wake::NoHints, |()| Wake::Changed)),
        () = tokio::time::sleep_until(notice.unwrap_or(ends)), if notice.is_some() => {
            Ok(Wake::Notice)
        }
        () = tokio::time::sleep_until(ends) => {
            Err(End::Bye("you were silent for too long, connect again"))
        }
    }
}
