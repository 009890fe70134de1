//! Mailboxes: names, renames, deletion, subscriptions, and accounts that go.

use super::{Fixture, all};
use crate::command as c;
use crate::query as q;
use crate::{Refusal, SpecialUse};

async fn names(f: &Fixture) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = f.ask(q::Mailboxes {
            account: f.ann,
            after,
            limit: 2,
        });
        let page = page.await;
        names.extend(page.items.into_iter().map(|mailbox| mailbox.name));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
}

fn create(f: &Fixture, name: &str) -> c::CreateMailbox {
    c::CreateMailbox {
        account: f.ann,
        name: name.into(),
        special_use: None,
    }
}

fn rename(f: &Fixture, from: &str, to: &str) -> c::RenameMailbox {
    c::RenameMailbox {
        account: f.ann,
        from: from.into(),
        to: to.into(),
    }
}

fn delete(f: &Fixture, name: &str) -> c::DeleteMailbox {
    c::DeleteMailbox {
        account: f.ann,
        name: name.into(),
    }
}

pub(super) async fn mailboxes_are_created_with_superiors(f: &Fixture) {
    let junk = c::CreateMailbox {
        account: f.ann,
        name: "a/b/Junk".into(),
        special_use: Some(SpecialUse::Junk),
    };
    f.run(junk).await;
    f.run(create(f, "inbox/x/")).await;
    let names = names(f).await;
    for name in ["INBOX", "INBOX/x", "a", "a/b", "a/b/Junk"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    let (a, b, junk) = (
        f.mailbox("a").await,
        f.mailbox("a/b").await,
        f.mailbox("a/b/Junk").await,
    );
    assert_eq!(junk.special_use, Some(SpecialUse::Junk));
    assert!(a.uid_validity != b.uid_validity && b.uid_validity != junk.uid_validity);
    assert!(matches!(
        f.refused(create(f, "a/b")).await,
        Refusal::Exists(_)
    ));
    // A mailbox of the same name is another one.
    f.run(delete(f, "a/b/Junk")).await;
    f.run(create(f, "a/b/Junk")).await;
    let anew = f.mailbox("a/b/Junk").await;
    assert!(anew.uid_validity > junk.uid_validity && anew.id != junk.id);
}

pub(super) async fn bad_names_are_refused(f: &Fixture) {
    for bad in [
        "",
        "/",
        "a//b",
        "/a",
        "a\n",
        "#x",
        &"x".repeat(256),
        &["x"; 21].join("/"),
    ] {
        let refusal = f.refused(create(f, bad)).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{bad:?}: {refusal}");
    }
    assert!(matches!(
        f.refused(create(f, "Inbox")).await,
        Refusal::Exists(_)
    ));
}

pub(super) async fn a_rename_takes_inferiors_along(f: &Fixture) {
    f.create("a/b/c").await;
    f.create("ab").await;
    let before = f.mailbox("a/b/c").await;
    f.run(rename(f, "a", "x/y")).await;
    let after = f.mailbox("x/y/b/c").await;
    assert_eq!(
        (before.id, before.uid_validity),
        (after.id, after.uid_validity)
    );
    assert!(f.find("a").await.is_none() && f.find("a/b").await.is_none());
    assert!(f.find("x").await.is_some() && f.find("ab").await.is_some());
    assert!(matches!(
        f.refused(rename(f, "x", "x/y/z")).await,
        Refusal::Invalid(_)
    ));
    assert!(matches!(
        f.refused(rename(f, "x", "ab")).await,
        Refusal::Exists(_)
    ));
    assert!(matches!(
        f.refused(rename(f, "nope", "n")).await,
        Refusal::NotFound(_)
    ));
    let long = "l".repeat(250);
    assert!(matches!(
        f.refused(rename(f, "x", &long)).await,
        Refusal::Invalid(_)
    ));
}

pub(super) async fn a_rename_of_inbox_moves_its_messages(f: &Fixture) {
    let inbox = f.fill_inbox(3).await;
    f.run(rename(f, "inbox", "old/mail")).await;
    let moved = f.mailbox("old/mail").await;
    assert_eq!(
        (
            f.mailbox("INBOX").await.id,
            f.mailbox("INBOX").await.messages
        ),
        (inbox, 0)
    );
    assert_eq!(f.uids(moved.id).await, [1, 2, 3]);
    assert_eq!(f.accept("INBOX", "next").await.uid.0, 4);
}

pub(super) async fn a_mailbox_is_found_in_any_case(f: &Fixture) {
    // A plus detail is in lower case, as whole addresses are.
    for name in ["Lists/Rust", "lists/RUST", "Entwürfe/ÄÖ", "exact", "Exact"] {
        f.create(name).await;
    }
    for (asked, taken) in [
        ("archive", "Archive"),
        ("ARCHIVE", "Archive"),
        ("lists/rust", "Lists/Rust"),
        ("entwürfe/äö", "Entwürfe/ÄÖ"),
        ("exact", "exact"),
        ("EXACT", "Exact"),
        ("inbox", "INBOX"),
        ("archives", "INBOX"),
        ("archiv", "INBOX"),
        ("", "INBOX"),
    ] {
        let delivered = f.accept(asked, "a message").await;
        let taken = f.mailbox(taken).await;
        assert_eq!(delivered.mailbox, taken.id, "{asked}: not {}", taken.name);
    }
}

pub(super) async fn a_deleted_mailbox_frees_quota_at_once_and_is_purged(f: &Fixture) {
    f.create("a/b").await;
    for n in 0..5 {
        f.accept("a", &format!("message {n}")).await;
    }
    let id = f.mailbox("a").await.id;
    f.store(id, super::some(&[2]), &["\\Deleted"]).await;
    f.expunge(id).await;
    f.store(id, super::some(&[1]), &["\\Deleted"]).await;
    assert!(matches!(f.refused(delete(f, "a")).await, Refusal::InUse(_)));
    assert!(matches!(
        f.refused(delete(f, "INBOX")).await,
        Refusal::Invalid(_)
    ));
    f.run(delete(f, "a/b")).await;
    f.run(delete(f, "a")).await;
    assert!(f.find("a").await.is_none());
    let quota = f.ask(q::Quota { account: f.ann }).await;
    assert_eq!((quota.bytes, quota.messages), (0, 0));
    let store = c::Store {
        account: f.ann,
        mailbox: id,
        uids: all(),
        mode: c::StoreMode::Add,
        flags: super::flags_of(&["\\Seen"]),
        unchanged_since: None,
    };
    assert!(matches!(f.refused(store).await, Refusal::NotFound(_)));
    f.check("a deletion before its purge").await;
    assert!(f.ask(q::Unfinished {}).await.purge && f.inline_usage().await > 0);
    assert!(f.purge().await > 1);
    assert!(!f.ask(q::Unfinished {}).await.purge);
    assert_eq!(f.inline_usage().await, 0);
}

pub(super) async fn subscriptions_outlive_mailboxes(f: &Fixture) {
    f.create("a").await;
    let subscribe = |name: &str, subscribed| c::Subscribe {
        account: f.ann,
        name: name.into(),
        subscribed,
    };
    f.run(subscribe("a", true)).await;
    f.run(subscribe("a", true)).await;
    f.run(subscribe("not/there", true)).await;
    assert!(f.mailbox("a").await.subscribed);
    f.run(delete(f, "a")).await;
    let names = f.ask(q::Subscriptions { account: f.ann }).await;
    for name in ["INBOX", "a", "not/there"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    f.run(subscribe("a", false)).await;
    f.run(subscribe("a", false)).await;
    let names = f.ask(q::Subscriptions { account: f.ann }).await;
    assert!(!names.iter().any(|n| n == "a"));
}

pub(super) async fn a_removed_account_is_purged(f: &Fixture) {
    f.create("a").await;
    f.create("b").await;
    f.accept("a", "in a").await;
    f.accept("b", "in b").await;
    let inbox = f.fill_inbox(5).await;
    f.store(inbox, super::some(&[1]), &["\\Deleted"]).await;
    f.expunge(inbox).await;
    f.run(delete(f, "b")).await;
    let remove = c::RemoveAccount {
        address: Fixture::address("ann"),
    };
    f.run(remove).await;
    let refusal = f.refused(create(f, "c")).await;
    assert_eq!(refusal, Refusal::Closed);
    f.check("a removal before its purge").await;
    assert!(f.purge().await > 2);
    assert_eq!(f.inline_usage().await, 0);
    assert!(matches!(
        f.refused(create(f, "c")).await,
        Refusal::NotFound(_)
    ));
    // The address is free, and its new account is another one.
    let anew = f.add_account("ann", crate::QuotaLimit::default()).await;
    assert!(anew > f.ann);
}
