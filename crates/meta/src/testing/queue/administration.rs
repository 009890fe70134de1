//! What administrators see of the queue and do to it.

use super::*;

pub(in crate::testing) async fn administrators_hold_release_and_remove(f: &Fixture) {
    let destinations = vec![to("one.test", &["x"]), to("two.test", &["y"])];
    let all = enqueue(f, destinations).await;
    let (a, b) = (all[0], all[1]);
    let body = existing(f, a).await.body;
    take(f, ONE).await;
    // A lease is void at once, and its settlement comes too late.
    assert_eq!(change(f, &[a, a, QueueId(9)], QueueChange::Hold).await, 1);
    assert_eq!(change(f, &[a], QueueChange::Hold).await, 0);
    let held = existing(f, a).await;
    assert_eq!((held.state, held.lease), (QueueState::Held, 2));
    for lease in [1, 2] {
        let late = f.refused(done(a, lease, 1)).await;
        assert!(matches!(late, Refusal::NotFound(_)));
    }
    assert_eq!(destination(f, "one.test").await.expect("held").next, None);
    let expected = QueueStats {
        entries: 2,
        held: 1,
        oldest: Some(held.created),
        destinations: 2,
    };
    assert_eq!(stats(f).await, expected);

    // Neither tried nor expired, not even by a retry; then both.
    assert_eq!(change(f, &[a], QueueChange::Retry).await, 0);
    f.clock.advance(DAY * 2);
    assert_eq!(take(f, ONE).await, [b]);
    assert_eq!(change(f, &[a, b], QueueChange::Release).await, 1);
    assert_eq!(take(f, ONE).await, [a]);

    assert_eq!(change(f, &[a], QueueChange::Remove).await, 1);
    assert!(matches!(
        f.refused(done(a, 3, 1)).await,
        Refusal::NotFound(_)
    ));
    assert!(body_there(f, body).await);
    assert_eq!(change(f, &all, QueueChange::Remove).await, 1);
    assert!(!body_there(f, body).await);
    assert_eq!(stats(f).await, QueueStats::default());
    let kinds: Vec<_> = f
        .ask(q::Trace { id: body })
        .await
        .into_iter()
        .map(|line| match line {
            TraceView::Event(event) => (event.kind, event.host.unwrap_or_default()),
            TraceView::Accepted(_) => panic!("it had no origin"),
        })
        .collect();
    let expected = [
        (EventKind::Held, "one.test"),
        (EventKind::Released, "one.test"),
        (EventKind::Removed, "one.test"),
        (EventKind::Removed, "two.test"),
    ];
    assert_eq!(kinds, expected.map(|(kind, host)| (kind, host.to_owned())));
    let many = c::ChangeQueued {
        ids: vec![a; limit::CHANGED + 1],
        change: QueueChange::Hold,
    };
    assert!(matches!(f.refused(many).await, Refusal::Limit(_)));
}

pub(in crate::testing) async fn a_retry_ends_the_rest(f: &Fixture) {
    let all = enqueue(f, vec![to("one.test", &["x"]), to("one.test", &["y"])]).await;
    take(f, ONE).await;
    let later = f.clock.now().after(HOUR / 2);
    let rest = c::SettleQueued {
        destination: DestinationChange::Rest {
            until: later,
            error: "refused".into(),
        },
        ..again(all[0], 1, later)
    };
    f.run(rest).await;
    // The other one is in hand.
    assert_eq!(change(f, &all, QueueChange::Retry).await, 1);
    let one = destination(f, "one.test").await.expect("it has entries");
    assert_eq!((one.not_before, one.failures), (None, 1));
    assert_eq!(take(f, ONE).await, all[..1]);
    // A lease that has ended holds nothing up.
    f.clock.advance(MINUTE);
    assert_eq!(change(f, &all, QueueChange::Retry).await, 2);
    let state = existing(f, all[1]).await.state;
    assert_eq!(state, QueueState::Waiting);
    assert!(matches!(
        f.refused(done(all[1], 1, 1)).await,
        Refusal::NotFound(_)
    ));
}

pub(in crate::testing) async fn the_queue_is_looked_through(f: &Fixture) {
    let names = ["one.test", "two.test", "three.example"];
    for name in names {
        for local in ["Ann", "bob"] {
            enqueue(f, vec![to(name, &[local])]).await;
        }
    }
    let leased = f
        .run(LeaseQueued {
            limit: 2,
            ..lease(ONE)
        })
        .await;
    f.run(again(leased.entries[0].0, 1, f.clock.now())).await;
    change(f, &[QueueId(6)], QueueChange::Hold).await;
    let find = async |filter: q::QueueFilter| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = f.ask(q::Queue {
                filter: filter.clone(),
                now: f.clock.now(),
                after,
                limit: 2,
            });
            let page = page.await;
            assert!(page.items.len() <= 2);
            found.extend(page.items.iter().map(|entry| entry.id.0));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let none = q::QueueFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(find(none()).await, [1, 2, 3, 4, 5, 6]);
    let recipient = text("ANN@");
    assert_eq!(
        find(q::QueueFilter {
            recipient,
            ..none()
        })
        .await,
        [1, 3, 5]
    );
    let destination = text("O");
    let wanted = q::QueueFilter {
        destination,
        recipient: text("bob"),
        ..none()
    };
    assert_eq!(find(wanted).await, [2, 4]);
    let sender = text("nobody");
    assert_eq!(find(q::QueueFilter { sender, ..none() }).await, []);
    let sender = text("Example.Test");
    assert_eq!(find(q::QueueFilter { sender, ..none() }).await.len(), 6);
    let error = text("LATER");
    assert_eq!(find(q::QueueFilter { error, ..none() }).await, [1]);
    let state = |state| q::QueueFilter {
        state: Some(state),
        ..none()
    };
    assert_eq!(find(state(q::StateKind::Held)).await, [6]);
    assert_eq!(find(state(q::StateKind::Leased)).await, [2]);
    assert_eq!(find(state(q::StateKind::Waiting)).await, [1, 3, 4, 5]);
    f.clock.advance(MINUTE);
    assert_eq!(find(state(q::StateKind::Leased)).await, []);
    assert_eq!(find(state(q::StateKind::Waiting)).await, [1, 2, 3, 4, 5]);

    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = f.ask(q::QueueDestinations { after, limit: 1 }).await;
        found.extend(page.items.into_iter().map(|d| (d.name, d.entries)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [("one.test", 2), ("three.example", 2), ("two.test", 2)];
    assert_eq!(
        found,
        expected.map(|(name, count)| (name.to_owned(), count))
    );
}
