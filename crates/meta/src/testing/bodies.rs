//! Bodies: kept inline, moved into packs, refused, and gone.

use std::time::Duration;

use postrider_types::{BodyId, Clock};

use super::{Fixture, all, some};
use crate::command as c;
use crate::query as q;
use crate::{BodyView, Content, ObjectView, Place, Refusal};

async fn inline(f: &Fixture) -> Vec<BodyView> {
    let mut bodies = Vec::new();
    let mut after = None;
    loop {
        let page = f.ask(q::InlineBodies {
            from: None,
            after,
            limit: 3,
            max_bytes: 20,
        });
        let page = page.await;
        assert!(page.items.len() <= 2, "20 bytes are two messages of nine");
        bodies.extend(page.items);
        after = page.next;
        if after.is_none() {
            return bodies;
        }
    }
}

fn pack(key: &str, bodies: &[BodyView]) -> c::Relocate {
    let moves = bodies.iter().scan(0, |offset, body| {
        let start = *offset;
        *offset += 10;
        Some(c::Move {
            body: body.id,
            from: body.place.clone(),
            offset: start,
            length: 10,
        })
    });
    c::Relocate {
        key: key.into(),
        length: 10 * bodies.len() as u64,
        moves: moves.collect(),
    }
}

async fn contents(f: &Fixture, key: &str) -> Vec<BodyView> {
    let page = f.ask(q::PackContents {
        key: key.into(),
        after: None,
        limit: 100,
    });
    page.await.items
}

async fn half_empty(f: &Fixture) -> Vec<String> {
    let page = f.ask(q::Packs {
        after: None,
        limit: 10,
    });
    page.await
        .items
        .into_iter()
        .map(|object| object.key)
        .collect()
}

async fn dead(f: &Fixture) -> Vec<ObjectView> {
    let page = f.ask(q::DeadObjects {
        before: f.clock.now(),
        after: None,
        limit: 10,
    });
    page.await.items
}

async fn remove(f: &Fixture, uids: crate::UidRanges) {
    let mailbox = f.mailbox("INBOX").await.id;
    let expunge = c::Expunge {
        account: f.ann,
        mailbox,
        uids,
        only_deleted: false,
        limit: 100,
    };
    f.run(expunge).await;
}

pub(super) async fn bodies_move_into_packs_and_packs_die(f: &Fixture) {
    let [p1, p2, p3, p4] = &[(); 4].map(|()| f.pack_key());
    f.fill_inbox(5).await;
    let bodies = inline(f).await;
    assert_eq!(bodies.len(), 5);
    assert_eq!(bodies[0].inline.as_deref(), Some(&b"message 0"[..]));
    remove(f, some(&[5])).await;
    assert_eq!(f.run(pack(p1, &bodies)).await.moved, 4);
    assert_eq!(
        f.run(pack(p2, &bodies)).await.moved,
        0,
        "they are not there any more"
    );
    assert_eq!(f.inline_usage().await, 0);
    assert!(inline(f).await.is_empty());
    let packed = contents(f, p1).await;
    let place = |offset| Place::Object {
        key: p1.clone(),
        offset,
        length: 10,
    };
    assert_eq!((packed.len(), &packed[3].place), (4, &place(30)));
    let keys = [p1, p2, p3].map(String::clone).to_vec();
    assert_eq!(f.ask(q::KnownObjects { keys }).await, [true, true, false]);

    // Under half: rewritten into another, then dead, then forgotten.
    assert!(half_empty(f).await.is_empty());
    remove(f, some(&[1, 2])).await;
    assert_eq!(half_empty(f).await, [p1.as_str()]);
    let forget = |key: &str| c::ForgetObject { key: key.into() };
    assert!(matches!(f.refused(forget(p1)).await, Refusal::InUse(_)));
    let left = contents(f, p1).await;
    assert_eq!(f.run(pack(p4, &left)).await.moved, 2);
    assert!(half_empty(f).await.is_empty());
    assert!(dead(f).await.is_empty(), "not before this moment");
    f.clock.advance(Duration::from_secs(1));
    let keys: Vec<String> = dead(f).await.into_iter().map(|object| object.key).collect();
    assert_eq!(keys, [p1.as_str(), p2]);
    f.check("rewriting a pack").await;
    for key in [p1, p2, p2, "unknown"] {
        f.run(forget(key)).await;
    }
    assert!(dead(f).await.is_empty());
    remove(f, all()).await;
    f.clock.advance(Duration::from_secs(1));
    assert_eq!(dead(f).await[0].key, *p4);
    // A dead object is about to be removed: nothing moves into it.
    f.fill_inbox(1).await;
    let again = inline(f).await;
    let mut late = pack(p4, &again);
    late.length = 20;
    assert!(matches!(f.refused(late).await, Refusal::Invalid(_)));
}

