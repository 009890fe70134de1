//! Who receives mail to an address.

use std::time::Duration;

use postrider_types::{AccountId, Clock, DomainName, Millis};

use super::{Fixture, add_domain, address, set_alias, set_group};
use crate::command::{self as c, Change};
use crate::query::{self as q, List, Membership, Outside, Recipient, Resolution};
use crate::{AccountState, QuotaLimit, Refusal};

async fn resolve(f: &Fixture, text: &str) -> Resolution {
    resolve_of(f, text, 0, false).await
}

async fn resolve_of(f: &Fixture, text: &str, size: u64, local_sender: bool) -> Resolution {
    let resolve = q::Resolve {
        address: address(text),
        size,
        local_sender,
        notice: false,
        overdraft: false,
        now: f.clock.now(),
    };
    f.ask(resolve).await
}

/// The accounts that receive mail to `text`.
async fn accounts(f: &Fixture, text: &str) -> Vec<AccountId> {
    match resolve(f, text).await {
        Resolution::Local {
            accounts, outside, ..
        } => {
            assert_eq!(outside, [], "{text} leads outside");
            accounts.iter().map(|r| r.account).collect()
        }
        other => panic!("{text} leads to {other:?}"),
    }
}

async fn is_undeliverable(f: &Fixture, text: &str) -> bool {
    matches!(resolve(f, text).await, Resolution::Undeliverable(_))
}

fn quota(bytes: Option<u64>, messages: Option<u64>) -> QuotaLimit {
    QuotaLimit { bytes, messages }
}

pub(super) async fn an_account_receives_its_mail(f: &Fixture) {
    let to_ann = |detail: Option<&str>| {
        let ann = Recipient {
            account: f.ann,
            address: Fixture::address("ann"),
            detail: detail.map(str::to_owned),
            member: None,
        };
        Resolution::Local {
            accounts: vec![ann],
            outside: Vec::new(),
            lists: Vec::new(),
        }
    };
    assert_eq!(resolve(f, "Ann@Example.Test").await, to_ann(None));
    let plus = resolve(f, "ann+shop+x@example.test").await;
    assert_eq!(plus, to_ann(Some("shop+x")));
    assert_eq!(resolve(f, "ann+@example.test").await, to_ann(Some("")));
    for unknown in ["bob@example.test", "bob+ann@example.test"] {
        assert_eq!(resolve(f, unknown).await, Resolution::Unknown);
    }
    let foreign = resolve(f, "ann@outside.test").await;
    assert_eq!(foreign, Resolution::Foreign);
}

pub(super) async fn aliases_and_groups_lead_on(f: &Fixture) {
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    let carl = f.add_account("carl", QuotaLimit::default()).await;
    f.run(set_alias(
        "sales@example.test",
        &["ann+sales@example.test", "bob@example.test"],
    ))
    .await;
    f.run(set_group(
        "team@example.test",
        &["sales@example.test", "carl@example.test"],
    ))
    .await;
    f.run(set_group(
        "all@example.test",
        &["team@example.test", "ann@example.test", "bob@example.test"],
    ))
    .await;
    assert_eq!(accounts(f, "sales@example.test").await, [f.ann, bob]);
    assert_eq!(accounts(f, "sales+x@example.test").await, [f.ann, bob]);
    assert_eq!(accounts(f, "team@example.test").await, [f.ann, bob, carl]);
    assert_eq!(accounts(f, "all@example.test").await, [f.ann, bob, carl]);
    // The detail of the address that led to the account, not of the list's.
    let Resolution::Local {
        accounts: found, ..
    } = resolve(f, "sales+x@example.test").await
    else {
        panic!("sales leads to accounts");
    };
    let details: Vec<_> = found.iter().map(|r| r.detail.as_deref()).collect();
    assert_eq!(details, [Some("sales"), None]);
    // A member that does not exist (any more) is passed over.
    f.run(c::RemoveAccount {
        address: Fixture::address("carl"),
    })
    .await;
    assert_eq!(accounts(f, "team@example.test").await, [f.ann, bob]);
    f.run(set_group("empty@example.test", &[])).await;
    assert!(is_undeliverable(f, "empty@example.test").await);
}

pub(super) async fn a_catch_all_takes_the_rest(f: &Fixture) {
    let set = |catch_all: Option<&str>| c::SetDomain {
        name: DomainName::parse("example.test").expect("a domain"),
        internal: Change::Keep,
        catch_all: Change::Set(catch_all.map(address)),
        relay: Change::Keep,
    };
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    f.run(set(Some("ann@example.test"))).await;
    assert_eq!(accounts(f, "anything@example.test").await, [f.ann]);
    assert_eq!(accounts(f, "bob+x@example.test").await, [bob]);
    f.run(set(Some("nobody@example.test"))).await;
    assert!(is_undeliverable(f, "anything@example.test").await);
    f.run(set(None)).await;
    let unknown = resolve(f, "anything@example.test").await;
    assert_eq!(unknown, Resolution::Unknown);
}

