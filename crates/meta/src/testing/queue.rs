//! The queue of outbound mail: what comes in, and short ways to use it for the
//! scenarios beside this.

pub(super) mod administration;
pub(super) mod copies;
pub(super) mod leases;
pub(super) mod settlements;

use std::time::Duration;

use bytes::Bytes;
use postrider_types::{AccountId, BodyId, Clock, DomainName, Millis, NodeId, QueueId};

use super::Fixture;
use crate::command::{self as c, DestinationChange, LeaseQueued, QueueChange, Settled};
use crate::query as q;
use crate::{
    Accepting, DestinationView, Event, EventKind, NewDestination, NewQueued, Notify, Origin,
    QueueEnvelope, QueueState, QueueStats, QueuedRecipient, QueuedView, Refusal, Return, Seal,
    TraceView, limit,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

pub(super) fn recipient(address: &str) -> QueuedRecipient {
    QueuedRecipient {
        address: address.into(),
        notify: None,
        original: None,
        last: None,
    }
}

/// A destination with recipients of these local parts.
pub(super) fn to(name: &str, locals: &[&str]) -> NewDestination {
    let address = |local: &&str| recipient(&format!("{local}@{name}"));
    NewDestination {
        sender: None,
        seal: None,
        list: None,
        fields: Default::default(),
        name: name.into(),
        recipients: locals.iter().map(address).collect(),
    }
}

/// What the seal of a message tells that example.test forwards.
fn seal() -> Seal {
    Seal {
        domain: DomainName::parse("example.test").expect("a domain"),
        client: [192, 0, 2, 1].into(),
        helo: "client.test".into(),
        came_from: "dora@two.test".into(),
    }
}

/// Due now; the sender hears of it after an hour, and has it back after a day.
pub(super) fn new_queued(f: &Fixture, destinations: Vec<NewDestination>) -> NewQueued {
    let now = f.clock.now();
    let envelope = QueueEnvelope {
        reverse_path: "ann@example.test".into(),
        ret: None,
        envelope_id: None,
        smtp_utf8: false,
        require_tls: false,
        tls_optional: false,
        sign: None,
        submitter: Some(f.ann),
    };
    NewQueued {
        envelope,
        prefix: Bytes::from_static(b"Received: here\r\n"),
        destinations,
        due: now,
        warn: Some(now.after(HOUR)),
        expires: now.after(DAY),
    }
}

fn accept(f: &Fixture, destinations: Vec<NewDestination>) -> c::Accept {
    c::Accept {
        body: f.body("outbound"),
        deliveries: Vec::new(),
        received: f.clock.now(),
        queued: Some(new_queued(f, destinations)),
        origin: None,
        notices: Vec::new(),
    }
}

pub(super) fn origin() -> Origin {
    Origin {
        node: Some(ONE),
        peer: "client.test [192.0.2.1]".into(),
        login: None,
        protocol: "ESMTP".into(),
        reverse_path: "ann@example.test".into(),
    }
}

/// Queues a message of ann's for each destination.
async fn enqueue(f: &Fixture, destinations: Vec<NewDestination>) -> Vec<QueueId> {
    f.run(accept(f, destinations)).await.queued
}

pub(super) fn lease(holder: NodeId) -> LeaseQueued {
    LeaseQueued {
        holder,
        since: Millis(1),
        ttl: MINUTE,
        longest: DAY * 100,
        limit: 100,
        usual: 100,
        bulk: 100,
        per_destination: 100,
        busy: Vec::new(),
        crowded: Vec::new(),
    }
}

fn ids(leased: &c::Leased) -> Vec<QueueId> {
    leased.entries.iter().map(|(id, _)| *id).collect()
}

/// The ids that a node leases now.
async fn take(f: &Fixture, holder: NodeId) -> Vec<QueueId> {
    ids(&f.run(lease(holder)).await)
}

async fn entry(f: &Fixture, id: QueueId) -> Option<QueuedView> {
    f.ask(q::Queued { ids: vec![id] }).await.remove(0)
}

async fn existing(f: &Fixture, id: QueueId) -> QueuedView {
    entry(f, id).await.expect("the entry is there")
}

async fn body_there(f: &Fixture, id: BodyId) -> bool {
    let bodies = f.ask(q::Bodies {
        ids: vec![id],
        inline: false,
    });
    bodies.await[0].is_some()
}

async fn destination(f: &Fixture, name: &str) -> Option<DestinationView> {
    let page = f.ask(q::QueueDestinations {
        after: None,
        limit: 1000,
    });
    let mut items = page.await.items.into_iter();
    items.find(|destination| destination.name == name)
}

async fn stats(f: &Fixture) -> QueueStats {
    f.ask(q::QueueStats {}).await
}

async fn change(f: &Fixture, ids: &[QueueId], change: QueueChange) -> u32 {
    let ids = ids.to_vec();
    f.run(c::ChangeQueued { ids, change }).await
}

/// What came of `id`: all recipients are gone.
pub(super) fn done(id: QueueId, lease: u64, recipients: u32) -> c::SettleQueued {
    c::SettleQueued {
        id,
        lease,
        attempted: true,
        results: (0..recipients)
            .map(|place| (place, Settled::Gone))
            .collect(),
        error: None,
        due: None,
        warn: None,
        notices: Vec::new(),
        destination: DestinationChange::Keep,
        events: Vec::new(),
    }
}

/// It failed for now, and is to be tried again at `due`.
pub(super) fn again(id: QueueId, lease: u64, due: Millis) -> c::SettleQueued {
    c::SettleQueued {
        error: Some("451 later".into()),
        due: Some(due),
        results: vec![(0, Settled::Kept("451 later".into()))],
        ..done(id, lease, 0)
    }
}

/// A bounce to ann.
pub(super) fn notice(f: &Fixture) -> c::Notice {
    let accept = c::Accept {
        body: f.body("a bounce"),
        deliveries: vec![c::Delivery {
            overdraft: true,
            ..Fixture::delivery(f.ann, "INBOX")
        }],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    };
    c::Notice { accept }
}

pub(super) fn event(f: &Fixture, kind: EventKind) -> Event {
    Event {
        at: f.clock.now(),
        node: Some(ONE),
        kind,
        recipient: Some("x@one.test".into()),
        host: Some("mx.one.test".into()),
        reply: Some("250 taken".into()),
    }
}

pub(super) async fn a_message_goes_here_and_outside_at_once(f: &Fixture) {
    let mut new = accept(
        f,
        vec![to("one.test", &["x", "y"]), to("[192.0.2.1]", &["z"])],
    );
    new.deliveries = vec![
        Fixture::delivery(f.ann, "INBOX"),
        Fixture::delivery(AccountId(99), "INBOX"),
    ];
    new.origin = Some(origin());
    let (body, now) = (new.body.id, f.clock.now());
    let queued = new.queued.clone().expect("it goes outside");
    let accepted = f.run(new).await;
    assert!(matches!(
        accepted.deliveries[..],
        [Ok(_), Err(Refusal::NotFound(_))]
    ));
    assert_eq!(accepted.queued, [QueueId(1), QueueId(2)]);
    let view = existing(f, QueueId(1)).await;
    let expected = QueuedView {
        id: QueueId(1),
        body,
        size: (queued.prefix.len() + "outbound".len()) as u64,
        envelope: queued.envelope,
        prefix: queued.prefix,
        seal: None,
        destination: "one.test".into(),
        recipients: queued.destinations[0].recipients.clone(),
        created: now,
        due: now,
        warn: Some(now.after(HOUR)),
        expires: now.after(DAY),
        attempts: 0,
        last_error: None,
        state: QueueState::Waiting,
        lease: 0,
        bulk: false,
        list: false,
        leaves: None,
    };
    assert_eq!(view, expected);
    let all = q::Queued {
        ids: [2, 9, 1].map(QueueId).to_vec(),
    };
    let all = f.ask(all).await;
    let there: Vec<_> = all.iter().map(|e| e.as_ref().map(|e| e.id.0)).collect();
    assert_eq!(there, [Some(2), None, Some(1)]);

    // All of it is told by the first line of its history.
    let trace = f.ask(q::Trace { id: body }).await;
    let [TraceView::Accepted(acceptance)] = &trace[..] else {
        panic!("{trace:?}");
    };
    assert_eq!((acceptance.at, acceptance.count), (now, 4));
    assert_eq!(acceptance.origin, origin());
    let queued = |address: &str, entry| Accepting::Queued {
        address: address.into(),
        entry: QueueId(entry),
    };
    let local = Accepting::Local {
        address: "ann@example.test".into(),
        mailbox: "INBOX".into(),
    };
    let outside = [
        queued("x@one.test", 1),
        queued("y@one.test", 1),
        queued("z@[192.0.2.1]", 2),
    ];
    assert_eq!(acceptance.recipients[0], local);
    assert_eq!(acceptance.recipients[1..], outside);

    // A refused delivery does not stop what goes outside; nothing at all is no mail.
    let mut refused = accept(f, vec![to("one.test", &["x"])]);
    refused.deliveries = vec![Fixture::delivery(AccountId(99), "INBOX")];
    assert_eq!(f.run(refused.clone()).await.queued, [QueueId(3)]);
    refused.queued = None;
    refused.deliveries.clear();
    assert!(matches!(f.refused(refused).await, Refusal::Limit(_)));
}

pub(super) async fn the_rest_of_a_message_is_kept_as_it_came(f: &Fixture) {
    let mut new = accept(f, vec![to("one.test", &["x", "y"])]);
    let queued = new.queued.as_mut().expect("it goes outside");
    queued.envelope = QueueEnvelope {
        reverse_path: String::new(),
        ret: Some(Return::Headers),
        envelope_id: Some("a+2Bb".into()),
        smtp_utf8: true,
        require_tls: true,
        tls_optional: true,
        sign: DomainName::parse("example.test").ok(),
        submitter: None,
    };
    let never = Notify::default();
    let success = Notify {
        success: true,
        ..never
    };
    let [x, y] = &mut queued.destinations[0].recipients[..] else {
        panic!("two recipients");
    };
    (x.notify, y.notify) = (Some(never), Some(success));
    x.original = Some(("rfc822".into(), "x@two.test".into()));
    x.last = Some("ü".repeat(limit::REPLY));
    let mut sent = queued.clone();
    let id = f.run(new).await.queued[0];
    let view = existing(f, id).await;
    assert_eq!(view.envelope, sent.envelope);
    // Cut, at the end of a character.
    sent.destinations[0].recipients[0].last = Some("ü".repeat(limit::REPLY / 2));
    assert_eq!(view.recipients, sent.destinations[0].recipients);
}

pub(super) async fn what_is_forwarded_is_sealed_and_not_signed(f: &Fixture) {
    let mut forwarded = to("one.test", &["x"]);
    forwarded.sender = Some("SRS0=x=y=two.test=dora@example.test".into());
    forwarded.seal = Some(seal());
    let mut new = accept(f, vec![forwarded.clone(), to("two.test", &["y"])]);
    let queued = new.queued.as_mut().expect("it goes outside");
    queued.envelope.sign = DomainName::parse("example.test").ok();
    let sign = queued.envelope.sign.clone();
    let entries = f.run(new).await.queued;
    let sealed = existing(f, entries[0]).await;
    assert_eq!(sealed.seal, forwarded.seal);
    assert_eq!(sealed.envelope.sign, None);
    assert_eq!(Some(sealed.envelope.reverse_path), forwarded.sender);
    let signed = existing(f, entries[1]).await;
    assert_eq!((signed.seal, signed.envelope.sign), (None, sign));
}

pub(super) async fn what_cannot_be_queued_is_refused(f: &Fixture) {
    let many: Vec<String> = (0..=limit::QUEUED_RECIPIENTS)
        .map(|n| n.to_string())
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused =
        async |destinations: Vec<NewDestination>| f.refused(accept(f, destinations)).await;
    let too_many = vec![to("one.test", &["x"]); limit::DESTINATIONS + 1];
    for bad in [
        vec![],
        vec![to("one.test", &[])],
        vec![to("one.test", &many)],
        too_many,
        vec![to("one.test", &many[1..]); 101],
    ] {
        let refusal = refused(bad).await;
        assert!(matches!(refusal, Refusal::Limit(_)), "{refusal:?}");
    }
    let long = "x".repeat(limit::DESTINATION_NAME + 1);
    for bad in ["", "One.test", "one\r\n.test", &long] {
        let refusal = refused(vec![to(bad, &["x"])]).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    }
    let refusal = refused(vec![to("one.test", &["x\r\nDATA"])]).await;
    assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    type Change = fn(&mut NewQueued);
    let changes: [Change; 6] = [
        |new| new.envelope.reverse_path = "a@b\n".into(),
        |new| new.envelope.envelope_id = Some(String::new()),
        |new| new.prefix = Bytes::from_static(b"no line end"),
        |new| new.destinations[0].recipients[0].original = Some((String::new(), "x".into())),
        |new| {
            let helo = "a\r\nb".into();
            new.destinations[0].seal = Some(Seal { helo, ..seal() });
        },
        |new| {
            let came_from = "a\tb".into();
            new.destinations[0].seal = Some(Seal {
                came_from,
                ..seal()
            });
        },
    ];
    for change in changes {
        let mut new = accept(f, vec![to("one.test", &["x"])]);
        new.queued.as_mut().map(change).expect("it goes outside");
        let refusal = f.refused(new).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    }
    assert_eq!(stats(f).await, QueueStats::default());
}
