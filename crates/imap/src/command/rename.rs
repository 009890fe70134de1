//! RENAME (RFC 3501 §6.3.5).

use postrider_meta::command;
use postrider_proto::imap::Rename;

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session, rename: &Rename) -> Result<Reply, Fail> {
    let trim = |name: &str| name.strip_suffix('/').unwrap_or(name).to_owned();
    let command = command::RenameMailbox {
        account: session.account()?,
        from: trim(&rename.from),
        to: trim(&rename.to),
    };
    session.act(command).await?;
    Ok(Reply::ok("RENAME completed"))
}
