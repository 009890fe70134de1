//! Messages: arriving, changing, copied, removed, and told about.

use std::time::Duration;

use bytes::Bytes;
use postrider_types::{BodyId, Clock, CommandId, Flag, Flags, ModSeq, Uid};

use super::{Fixture, all, flags_of, numbers, some};
use crate::command as c;
use crate::query as q;
use crate::{Detail, QuotaLimit, Refusal, UidRanges};

const PREFIX: u64 = 16;

fn quota(bytes: u64) -> QuotaLimit {
    QuotaLimit {
        bytes: Some(bytes),
        messages: None,
    }
}

pub(super) async fn a_message_is_accepted_by_several(f: &Fixture) {
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    f.create("Lists").await;
    let mut to_bob = Fixture::delivery(bob, "nowhere");
    to_bob.prefix = Bytes::new();
    to_bob.flags = flags_of(&["\\Flagged", "work"]);
    let accept = c::Accept {
        body: f.body("hello"),
        deliveries: vec![Fixture::delivery(f.ann, "Lists"), to_bob],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    };
    let id = accept.body.id;
    let accepted = f.run(accept).await.deliveries;
    let lists = f.mailbox("Lists").await;
    let first = accepted[0].as_ref().expect("ann takes mail");
    assert_eq!((first.mailbox, first.uid), (lists.id, Uid(1)));
    assert!(accepted[1].is_ok());
    assert_eq!(
        (lists.messages, lists.unseen, lists.uid_next),
        (1, 1, Uid(2))
    );
    assert_eq!(lists.size, 5 + PREFIX);
    let message = f.messages(lists.id).await.remove(0);
    assert_eq!((message.body, message.size), (id, 5 + PREFIX));
    assert_eq!(message.summary, "summary");
    assert_eq!(message.prefix, "Received: here\r\n");
    assert_eq!(message.mod_seq, lists.highest_mod_seq);
    let inbox = f.ask(q::MailboxByName {
        account: bob,
        name: "INBOX".into(),
    });
    assert_eq!(inbox.await.map(|inbox| inbox.messages), Some(1));
    let body = f.ask(q::Bodies {
        ids: vec![id, postrider_types::BodyId::from_bytes([0; 16])],
        inline: true,
    });
    let body = body.await;
    assert_eq!(
        body[0].as_ref().and_then(|b| b.inline.clone()),
        Some("hello".into())
    );
    assert!(body[1].is_none());
}

pub(super) async fn deliveries_fail_one_by_one(f: &Fixture) {
    let full = f.add_account("full", quota(10)).await;
    let late = f.add_account("late", QuotaLimit::default()).await;
    f.run(c::SetAccount {
        address: Fixture::address("late"),
        verifier: c::Change::Keep,
        quota: c::Change::Keep,
        expires: c::Change::Set(Some(f.clock.now())),
        state: c::Change::Keep,
    })
    .await;
    let nobody = postrider_types::AccountId(999);
    let to = |accounts: &[postrider_types::AccountId]| c::Accept {
        body: f.body("hello"),
        deliveries: accounts
            .iter()
            .map(|a| Fixture::delivery(*a, "INBOX"))
            .collect(),
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    };
    let accepted = f.run(to(&[full, late, nobody])).await.deliveries;
    assert_eq!(accepted[0], Err(Refusal::OverQuota));
    assert_eq!(accepted[1], Err(Refusal::Closed));
    assert!(matches!(accepted[2], Err(Refusal::NotFound(_))));
    assert_eq!(f.inline_usage().await, 0);
    let accepted = f.run(to(&[full, f.ann])).await.deliveries;
    assert!(accepted[0].is_err() && accepted[1].is_ok());
    assert_eq!(f.inline_usage().await, 5);
    let mut long = to(&[f.ann]);
    long.deliveries[0].prefix = vec![b'x'; 9000].into();
    assert!(matches!(
        f.run(long).await.deliveries[0],
        Err(Refusal::Limit(_))
    ));
    assert!(matches!(f.refused(to(&[])).await, Refusal::Limit(_)));
}

