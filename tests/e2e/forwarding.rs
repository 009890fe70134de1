//! What is forwarded outside for a stranger carries one more ARC set (RFC 8617),
//! that those behind can check.

use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};
use postrider_dkim::{Algorithm, Key, SelectedKey, Signer};
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Node, Peer, Smtp};
use postrider_types::{DomainName, Millis};

/// Whether the chain of a message is valid, by the records of `dns`.
async fn chain(dns: &DnsServer, message: &str) -> anyhow::Result<DkimResult> {
    let settings = dns.settings();
    let resolver = postrider_route::unvalidated_resolver(&settings)?;
    let message = AuthenticatedMessage::parse(message.as_bytes());
    let message = message.ok_or_else(|| anyhow::anyhow!("no message"))?;
    let output = MessageAuthenticator(resolver).verify_arc(&message).await;
    Ok(output.result().clone())
}

/// Puts the records of the domain that forwards into `dns`.
async fn publish_keys(node: &Node, dns: &DnsServer) -> anyhow::Result<()> {
    dns.add_zone("example.test", false);
    let told = node.api("/v1/domains/example.test/dns").await?;
    let records = told["records"].as_array().into_iter().flatten();
    for record in records.filter(|record| record["kind"] == "TXT") {
        let (name, value) = (record["name"].as_str(), record["value"].as_str());
        if let (Some(name), Some(value)) = (name, value) {
            dns.add(name, Data::txt(value));
        }
    }
    Ok(())
}

/// A message with this body and a good signature of `outside.test`.
fn signed(dns: &DnsServer, body: &str) -> anyhow::Result<String> {
    let key = std::sync::Arc::new(Key::generate(Algorithm::Ed25519)?);
    dns.set("s1._domainkey.outside.test", [Data::txt(&key.record())]);
    let key = SelectedKey::new("s1", key)?;
    let header = "From: <dora@outside.test>\r\nDate: Sun, 29 Nov 2026 05:00:00 +0000\r\n\
                  Message-ID: <1@outside.test>\r\nSubject: sealed\r\n\r\n";
    let text = format!("{header}{body}");
    let domain = DomainName::parse("outside.test")?;
    let mut signer = Signer::new(domain, &[key], Millis(1_700_000_000_000));
    signer.update(text.as_bytes());
    Ok(String::from_utf8(signer.finish()?)? + &text)
}

#[tokio::test]
async fn a_forwarded_message_carries_one_more_set_that_others_can_check() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, dns) = crate::outbound::world(&peer).await?;
    publish_keys(&node, &dns).await?;
    // One for each hop: what comes back to the same is a circle.
    let aliases = [1, 2, 3, 4].map(|hop| format!("away{hop}@example.test"));
    for alias in &aliases {
        node.cli(&["alias", "add", alias, "carl@outside.test"])
            .await?;
    }
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let text = signed(&dns, "Hello.\r\n")?;
    let reply = smtp
        .deliver("dora@outside.test", &aliases[0], &text)
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let first = peer.has_taken(1).await?[0].content.clone();
    assert!(
        first.starts_with("ARC-Seal: i=1; a=rsa-sha256; d=example.test;"),
        "{first}"
    );
    assert!(first.contains("cv=none;"), "{first}");
    assert!(first.contains("dkim=pass header.d=outside.test"), "{first}");
    assert!(first.contains("smtp.mailfrom=dora@outside.test"), "{first}");
    assert_eq!(chain(&dns, &first).await?, DkimResult::Pass, "{first}");

    // One more hop: the copy comes back and is forwarded once more.
    let reply = smtp
        .deliver("dora@outside.test", &aliases[1], &first)
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let second = peer.has_taken(2).await?[1].content.clone();
    assert!(second.starts_with("ARC-Seal: i=2;"), "{second}");
    assert!(second.contains("cv=pass;"), "{second}");
    assert_eq!(chain(&dns, &second).await?, DkimResult::Pass, "{second}");

    // A changed message has a failed chain, which is told once and then left.
    let changed = second.replace("Hello.", "Hell.");
    for count in [3, 4] {
        let text = match count {
            3 => changed.clone(),
            _ => peer.has_taken(3).await?[2].content.clone(),
        };
        let reply = smtp
            .deliver("dora@outside.test", &aliases[count - 1], &text)
            .await?;
        assert_eq!(reply.code, 250, "{reply:?}");
        let taken = peer.has_taken(count).await?[count - 1].content.clone();
        assert_eq!(taken.matches("cv=fail;").count(), 1, "{taken}");
        assert!(!taken.contains("ARC-Seal: i=4;"), "{taken}");
    }
    let (_, metrics) = node.http("/metrics").await?;
    for chain in ["none", "pass", "fail"] {
        let line = format!("postrider_queue_arc_seals_total{{cv=\"{chain}\"}} 1\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    let line = "postrider_queue_arc_unsealed_total{reason=\"chain\"} 1\n";
    assert!(metrics.contains(line), "{line} in {metrics}");
    node.finish().await
}

/// A message of `size` bytes with a good signature of `outside.test`.
fn large(dns: &DnsServer, size: usize) -> anyhow::Result<String> {
    let line = format!("{}\r\n", "0123456789".repeat(7));
    let body = line.repeat(size / line.len());
    signed(dns, &body)
}

#[tokio::test]
async fn what_is_too_large_to_judge_is_forwarded_without_a_set() -> anyhow::Result<()> {
    let peer = Peer::offering("PIPELINING\n8BITMIME\nSIZE 0", |_, _, _| Act::Accept).await?;
    let (node, dns) = crate::outbound::world(&peer).await?;
    publish_keys(&node, &dns).await?;
    node.cli(&["alias", "add", "away@example.test", "carl@outside.test"])
        .await?;
    for (count, megabytes) in [(1, 31), (2, 33)] {
        let mut smtp = Smtp::connect(node.addresses().smtp).await?;
        smtp.expect(250, "EHLO client.test").await?;
        let text = large(&dns, megabytes << 20)?;
        let reply = smtp
            .deliver("dora@outside.test", "away@example.test", &text)
            .await?;
        assert_eq!(reply.code, 250, "{reply:?}");
        let taken = peer.has_taken(count).await?.swap_remove(count - 1).content;
        let start: String = taken.chars().take(2000).collect();
        match megabytes {
            31 => {
                assert!(start.starts_with("ARC-Seal: i=1;"), "{start}");
                assert_eq!(chain(&dns, &taken).await?, DkimResult::Pass, "{start}");
            }
            _ => assert!(!start.contains("ARC-Seal:"), "{start}"),
        }
    }
    let (_, metrics) = node.http("/metrics").await?;
    for line in [
        "postrider_queue_arc_seals_total{cv=\"none\"} 1\n",
        "postrider_queue_arc_unsealed_total{reason=\"size\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    node.finish().await
}
