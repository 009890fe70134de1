//! ID (RFC 2971).

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) fn run(
    session: &mut Session,
    fields: &[(String, Option<String>)],
) -> Result<Reply, Fail> {
    tracing::debug!(?fields, "the IMAP client told its name");
    // RFC 2971 §4: the version helps attackers, but hides nothing from them here:
    // the source is public.
    session.out.id(&[
        ("name", "Postrider"),
        ("version", env!("CARGO_PKG_VERSION")),
    ]);
    Ok(Reply::ok("ID completed"))
}
