//! The results of outgoing TLS, and their reports.

use std::time::Duration;

use postrider_types::{BodyId, Clock, CommandId, DomainName, Millis};

use super::Fixture;
use super::queue::{new_queued, to};
use crate::command as c;
use crate::query as q;
use crate::{
    Refusal, TlsFailure, TlsFault, TlsPolicy, TlsPolicyKind, TlsRecord, TlsResults, limit,
};

const DAY: u32 = 20_000;

fn policy(text: &str) -> TlsPolicy {
    TlsPolicy {
        kind: TlsPolicyKind::Sts,
        strings: vec![text.into()],
        hosts: vec!["mx.one.test".into()],
    }
}

fn failure(reason: &str) -> TlsFailure {
    TlsFailure {
        fault: TlsFault::CertificateExpired,
        sending_ip: "192.0.2.1".parse().ok(),
        host: Some("mx.one.test".into()),
        receiving_ip: "2001:db8::1".parse().ok(),
        reason: Some(reason.into()),
    }
}

fn record(domain: &str, policy: TlsPolicy, successes: u64, failed: &[(&str, u64)]) -> TlsRecord {
    let failures = failed.iter();
    TlsRecord {
        day: DAY,
        domain: DomainName::parse(domain).expect("a domain"),
        policy,
        successes,
        failures: failures.map(|(it, count)| (failure(it), *count)).collect(),
    }
}

async fn add(f: &Fixture, records: Vec<TlsRecord>) {
    f.run(c::RecordTls { records }).await;
}

async fn results(f: &Fixture) -> Vec<TlsResults> {
    let ask = q::TlsResults {
        after: None,
        limit: 20,
        from: 0,
        before: u32::MAX,
    };
    f.ask(ask).await.items
}

pub(super) async fn results_are_added_up_by_day_and_policy(f: &Fixture) {
    let later = TlsRecord {
        day: DAY + 1,
        ..record("one.test", policy("a"), 1, &[])
    };
    add(
        f,
        vec![
            record("one.test", policy("a"), 2, &[("x", 1), ("y", 1)]),
            record("two.test", policy("a"), 7, &[]),
            later,
        ],
    )
    .await;
    add(f, vec![record("one.test", policy("a"), 3, &[("y", 4)])]).await;
    add(f, vec![record("one.test", policy("b"), 1, &[])]).await;
    let all = results(f).await;
    let names: Vec<_> = all.iter().map(|it| (it.day, it.domain.as_str())).collect();
    let expected = [(DAY, "one.test"), (DAY, "two.test"), (DAY + 1, "one.test")];
    assert_eq!(names, expected);
    let [a, b] = &all[0].policies[..] else {
        panic!("two policies: {all:?}");
    };
    assert_eq!((&a.policy, a.successes, a.failures), (&policy("a"), 5, 6));
    assert_eq!(a.details, [(failure("x"), 1), (failure("y"), 5)]);
    assert_eq!((&b.policy, b.successes, b.failures), (&policy("b"), 1, 0));
    assert_eq!((all[0].revision, all[0].id.len()), (3, 32));

    // One by one, and without what is too young.
    let mut after = None;
    let mut seen = 0;
    loop {
        let ask = q::TlsResults {
            after,
            limit: 1,
            from: 0,
            before: DAY + 1,
        };
        let page = f.ask(ask).await;
        seen += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 2);
    let later = q::TlsResults {
        after: None,
        limit: 20,
        from: DAY + 1,
        before: u32::MAX,
    };
    assert_eq!(f.ask(later).await.items, all[2..]);

    // Sent again under one id, they count once.
    let id = f.client.new_id();
    for _ in 0..2 {
        let records = vec![record("two.test", policy("a"), 1, &[])];
        let told = f.client.run_as(id, c::RecordTls { records }).await;
        told.expect("the backend is up").0.expect("it is in order");
    }
    assert_eq!(results(f).await[1].policies[0].successes, 8);
}

