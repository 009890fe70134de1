//! Domains.

use postrider_types::DomainName;

use super::{Fixture, add_account, add_domain, address, set_alias, set_group};
use crate::Refusal;
use crate::command::{self as c, Change};

fn name(text: &str) -> DomainName {
    DomainName::parse(text).expect("a domain")
}

fn set_domain(text: &str) -> c::SetDomain {
    c::SetDomain {
        name: name(text),
        internal: Change::Keep,
        catch_all: Change::Keep,
        relay: Change::Keep,
    }
}

fn remove_domain(text: &str) -> c::RemoveDomain {
    c::RemoveDomain { name: name(text) }
}

pub(super) async fn domains_come_change_and_go(f: &Fixture) {
    let first = f.run(add_domain("other.test")).await;
    assert!(matches!(
        f.refused(add_domain("Other.TEST")).await,
        Refusal::Exists(_)
    ));
    let set = c::SetDomain {
        internal: Change::Set(true),
        catch_all: Change::Set(Some(address("ann@example.test"))),
        ..set_domain("other.test")
    };
    f.run(set).await;
    f.run(set_domain("other.test")).await;
    let view = f.domain("other.test").await.expect("it was added");
    assert_eq!(
        (view.id, view.internal, view.catch_all, view.accounts),
        (first, true, Some(address("ann@example.test")), 0)
    );
    let set = c::SetDomain {
        catch_all: Change::Set(None),
        ..set_domain("other.test")
    };
    f.run(set).await;
    let view = f.domain("other.test").await.expect("it was added");
    assert_eq!((view.internal, view.catch_all), (true, None));
    assert!(matches!(
        f.refused(set_domain("none.test")).await,
        Refusal::NotFound(_)
    ));
    assert!(matches!(
        f.refused(remove_domain("none.test")).await,
        Refusal::NotFound(_)
    ));
    f.run(remove_domain("other.test")).await;
    assert_eq!(f.domain("other.test").await, None);
    // A domain of the same name is another one.
    assert!(f.run(add_domain("other.test")).await > first);
}

pub(super) async fn a_catch_all_is_local(f: &Fixture) {
    let own = c::AddDomain {
        catch_all: Some(address("post@own.test")),
        ..add_domain("own.test")
    };
    f.run(own).await;
    let astray = c::AddDomain {
        catch_all: Some(address("ann@outside.test")),
        ..add_domain("astray.test")
    };
    assert!(matches!(f.refused(astray).await, Refusal::Invalid(_)));
    assert_eq!(f.domain("astray.test").await, None);
    let astray = c::SetDomain {
        catch_all: Change::Set(Some(address("ann@outside.test"))),
        ..set_domain("own.test")
    };
    assert!(matches!(f.refused(astray).await, Refusal::Invalid(_)));
}

pub(super) async fn a_domain_in_use_stays(f: &Fixture) {
    f.run(add_domain("other.test")).await;
    let in_use = async || {
        let refusal = f.refused(remove_domain("other.test")).await;
        assert!(matches!(&refusal, Refusal::InUse(text) if text.contains("it@other.test")));
    };
    let it = address("it@other.test");
    f.run(add_account("it@other.test")).await;
    in_use().await;
    assert_eq!(
        f.domain("other.test").await.map(|view| view.accounts),
        Some(1)
    );
    f.run(c::RemoveAccount {
        address: it.clone(),
    })
    .await;
    assert_eq!(
        f.domain("other.test").await.map(|view| view.accounts),
        Some(0)
    );
    f.run(set_alias("it@other.test", &["ann@example.test"]))
        .await;
    in_use().await;
    f.run(c::RemoveAlias {
        address: it.clone(),
    })
    .await;
    f.run(set_group("it@other.test", &["ann@example.test"]))
        .await;
    in_use().await;
    f.run(c::RemoveGroup { address: it }).await;
    // The removed account waits for its purge and holds nothing up.
    f.run(remove_domain("other.test")).await;
    f.check("a domain went before its removed account").await;
    f.purge().await;
}
