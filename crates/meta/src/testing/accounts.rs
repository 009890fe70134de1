//! Accounts, default mailboxes, and who may log in and send as whom.

use std::time::Duration;

use postrider_types::{AccountId, Clock, Millis, ModSeq};

use super::{Fixture, add_account, add_domain, address, set_alias, set_group};
use crate::command::{self as c, Change};
use crate::query as q;
use crate::{AccountState, DefaultMailbox, QuotaLimit, Refusal, SpecialUse};

fn set_account(text: &str) -> c::SetAccount {
    c::SetAccount {
        address: address(text),
        verifier: Change::Keep,
        quota: Change::Keep,
        expires: Change::Keep,
        state: Change::Keep,
    }
}

async fn login(f: &Fixture, text: &str) -> Option<crate::LoginView> {
    let address = address(text);
    f.ask(q::Login { address }).await
}

async fn account(f: &Fixture, text: &str) -> Option<crate::AccountView> {
    let address = address(text);
    f.ask(q::Account { address }).await
}

/// Creates a mailbox for ann, which a closed account refuses.
fn create(f: &Fixture, mailbox: &str) -> c::CreateMailbox {
    c::CreateMailbox {
        account: f.ann,
        name: mailbox.into(),
        special_use: None,
    }
}

pub(super) async fn accounts_need_a_free_local_address(f: &Fixture) {
    f.run(set_alias("alias@example.test", &["ann@example.test"]))
        .await;
    f.run(set_group("group@example.test", &["ann@example.test"]))
        .await;
    for (taken, kind) in [
        ("ANN@example.test", "account"),
        ("alias@example.test", "alias"),
        ("group@example.test", "group"),
    ] {
        match f.refused(add_account(taken)).await {
            Refusal::Exists(text) => assert!(text.contains(kind), "{text}"),
            other => panic!("{taken}: {other}"),
        }
    }
    assert!(matches!(
        f.refused(add_account("ann+x@example.test")).await,
        Refusal::Invalid(_)
    ));
    assert!(matches!(
        f.refused(add_account("ann@none.test")).await,
        Refusal::NotFound(_)
    ));
    let whole = c::AddAccount {
        quota: QuotaLimit {
            bytes: Some(100),
            messages: Some(5),
        },
        expires: Some(Millis(u64::MAX)),
        ..add_account("bob@example.test")
    };
    let quota = whole.quota;
    let id = f.run(whole).await;
    let view = account(f, "bob@example.test").await.expect("just added");
    assert_eq!((view.id, view.state), (id, AccountState::Active));
    assert_eq!((view.quota.limit, view.quota.bytes), (quota, 0));
    assert_eq!(view.expires, Some(Millis(u64::MAX)));
    assert_eq!(view.created, f.clock.now());
    assert_eq!(account(f, "alias@example.test").await, None);
}