pub(super) async fn details_have_a_limit_and_counts_have_none(f: &Fixture) {
    for piece in 0..3 {
        let reasons: Vec<String> = (0..50).map(|n| format!("{piece} {n}")).collect();
        let failed: Vec<_> = reasons.iter().map(|it| (it.as_str(), 1)).collect();
        add(f, vec![record("one.test", policy("a"), 0, &failed)]).await;
    }
    let long = "ü".repeat(limit::TLS_TEXT);
    add(f, vec![record("two.test", policy("a"), 0, &[(&long, 1)])]).await;
    for n in 0..=limit::TLS_POLICIES {
        let record = record("three.test", policy(&n.to_string()), 1, &[]);
        add(f, vec![record]).await;
    }
    let all = results(f).await;
    let one = &all[0].policies[0];
    assert_eq!((one.details.len(), one.failures), (limit::TLS_DETAILS, 150));
    let three = &all[1].policies;
    assert_eq!(three.len(), limit::TLS_POLICIES);
    assert_eq!(three.iter().map(|it| it.successes).sum::<u64>(), 9);
    let (failure, _) = &all[2].policies[0].details[0];
    let kept = failure.reason.as_ref().map(String::len);
    assert_eq!(kept, Some(limit::TLS_TEXT - 1));

    let large = policy(&"x".repeat(limit::TLS_STRING + 1));
    for records in [
        vec![record("one.test", large, 1, &[])],
        vec![record("one.test", policy("a"), 1, &[]); limit::TLS_RECORDS + 1],
    ] {
        let refusal = f.refused(c::RecordTls { records }).await;
        assert!(matches!(refusal, Refusal::Limit(_)), "{refusal:?}");
    }
}

pub(super) async fn a_report_and_its_results_change_places(f: &Fixture) {
    add(f, vec![record("one.test", policy("a"), 1, &[])]).await;
    let settle = |revision: u64| c::SettleTls {
        day: DAY,
        domain: DomainName::parse("one.test").expect("a domain"),
        revision,
        done: true,
        sent: Vec::new(),
        accept: Some(c::Accept {
            body: f.body("report"),
            deliveries: Vec::new(),
            received: f.clock.now(),
            queued: Some(new_queued(f, vec![to("one.test", &["x"])])),
            notices: Vec::new(),
            origin: None,
        }),
    };
    let queued = async || f.ask(q::QueueStats {}).await.entries;
    // Something was added meanwhile: not this report.
    add(f, vec![record("one.test", policy("a"), 1, &[])]).await;
    let refusal = f.refused(settle(1)).await;
    assert!(matches!(refusal, Refusal::NotFound(_)), "{refusal:?}");
    assert_eq!(queued().await, 0);
    // One of two places has it.
    let part = c::SettleTls {
        done: false,
        sent: vec!["https://one.test/".into()],
        accept: None,
        ..settle(2)
    };
    assert_eq!(f.run(part).await, None);
    let left = results(f).await;
    assert_eq!(left[0].sent, ["https://one.test/"]);
    let accepted = f.run(settle(left[0].revision)).await;
    assert_eq!(accepted.map(|it| it.queued.len()), Some(1));
    assert!(results(f).await.is_empty());
    let refusal = f.refused(settle(left[0].revision)).await;
    assert!(matches!(refusal, Refusal::NotFound(_)), "{refusal:?}");
    assert_eq!(queued().await, 1);
}

pub(super) async fn results_that_nobody_reports_are_trimmed(f: &Fixture) {
    let today = u32::try_from(f.clock.now().0 / 86_400_000).expect("a day");
    let young = TlsRecord {
        day: today,
        ..record("one.test", policy("a"), 1, &[])
    };
    add(f, vec![young, record("one.test", policy("a"), 1, &[])]).await;
    let trim = async || {
        let trim = c::Trim {
            dedup_before: CommandId::floor(Millis(0)),
            history_before: BodyId::floor(Millis(0)),
        };
        f.run(trim).await
    };
    trim().await;
    assert_eq!(results(f).await.len(), 1);
    f.clock
        .advance(limit::TLS_AGE + Duration::from_secs(86_400));
    trim().await;
    assert!(results(f).await.is_empty());
}
