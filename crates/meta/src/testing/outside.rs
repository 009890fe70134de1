//! What is known about domains for mail to and from outside: their TLS policies,
//! and the keys that they sign with.

use std::time::Duration;

use bytes::Bytes;
use postrider_types::{BodyId, Clock, CommandId, DomainName, Millis};

use super::{Fixture, add_domain};
use crate::command as c;
use crate::query as q;
use crate::{DkimAlgorithm, DkimKey, DkimState, Refusal, StsPolicy, limit};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

async fn policy(f: &Fixture, name: &str) -> Option<StsPolicy> {
    let domain = domain(name);
    f.ask(q::StsPolicy { domain }).await
}

pub(super) async fn a_policy_is_kept_until_it_ends(f: &Fixture) {
    let now = f.clock.now();
    let new = |expires: Millis| StsPolicy {
        id: "20260101".into(),
        text: "version: STSv1\r\nmode: enforce\r\n".into(),
        fetched: now,
        expires,
    };
    let put = |name: &str, policy: Option<StsPolicy>| c::PutPolicy {
        domain: domain(name),
        policy,
    };
    let trim = async || {
        let trim = c::Trim {
            dedup_before: CommandId::floor(Millis(0)),
            history_before: BodyId::floor(Millis(0)),
        };
        f.run(trim).await
    };
    for name in ["one.test", "two.test", "three.test"] {
        f.run(put(name, Some(new(now.after(DAY))))).await;
    }
    let renewed = new(now.after(DAY * 3));
    f.run(put("two.test", Some(renewed.clone()))).await;
    f.run(put("three.test", None)).await;
    f.run(put("four.test", None)).await;
    assert_eq!(policy(f, "one.test").await, Some(new(now.after(DAY))));
    assert_eq!(policy(f, "three.test").await, None);
    trim().await;
    assert!(policy(f, "one.test").await.is_some());
    f.clock.advance(DAY);
    assert!(!trim().await.more);
    assert_eq!(policy(f, "one.test").await, None);
    assert_eq!(policy(f, "two.test").await, Some(renewed.clone()));

    // Nobody's policy stays for ever, nor fills the store.
    f.run(put("two.test", Some(new(Millis(u64::MAX))))).await;
    f.clock.advance(DAY * 366);
    trim().await;
    assert_eq!(policy(f, "two.test").await, None);
    let large = StsPolicy {
        text: "x".repeat(limit::POLICY_TEXT + 1),
        ..renewed
    };
    let refusal = f.refused(put("two.test", Some(large))).await;
    assert!(matches!(refusal, Refusal::Limit(_)), "{refusal:?}");
}

fn key(f: &Fixture, selector: &str) -> DkimKey {
    DkimKey {
        selector: selector.into(),
        algorithm: DkimAlgorithm::Ed25519Sha256,
        private: Bytes::from_static(b"very private"),
        public: Bytes::from_static(b"public"),
        state: DkimState::Active,
        created: f.clock.now(),
    }
}

pub(super) async fn a_domain_has_keys_until_it_goes(f: &Fixture) {
    let set = |name: &str, keys: Vec<DkimKey>| c::SetDkimKeys {
        domain: domain(name),
        before: Vec::new(),
        keys,
    };
    let keys = async |name: &str| {
        let domain = domain(name);
        f.ask(q::DkimKeys { domain }).await
    };
    f.run(add_domain("other.test")).await;
    let old = DkimKey {
        algorithm: DkimAlgorithm::RsaSha256,
        state: DkimState::Retired,
        ..key(f, "s1._old")
    };
    let refusal = f.refused(set("other.test", vec![old.clone()])).await;
    assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    let old = DkimKey {
        selector: "s1.old-2026".into(),
        ..old
    };
    let next = DkimKey {
        state: DkimState::Pending,
        ..key(f, "s3")
    };
    let all = vec![old, key(f, "s2"), next];
    f.run(set("other.test", all.clone())).await;
    assert_eq!(keys("other.test").await, all);
    assert_eq!(keys("example.test").await, []);
    let shown = format!("{:?}", set("other.test", all.clone()));
    assert!(
        shown.contains("s2") && !shown.contains("private"),
        "{shown}"
    );

    for selector in ["", "S2", "a..b", "-a", "a-", "a b", &"x".repeat(64)] {
        let refusal = f.refused(set("other.test", vec![key(f, selector)])).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{selector}");
    }
    let empty = DkimKey {
        private: Bytes::new(),
        ..key(f, "s4")
    };
    let eleven = (0..11).map(|n| key(f, &format!("s{n}"))).collect();
    for bad in [eleven, vec![empty]] {
        let refusal = f.refused(set("other.test", bad)).await;
        assert!(matches!(refusal, Refusal::Limit(_)), "{refusal:?}");
    }
    let twice = f
        .refused(set("other.test", vec![key(f, "s"), key(f, "s")]))
        .await;
    assert!(matches!(twice, Refusal::Exists(_)));
    let foreign = f.refused(set("none.test", vec![key(f, "s")])).await;
    assert!(matches!(foreign, Refusal::NotFound(_)));
    assert_eq!(keys("other.test").await, all);

    f.run(c::RemoveDomain {
        name: domain("other.test"),
    })
    .await;
    assert_eq!(keys("other.test").await, []);
    f.run(set("example.test", all.clone())).await;
    // Who has not seen what another has just done changes nothing.
    let known: Vec<_> = all.iter().map(DkimKey::known).collect();
    let mut late = known.clone();
    late[2].1 = DkimState::Active;
    for before in [late, known[1..].to_vec(), Vec::new()] {
        let change = c::SetDkimKeys {
            before,
            ..set("example.test", vec![key(f, "s9")])
        };
        let refusal = f.refused(change).await;
        assert!(matches!(refusal, Refusal::InUse(_)), "{refusal:?}");
    }
    assert_eq!(keys("example.test").await, all);
    let change = c::SetDkimKeys {
        before: known,
        ..set("example.test", Vec::new())
    };
    f.run(change).await;
    assert_eq!(keys("example.test").await, []);
}
