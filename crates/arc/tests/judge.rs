//! What a judge says of chains and senders, by a name server that tests set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::sync::Arc;

use postrider_arc::{Arrival, Judge, Judged, Verdict};
use postrider_dkim::{Algorithm, Chain, Key, Sealer, SelectedKey};
use postrider_route::testing::{Data, DnsServer, Fault};
use postrider_types::{DomainName, Millis};

const TEXT: &str = "From: <dora@outside.test>\r\nSubject: x\r\n\r\nHello.\r\n";
const KEY: &str = "s1._domainkey.example.test";

struct World {
    dns: DnsServer,
    judge: Judge,
    key: SelectedKey,
}

impl World {
    async fn new() -> Self {
        let dns = DnsServer::start().await;
        dns.add_zone("outside.test", false);
        dns.add_zone("example.test", false);
        let judge = Judge::new(&dns.settings(), "mail.example.test").unwrap();
        let key = Arc::new(Key::generate(Algorithm::Rsa).unwrap());
        dns.add(KEY, Data::txt(&key.record()));
        let key = SelectedKey::new("s1", key).unwrap();
        Self { dns, judge, key }
    }

    async fn judge(&self, message: &str) -> Verdict {
        let arrival = Arrival {
            client: [192, 0, 2, 1].into(),
            helo: "client.outside.test".into(),
            sender: "dora@outside.test".into(),
        };
        self.judge.judge(message.to_owned().into(), arrival).await
    }

    async fn judged(&self, message: &str) -> Judged {
        match self.judge(message).await {
            Verdict::Seal(judged) => judged,
            other => panic!("{other:?}"),
        }
    }

    /// The message with one more set.
    async fn sealed(&self, message: &str) -> String {
        let judged = self.judged(message).await;
        let Judged {
            instance,
            chain,
            results,
        } = judged;
        let domain = DomainName::parse("example.test").unwrap();
        let now = Millis(1_700_000_000_000);
        let sealer = Sealer::new(domain, self.key.clone(), now, instance, chain, results);
        let mut sealer = sealer.unwrap();
        // How it is cut makes no difference.
        message
            .as_bytes()
            .chunks(7)
            .for_each(|it| sealer.update(it));
        String::from_utf8(sealer.finish().unwrap()).unwrap() + message
    }
}

#[tokio::test]
async fn sets_follow_each_other_while_the_chain_is_good() {
    let world = World::new().await;
    let mut message = TEXT.to_owned();
    for instance in 1..=3 {
        message = world.sealed(&message).await;
        let judged = world.judged(&message).await;
        assert_eq!(judged.instance, instance + 1);
        assert!(matches!(judged.chain, Chain::Pass(_)), "{message}");
    }
    let changed = message.replace("Hello", "Hullo");
    assert_eq!(world.judged(&changed).await.chain, Chain::Fail);
    let failed = world.sealed(&changed).await;
    assert!(failed.starts_with("ARC-Seal: i=4;"), "{failed}");
    assert!(matches!(world.judge(&failed).await, Verdict::Leave(_)));
}

#[tokio::test]
async fn a_chain_that_cannot_be_read_has_failed() {
    let world = World::new().await;
    let message = format!("ARC-Seal: i=1; nonsense\r\n{TEXT}");
    assert_eq!(world.judged(&message).await.chain, Chain::Fail);
    let sealed = world.sealed(TEXT).await;
    let (_, without_seal) = sealed.split_once("ARC-Message").unwrap();
    let message = format!("ARC-Message{without_seal}");
    let judged = world.judged(&message).await;
    assert_eq!((judged.instance, judged.chain), (2, Chain::Fail));
}

#[tokio::test]
async fn a_chain_is_not_called_failed_where_the_dns_does_not_answer() {
    let world = World::new().await;
    let sealed = world.sealed(TEXT).await;
    world.dns.fail(KEY, None, Some(Fault::ServFail));
    assert!(matches!(world.judge(&sealed).await, Verdict::Later(_)));
    // A key that is gone is an answer.
    world.dns.fail(KEY, None, None);
    world.dns.set(KEY, []);
    assert_eq!(world.judged(&sealed).await.chain, Chain::Fail);
}

#[tokio::test]
async fn a_chain_ends_with_the_fiftieth_set() {
    let world = World::new().await;
    let message = format!("ARC-Authentication-Results: i=50; x; none\r\n{TEXT}");
    assert!(matches!(world.judge(&message).await, Verdict::Leave(_)));
}

#[tokio::test]
async fn the_first_sender_is_judged() {
    let world = World::new().await;
    let dns = &world.dns;
    let results = async || world.judged(TEXT).await.results;
    assert!(
        results()
            .await
            .contains("spf=none smtp.mailfrom=dora@outside.test")
    );
    dns.add("outside.test", Data::txt("v=spf1 ip4:192.0.2.1 -all"));
    dns.add("_dmarc.outside.test", Data::txt("v=DMARC1; p=reject"));
    let told = results().await;
    assert!(
        told.starts_with("mail.example.test;\r\n\tspf=pass "),
        "{told}"
    );
    assert!(told.contains("dkim=none;"), "{told}");
    assert!(
        told.contains("dmarc=pass header.from=outside.test"),
        "{told}"
    );
    assert!(told.contains("arc=none smtp.remote-ip=192.0.2.1"), "{told}");
    dns.fail("outside.test", None, Some(Fault::ServFail));
    assert!(results().await.contains("spf=temperror"));
}
