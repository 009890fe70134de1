//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.1.1, §4.1.2): an account has one
//! quota root for all its mailboxes.

use postrider_meta::query;
use postrider_proto::imap::response::{Code, Resource};

use crate::error::{Fail, Reply};
use crate::session::Session;
use crate::table::Look;

/// The name of the account's quota root.
const ROOT: &str = "account";

pub(super) async fn by_root(session: &mut Session, root: &str) -> Result<Reply, Fail> {
    if root != ROOT {
        return Ok(Reply::no(Code::NonExistent, "there is no such quota root"));
    }
    tell(session).await?;
    Ok(Reply::ok("GETQUOTA completed"))
}

pub(super) async fn by_mailbox(session: &mut Session, name: &str) -> Result<Reply, Fail> {
    let view = session.mailbox(name).await?;
    session.out.quota_root(&view.name, &[ROOT]);
    tell(session).await?;
    Ok(Reply::ok("GETQUOTAROOT completed"))
}

/// Tells the resources that have a limit.
async fn tell(session: &mut Session) -> Result<(), Fail> {
    let account = session.account()?;
    let quota = session.ask(query::Quota { account }, Look::Latest).await?;
    let mut resources = Vec::new();
    if let Some(bytes) = quota.limit.bytes {
        // RFC 9208 §5.1: in units of 1,024 bytes. Use is rounded up, the limit down.
        resources.push(Resource {
            name: "STORAGE",
            usage: quota.bytes.div_ceil(1024),
            limit: bytes / 1024,
        });
    }
    if let Some(messages) = quota.limit.messages {
        resources.push(Resource {
            name: "MESSAGE",
            usage: quota.messages,
            limit: messages,
        });
    }
    session.out.quota(ROOT, &resources);
    Ok(())
}