pub(super) async fn an_overdraft_is_always_taken(f: &Fixture) {
    let bob = f.add_account("bob", quota(30)).await;
    let deliver = async |overdraft| {
        let mut delivery = Fixture::delivery(bob, "INBOX");
        delivery.overdraft = overdraft;
        let accepted = f.run(c::Accept {
            body: f.body("fourteen bytes"),
            deliveries: vec![delivery],
            received: f.clock.now(),
            queued: None,
            origin: None,
            notices: Vec::new(),
        });
        accepted.await.deliveries.remove(0).err()
    };
    assert_eq!(deliver(false).await, None);
    assert_eq!(deliver(false).await, Some(Refusal::OverQuota));
    for full in ["exactly full", "overdrawn"] {
        assert_eq!(deliver(true).await, None, "{full}");
    }
    assert_eq!(deliver(false).await, Some(Refusal::OverQuota));
    let ten = f.add_account("ten", quota(10)).await;
    let mut delivery = Fixture::delivery(ten, "INBOX");
    delivery.overdraft = true;
    let accepted = f.run(c::Accept {
        body: f.body("fourteen bytes"),
        deliveries: vec![delivery],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    });
    assert!(accepted.await.deliveries[0].is_ok());
}

pub(super) async fn an_append_is_all_or_none(f: &Fixture) {
    let message = |text: &str| c::AppendMessage {
        body: f.body(text),
        flags: flags_of(&["\\Seen", "\\Deleted", "kept"]),
        internal_date: f.clock.now(),
        zone: -90,
    };
    let append = |account, texts: &[&str]| c::Append {
        account,
        mailbox: "inbox".into(),
        messages: texts.iter().map(|text| message(text)).collect(),
    };
    let appended = f.run(append(f.ann, &["one", "two"])).await;
    assert_eq!(numbers(&appended.uids), [1, 2]);
    let inbox = f.mailbox("INBOX").await;
    assert_eq!(appended.uid_validity, inbox.uid_validity);
    assert_eq!((inbox.messages, inbox.unseen, inbox.deleted), (2, 0, 2));
    let first = f.messages(inbox.id).await.remove(0);
    assert_eq!((first.zone, first.flags.len()), (-90, 3));
    let bob = f.add_account("bob", quota(5)).await;
    let used = f.inline_usage().await;
    assert_eq!(
        f.refused(append(bob, &["one", "two"])).await,
        Refusal::OverQuota
    );
    assert_eq!(f.inline_usage().await, used);
    let mut nowhere = append(f.ann, &["x"]);
    nowhere.mailbox = "nowhere".into();
    assert!(matches!(f.refused(nowhere).await, Refusal::NotFound(_)));
    let mut flagged = append(f.ann, &["one", "two"]);
    let many = (0..65).map(|n| Flag::keyword(&format!("k{n}")).expect("a keyword"));
    flagged.messages[1].flags = many.collect();
    assert!(matches!(f.refused(flagged).await, Refusal::Limit(_)));
    assert_eq!(f.mailbox("INBOX").await.messages, 2);
}

pub(super) async fn flags_change_as_asked(f: &Fixture) {
    let inbox = f.fill_inbox(3).await;
    let store = |uids, mode, flags: &[&str], unchanged_since| c::Store {
        account: f.ann,
        mailbox: inbox,
        uids,
        mode,
        flags: flags_of(flags),
        unchanged_since,
    };
    let stored = f
        .store(inbox, UidRanges(vec![1..=2, 7..=7]), &["\\Seen", "Work"])
        .await;
    assert_eq!(stored.messages.len(), 2);
    assert_eq!(numbers(&stored.missing), [7]);
    let (_, at, _) = stored.messages[0].clone();
    let view = f.mailbox("INBOX").await;
    assert_eq!((view.unseen, view.deleted), (1, 0));
    assert_eq!(view.highest_mod_seq, stored.messages[1].1);
    // What does not change keeps its MODSEQ; keywords have no case.
    let again = f.store(inbox, some(&[1]), &["work"]).await;
    assert_eq!(again.messages[0].1, at);
    let stored = f
        .run(store(
            all(),
            c::StoreMode::Replace,
            &["\\Deleted"],
            Some(at),
        ))
        .await;
    assert_eq!(numbers(&stored.modified), [2]);
    assert_eq!(stored.messages.len(), 2);
    let view = f.mailbox("INBOX").await;
    assert_eq!((view.unseen, view.deleted), (2, 2));
    let stored = f
        .run(store(
            all(),
            c::StoreMode::Remove,
            &["\\Deleted", "WORK"],
            None,
        ))
        .await;
    assert_eq!(stored.messages[1].2, flags_of(&["\\Seen"]));
    assert_eq!(stored.messages[0].2, Flags::new());
    // Ranges that meet name a message once.
    let stored = f.run(store(
        UidRanges(vec![2..=3, 1..=2]),
        c::StoreMode::Add,
        &["\\Flagged"],
        None,
    ));
    let uids: Vec<u32> = stored.await.messages.iter().map(|m| m.0.0).collect();
    assert_eq!(uids, [1, 2, 3]);
}

