//! POP3: the maildrop, and deletions that happen at QUIT, all or none.

use postrider_tests::Pop3;

use crate::{ALICE, PASSWORD, deliver, message, pop3, start};

#[tokio::test]
async fn mail_is_listed_retrieved_and_deleted_at_quit() -> anyhow::Result<()> {
    let node = start().await?;
    for subject in ["one", "two", "three"] {
        deliver(&node, ALICE, &message(subject, ".dot\r\nend")).await?;
    }
    let mut first = pop3(&node, ALICE).await?;
    assert!(first.ok("STAT").await?.starts_with("+OK 3 "));
    let uidl = first.lines("UIDL").await?;
    let retrieved = first.lines("RETR 2").await?;
    assert!(
        retrieved.contains(&"Subject: two".to_owned()),
        "{retrieved:?}"
    );
    assert!(retrieved.contains(&".dot".to_owned()), "{retrieved:?}");
    assert!(!first.lines("TOP 1 0").await?.contains(&".dot".to_owned()));
    first.ok("DELE 1").await?;
    first.ok("DELE 3").await?;
    // The connection breaks: nothing is deleted.
    drop(first);

    let mut second = pop3(&node, ALICE).await?;
    assert!(second.ok("STAT").await?.starts_with("+OK 3 "));
    second.ok("DELE 1").await?;
    second.ok("DELE 3").await?;
    second.ok("QUIT").await?;

    let mut third = pop3(&node, ALICE).await?;
    let left = third.lines("UIDL").await?;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].split(' ').nth(1), uidl[1].split(' ').nth(1));
    node.finish().await
}

#[tokio::test]
async fn tls_and_capabilities() -> anyhow::Result<()> {
    let node = start().await?;
    let mut pop3 = Pop3::connect(node.addresses().pop3).await?;
    let capabilities = pop3.lines("CAPA").await?;
    for needed in ["TOP", "UIDL", "STLS", "RESP-CODES", "PIPELINING"] {
        assert!(
            capabilities.iter().any(|line| line == needed),
            "{needed}: {capabilities:?}"
        );
    }
    let mut pop3 = pop3.start_tls(node.authority()).await?;
    pop3.ok(&format!("USER {ALICE}")).await?;
    assert!(pop3.run("PASS wrong").await?.starts_with("-ERR [AUTH]"));
    pop3.ok(&format!("USER {ALICE}")).await?;
    pop3.ok(&format!("PASS {PASSWORD}")).await?;
    node.finish().await
}
