//! Nodes for one purpose: mail without metadata, and metadata without mail.

use std::time::{Duration, Instant};

use postrider_tests::{Addresses, Plan, Roles, Smtp, Wire};

use crate::{ALICE, BOB, PASSWORD, deliver, inbox, message, pop3, start_alone};

/// Where the nodes of this test stand.
const METAS: [usize; 3] = [0, 1, 2];
const FRONTEND: usize = 3;
/// A client's, while a voter hangs: an election and a few tries.
const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frontend_serves_all_and_outlives_each_voter_in_turn() -> anyhow::Result<()> {
    let mut turn = start_alone(Plan {
        roles: &[Roles::Meta, Roles::Meta, Roles::Meta, Roles::Frontend],
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    for place in METAS {
        let at = cluster.node(place).configured();
        for address in [at.smtp, at.submission, at.lmtp, at.imap, at.pop3] {
            assert!(
                Wire::connect(address).await.is_err(),
                "a metadata node listens on {address}"
            );
        }
        assert_eq!(cluster.node(place).http("/healthz/ready").await?.0, 200);
    }
    let at = cluster.node(FRONTEND).addresses().clone();
    let authority = cluster.authority()?;
    let mut copies = serve(&at, &authority, 0).await?;

    // One session over all faults: it pauses and goes on.
    let mut session = inbox(&at, ALICE).await?;
    for place in METAS {
        cluster.node_mut(place).kill().await?;
        session.run("STORE 1 +FLAGS (\\Flagged)").await?.ok()?;
        session.run("STORE 1 -FLAGS (\\Flagged)").await?.ok()?;
        copies = serve(&at, &authority, copies).await?;
        session.run("NOOP").await?.ok()?;
        cluster.node_mut(place).start_again().await?;
        cluster.until_settled().await?;
    }
    // A voter that hangs keeps its connections open, and is worse than a dead one.
    let mut waits = Vec::new();
    for place in METAS {
        cluster.node(place).pause().await?;
        let began = Instant::now();
        session.run("STORE 1 +FLAGS (\\Flagged)").await?.ok()?;
        session.run("STORE 1 -FLAGS (\\Flagged)").await?.ok()?;
        deliver(&at, BOB, &message("while a voter hangs", "x")).await?;
        waits.push(began.elapsed());
        cluster.node(place).proceed().await?;
        cluster.until_settled().await?;
    }
    println!("three commands on a frontend while a voter hangs: {waits:.1?}");
    assert!(waits.iter().all(|wait| *wait < PATIENCE), "{waits:?}");
    turn.cluster.finish().await
}

/// Uses every protocol once; how many messages ALICE has then.
async fn serve(at: &Addresses, authority: &[u8], before: usize) -> anyhow::Result<usize> {
    deliver(at, ALICE, &message("smtp", "x")).await?;

    let mut lmtp = Smtp::connect(at.lmtp).await?;
    lmtp.expect(250, "LHLO client.test").await?;
    let large = message("large", &"0123456789abcdef\r\n".repeat(20_000));
    let reply = lmtp.deliver("s@outside.test", ALICE, &large).await?;
    assert_eq!(reply.code, 250, "{reply:?}");

    // In a cluster the node's own certificate serves where none is set.
    let mut submission = Smtp::connect_tls(at.submissions, authority).await?;
    submission.expect(250, "EHLO client.test").await?;
    assert_eq!(submission.login(BOB, PASSWORD).await?.code, 235);
    let reply = submission
        .deliver(BOB, ALICE, &message("sent", "x"))
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");

    let mut imap = inbox(at, ALICE).await?;
    let appended = message("appended", "x");
    imap.append("INBOX", "\\Seen", &appended).await?.ok()?;
    let now = before + 4;
    let all = imap.run("FETCH 1:* (FLAGS BODY.PEEK[])").await?.ok()?;
    let bodies: Vec<&str> = all.with("BODY[]").collect();
    assert_eq!(bodies.len(), now);
    assert!(bodies[before + 1].contains(&large[large.len() - 1000..]));
    imap.run(&format!("COPY {now} Trash")).await?.ok()?;

    let mut maildrop = pop3(at, ALICE).await?;
    assert_eq!(maildrop.lines("UIDL").await?.len(), now);
    let text = maildrop.lines(&format!("RETR {}", before + 3)).await?;
    assert!(text.contains(&"Subject: sent".to_owned()), "{text:?}");
    maildrop.ok(&format!("DELE {now}")).await?;
    maildrop.ok("QUIT").await?;
    Ok(now - 1)
}
