//! What the copies of a mailing list have of their own in the queue.

use bytes::Bytes;
use postrider_types::DomainName;

use super::{accept, existing, seal, to};
use crate::testing::Fixture;
use crate::{ListCopy, Refusal, Return};

pub(in crate::testing) async fn each_copy_of_a_list_has_what_is_its_own(f: &Fixture) {
    let domain = |name: &str| DomainName::parse(name).ok();
    let copy = |prefix: &'static [u8], sign: Option<&str>| {
        let mut copy = to("one.test", &["x"]);
        copy.sender = Some("news+bounces@example.test".into());
        copy.list = Some(ListCopy {
            prefix: Bytes::from_static(prefix),
            sign: sign.and_then(domain),
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
