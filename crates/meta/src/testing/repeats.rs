//! Commands that are sent again, watchers, and verdicts that grow old.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use postrider_types::{BodyId, Clock, CommandId};

use super::Fixture;
use crate::command as c;
use crate::{Command, Error, Refusal};

pub(super) async fn a_command_sent_again_is_applied_once(f: &Fixture) {
    let id = CommandId::new(f.clock.now(), &*f.random);
    let accept = Command::Accept(c::Accept {
        body: f.body("once"),
        deliveries: vec![Fixture::delivery(f.ann, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    });
    let first = f.backend.execute(id, accept.clone()).await.expect("up");
    let again = f.backend.execute(id, accept).await.expect("up");
    let text = |verdict| format!("{verdict:?}");
    assert_eq!(text(first.verdict), text(again.verdict));
    assert!(again.token >= first.token);
    assert_eq!(f.mailbox("INBOX").await.messages, 1);

    // A refusal is a verdict too: it stays even if the reason goes away.
    let id = CommandId::new(f.clock.now(), &*f.random);
    let subscribe = Command::DeleteMailbox(c::DeleteMailbox {
        account: f.ann,
        name: "Later".into(),
    });
    let first = f.backend.execute(id, subscribe.clone()).await.expect("up");
    assert!(matches!(first.verdict, Err(Refusal::NotFound(_))));
    f.create("Later").await;
    let again = f.backend.execute(id, subscribe).await.expect("up");
    assert!(matches!(again.verdict, Err(Refusal::NotFound(_))));
    assert!(f.find("Later").await.is_some());
}

pub(super) async fn a_watcher_is_told(f: &Fixture) {
    let mut changes = f.client.watch(f.ann);
    f.accept("INBOX", "news").await;
    assert_eq!(changes.next().await, Some(()));
    // Another account's mail is no news. Backends may hint too often, so only
    // the absence of an error is asked for here.
    let bob = f.add_account("bob", crate::QuotaLimit::default()).await;
    let mut bobs = f.client.watch(bob);
    f.accept("INBOX", "more").await;
    assert_eq!(changes.next().await, Some(()));
    assert_ne!(bobs.next().now_or_never(), Some(None));
}

pub(super) async fn old_verdicts_are_trimmed(f: &Fixture) {
    let id = CommandId::new(f.clock.now(), &*f.random);
    let purge = Command::Purge(c::Purge { limit: 1 });
    f.backend
        .execute(id, purge)
        .await
        .expect("up")
        .verdict
        .expect("nothing to purge");
    f.clock.advance(Duration::from_secs(3600));
    let trim = c::Trim {
        dedup_before: CommandId::floor(f.clock.now()),
        history_before: BodyId::floor(f.clock.now()),
    };
    while f.run(trim.clone()).await.more {}
    // The verdict is forgotten: what comes under the id so late is not evaluated,
    // since it might be for the second time.
    let create = Command::CreateMailbox(c::CreateMailbox {
        account: f.ann,
        name: "Fresh".into(),
        special_use: None,
    });
    let late = f.backend.execute(id, create).await;
    assert!(matches!(late, Err(Error::Failed(_))), "{late:?}");
    assert!(f.find("Fresh").await.is_none());
}
