//! Aliases and groups, and the pages of the directory.

use postrider_types::DomainName;

use super::{Fixture, add_domain, address, set_alias, set_group};
use crate::command::{self as c, Change, ListChange};
use crate::query as q;
use crate::{AliasView, Cursor, GroupView, ListView, Page, QuotaLimit, Refusal};

fn remove_alias(text: &str) -> c::RemoveAlias {
    c::RemoveAlias {
        address: address(text),
    }
}

/// A change of the group `team`.
fn change(add: &[&str], remove: &[&str]) -> c::SetGroup {
    c::SetGroup {
        remove: remove.iter().map(|text| address(text)).collect(),
        only_new: false,
        ..set_group("team@example.test", add)
    }
}

async fn aliases(f: &Fixture) -> Vec<AliasView> {
    let page = f.ask(q::Aliases {
        after: None,
        limit: 1000,
    });
    page.await.items
}

async fn groups(f: &Fixture) -> Vec<GroupView> {
    let page = f.ask(q::Groups {
        after: None,
        limit: 100,
    });
    page.await.items
}

pub(super) async fn aliases_come_change_and_go(f: &Fixture) {
    let a = "a@example.test";
    f.run(set_alias(a, &["ann@example.test"])).await;
    let again = || set_alias(a, &["b@example.test", "ann@example.test"]);
    assert!(matches!(f.refused(again()).await, Refusal::Exists(_)));
    let replace = c::SetAlias {
        only_new: false,
        ..again()
    };
    let targets = replace.targets.clone();
    f.run(replace).await;
    let view = AliasView {
        address: address(a),
        targets,
    };
    assert_eq!(aliases(f).await, [view]);
    f.run(remove_alias(a)).await;
    assert_eq!(aliases(f).await, []);
    for none in [a, "ann@example.test"] {
        assert!(matches!(
            f.refused(remove_alias(none)).await,
            Refusal::NotFound(_)
        ));
    }
}