pub(super) async fn copies_and_moves_keep_what_they_should(f: &Fixture) {
    let inbox = f.fill_inbox(4).await;
    let other = f.create("Other").await;
    f.store(inbox, some(&[2]), &["\\Seen", "kept"]).await;
    let copy = |from, uids, to: &str, remove| c::Copy {
        account: f.ann,
        from,
        uids,
        to: to.into(),
        remove,
    };
    let copied = f
        .run(copy(inbox, UidRanges(vec![2..=3]), "Other", false))
        .await;
    assert_eq!(copied.uids, [(Uid(2), Uid(1)), (Uid(3), Uid(2))]);
    let (from, to) = (f.messages(inbox).await, f.messages(other).await);
    assert_eq!((&to[0].flags, to[0].body), (&from[1].flags, from[1].body));
    let moved = f.run(copy(inbox, some(&[1, 9]), "Other", true)).await;
    assert_eq!(moved.uids, [(Uid(1), Uid(3))]);
    assert_eq!(f.uids(inbox).await, [2, 3, 4]);
    // Within one mailbox.
    let moved = f.run(copy(inbox, some(&[2]), "INBOX", true)).await;
    assert_eq!(moved.uids, [(Uid(2), Uid(5))]);
    f.run(copy(inbox, some(&[3]), "INBOX", false)).await;
    assert_eq!(f.uids(inbox).await, [3, 4, 5, 6]);
    let refusal = f.refused(copy(inbox, all(), "nowhere", false)).await;
    assert!(matches!(refusal, Refusal::NotFound(_)));
    f.run(c::SetAccount {
        address: Fixture::address("ann"),
        verifier: c::Change::Keep,
        quota: c::Change::Set(quota(10)),
        expires: c::Change::Keep,
        state: c::Change::Keep,
    })
    .await;
    assert_eq!(
        f.refused(copy(inbox, all(), "Other", false)).await,
        Refusal::OverQuota
    );
    f.run(copy(inbox, all(), "Other", true)).await;
    assert_eq!(f.mailbox("INBOX").await.messages, 0);
    // All that shared bodies are gone only with the last.
    f.store(other, all(), &["\\Deleted"]).await;
    f.expunge(other).await;
    assert_eq!(f.inline_usage().await, 0);
}

pub(super) async fn expunge_removes_the_deleted(f: &Fixture) {
    let inbox = f.fill_inbox(6).await;
    f.store(inbox, some(&[1, 3, 4, 6]), &["\\Deleted"]).await;
    let expunge = |uids, only_deleted, limit| c::Expunge {
        account: f.ann,
        mailbox: inbox,
        uids,
        only_deleted,
        limit,
    };
    let first = f.run(expunge(UidRanges(vec![2..=4]), true, 1)).await;
    assert_eq!((numbers(&first.uids), first.more), (vec![3], true));
    assert_eq!(f.mailbox("INBOX").await.highest_mod_seq, first.mod_seq);
    let rest = f.run(expunge(all(), true, 100)).await;
    assert_eq!((numbers(&rest.uids), rest.more), (vec![1, 4, 6], false));
    let none = f.run(expunge(all(), true, 100)).await;
    assert_eq!((none.uids.len(), none.mod_seq), (0, rest.mod_seq));
    let popped = f.run(expunge(some(&[2, 6]), false, 100)).await;
    assert_eq!(numbers(&popped.uids), [2]);
    assert_eq!(f.uids(inbox).await, [5]);
    let view = f.mailbox("INBOX").await;
    assert_eq!((view.messages, view.deleted, view.uid_next), (1, 0, Uid(7)));
    assert_eq!(f.inline_usage().await, "message 4".len() as u64);
}

