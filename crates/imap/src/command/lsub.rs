//! LSUB (RFC 3501 §6.3.9).

use std::collections::BTreeSet;

use postrider_meta::query;
use postrider_proto::imap::Lsub;
use postrider_proto::imap::response::Attribute;

use super::list_names::superiors;
use crate::error::{Fail, Reply};
use crate::session::Session;
use crate::table::Look;

pub(super) async fn run(session: &mut Session, lsub: &Lsub) -> Result<Reply, Fail> {
    let account = session.account()?;
    let query = query::Subscriptions { account };
    let subscribed = session.ask(query, Look::Latest).await?;
    let pattern = lsub.pattern.within(&lsub.reference);
    let mut parents = BTreeSet::new();
    for name in &subscribed {
        if pattern.matches(name) {
            session.out.lsub(&[], name);
            session.out.relieve().await?;
            continue;
        }
        // RFC 3501 §6.3.9: with % a superior stands for the names below it.
        parents.extend(superiors(name).filter(|parent| pattern.matches(parent)));
    }
    for parent in parents {
        if !subscribed.iter().any(|name| name == parent) {
            session.out.lsub(&[Attribute::NoSelect], parent);
            session.out.relieve().await?;
        }
    }
    Ok(Reply::ok("LSUB completed"))
}
