//! Damage to the queue and to what lies beside it.

use std::time::Duration;

use super::*;
use crate::testing::CountingRandom;
use crate::{
    DkimAlgorithm, DkimKey, DkimState, NewDestination, NewQueued, Origin, QueueEnvelope,
    QueuedRecipient, StsPolicy, TlsFailure, TlsFault, TlsPolicy, TlsPolicyKind, TlsRecord,
};
use postrider_types::{NodeId, QueueId};

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn destination(name: &str) -> NewDestination {
    let recipient = QueuedRecipient {
        address: format!("x@{name}"),
        notify: None,
        original: None,
        last: None,
    };
    NewDestination {
        sender: None,
        seal: None,
        list: None,
        fields: Default::default(),
        name: name.into(),
        recipients: vec![recipient],
    }
}

fn seal(client: &str) -> row::Seal {
    row::Seal {
        domain: "example.test".into(),
        client: client.into(),
        helo: "client.test".into(),
        came_from: String::new(),
    }
}

/// Entry 1 is in hand, 2 waits, 3 is held. Of the first two, `one.test` has one
/// each; the third goes to `two.test`.
pub(super) async fn fill(client: &Client, random: &CountingRandom, now: Millis) {
    let body = NewBody {
        id: BodyId::new(now, random),
        size: 4,
        checksum: [0; 32],
        encoding: Encoding::Identity,
        content: inline(),
        summary: Bytes::from_static(b"summary"),
        inline_budget: u64::MAX,
    };
    let envelope = QueueEnvelope {
        reverse_path: "ann@example.test".into(),
        ret: None,
        envelope_id: None,
        smtp_utf8: false,
        require_tls: false,
        tls_optional: false,
        sign: None,
        submitter: None,
    };
    let destinations = ["one.test", "one.test", "two.test"].map(destination);
    let queued = NewQueued {
        envelope,
        prefix: Bytes::new(),
        destinations: destinations.into(),
        due: now,
        warn: None,
        expires: now.after(Duration::from_secs(1000)),
    };
    let origin = Origin {
        node: Some(NodeId(1)),
        peer: "192.0.2.1".into(),
        login: None,
        protocol: "ESMTP".into(),
        reverse_path: "ann@example.test".into(),
    };
    let accept = c::Accept {
        body,
        deliveries: Vec::new(),
        received: now,
        queued: Some(queued),
        origin: Some(origin),
        notices: Vec::new(),
    };
    let accepted = run(client, accept).await;
    assert_eq!(accepted.queued, [1, 2, 3].map(QueueId));
    let hold = c::ChangeQueued {
        ids: vec![QueueId(3)],
        change: c::QueueChange::Hold,
    };
    assert_eq!(run(client, hold).await, 1);
    let lease = c::LeaseQueued {
        holder: NodeId(1),
        ttl: Duration::from_secs(60),
        longest: Duration::from_secs(60),
        since: now,
        limit: 1,
        usual: 1,
        bulk: 1,
        per_destination: 1,
        busy: Vec::new(),
        crowded: Vec::new(),
    };
    assert_eq!(run(client, lease).await.entries, [(QueueId(1), 1)]);
    let policy = StsPolicy {
        id: "1".into(),
        text: "version: STSv1".into(),
        fetched: now,
        expires: now.after(Duration::from_secs(1000)),
    };
    let put = c::PutPolicy {
        domain: domain("one.test"),
        policy: Some(policy),
    };
    run(client, put).await;
    let failure = TlsFailure {
        fault: TlsFault::StartTlsNotSupported,
        sending_ip: None,
        host: Some("mx.one.test".into()),
        receiving_ip: None,
        reason: None,
    };
    let record = TlsRecord {
        day: 20_000,
        domain: domain("one.test"),
        policy: TlsPolicy {
            kind: TlsPolicyKind::None,
            strings: Vec::new(),
            hosts: Vec::new(),
        },
        successes: 1,
        failures: vec![(failure, 2)],
    };
    let records = vec![record];
    run(client, c::RecordTls { records }).await;
    let key = DkimKey {
        selector: "s1".into(),
        algorithm: DkimAlgorithm::Ed25519Sha256,
        private: Bytes::from_static(b"private"),
        public: Bytes::from_static(b"public"),
        state: DkimState::Active,
        created: now,
    };
    let set = c::SetDkimKeys {
        domain: domain("example.test"),
        before: Vec::new(),
        keys: vec![key],
    };
    run(client, set).await;
}

