//! CREATE (RFC 3501 §6.3.3, RFC 6154 §3).

use postrider_meta::{self as meta, command};
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{Create, SpecialUse};

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session, create: &Create) -> Result<Reply, Fail> {
    let special_use = match &create.special_use[..] {
        [] => None,
        [one] => match special_use(one) {
            Some(known) => Some(known),
            None => return Ok(not_possible()),
        },
        _ => return Ok(not_possible()),
    };
    // RFC 3501 §6.3.3: the final delimiter only announces names below.
    let name = create.mailbox.strip_suffix('/').unwrap_or(&create.mailbox);
    let command = command::CreateMailbox {
        account: session.account()?,
        name: name.to_owned(),
        special_use,
    };
    session.act(command).await?;
    Ok(Reply::ok("CREATE completed"))
}

/// RFC 6154 §3
fn not_possible() -> Reply {
    Reply::no(
        Code::UseAttr,
        "a mailbox has one special use, of \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash",
    )
}

/// `\All` would be a virtual mailbox, which there is none.
fn special_use(wanted: &SpecialUse) -> Option<meta::SpecialUse> {
    Some(match wanted {
        SpecialUse::Archive => meta::SpecialUse::Archive,
        SpecialUse::Drafts => meta::SpecialUse::Drafts,
        SpecialUse::Flagged => meta::SpecialUse::Flagged,
        SpecialUse::Junk => meta::SpecialUse::Junk,
        SpecialUse::Sent => meta::SpecialUse::Sent,
        SpecialUse::Trash => meta::SpecialUse::Trash,
        SpecialUse::All | SpecialUse::Other(_) => return None,
    })
}
