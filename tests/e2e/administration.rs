//! The command line against a running node, and what the node tells of itself.

use postrider_tests::{Imap, Smtp};

use crate::{ALICE, PASSWORD, deliver, message, start};

#[tokio::test]
async fn domains_accounts_aliases_and_groups_live_and_die() -> anyhow::Result<()> {
    let node = start().await?;
    node.cli(&["domain", "add", "second.test"]).await?;
    node.account("carol@second.test").await?;
    assert!(
        node.cli(&["account", "list", "--json"])
            .await?
            .contains("carol@second.test")
    );
    assert!(
        node.cli(&["domain", "remove", "second.test"])
            .await
            .is_err()
    );
    Imap::login(node.addresses().imap, "carol@second.test", PASSWORD).await?;
    node.cli(&[
        "account",
        "set",
        "carol@second.test",
        "--expires",
        "2020-01-01",
    ])
    .await?;
    assert!(
        Imap::login(node.addresses().imap, "carol@second.test", PASSWORD)
            .await
            .is_err()
    );
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let closed = smtp
        .deliver("s@outside.test", "carol@second.test", "")
        .await?;
    assert_eq!(closed.code, 550, "{closed:?}");
    node.cli(&["account", "remove", "carol@second.test"])
        .await?;
    node.cli(&["domain", "remove", "second.test"]).await?;
    assert!(!node.cli(&["domain", "list"]).await?.contains("second.test"));
    node.finish().await
}

#[tokio::test]
async fn health_and_metrics_are_told() -> anyhow::Result<()> {
    let node = start().await?;
    deliver(&node, ALICE, &message("counted", "x")).await?;
    assert_eq!(node.http("/healthz/live").await?.0, 200);
    assert_eq!(node.http("/healthz/ready").await?.0, 200);
    let (status, metrics) = node.http("/metrics").await?;
    assert_eq!(status, 200);
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("postrider_smtp")),
        "{metrics}"
    );
    assert_eq!(node.http("/v1/accounts").await?.0, 401);
    let refused = node.api("/v1/queue?nonsense=1").await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("400: {\"error\":\"invalid\""), "{refused}");
    node.finish().await
}
