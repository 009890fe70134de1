//! Domains whose mail goes on to a server behind this one.

use postrider_types::{Clock, DomainName};

use super::queue::{new_queued, to};
use super::{Fixture, add_domain, address, set_alias, set_group};
use crate::command::{self as c, Change, QueueChange};
use crate::query::{self as q, Outside, Resolution, Resolve};
use crate::{Refusal, Relay, RelayTls};

fn relay(to: &str) -> Relay {
    Relay {
        to: to.parse().expect("a server"),
        tls: RelayTls::Off,
    }
}

fn name() -> DomainName {
    DomainName::parse("inner.test").expect("a domain")
}

fn set_relay(relay: Option<Relay>) -> c::SetDomain {
    c::SetDomain {
        name: name(),
        internal: Change::Keep,
        catch_all: Change::Keep,
        relay: Change::Set(relay),
    }
}

fn add_inner() -> c::AddDomain {
    c::AddDomain {
        relay: Some(relay("mail.inner.test:2525")),
        ..add_domain("inner.test")
    }
}

async fn resolve(f: &Fixture, who: &str) -> Resolution {
    f.ask(Resolve {
        address: address(who),
        size: 0,
        local_sender: false,
        notice: false,
        overdraft: false,
        now: f.clock.now(),
    })
    .await
}

async fn outside(f: &Fixture, to: &str) -> Vec<Outside> {
    match resolve(f, to).await {
        Resolution::Local { outside, .. } => outside,
        other => panic!("{to}: {other:?}"),
    }
}

pub(super) async fn a_relay_comes_changes_and_goes(f: &Fixture) {
    f.run(add_inner()).await;
    let ask = async || f.ask(q::Domain { name: name() }).await.map(|it| it.relay);
    assert_eq!(ask().await, Some(Some(relay("mail.inner.test:2525"))));
    let changed = Relay {
        to: "[2001:db8::1]:25".parse().expect("a server"),
        tls: RelayTls::Verified,
    };
    f.run(set_relay(Some(changed.clone()))).await;
    let view = f.domain("inner.test").await.expect("it was added");
    assert_eq!(view.relay, Some(changed));
    // Both are for all that is unknown.
    let both = c::SetDomain {
        catch_all: Change::Set(Some(address("ann@example.test"))),
        relay: Change::Keep,
        ..set_relay(None)
    };
    assert!(matches!(f.refused(both).await, Refusal::Invalid(_)));
    let both = c::AddDomain {
        name: DomainName::parse("other.test").expect("a domain"),
        catch_all: Some(address("ann@example.test")),
        ..add_inner()
    };
    assert!(matches!(f.refused(both).await, Refusal::Invalid(_)));
    let exchanged = c::SetDomain {
        catch_all: Change::Set(Some(address("ann@example.test"))),
        ..set_relay(None)
    };
    f.run(exchanged).await;
    assert_eq!(ask().await, Some(None));
    let name = DomainName::parse("strange.test").expect("a domain");
    assert_eq!(f.ask(q::Domain { name }).await, None);
}

pub(super) async fn what_is_unknown_here_goes_on(f: &Fixture) {
    f.run(add_inner()).await;
    let inner = relay("mail.inner.test:2525");
    let relayed = Resolution::Relayed(inner);
    assert_eq!(resolve(f, "x@inner.test").await, relayed);
    assert_eq!(resolve(f, "x+y@inner.test").await, relayed);
    // What is here wins, with details too.
    f.run(set_alias("here@inner.test", &["ann@example.test"]))
        .await;
    for to in ["here@inner.test", "here+y@inner.test"] {
        assert_eq!(outside(f, to).await, [], "{to}");
    }
    // Lists lead there, and so does a catch-all of another domain.
    let on = |via: &str, group| Outside {
        address: address("x@inner.test"),
        via: address(via),
        group,
        relayed: true,
        member: None,
    };
    f.run(set_alias("a@example.test", &["x@inner.test"])).await;
    f.run(set_group("g@example.test", &["x@inner.test"])).await;
    assert_eq!(
        outside(f, "a@example.test").await,
        [on("a@example.test", false)]
    );
    assert_eq!(
        outside(f, "g@example.test").await,
        [on("g@example.test", true)]
    );
    let catching = c::AddDomain {
        catch_all: Some(address("x@inner.test")),
        ..add_domain("catching.test")
    };
    f.run(catching).await;
    assert_eq!(
        outside(f, "any@catching.test").await,
        [on("any@catching.test", false)]
    );
    // An internal domain stays one.
    let internal = c::SetDomain {
        internal: Change::Set(true),
        relay: Change::Keep,
        ..set_relay(None)
    };
    f.run(internal).await;
    assert_eq!(resolve(f, "x@inner.test").await, Resolution::Internal);
}

pub(super) async fn a_relay_stays_while_mail_waits_for_it(f: &Fixture) {
    f.run(add_inner()).await;
    let accept = c::Accept {
        body: f.body("on its way"),
        deliveries: Vec::new(),
        received: f.clock.now(),
        queued: Some(new_queued(f, vec![to("inner.test", &["x"])])),
        notices: Vec::new(),
        origin: None,
    };
    let ids = f.run(accept).await.queued;
    let remove = || c::RemoveDomain { name: name() };
    for refusal in [f.refused(set_relay(None)).await, f.refused(remove()).await] {
        assert!(
            matches!(&refusal, Refusal::InUse(text) if text.contains("inner.test")),
            "{refusal:?}"
        );
    }
    f.run(set_relay(Some(relay("192.0.2.1")))).await;
    let change = QueueChange::Remove;
    f.run(c::ChangeQueued { ids, change }).await;
    f.run(set_relay(None)).await;
    f.run(remove()).await;
}