pub(super) async fn bad_aliases_are_refused(f: &Fixture) {
    let many: Vec<String> = (0..101).map(|n| format!("t{n}@example.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (alias, targets) in [
        ("a@example.test", &[][..]),
        ("a@example.test", &many),
        ("a@example.test", &["A@Example.test"]),
        ("a+b@example.test", &["ann@example.test"]),
    ] {
        let refusal = f.refused(set_alias(alias, targets)).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{alias}: {refusal}");
    }
    let unknown = set_alias("a@outside.test", &["ann@example.test"]);
    assert!(matches!(f.refused(unknown).await, Refusal::NotFound(_)));
    // Replacing never takes an address away from something else.
    f.run(set_group("team@example.test", &[])).await;
    for taken in ["ann@example.test", "team@example.test"] {
        for only_new in [true, false] {
            let alias = c::SetAlias {
                only_new,
                ..set_alias(taken, &["b@example.test"])
            };
            assert!(matches!(f.refused(alias).await, Refusal::Exists(_)));
        }
    }
    f.run(set_alias("a@example.test", &many[..100])).await;
}

pub(super) async fn groups_come_change_and_go(f: &Fixture) {
    let [ann, bob, carl] = ["ann", "bob", "carl"].map(|n| format!("{n}@example.test"));
    let (ann, bob, carl) = (ann.as_str(), bob.as_str(), carl.as_str());
    assert!(matches!(
        f.refused(change(&[ann], &[])).await,
        Refusal::NotFound(_)
    ));
    f.run(set_group("team@example.test", &[ann, bob, ann]))
        .await;
    assert!(matches!(
        f.refused(set_group("team@example.test", &[])).await,
        Refusal::Exists(_)
    ));
    let set = c::SetGroup {
        internal: Change::Set(true),
        ..change(&[carl, bob], &[ann])
    };
    f.run(set).await;
    let view = GroupView {
        address: address("team@example.test"),
        members: vec![address(bob), address(carl)],
        internal: true,
        list: None,
    };
    assert_eq!(groups(f).await, std::slice::from_ref(&view));
    // A refusal changes nothing, not even what came before it.
    for bad in [
        change(&[ann], &[bob, ann]),
        change(&[ann], &[bob, bob]),
        change(&["team@example.test"], &[bob]),
    ] {
        let refusal = f.refused(bad).await;
        assert!(matches!(
            refusal,
            Refusal::NotFound(_) | Refusal::Invalid(_)
        ));
    }
    assert_eq!(groups(f).await, [view]);
    // Out and in again is in.
    f.run(change(&[bob], &[bob])).await;
    assert_eq!(groups(f).await[0].members.len(), 2);
    for taken in ["ann@example.test", "team@example.test"] {
        assert!(matches!(
            f.refused(set_group(taken, &[])).await,
            Refusal::Exists(_)
        ));
    }
    assert!(matches!(
        f.refused(set_group("team@outside.test", &[])).await,
        Refusal::NotFound(_)
    ));
    let remove = || c::RemoveGroup {
        address: address("team@example.test"),
    };
    f.run(remove()).await;
    assert!(matches!(f.refused(remove()).await, Refusal::NotFound(_)));
    // A group of the same name starts anew, without the old members.
    f.run(set_group("team@example.test", &[])).await;
    assert_eq!(groups(f).await[0].members, []);
}

pub(super) async fn a_group_has_a_limit(f: &Fixture) {
    let members: Vec<String> = (0..10_000).map(|n| format!("m{n}@example.test")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    f.run(set_group("team@example.test", &members)).await;
    let more = change(&["ann@example.test"], &[]);
    assert!(matches!(f.refused(more).await, Refusal::Limit(_)));
    f.run(change(&["ann@example.test"], &["m7@example.test"]))
        .await;
    let team = groups(f).await.remove(0);
    assert_eq!(team.members.len(), 10_000);
    assert!(team.members.contains(&address("ann@example.test")));
}

/// The group `name` without members, set as a list.
fn list(name: &str, owner: Option<&str>, unsubscribe: bool) -> c::SetGroup {
    c::SetGroup {
        list: ListChange {
            on: Change::Set(true),
            owner: Change::Set(owner.map(address)),
            unsubscribe: Change::Set(unsubscribe),
        },
        ..set_group(name, &[])
    }
}

pub(super) async fn a_group_becomes_a_list_and_back(f: &Fixture) {
    f.run(list("team@example.test", Some("ann@outside.test"), true))
        .await;
    let view = |owner: Option<&str>, unsubscribe| ListView {
        owner: owner.map(address),
        unsubscribe,
    };
    let set = |list| c::SetGroup {
        list,
        ..change(&[], &[])
    };
    let now = async || groups(f).await.remove(0).list;
    assert_eq!(now().await, Some(view(Some("ann@outside.test"), true)));
    // What is not named stays.
    f.run(set(ListChange::default())).await;
    assert_eq!(now().await, Some(view(Some("ann@outside.test"), true)));
    let postmaster = ListChange {
        owner: Change::Set(None),
        ..ListChange::default()
    };
    f.run(set(postmaster)).await;
    assert_eq!(now().await, Some(view(None, true)));
    let is_on = |on| ListChange {
        on: Change::Set(on),
        ..ListChange::default()
    };
    f.run(set(is_on(false))).await;
    assert_eq!(now().await, None);
    // Once more a list, it starts anew.
    f.run(set(is_on(true))).await;
    assert_eq!(now().await, Some(view(None, false)));
}

pub(super) async fn bad_lists_are_refused(f: &Fixture) {
    let long = format!("{}@example.test", "l".repeat(57));
    for bad in [
        list(&long, None, false),
        list("tëam@example.test", None, false),
        list("te\"am@example.test", None, false),
        list("te..am@example.test", None, false),
        list("team@example.test", Some("team@example.test"), false),
        list("team@example.test", Some("team+x@example.test"), false),
        list("team@example.test", Some("änn@example.test"), false),
        list("team@example.test", Some("a,b@example.test"), false),
    ] {
        let refusal = f.refused(bad).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal}");
    }
    f.run(list(&long[1..], Some("ann+lists@example.test"), false))
        .await;
    // A plain group has nothing of a list, whatever its name.
    f.run(set_group("tëam@example.test", &[])).await;
    for change in [
        ListChange {
            owner: Change::Set(Some(address("ann@example.test"))),
            ..ListChange::default()
        },
        ListChange {
            unsubscribe: Change::Set(true),
            ..ListChange::default()
        },
    ] {
        let group = c::SetGroup {
            list: change,
            ..set_group("plain@example.test", &[])
        };
        assert!(matches!(f.refused(group).await, Refusal::Invalid(_)));
    }
}

pub(super) async fn a_member_leaves_a_list_that_lets_it_go(f: &Fixture) {
    let leave = || c::RemoveMember {
        group: address("team@example.test"),
        member: address("ann@example.test"),
    };
    // No such list (any more): nobody is a member.
    assert!(!f.run(leave()).await);
    let members = &["ann@example.test", "bob@outside.test"];
    f.run(set_group("team@example.test", members)).await;
    assert!(matches!(f.refused(leave()).await, Refusal::Invalid(_)));
    let set = |unsubscribe| c::SetGroup {
        only_new: false,
        ..list("team@example.test", None, unsubscribe)
    };
    f.run(set(false)).await;
    assert!(matches!(f.refused(leave()).await, Refusal::Invalid(_)));
    f.run(set(true)).await;
    assert!(f.run(leave()).await);
    assert!(!f.run(leave()).await, "it has left already");
    let team = groups(f).await.remove(0);
    assert_eq!(team.members, [address("bob@outside.test")]);
}

/// What all pages of size 1 hold.
async fn pages<T>(ask: impl AsyncFn(Option<Cursor>) -> Page<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = ask(after).await;
        assert_eq!(page.items.len(), 1, "a page of the size asked for");
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
}

pub(super) async fn pages_of_the_directory_hold_everything_once(f: &Fixture) {
    f.run(add_domain("example.testing")).await;
    for local in ["zoe", "bob", "carl"] {
        f.add_account(local, QuotaLimit::default()).await;
    }
    let mut last = None;
    for local in ["l1", "l2", "l3"] {
        let alias = format!("{local}@example.test");
        f.run(set_alias(&alias, &["ann@example.test"])).await;
        let group = format!("{local}@example.testing");
        f.run(set_group(&group, &["ann@example.test", &alias]))
            .await;
        last = Some(address(&group));
    }
    let domains = pages(async |after| f.ask(q::Domains { after, limit: 1 }).await).await;
    let names: Vec<_> = domains.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["example.test", "example.testing"]);

    let accounts = async |domain: Option<DomainName>| {
        let page = async |after| {
            let domain = domain.clone();
            let accounts = q::Accounts {
                domain,
                after,
                limit: 1,
            };
            f.ask(accounts).await
        };
        let views = pages(page).await.into_iter();
        views
            .map(|v| v.address.local().to_owned())
            .collect::<Vec<_>>()
    };
    let example = DomainName::parse("example.test").expect("a domain");
    assert_eq!(accounts(None).await, ["ann", "bob", "carl", "zoe"]);
    assert_eq!(accounts(Some(example)).await, ["ann", "bob", "carl", "zoe"]);
    let none = q::Accounts {
        domain: DomainName::parse("example.testing").ok(),
        after: None,
        limit: 1,
    };
    assert_eq!(f.ask(none).await.items, []);

    let aliases = pages(async |after| f.ask(q::Aliases { after, limit: 1 }).await).await;
    let names: Vec<_> = aliases.iter().map(|alias| alias.address.local()).collect();
    assert_eq!(names, ["l1", "l2", "l3"]);
    let groups = pages(async |after| f.ask(q::Groups { after, limit: 1 }).await).await;
    assert_eq!(groups.len(), 3);
    assert_eq!(groups.last().map(|group| group.address.clone()), last);
    assert!(groups.iter().all(|group| group.members.len() == 2));

    // A cursor of another list leads nowhere else; a limit of 0 is one of 1.
    let first = f.ask(q::Aliases {
        after: None,
        limit: 0,
    });
    let first = first.await;
    assert_eq!(first.items.len(), 1);
    let page = f.ask(q::Groups {
        after: first.next,
        limit: 100,
    });
    assert_eq!(page.await.items, groups);
}