pub(super) async fn an_account_changes_as_asked(f: &Fixture) {
    let ann = "ann@example.test";
    let before = login(f, ann).await.expect("ann may log in");
    assert_eq!(
        (before.account, before.state),
        (f.ann, AccountState::Active)
    );
    let quota = QuotaLimit {
        bytes: None,
        messages: Some(1),
    };
    let set = c::SetAccount {
        verifier: Change::Set("$second".into()),
        quota: Change::Set(quota),
        ..set_account(ann)
    };
    f.run(set).await;
    assert_eq!(
        login(f, ann).await.map(|login| login.verifier),
        Some("$second".into())
    );
    f.accept("INBOX", "fits").await;
    let refused = f.run(c::Accept {
        body: f.body("one too many"),
        deliveries: vec![Fixture::delivery(f.ann, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    });
    assert_eq!(refused.await.deliveries, [Err(Refusal::OverQuota)]);

    let state = |state| c::SetAccount {
        state: Change::Set(state),
        quota: Change::Set(QuotaLimit::default()),
        ..set_account(ann)
    };
    f.run(state(AccountState::Suspended)).await;
    assert_eq!(f.refused(create(f, "a")).await, Refusal::Closed);
    f.accept("INBOX", "still received").await;
    assert_eq!(
        login(f, ann).await.map(|login| login.state),
        Some(AccountState::Suspended)
    );
    f.run(state(AccountState::Active)).await;
    f.run(create(f, "a")).await;
    assert!(matches!(
        f.refused(state(AccountState::Removing)).await,
        Refusal::Invalid(_)
    ));

    let expires = |at| c::SetAccount {
        expires: Change::Set(at),
        ..set_account(ann)
    };
    let soon = Millis(f.clock.now().0 + 1000);
    f.run(expires(Some(soon))).await;
    f.run(create(f, "b")).await;
    f.clock.advance(Duration::from_secs(1));
    assert_eq!(f.refused(create(f, "c")).await, Refusal::Closed);
    assert_eq!(
        login(f, ann).await.map(|login| login.expires),
        Some(Some(soon))
    );
    f.run(expires(None)).await;
    f.run(create(f, "c")).await;
    assert!(matches!(
        f.refused(set_account("none@example.test")).await,
        Refusal::NotFound(_)
    ));
}

pub(super) async fn a_removed_account_is_gone_at_once(f: &Fixture) {
    f.run(set_alias("alias@example.test", &["ann@example.test"]))
        .await;
    f.accept("INBOX", "left behind").await;
    let remove = || c::RemoveAccount {
        address: Fixture::address("ann"),
    };
    f.run(remove()).await;
    assert_eq!(login(f, "ann@example.test").await, None);
    assert_eq!(account(f, "ann@example.test").await, None);
    for again in [
        f.refused(remove()).await,
        f.refused(set_account("ann@example.test")).await,
    ] {
        assert!(matches!(again, Refusal::NotFound(_)));
    }
    let mail = f.run(c::Accept {
        body: f.body("too late"),
        deliveries: vec![Fixture::delivery(f.ann, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    });
    assert_eq!(mail.await.deliveries, [Err(Refusal::Closed)]);
    for sender in ["ann@example.test", "alias@example.test"] {
        assert!(!may_send_as(f, f.ann, sender).await, "{sender}");
    }
    // The address is free, for whatever takes it.
    f.run(add_domain("other.test")).await;
    f.run(add_account("bob@other.test")).await;
    f.run(set_alias("ann@example.test", &["bob@other.test"]))
        .await;
    while f.run(c::Purge { limit: 1 }).await.more {}
    assert_eq!(f.inline_usage().await, 0);
    let used = f.domain("example.test").await.map(|view| view.accounts);
    assert_eq!(used, Some(0));
}

fn defaults(list: &[(&str, Option<SpecialUse>)]) -> c::SetDefaultMailboxes {
    let mailbox = |(name, special_use): &(&str, Option<SpecialUse>)| DefaultMailbox {
        name: (*name).into(),
        special_use: *special_use,
    };
    c::SetDefaultMailboxes {
        mailboxes: list.iter().map(mailbox).collect(),
    }
}

pub(super) async fn new_accounts_get_the_default_mailboxes(f: &Fixture) {
    let built_in = f.ask(q::DefaultMailboxes {}).await;
    assert!(!built_in.is_empty());
    for mailbox in &built_in {
        let found = f.mailbox(&mailbox.name).await;
        assert_eq!(found.special_use, mailbox.special_use);
        assert!(found.subscribed);
    }
    // An inferior listed first creates its superior, which keeps its own use.
    let list = [("Old/2025", None), ("Old", Some(SpecialUse::Archive))];
    f.run(defaults(&list)).await;
    let listed = f.ask(q::DefaultMailboxes {}).await;
    assert_eq!(listed, defaults(&list).mailboxes);
    assert!(f.find("Old").await.is_none(), "only new accounts get them");
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    let page = f.ask(q::Mailboxes {
        account: bob,
        after: None,
        limit: 100,
    });
    let found: Vec<_> = page.await.items;
    let found: Vec<_> = found
        .iter()
        .map(|view| (view.name.as_str(), view.special_use, view.subscribed))
        .collect();
    let archive = Some(SpecialUse::Archive);
    assert_eq!(
        found,
        [
            ("INBOX", None, true),
            ("Old", archive, true),
            ("Old/2025", None, true)
        ]
    );
    for bad in [
        defaults(&[("a", None), ("a", None)]),
        defaults(&[("inbox/a", None), ("INBOX/a", None)]),
        defaults(&[("Inbox", None)]),
        defaults(&[("a//b", None)]),
    ] {
        let refusal = f.refused(bad.clone()).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{bad:?}");
    }
    let many: Vec<String> = (0..101).map(|n| format!("m{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), None)).collect();
    let refusal = f.refused(defaults(&many)).await;
    assert!(matches!(refusal, Refusal::Limit(_)));
    f.run(defaults(&[])).await;
    f.add_account("bare", QuotaLimit::default()).await;
}

async fn may_send_as(f: &Fixture, account: AccountId, sender: &str) -> bool {
    let sender = address(sender);
    let now = f.clock.now();
    f.ask(q::MaySendAs {
        account,
        sender,
        now,
    })
    .await
}

pub(super) async fn an_account_sends_as_what_leads_to_it(f: &Fixture) {
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    for (alias, targets) in [
        (
            "sales@example.test",
            ["bob@example.test", "ann@example.test"],
        ),
        (
            "shop@example.test",
            ["ann+shop@example.test", "x@example.test"],
        ),
        ("far@example.test", ["sales@example.test", "x@example.test"]),
    ] {
        f.run(set_alias(alias, &targets)).await;
    }
    for (group, member) in [
        ("team@example.test", "ann@example.test"),
        ("folder@example.test", "ann+team@example.test"),
        ("near@example.test", "anna@example.test"),
    ] {
        f.run(set_group(group, &[member])).await;
    }
    for own in ["ann", "ann+x", "sales", "sales+x", "shop", "team", "folder"] {
        let own = format!("{own}@example.test");
        assert!(may_send_as(f, f.ann, &own).await, "{own}");
    }
    for other in ["bob", "bob+ann", "far", "near", "none", "ann.x"] {
        let other = format!("{other}@example.test");
        assert!(!may_send_as(f, f.ann, &other).await, "{other}");
    }
    assert!(!may_send_as(f, f.ann, "ann@outside.test").await);
    assert!(may_send_as(f, bob, "sales@example.test").await);
    assert!(!may_send_as(f, bob, "team@example.test").await);
    assert!(!may_send_as(f, AccountId(999), "ann@example.test").await);
}

pub(super) async fn only_accounts_log_in(f: &Fixture) {
    f.run(set_alias("alias@example.test", &["ann@example.test"]))
        .await;
    let view = login(f, "ANN@Example.Test").await.expect("in any case");
    assert_eq!(view.account, f.ann);
    assert_eq!(view.address, Fixture::address("ann"));
    assert!(view.verifier.starts_with("$argon2id$") && view.expires.is_none());
    for none in ["alias", "ann+x", "none"] {
        assert_eq!(login(f, &format!("{none}@example.test")).await, None);
    }
}

pub(super) async fn a_suspended_account_goes_on_with_nothing(f: &Fixture) {
    let set = |state, expires| c::SetAccount {
        address: Fixture::address("ann"),
        verifier: Change::Keep,
        quota: Change::Keep,
        expires: Change::Set(expires),
        state: Change::Set(state),
    };
    let inbox = async || {
        let name = "INBOX".to_owned();
        f.ask(q::MailboxByName {
            account: f.ann,
            name,
        })
        .await
    };
    let mailbox = inbox().await.expect("there").id;
    let changes = q::ChangesSince {
        account: f.ann,
        mailbox,
        since: ModSeq(0),
        limit: 10,
    };
    f.run(set(AccountState::Suspended, None)).await;
    assert!(!may_send_as(f, f.ann, "ann@example.test").await);
    assert_eq!(inbox().await, None);
    assert!(f.ask(changes.clone()).await.gone);
    f.run(set(AccountState::Active, Some(f.clock.now()))).await;
    assert!(!may_send_as(f, f.ann, "ann@example.test").await);
    f.run(set(AccountState::Active, None)).await;
    assert!(may_send_as(f, f.ann, "ann@example.test").await);
    assert!(!f.ask(changes).await.gone);
}
