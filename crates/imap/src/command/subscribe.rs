//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).

use postrider_meta::command;

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(
    session: &mut Session,
    name: &str,
    subscribed: bool,
) -> Result<Reply, Fail> {
    let command = command::Subscribe {
        account: session.account()?,
        name: name.strip_suffix('/').unwrap_or(name).to_owned(),
        subscribed,
    };
    session.act(command).await?;
    Ok(Reply::ok(if subscribed {
        "SUBSCRIBE completed"
    } else {
        "UNSUBSCRIBE completed"
    }))
}