pub(super) async fn circles_are_told(f: &Fixture) {
    f.run(set_alias("a@example.test", &["b@example.test"]))
        .await;
    f.run(set_alias("b@example.test", &["a@example.test"]))
        .await;
    assert!(is_undeliverable(f, "a@example.test").await);
    f.run(set_group(
        "g@example.test",
        &["a@example.test", "h@example.test"],
    ))
    .await;
    f.run(set_group(
        "h@example.test",
        &["g@example.test", "ann@example.test"],
    ))
    .await;
    assert_eq!(accounts(f, "g@example.test").await, [f.ann]);
}

/// The accounts that receive mail to `text`, and the addresses outside, each with
/// the way there.
async fn both(f: &Fixture, text: &str) -> (Vec<AccountId>, Vec<Outside>) {
    match resolve(f, text).await {
        Resolution::Local {
            accounts, outside, ..
        } => (accounts.iter().map(|r| r.account).collect(), outside),
        other => panic!("{text} leads to {other:?}"),
    }
}

pub(super) async fn lists_lead_outside(f: &Fixture) {
    let outside = |to: &str, via: &str, group| Outside {
        address: address(to),
        via: address(via),
        group,
        relayed: false,
        member: None,
    };
    f.run(set_alias("out@example.test", &["bob@other.test"]))
        .await;
    let alone = outside("bob@other.test", "out@example.test", false);
    for to in ["out@example.test", "out+x@example.test"] {
        assert_eq!(both(f, to).await, (vec![], vec![alone.clone()]), "{to}");
    }
    f.run(set_group(
        "mixed@example.test",
        &[
            "ann@example.test",
            "eve@other.test",
            "out@example.test",
            "bob@other.test",
        ],
    ))
    .await;
    // Each once, by the shortest way.
    let members = ["bob@other.test", "eve@other.test"];
    let members = members.map(|to| outside(to, "mixed@example.test", true));
    let found = both(f, "mixed@example.test").await;
    assert_eq!(found, (vec![f.ann], members.to_vec()));

    // With a way outside there is a copy that arrives, so the full member gets
    // the message too.
    let none = QuotaLimit {
        bytes: None,
        messages: Some(0),
    };
    let carl = f.add_account("carl", none).await;
    let away = &["carl@example.test", "carl@other.test"];
    f.run(set_alias("away@example.test", away)).await;
    let there = outside("carl@other.test", "away@example.test", false);
    let found = both(f, "away@example.test").await;
    assert_eq!(found, (vec![carl], vec![there]));

    // The bound counts both.
    let members: Vec<String> = (0..9_999).map(|n| format!("m{n}@other.test")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    f.run(set_group("many@example.test", &members)).await;
    let lists = ["many@example.test", "ann@example.test"];
    f.run(set_alias("all@example.test", &lists)).await;
    let (accounts, addresses) = both(f, "all@example.test").await;
    assert_eq!((accounts.len(), addresses.len()), (1, 9_999));
    let more = ["all@example.test", "out@example.test"];
    f.run(set_alias("more@example.test", &more)).await;
    assert!(is_undeliverable(f, "more@example.test").await);
}

/// A list with these members, and who answers for it.
fn list(name: &str, owner: Option<&str>, members: &[&str]) -> c::SetGroup {
    c::SetGroup {
        list: c::ListChange {
            on: Change::Set(true),
            owner: Change::Set(owner.map(address)),
            unsubscribe: Change::Set(true),
        },
        ..set_group(name, members)
    }
}

pub(super) async fn the_innermost_list_names_its_member(f: &Fixture) {
    let bob = f.add_account("bob", QuotaLimit::default()).await;
    f.add_account("carl", QuotaLimit::default()).await;
    f.run(set_group("plain@example.test", &["eve@other.test"]))
        .await;
    f.run(set_alias("c@example.test", &["carl@example.test"]))
        .await;
    let inner = ["bob+news@example.test", "c@example.test", "dan@other.test"];
    f.run(list("inner@example.test", None, &inner)).await;
    let outer = [
        "ann@example.test",
        "inner@example.test",
        "plain@example.test",
    ];
    f.run(list("outer@example.test", Some("ann@example.test"), &outer))
        .await;
    let Resolution::Local {
        accounts,
        outside,
        lists,
    } = resolve(f, "outer@example.test").await
    else {
        panic!("the list leads to its members");
    };
    let of = |name: &str, owner: Option<&str>, within| List {
        address: address(name),
        owner: owner.map(address),
        unsubscribe: true,
        within,
    };
    let expected = [
        of("outer@example.test", Some("ann@example.test"), None),
        of("inner@example.test", None, Some(0)),
    ];
    assert_eq!(lists, expected);
    let by = |list, entry: Option<&str>| {
        let entry = entry.map(address);
        Some(Membership { list, entry })
    };
    let members: Vec<_> = accounts.into_iter().map(|it| it.member).collect();
    let expected = [
        by(0, Some("ann@example.test")),
        by(1, Some("bob+news@example.test")),
        by(1, None),
    ];
    assert_eq!(members, expected);
    let members: Vec<_> = outside.into_iter().map(|it| it.member).collect();
    assert_eq!(members, [by(1, Some("dan@other.test")), by(0, None)]);
    // Its bounces go to the owner, who is no member then.
    f.run(c::SetDomain {
        name: DomainName::parse("example.test").expect("a domain"),
        internal: Change::Set(true),
        catch_all: Change::Keep,
        relay: Change::Keep,
    })
    .await;
    let bounces = |name: &str| format!("{name}+bounces@example.test");
    let Resolution::Local {
        accounts, lists, ..
    } = resolve(f, &bounces("outer")).await
    else {
        panic!("the bounces lead to the owner");
    };
    assert_eq!((accounts.len(), lists.len()), (1, 0));
    assert_eq!((accounts[0].account, &accounts[0].member), (f.ann, &None));
    let none = resolve(f, &bounces("inner")).await;
    assert_eq!(none, Resolution::Postmaster);
    f.run(set_alias("postmaster@example.test", &["bob@example.test"]))
        .await;
    assert_eq!(self::accounts(f, &bounces("inner")).await, [bob]);
    // A plain group has no such address.
    let plain = resolve(f, &bounces("plain")).await;
    assert_eq!(plain, Resolution::Internal);
}

pub(super) async fn an_owner_inside_gets_the_bounces_and_no_word_of_strangers(f: &Fixture) {
    let inside = |name: &str, members: &[&str]| c::SetGroup {
        internal: Change::Set(true),
        ..set_group(name, members)
    };
    f.run(inside("staff@example.test", &["ann@example.test"]))
        .await;
    f.run(inside("owners@example.test", &["staff@example.test"]))
        .await;
    let list = c::SetGroup {
        list: c::ListChange {
            on: Change::Set(true),
            owner: Change::Set(Some(address("owners@example.test"))),
            unsubscribe: Change::Keep,
        },
        ..set_group("news@example.test", &["bob@other.test"])
    };
    f.run(list).await;
    let resolve_notice = |text: &str, notice| q::Resolve {
        address: address(text),
        size: 0,
        local_sender: false,
        notice,
        overdraft: false,
        now: f.clock.now(),
    };
    let bounces = "news+bounces@example.test";
    match f.ask(resolve_notice(bounces, true)).await {
        Resolution::Local { accounts, .. } => assert_eq!(accounts[0].account, f.ann),
        other => panic!("the owner gets no bounces: {other:?}"),
    }
    let refused = [(bounces, false), ("owners@example.test", true)];
    for (text, notice) in refused {
        let found = f.ask(resolve_notice(text, notice)).await;
        assert_eq!(found, Resolution::Internal, "{text}");
    }
}

pub(super) async fn a_catch_all_never_leads_outside(f: &Fixture) {
    let example = || DomainName::parse("example.test").expect("a domain");
    let set = |to: &str| c::SetDomain {
        name: example(),
        internal: Change::Keep,
        catch_all: Change::Set(Some(address(to))),
        relay: Change::Keep,
    };
    let refused = f.refused(set("bob@other.test")).await;
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");
    // A domain that goes leaves a catch-all behind that leads outside.
    f.run(add_domain("other.test")).await;
    f.run(set("bob@other.test")).await;
    f.run(c::RemoveDomain {
        name: DomainName::parse("other.test").expect("a domain"),
    })
    .await;
    match resolve(f, "anything@example.test").await {
        Resolution::Undeliverable(text) => assert!(text.contains("bob@other.test"), "{text}"),
        other => panic!("it leads to {other:?}"),
    }
}

pub(super) async fn the_way_has_a_limit(f: &Fixture) {
    for n in 1..=11 {
        let next = match n {
            11 => "ann@example.test".to_owned(),
            _ => format!("l{}@example.test", n + 1),
        };
        f.run(set_alias(&format!("l{n}@example.test"), &[&next]))
            .await;
    }
    assert!(is_undeliverable(f, "l1@example.test").await);
    assert_eq!(accounts(f, "l2@example.test").await, [f.ann]);

    // Not only deep, but wide as well.
    for group in ["g1", "g2", "g3"] {
        let members: Vec<String> = (0..9_999)
            .map(|n| format!("{group}.{n}@example.test"))
            .collect();
        let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
        members.push("ann@example.test");
        let group = format!("{group}@example.test");
        f.run(set_group(&group, &members)).await;
        assert_eq!(accounts(f, &group).await, [f.ann]);
    }
    f.run(set_group(
        "wide@example.test",
        &["g1@example.test", "g2@example.test", "g3@example.test"],
    ))
    .await;
    assert!(is_undeliverable(f, "wide@example.test").await);
}

pub(super) async fn closed_and_full_accounts_receive_nothing_by_themselves(f: &Fixture) {
    let set_ann = |expires: Option<Millis>, state| c::SetAccount {
        address: Fixture::address("ann"),
        verifier: Change::Keep,
        quota: Change::Keep,
        expires: Change::Set(expires),
        state: Change::Set(state),
    };
    let soon = Millis(f.clock.now().0 + 1000);
    f.run(set_ann(Some(soon), AccountState::Active)).await;
    assert_eq!(accounts(f, "ann@example.test").await, [f.ann]);
    f.clock.advance(Duration::from_secs(1));
    let closed = resolve(f, "ann@example.test").await;
    assert_eq!(closed, Resolution::Closed);
    let bob = f.add_account("bob", quota(Some(30), None)).await;
    f.run(set_group(
        "team@example.test",
        &["ann@example.test", "bob@example.test", "zoe@example.test"],
    ))
    .await;
    assert_eq!(accounts(f, "team@example.test").await, [bob]);
    f.run(set_ann(None, AccountState::Suspended)).await;
    assert_eq!(accounts(f, "ann@example.test").await, [f.ann]);

    let to_bob = async |size| resolve_of(f, "bob@example.test", size, false).await;
    let over = |exceeds| Resolution::OverQuota { exceeds };
    assert!(matches!(to_bob(30).await, Resolution::Local { .. }));
    assert_eq!(to_bob(31).await, over(true));
    let taken = f.run(c::Accept {
        body: f.body("four"),
        deliveries: vec![Fixture::delivery(bob, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    });
    assert!(taken.await.deliveries[0].is_ok());
    assert!(matches!(to_bob(10).await, Resolution::Local { .. }));
    assert_eq!(to_bob(11).await, over(false));
    assert_eq!(to_bob(31).await, over(true));
    // No size known: a full account is told at once.
    let exact = |bytes, messages| c::SetAccount {
        address: Fixture::address("bob"),
        verifier: Change::Keep,
        quota: Change::Set(quota(bytes, messages)),
        expires: Change::Keep,
        state: Change::Keep,
    };
    f.run(exact(Some(20), None)).await;
    assert_eq!(to_bob(0).await, over(false));
    f.run(exact(None, Some(1))).await;
    assert_eq!(to_bob(0).await, over(false));
    f.run(exact(None, Some(0))).await;
    assert_eq!(to_bob(0).await, over(true));
    // As a member of a list that others receive he is not left out in silence.
    assert_eq!(accounts(f, "team@example.test").await, [f.ann, bob]);
}

pub(super) async fn internal_lists_need_a_local_sender(f: &Fixture) {
    f.run(c::AddDomain {
        internal: true,
        ..add_domain("inner.test")
    })
    .await;
    f.run(set_alias("post@inner.test", &["ann@example.test"]))
        .await;
    let group = c::SetGroup {
        internal: Change::Set(true),
        ..set_group("staff@example.test", &["ann@example.test"])
    };
    f.run(group).await;
    for to in ["post@inner.test", "staff@example.test", "none@inner.test"] {
        assert_eq!(resolve(f, to).await, Resolution::Internal, "{to}");
    }
    for to in ["post@inner.test", "staff@example.test"] {
        let found = resolve_of(f, to, 0, true).await;
        assert!(matches!(found, Resolution::Local { .. }), "{to}");
    }
    let unknown = resolve_of(f, "none@inner.test", 0, true).await;
    assert_eq!(unknown, Resolution::Unknown);
    // What a public alias leads to was made public by its keeper; a group is
    // internal however it is reached.
    f.run(set_alias("public@example.test", &["post@inner.test"]))
        .await;
    f.run(set_alias("door@example.test", &["staff@example.test"]))
        .await;
    assert_eq!(accounts(f, "public@example.test").await, [f.ann]);
    let door = resolve(f, "door@example.test").await;
    assert_eq!(door, Resolution::Internal);
}