pub(super) async fn the_change_log_tells_everything(f: &Fixture) {
    let inbox = f.fill_inbox(4).await;
    let start = f.mailbox("INBOX").await.highest_mod_seq;
    let page = f.changes(inbox, start, 100).await;
    assert!(page.changed.is_empty() && page.vanished.is_empty() && !page.more);
    f.store(inbox, some(&[1]), &["\\Seen"]).await;
    f.store(inbox, some(&[1, 2, 3]), &["\\Deleted"]).await;
    f.run(c::Expunge {
        account: f.ann,
        mailbox: inbox,
        uids: some(&[2, 3]),
        only_deleted: true,
        limit: 10,
    })
    .await;
    f.accept("INBOX", "new").await;
    let page = f.changes(inbox, start, 100).await;
    let changed: Vec<u32> = page.changed.iter().map(|m| m.uid.0).collect();
    assert_eq!((changed, numbers(&page.vanished)), (vec![1, 5], vec![2, 3]));
    assert_eq!(page.up_to, f.mailbox("INBOX").await.highest_mod_seq);
    // Piece by piece the same.
    let (mut since, mut changed, mut vanished) = (start, Vec::new(), Vec::new());
    loop {
        let page = f.changes(inbox, since, 1).await;
        changed.extend(page.changed.iter().map(|m| m.uid.0));
        vanished.extend(numbers(&page.vanished));
        since = page.up_to;
        if !page.more {
            break;
        }
    }
    assert_eq!((changed, vanished), (vec![1, 5], vec![2, 3]));
    assert!(!f.changes(inbox, ModSeq(0), 100).await.truncated);
    assert!(
        f.changes(postrider_types::MailboxId(99), start, 9)
            .await
            .gone
    );
    // A month later the removal is forgotten, and the log says so.
    f.clock.advance(Duration::from_secs(31 * 24 * 3600));
    let trim = c::Trim {
        dedup_before: CommandId::floor(postrider_types::Millis(0)),
        history_before: BodyId::floor(postrider_types::Millis(0)),
    };
    assert!(!f.run(trim).await.more);
    assert!(f.changes(inbox, start, 100).await.truncated);
    assert!(!f.changes(inbox, page.up_to, 100).await.truncated);
}

pub(super) async fn pages_hold_every_message_once(f: &Fixture) {
    let inbox = f.fill_inbox(7).await;
    let ask = |uids, changed_since, limit| q::Messages {
        account: f.ann,
        mailbox: inbox,
        uids,
        detail: Detail::Row,
        changed_since,
        limit,
    };
    let mut seen = Vec::new();
    let mut from = 1;
    loop {
        let page = f
            .ask(ask(UidRanges(vec![from..=u32::MAX]), ModSeq(0), 3))
            .await;
        seen.extend(page.messages.iter().map(|m| m.uid.0));
        match page.next {
            Some(next) => from = next.0,
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    let scattered = UidRanges(vec![7..=7, 2..=3, 5..=5, 50..=60]);
    let page = f.ask(ask(scattered, ModSeq(0), 100)).await;
    let seen: Vec<u32> = page.messages.iter().map(|m| m.uid.0).collect();
    assert_eq!((seen, page.next), (vec![2, 3, 5, 7], None));
    let since = f.mailbox("INBOX").await.highest_mod_seq;
    f.store(inbox, some(&[2, 6]), &["\\Seen"]).await;
    let page = f.ask(ask(UidRanges(vec![3..=9]), since, 100)).await;
    let seen: Vec<u32> = page.messages.iter().map(|m| m.uid.0).collect();
    assert_eq!(seen, [6]);
    assert!(page.messages[0].summary.is_empty() && page.messages[0].size > 0);
}

pub(super) async fn recent_is_claimed_once(f: &Fixture) {
    let inbox = f.fill_inbox(2).await;
    let claim = c::ClaimRecent {
        account: f.ann,
        mailbox: inbox,
    };
    assert_eq!(f.run(claim.clone()).await, Uid(1));
    assert_eq!(f.run(claim.clone()).await, Uid(3));
    f.accept("INBOX", "new").await;
    assert_eq!(f.mailbox("INBOX").await.first_recent, Uid(3));
    assert_eq!(f.run(claim).await, Uid(3));
}
