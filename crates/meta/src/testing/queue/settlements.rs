//! What becomes of entries of the queue, and what is told of it.

use postrider_types::CommandId;

use super::*;
use crate::command::Settlement;

pub(in crate::testing) async fn a_late_settlement_leaves_nothing(f: &Fixture) {
    let id = enqueue(f, vec![to("one.test", &["x"])]).await[0];
    take(f, ONE).await;
    f.clock.advance(MINUTE);
    assert_eq!(take(f, TWO).await, [id]);
    let before = existing(f, id).await;
    let late = |f: &Fixture| c::SettleQueued {
        notices: vec![notice(f)],
        events: vec![event(f, EventKind::Relayed)],
        destination: DestinationChange::Rest {
            until: f.clock.now().after(HOUR),
            error: "no".into(),
        },
        ..done(id, 1, 1)
    };
    assert!(matches!(f.refused(late(f)).await, Refusal::NotFound(_)));
    assert_eq!(existing(f, id).await, before);
    assert_eq!(f.mailbox("INBOX").await.messages, 0);
    assert_eq!(f.ask(q::Trace { id: before.body }).await, []);
    let rest = destination(f, "one.test").await.expect("it has an entry");
    assert_eq!((rest.not_before, rest.failures), (None, 0));

    // The present holder's is taken, even after the lease has ended; but once.
    f.clock.advance(HOUR);
    let settlement = f.run(done(id, 2, 1)).await;
    assert!(settlement.gone);
    assert!(matches!(
        f.refused(done(id, 2, 1)).await,
        Refusal::NotFound(_)
    ));
    let kept = enqueue(f, vec![to("one.test", &["x"])]).await[0];
    take(f, ONE).await;
    let due = f.clock.now();
    f.run(again(kept, 1, due)).await;
    let twice = f.refused(again(kept, 1, due)).await;
    assert!(matches!(twice, Refusal::NotFound(_)));
}

pub(in crate::testing) async fn a_message_is_settled_in_parts(f: &Fixture) {
    let destinations = vec![to("one.test", &["x", "y", "z"]), to("two.test", &["x"])];
    let queued = enqueue(f, destinations).await;
    let (id, other) = (queued[0], queued[1]);
    let body = existing(f, id).await.body;
    take(f, ONE).await;
    let due = f.clock.now().after(MINUTE);
    let part = c::SettleQueued {
        results: vec![(0, Settled::Gone), (2, Settled::Kept("452 full".into()))],
        warn: Some(due),
        ..again(id, 1, due)
    };
    let wrong = c::SettleQueued {
        results: vec![(3, Settled::Gone)],
        ..part.clone()
    };
    assert!(matches!(f.refused(wrong).await, Refusal::Invalid(_)));
    let undated = c::SettleQueued {
        due: None,
        ..part.clone()
    };
    assert!(matches!(f.refused(undated).await, Refusal::Invalid(_)));
    let settlement = f.run(part).await;
    assert!(!settlement.gone && settlement.notices.is_empty());
    let view = existing(f, id).await;
    let left: Vec<_> = view
        .recipients
        .iter()
        .map(|r| (r.address.as_str(), r.last.as_deref()))
        .collect();
    let expected = [("y@one.test", None), ("z@one.test", Some("452 full"))];
    assert_eq!(left, expected);
    assert_eq!((view.attempts, view.due, view.warn), (1, due, Some(due)));
    assert_eq!(view.last_error.as_deref(), Some("451 later"));
    assert_eq!((view.state, view.lease), (QueueState::Waiting, 1));

    // Looked at without an attempt: told nothing new.
    f.clock.advance(MINUTE);
    // What another had in hand comes first.
    assert_eq!(take(f, ONE).await, [other, id]);
    let looked = c::SettleQueued {
        attempted: false,
        error: None,
        results: Vec::new(),
        ..again(id, 2, due)
    };
    f.run(looked).await;
    let view = existing(f, id).await;
    assert_eq!((view.attempts, view.warn), (1, None));
    assert_eq!(view.last_error.as_deref(), Some("451 later"));

    // The body stays until the last entry goes.
    assert_eq!(take(f, ONE).await, [id]);
    assert!(f.run(done(id, 3, 2)).await.gone);
    assert!(body_there(f, body).await);
    assert_eq!(destination(f, "one.test").await, None);
    assert!(f.run(done(other, 2, 1)).await.gone);
    assert!(!body_there(f, body).await);
    assert_eq!(stats(f).await, QueueStats::default());
    assert_eq!(f.run(lease(ONE)).await.next, None);
}