pub(super) async fn bodies_move_into_young_objects_only(f: &Fixture) {
    f.fill_inbox(1).await;
    let bodies = inline(f).await;
    let fresh = f.pack_key();
    // The packer slept after it had put the object; the command is new.
    f.clock.advance(Duration::from_secs(2 * 24 * 3600));
    let (digits, id) = fresh.split_at(fresh.len() - 32);
    for key in [&fresh, id, "p/1", &format!("{digits}+{}", &id[1..]), "ünn"] {
        let refusal = f.refused(pack(key, &bodies)).await;
        assert_eq!(refusal, Refusal::BodyExpired, "{key}");
    }
    assert_eq!(inline(f).await, bodies);
    assert_eq!(f.run(pack(&f.pack_key(), &bodies)).await.moved, 1);
}

pub(super) async fn doubtful_bodies_are_refused(f: &Fixture) {
    let object = |key: &str| Content::Object {
        key: key.into(),
        length: 70,
    };
    let accept = |body| c::Accept {
        body,
        deliveries: vec![Fixture::delivery(f.ann, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    };
    let old = f.body_of(100, object("old"));
    let fresh = f.body_of(100, object("fresh"));
    let id = fresh.id;
    f.run(accept(fresh.clone())).await;
    assert!(matches!(
        f.refused(accept(fresh)).await,
        Refusal::Invalid(_)
    ));
    let thief = f.body_of(100, object("fresh"));
    assert!(matches!(
        f.refused(accept(thief)).await,
        Refusal::Invalid(_)
    ));
    f.clock.advance(Duration::from_secs(7 * 3600));
    assert_eq!(f.refused(accept(old)).await, Refusal::BodyExpired);
    assert_eq!(f.mailbox("INBOX").await.messages, 1);
    let held = contents(f, "fresh").await;
    let ids: Vec<BodyId> = held.iter().map(|body| body.id).collect();
    assert_eq!(ids, [id]);
    remove(f, all()).await;
    f.clock.advance(Duration::from_secs(1));
    assert_eq!(dead(f).await[0].key, "fresh");
}

pub(super) async fn inline_bytes_have_a_budget(f: &Fixture) {
    f.accept("INBOX", "ten bytes.").await;
    let mut body = f.body("more");
    body.inline_budget = 13;
    let accept = |body| c::Accept {
        body,
        deliveries: vec![Fixture::delivery(f.ann, "INBOX")],
        received: f.clock.now(),
        queued: None,
        origin: None,
        notices: Vec::new(),
    };
    assert_eq!(f.refused(accept(body.clone())).await, Refusal::InlineBudget);
    assert_eq!(f.mailbox("INBOX").await.messages, 1);
    body.inline_budget = 14;
    f.run(accept(body)).await;
    assert_eq!(f.inline_usage().await, 14);
}

pub(super) async fn all_bodies_and_objects_are_told(f: &Fixture) {
    let key = f.pack_key();
    f.fill_inbox(5).await;
    let moved = inline(f).await;
    f.run(pack(&key, &moved[..3])).await;
    let (mut bodies, mut after) = (Vec::new(), None);
    loop {
        let page = f.ask(q::AllBodies {
            after,
            limit: 2,
            max_bytes: 1 << 20,
        });
        let page = page.await;
        assert!(page.items.len() <= 2);
        bodies.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let inline = bodies.iter().filter(|body| body.inline.is_some());
    assert_eq!((bodies.len(), inline.count()), (5, 2));
    let page = f.ask(q::Objects {
        after: None,
        limit: 10,
    });
    let objects = page.await.items;
    assert_eq!(objects.len(), 1);
    assert_eq!((&objects[0].key, objects[0].length), (&key, 30));
}
