//! STORE and UID STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).

use postrider_meta::command;
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{Store, StoreMode};
use postrider_types::{Flags, ModSeq, Uid};

use super::expunge::read_only;
use crate::error::{Fail, Reply, ReplyCode};
use crate::selected::ranges;
use crate::session::Session;
use crate::table::Look;

/// The most messages of one metadata command.
const STEP: usize = 1_000;

pub(super) async fn run(session: &mut Session, store: &Store) -> Result<Reply, Fail> {
    if store.unchanged_since.is_some() {
        // RFC 7162 §3.1
        session.condstore = true;
    }
    if store.silent {
        // RFC 3501 §6.4.6: what others changed is told also with .SILENT; the
        // client's own change would hide it.
        session.tell_changes(Look::Own, store.uid).await?;
    }
    let account = session.account()?;
    let Some(selected) = &session.selected else {
        return Ok(Reply::bad("select a mailbox first"));
    };
    if selected.read_only {
        return Ok(read_only());
    }
    let mailbox = selected.mailbox;
    let places = selected.resolve(&store.set, store.uid)?;
    let wanted: usize = places.iter().map(ExactSizeIterator::len).sum();
    let mut found = 0;
    let mut modified = Vec::new();
    for uids in selected.chunks(&places, STEP) {
        let command = command::Store {
            account,
            mailbox,
            uids,
            mode: match store.mode {
                StoreMode::Replace => command::StoreMode::Replace,
                StoreMode::Add => command::StoreMode::Add,
                StoreMode::Remove => command::StoreMode::Remove,
            },
            flags: store.flags.clone(),
            unchanged_since: store.unchanged_since,
        };
        let stored = session.act(command).await?;
        found += stored.messages.len() + stored.modified.len();
        modified.extend(stored.modified);
        for (uid, mod_seq, flags) in &stored.messages {
            tell(session, store, *uid, *mod_seq, flags);
            session.out.relieve().await?;
        }
    }
    Ok(reply(session, store, found < wanted, &modified))
}

fn tell(session: &mut Session, store: &Store, uid: Uid, mod_seq: ModSeq, flags: &Flags) {
    let Some(selected) = &mut session.selected else {
        return;
    };
    selected.did(uid, mod_seq);
    if selected.note_keywords(flags) {
        session.out.flags(&selected.flags());
    }
    // RFC 7162 §3.1.3: the new MODSEQ is told also with .SILENT.
    if store.silent && !session.condstore {
        return;
    }
    let Some(number) = selected.number_of(uid) else {
        return;
    };
    let out = &mut session.out;
    out.fetch_start(number);
    if store.uid {
        out.fetch_uid(uid);
    }
    if session.condstore {
        out.fetch_mod_seq(mod_seq);
    }
    if !store.silent {
        out.fetch_flags(flags, selected.is_recent(uid));
    }
    out.fetch_end();
}

fn reply(session: &Session, store: &Store, some_gone: bool, modified: &[Uid]) -> Reply {
    if !modified.is_empty() {
        let numbers = modified.iter().filter_map(|uid| {
            if store.uid {
                return Some(uid.0);
            }
            session.selected.as_ref()?.number_of(*uid)
        });
        let set = ranges(numbers);
        return Reply::ok("some messages have changed since").with(ReplyCode::Modified(set));
    }
    // RFC 2180 §4.2: a UID without a message is passed over, a number is not;
    // with .SILENT nobody asked.
    if some_gone && !store.uid && !store.silent {
        return Reply::no(Code::ExpungeIssued, "some of the messages no longer exist");
    }
    Reply::ok("STORE completed")
}