#[tokio::test]
async fn damage_to_entries_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    let entry = |id| key::queued(QueueId(id));
    type Change = fn(&mut row::Queued);
    let changes: [(&str, Change); 10] = [
        ("no recipients", |row| row.recipients.clear()),
        ("held and in hand", |row| row.held = true),
        ("no end or holder", |row| row.holder = None),
        ("no end or holder", |row| row.until = 0),
        ("no number", |row| row.lease = 0),
        ("index of leases", |row| row.until += 1),
        ("index of alarms", |row| row.expires += 1),
        ("id has 16 bytes", |row| row.body = Bytes::new()),
        ("signed and sealed at once", |row| {
            row.sign = Some("example.test".into());
            row.seal = Some(seal("192.0.2.1"));
        }),
        ("seal would say is nonsense", |row| {
            row.seal = Some(seal("nowhere"));
        }),
    ];
    for (text, change) in changes {
        w.finds_edited(&[text], entry(1), change).await;
    }
    w.finds_edited(
        &["queued message 2", "ready"],
        entry(2),
        |row: &mut row::Queued| {
            row.due += 1;
        },
    )
    .await;
    w.finds_edited(
        &["queued message 2", "ready"],
        entry(2),
        |row: &mut row::Queued| {
            row.destination = "z.test".into();
        },
    )
    .await;
    w.finds_edited(
        &["queued message 2", "alarms"],
        entry(2),
        |row: &mut row::Queued| {
            row.warn = Some(5);
        },
    )
    .await;
    // A held one that waits, by what is missing; one that waits, by what is left.
    w.finds_edited(
        &["queued message 3", "ready"],
        entry(3),
        |row: &mut row::Queued| {
            row.held = false;
        },
    )
    .await;
    w.finds_edited(&["listed are 2"], entry(2), |row: &mut row::Queued| {
        row.held = true;
    })
    .await;
    w.misses(&["tells 3 references, 2 name it"], entry(2)).await;
    w.misses(&["queued message 3", "not given out"], key::last_queued())
        .await;
}

#[tokio::test]
async fn damage_to_destinations_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    let one = key::destination("one.test");
    w.misses(&["one.test", "is not known"], one.clone()).await;
    type Change = fn(&mut row::Destination);
    let changes: [(&str, Change); 5] = [
        ("entries are miscounted", |row| row.entries = 3),
        ("its first entry", |row| row.usual = None),
        ("its next entry", |row| {
            row.bulk = Some(row::Line::default())
        }),
        ("its next entry", |row| row.not_before = Some(u64::MAX)),
        ("index of turns", |row| row.not_before = Some(u64::MAX)),
    ];
    for (text, change) in changes {
        w.finds_edited(&["destination one.test", text], one.clone(), change)
            .await;
    }
    w.misses(
        &["one.test", "turns lacks it"],
        key::turn(false, w.now, "one.test"),
    )
    .await;
    let none = row::encode(&row::Destination::default());
    w.finds_extra(
        &["none.test", "no entries"],
        key::destination("none.test"),
        none,
    )
    .await;
    for (text, key) in [
        ("turns", key::turn(true, w.now, "two.test")),
        ("ready", key::ready("two.test", true, w.now, QueueId(3))),
        ("alarms", key::alarm(w.now, QueueId(3))),
        ("leases", key::lease_end(w.now, QueueId(3))),
    ] {
        w.finds_extra(&[text, "listed are"], key, row::EMPTY).await;
    }
    type Later = fn(&mut row::Starts);
    let later: [(&str, Later); 3] = [
        ("alarms begins too late", |row| row.alarms = None),
        ("leases begins too late", |row| row.leases = Some(u64::MAX)),
        ("turns begins too late", |row| row.turns = None),
    ];
    for (text, change) in later {
        w.finds_edited(&[text], key::queue_starts(), change).await;
    }
    for (text, what) in [
        ("4 entries, has 3", key::QueueCount::Entries),
        ("2 held, has 1", key::QueueCount::Held),
        ("3 destinations, has 2", key::QueueCount::Destinations),
    ] {
        let add = async |txn: &mut Damaged| txn.add(key::queue_count(what), 1);
        w.finds(&[text], add).await;
    }
}

#[tokio::test]
async fn damage_beside_the_queue_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    let end = w.now.after(Duration::from_secs(1000)).0;
    let one = domain("one.test");
    w.misses(
        &["policy of one.test", "ends lacks it"],
        key::policy_end(end, &one),
    )
    .await;
    w.misses(&["0 policies, listed are 1"], key::policy(&one))
        .await;
    type Change = fn(&mut row::TlsResults);
    let changes: [(&str, Change); 5] = [
        ("id is none", |row| row.id = Bytes::new()),
        ("never changed", |row| row.revision = 0),
        ("there are none", |row| row.policies.clear()),
        ("more failures", |row| row.policies[0].failures = 1),
        ("too many details", |row| {
            let detail = row::TlsDetail::default();
            row.policies[0].details.resize(101, detail);
        }),
    ];
    for (text, change) in changes {
        let place = key::tls_results(20_000, &one);
        w.finds_edited(&["TLS results of one.test", text], place, change)
            .await;
    }
    let keys = key::dkim_keys(&domain("example.test"));
    w.finds_edited(&["there are none"], keys, |row: &mut row::DkimKeys| {
        row.keys.clear()
    })
    .await;
    let stray = row::encode(&row::DkimKeys::default());
    w.finds_extra(&["one.test", "not a local"], key::dkim_keys(&one), stray)
        .await;
    let body = BodyId::from_bytes([9; 16]);
    let line = row::encode(&row::Event::default());
    w.finds_extra(&["line 0"], key::event(body, 0), line).await;
}
