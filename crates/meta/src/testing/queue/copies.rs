//! What the copies of a mailing list have of their own in the queue.

use bytes::Bytes;
use postrider_types::DomainName;

use super::{ONE, accept, enqueue, entry, existing, ids, lease, seal, to};
use crate::command::LeaseQueued;
use crate::testing::{Fixture, address};
use crate::{ListCopy, Refusal, Return};

pub(in crate::testing) async fn each_copy_of_a_list_has_what_is_its_own(f: &Fixture) {
    let domain = |name: &str| DomainName::parse(name).ok();
    let copy = |prefix: &'static [u8], sign: Option<&str>| {
        let mut copy = to("one.test", &["x"]);
        copy.sender = Some("news+bounces@example.test".into());
        copy.list = Some(ListCopy {
            prefix: Bytes::from_static(prefix),
            sign: sign.and_then(domain),
            leaves: None,
        });
        copy
    };
    let long = b"List-Id: <news.example.test>\r\n";
    let copies = [copy(long, Some("example.test")), copy(b"A: b\r\n", None)];
    let [first, second] = copies.clone();
    let mut new = accept(f, vec![first, second, to("two.test", &["y"])]);
    let queued = new.queued.as_mut().expect("it goes outside");
    queued.envelope.sign = domain("sender.test");
    queued.envelope.ret = Some(Return::Full);
    queued.envelope.envelope_id = Some("id".into());
    let (envelope, prefix) = (queued.envelope.clone(), queued.prefix.clone());
    let body = new.body.size;
    let entries = f.run(new).await.queued;
    for (id, copy) in entries.iter().zip(copies) {
        let entry = existing(f, *id).await;
        let own = copy.list.expect("a copy of a list");
        assert_eq!(entry.size, body + own.prefix.len() as u64);
        assert_eq!((entry.prefix, entry.envelope.sign), (own.prefix, own.sign));
        assert_eq!(Some(entry.envelope.reverse_path), copy.sender);
        let asked = (entry.envelope.ret, entry.envelope.envelope_id);
        assert_eq!(asked, (None, None), "the poster's, not the list's");
    }
    let other = existing(f, entries[2]).await;
    assert_eq!((other.envelope, other.prefix.clone()), (envelope, prefix));
    assert_eq!(other.size, body + other.prefix.len() as u64);
    let mut sealed = copy(b"A: b\r\n", None);
    sealed.seal = Some(seal());
    for bad in [copy(b"no line end", None), sealed] {
        let refusal = f.refused(accept(f, vec![bad])).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    }
}

pub(in crate::testing) async fn what_is_forwarded_has_fields_of_its_own(f: &Fixture) {
    let by = |fields: &'static [u8]| {
        let mut copy = to("one.test", &["x"]);
        copy.fields = Bytes::from_static(fields);
        copy
    };
    let fields = b"Delivered-To: team@example.test\r\n";
    let new = accept(f, vec![by(fields), to("two.test", &["y"])]);
    let common = new.queued.as_ref().expect("it goes outside").prefix.clone();
    let body = new.body.size;
    let entries = f.run(new).await.queued;
    let expected = [[&fields[..], &common].concat(), common.to_vec()];
    for (id, prefix) in entries.iter().zip(expected) {
        let entry = existing(f, *id).await;
        assert_eq!(entry.prefix, prefix);
        assert_eq!(entry.size, body + prefix.len() as u64);
    }
    let mut list = by(fields);
    list.list = Some(ListCopy {
        prefix: Bytes::from_static(b"A: b\r\n"),
        sign: None,
        leaves: None,
    });
    for bad in [by(b"no line end"), list] {
        let refusal = f.refused(accept(f, vec![bad])).await;
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
    }
    let mut long = to("one.test", &["x"]);
    long.fields = [b"A: ".to_vec(), vec![b'x'; 8 << 10], b"\r\n".to_vec()]
        .concat()
        .into();
    let refusal = f.refused(accept(f, vec![long])).await;
    assert!(matches!(refusal, Refusal::Limit(_)), "{refusal:?}");
}

pub(in crate::testing) async fn who_may_leave_gets_a_copy_alone(f: &Fixture) {
    let locals = ["a", "b", "c", "d"];
    let mut copy = to("one.test", &locals);
    copy.list = Some(ListCopy {
        prefix: Bytes::from_static(b"A: b\r\n"),
        sign: None,
        leaves: Some(address("news@example.test")),
    });
    let bundle = enqueue(f, vec![copy]).await[0];
    assert!(existing(f, bundle).await.is_bundle());
    let few = |limit| LeaseQueued {
        limit,
        ..lease(ONE)
    };
    let mut seen = Vec::new();
    for limit in [1, 2] {
        let leased = f.run(few(limit)).await;
        assert_eq!(leased.entries.len(), limit as usize);
        for id in ids(&leased) {
            let own = existing(f, id).await;
            assert_ne!(id, bundle);
            assert_eq!(own.leaves, Some(address("news@example.test")));
            assert_eq!((own.recipients.len(), own.lease), (1, 1));
            seen.push(own.recipients[0].address.clone());
        }
    }
    // The last keeps the entry.
    assert_eq!(ids(&f.run(few(100)).await), [bundle]);
    seen.push(existing(f, bundle).await.recipients[0].address.clone());
    assert_eq!(seen, locals.map(|local| format!("{local}@one.test")));
    let body = existing(f, bundle).await.body;
    f.run(super::done(bundle, 1, 1)).await;
    assert_eq!(entry(f, bundle).await, None);
    assert!(super::body_there(f, body).await, "three others need it");
}

pub(in crate::testing) async fn an_alarm_takes_copies_together(f: &Fixture) {
    let mut copy = to("one.test", &["a", "b"]);
    copy.list = Some(ListCopy {
        prefix: Bytes::new(),
        sign: None,
        leaves: Some(address("news@example.test")),
    });
    let bundle = enqueue(f, vec![copy]).await[0];
    f.clock.advance(super::HOUR);
    assert_eq!(ids(&f.run(lease(ONE)).await), [bundle]);
    assert!(
        existing(f, bundle).await.is_bundle(),
        "it is told of, not sent"
    );
}
