//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2, RFC 7162 §3.1.8).

use postrider_meta::MailboxView;
use postrider_proto::imap::Select;
use postrider_proto::imap::response::{Code, Condition};
use postrider_types::{Flags, Uid};

use crate::error::{Fail, Reply, ReplyCode};
use crate::selected::Selected;
use crate::session::Session;

pub(super) async fn run(session: &mut Session, select: &Select) -> Result<Reply, Fail> {
    // RFC 3501 §6.3.1: the old mailbox is deselected first, also if this fails.
    if session.selected.is_some() {
        session.deselect().await;
        // RFC 7162 §3.2.11
        session.out.untagged(
            Condition::Ok,
            Some(&Code::Closed),
            "the mailbox before is closed",
        );
    }
    if select.condstore {
        session.condstore = true;
    }
    let view = session.mailbox(&select.mailbox).await?;
    let mut selected = Selected::new(view.id, view.highest_mod_seq, select.read_only);
    let read_only = select.read_only || session.stale;
    selected.recent_from = session.announce_recent(&view, read_only).await;
    selected.claimed_to = view.uid_next.0;
    match session.load(selected).await {
        Ok(first_unseen) => tell(session, &view, first_unseen, read_only),
        Err(fail) => {
            session.selected = None;
            return Err(fail);
        }
    }
    let (text, code) = match (select.read_only, read_only) {
        (true, _) => ("EXAMINE completed", Code::ReadOnly),
        (false, true) => ("SELECT completed, read-only for now", Code::ReadOnly),
        (false, false) => ("SELECT completed", Code::ReadWrite),
    };
    Ok(Reply::ok(text).with(ReplyCode::Plain(code)))
}

fn tell(session: &mut Session, view: &MailboxView, first_unseen: Option<u32>, read_only: bool) {
    let Some(selected) = &session.selected else {
        return;
    };
    let out = &mut session.out;
    let flags = selected.flags();
    out.flags(&flags);
    out.exists(selected.count());
    out.recent(selected.recent());
    if let Some(number) = first_unseen {
        out.untagged(
            Condition::Ok,
            Some(&Code::Unseen(number)),
            "the first message not seen",
        );
    }
    let none = Flags::new();
    let permanent = Code::PermanentFlags {
        flags: if read_only { &none } else { &flags },
        new_keywords: !read_only,
    };
    out.untagged(Condition::Ok, Some(&permanent), "flags that are kept");
    let next = view.uid_next.0.max(selected.last_uid().saturating_add(1));
    out.untagged(
        Condition::Ok,
        Some(&Code::UidNext(Uid(next))),
        "the next UID",
    );
    out.untagged(
        Condition::Ok,
        Some(&Code::UidValidity(view.uid_validity)),
        "UIDs are valid",
    );
    // RFC 7162 §3.1.2.1: to every client, so that a later CONDSTORE knows it.
    let code = Code::HighestModSeq(view.highest_mod_seq);
    out.untagged(Condition::Ok, Some(&code), "the highest MODSEQ");
}