pub(in crate::testing) async fn a_notice_is_there_exactly_once(f: &Fixture) {
    let id = enqueue(f, vec![to("one.test", &["x"])]).await[0];
    take(f, ONE).await;
    let mut outside = accept(f, vec![to("two.test", &["s"])]);
    outside
        .queued
        .as_mut()
        .expect("outside")
        .envelope
        .reverse_path = String::new();
    let settle = c::SettleQueued {
        notices: vec![notice(f), c::Notice { accept: outside }],
        ..done(id, 1, 1)
    };
    let too_many = c::SettleQueued {
        notices: vec![notice(f); limit::NOTICES + 1],
        ..settle.clone()
    };
    assert!(matches!(f.refused(too_many).await, Refusal::Limit(_)));
    // A notice that cannot be taken leaves the entry in hand.
    let mut poor = settle.clone();
    poor.notices[1].accept.body.inline_budget = 0;
    assert_eq!(f.refused(poor).await, Refusal::InlineBudget);
    assert_eq!(f.mailbox("INBOX").await.messages, 0);
    assert_eq!(existing(f, id).await.lease, 1);

    let command = CommandId::new(f.clock.now(), &*f.random);
    let mut told = Vec::new();
    for _ in 0..2 {
        let settle = crate::Command::SettleQueued(settle.clone());
        let executed = f.backend.execute(command, settle).await.expect("up");
        told.push(format!("{:?}", executed.verdict));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(f.mailbox("INBOX").await.messages, 1);
    assert_eq!(stats(f).await.entries, 1);
    let sent = take(f, ONE).await;
    assert_eq!(existing(f, sent[0]).await.destination, "two.test");
    // One that nobody takes goes nowhere, but does not keep the entry.
    let mut lost = notice(f);
    lost.accept.deliveries[0].account = AccountId(99);
    let settle = c::SettleQueued {
        notices: vec![lost],
        ..done(sent[0], 1, 1)
    };
    let Settlement { gone, notices } = f.run(settle).await;
    assert!(gone && notices[0].deliveries[0].is_err());
}

pub(in crate::testing) async fn the_history_of_a_message_is_told_and_trimmed(f: &Fixture) {
    let mut new = accept(f, vec![to("one.test", &["x"])]);
    let body = new.body.id;
    let mut from = origin();
    from.peer = "p".repeat(1000);
    new.origin = Some(from);
    let id = f.run(new).await.queued[0];
    take(f, ONE).await;
    let long = Event {
        reply: Some("r".repeat(5000)),
        ..event(f, EventKind::Deferred)
    };
    let deferred = c::SettleQueued {
        events: vec![long],
        ..again(id, 1, f.clock.now())
    };
    let too_many = c::SettleQueued {
        events: vec![event(f, EventKind::Deferred); limit::EVENTS + 1],
        ..deferred.clone()
    };
    assert!(matches!(f.refused(too_many).await, Refusal::Limit(_)));
    f.run(deferred).await;
    take(f, ONE).await;
    let relayed = c::SettleQueued {
        events: vec![event(f, EventKind::Relayed)],
        ..done(id, 2, 1)
    };
    f.run(relayed).await;
    let trace = f.ask(q::Trace { id: body }).await;
    let [
        TraceView::Accepted(accepted),
        TraceView::Event(deferred),
        TraceView::Event(relayed),
    ] = &trace[..]
    else {
        panic!("{trace:?}");
    };
    assert_eq!(accepted.origin.peer.len(), limit::ORIGIN);
    assert_eq!(deferred.kind, EventKind::Deferred);
    assert_eq!(deferred.reply.as_ref().map(String::len), Some(limit::REPLY));
    assert_eq!(*relayed, event(f, EventKind::Relayed));

    // The history of a message of many recipients names some and counts all.
    f.clock.advance(DAY);
    let locals: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let locals: Vec<&str> = locals.iter().map(String::as_str).collect();
    let mut new = accept(f, vec![to("one.test", &locals), to("two.test", &locals)]);
    let late = new.body.id;
    new.origin = Some(origin());
    f.run(new).await;
    let trace = f.ask(q::Trace { id: late }).await;
    let TraceView::Accepted(accepted) = &trace[0] else {
        panic!("{trace:?}");
    };
    assert_eq!(
        (accepted.count, accepted.recipients.len()),
        (200, limit::NAMED)
    );

    let trim = |before: Millis| c::Trim {
        dedup_before: CommandId::floor(Millis(0)),
        history_before: BodyId::floor(before),
    };
    f.run(trim(body.made_at())).await;
    assert_eq!(f.ask(q::Trace { id: body }).await.len(), 3);
    assert!(!f.run(trim(late.made_at())).await.more);
    assert_eq!(f.ask(q::Trace { id: body }).await, []);
    assert_eq!(f.ask(q::Trace { id: late }).await.len(), 1);
}

pub(in crate::testing) async fn an_accepted_message_tells_of_its_success(f: &Fixture) {
    let success = |deliveries: &[u32]| c::Success {
        deliveries: deliveries.to_vec(),
        accept: notice(f).accept,
    };
    let to = |accounts: &[AccountId], notices| c::Accept {
        deliveries: (accounts.iter())
            .map(|account| Fixture::delivery(*account, "Elsewhere"))
            .collect(),
        queued: None,
        notices,
        ..accept(f, vec![to("one.test", &["x"])])
    };
    f.create("Elsewhere").await;
    let gone = AccountId(99);

    // Told once, however often the command is sent.
    let command = CommandId::new(f.clock.now(), &*f.random);
    let once = to(&[f.ann], vec![success(&[0])]);
    let mut told = Vec::new();
    for _ in 0..2 {
        let once = crate::Command::Accept(once.clone());
        let executed = f.backend.execute(command, once).await.expect("up");
        told.push(format!("{:?}", executed.verdict));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(f.mailbox("Elsewhere").await.messages, 1);
    assert_eq!(f.mailbox("INBOX").await.messages, 1);

    // What it speaks of has not come about; or what it is about is not kept.
    let both = to(
        &[f.ann, gone],
        vec![success(&[0, 1]), success(&[0]), success(&[7])],
    );
    let notices = f.run(both).await.notices;
    let there: Vec<bool> = notices.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, true, false]);
    assert_eq!(f.run(to(&[gone], vec![success(&[])])).await.notices, [None]);
    assert_eq!(f.mailbox("INBOX").await.messages, 2);

    // Without its notice the message is not taken.
    let mut poor = to(&[f.ann], vec![success(&[0])]);
    poor.notices[0].accept.body.inline_budget = 0;
    assert_eq!(f.refused(poor).await, Refusal::InlineBudget);
    let many = to(&[f.ann], vec![success(&[0]); limit::NOTICES + 1]);
    assert!(matches!(f.refused(many).await, Refusal::Limit(_)));
    let mut nested = to(&[f.ann], vec![success(&[0])]);
    nested.notices[0].accept.notices = vec![success(&[0])];
    assert!(matches!(f.refused(nested).await, Refusal::Invalid(_)));
    assert_eq!(f.mailbox("Elsewhere").await.messages, 2);
}
