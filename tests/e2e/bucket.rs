//! A bucket that answers errors, hangs, is slow or is gone: what can be served is,
//! what cannot is refused for now, and all comes back by itself.

use std::time::{Duration, Instant};

use anyhow::ensure;
use postrider_tests::{Bucket, Imap, Mood, Node, Smtp};

use crate::{ALICE, BOB, deliver, imap, message, pop3};

/// A refusal of what needs the bucket comes within this time.
const SOON: Duration = Duration::from_secs(10);

/// A message of about `kilobytes` that does not compress.
fn noise(subject: &str, kilobytes: usize) -> String {
    let mut body = String::new();
    let mut seed = subject
        .bytes()
        .fold(0x9e37_79b9_7f4a_7c15_u64, |seed, byte| {
            seed.rotate_left(5) ^ u64::from(byte)
        });
    while body.len() < kilobytes * 1024 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        body.push_str(&format!("{:016x}{:016x}\r\n", seed, seed.rotate_left(29)));
    }
    message(subject, &body)
}

async fn start(bucket: &Bucket) -> anyhow::Result<Node> {
    let environment = [("POSTRIDER__BODY__INLINE_BUDGET", "1MiB")];
    let binary = env!("CARGO_BIN_EXE_postrider-under-test");
    Node::start_storing(binary, &environment, &bucket.settings()).await
}

/// Delivers to `to`; the reply's code and text.
async fn try_to(node: &Node, to: &str, message: &str) -> anyhow::Result<(u16, String)> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let reply = smtp.deliver("stranger@outside.test", to, message).await?;
    Ok((reply.code, reply.text))
}

async fn inbox(node: &Node, user: &str) -> anyhow::Result<Imap> {
    let mut imap = imap(node, user).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    Ok(imap)
}

#[tokio::test]
async fn a_bucket_that_is_busy_stops_only_what_needs_it() -> anyhow::Result<()> {
    stops_only_what_needs_it(Mood::Busy).await
}

#[tokio::test]
async fn a_bucket_that_hangs_stops_only_what_needs_it() -> anyhow::Result<()> {
    stops_only_what_needs_it(Mood::Hangs).await
}

#[tokio::test]
async fn a_bucket_that_is_gone_stops_only_what_needs_it() -> anyhow::Result<()> {
    stops_only_what_needs_it(Mood::Away).await
}

async fn stops_only_what_needs_it(mood: Mood) -> anyhow::Result<()> {
    let bucket = Bucket::start().await?;
    let node = start(&bucket).await?;
    let (cached, unread) = (noise("cached", 200), noise("unread", 300));
    deliver(&node, ALICE, &cached).await?;
    deliver(&node, ALICE, &unread).await?;
    let mut session = inbox(&node, ALICE).await?;
    // From now on it lies in the cache.
    session.run("FETCH 1 BODY.PEEK[]").await?.ok()?;

    bucket.turn(mood);
    let began = Instant::now();
    let (code, text) = try_to(&node, ALICE, &noise("refused", 200)).await?;
    ensure!(code == 451, "{code} {text}");
    ensure!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let read = session.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
    ensure!(read.untagged[0].contains(&cached), "the cache");
    // Never an empty body.
    let failed = session.run("FETCH 2 BODY.PEEK[]").await?;
    ensure!(failed.status.starts_with("NO [UNAVAILABLE]"), "{failed:?}");
    ensure!(failed.with("BODY[]").count() == 0, "{failed:?}");
    session
        .run("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)")
        .await?
        .ok()?;
    let failed = pop3(&node, ALICE).await?.run("RETR 2").await?;
    ensure!(failed.starts_with("-ERR [SYS/TEMP]"), "{failed}");
    let (status, ready) = node.http("/healthz/ready").await?;
    ensure!(status == 200 && ready.contains("degraded"), "{ready}");
    ensure!(
        ready.contains("the object store takes no objects"),
        "{ready}"
    );
    ensure!(
        ready.contains("the object store gives no objects"),
        "{ready}"
    );

    // Small mail, up to the budget.
    let mut taken = 0;
    let (code, text) = loop {
        match try_to(&node, BOB, &noise(&format!("small{taken}"), 50)).await? {
            (250, _) => taken += 1,
            refused => break refused,
        }
        ensure!(taken < 100, "the budget does not end");
    };
    ensure!(code == 451 && text.contains("4.3.1"), "{code} {text}");
    ensure!(taken >= 10, "only {taken} were taken");

    // All comes back by itself.
    bucket.turn(Mood::Well);
    let began = Instant::now();
    while node.metric("postrider_body_inline_bytes").await? > 0.0 {
        ensure!(began.elapsed() < 3 * SOON, "nothing is packed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    deliver(&node, ALICE, &noise("again", 200)).await?;
    let read = session.run("FETCH 2 BODY.PEEK[]").await?.ok()?;
    ensure!(read.untagged[0].contains(&unread), "what could not be read");
    let mut session = inbox(&node, BOB).await?;
    let all = session.run("FETCH 1:* BODY.PEEK[]").await?.ok()?;
    ensure!(
        all.untagged.len() == taken,
        "{} of {taken}",
        all.untagged.len()
    );
    node.finish().await
}

#[tokio::test]
async fn a_slow_bucket_only_takes_its_time() -> anyhow::Result<()> {
    let bucket = Bucket::start().await?;
    let node = start(&bucket).await?;
    bucket.turn(Mood::Slow(Duration::from_millis(200)));
    let large = noise("large", 300);
    deliver(&node, ALICE, &large).await?;
    let mut session = inbox(&node, ALICE).await?;
    let read = session.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
    ensure!(read.untagged[0].contains(&large), "what was stored");
    let (status, ready) = node.http("/healthz/ready").await?;
    ensure!(status == 200 && !ready.contains("degraded"), "{ready}");
    node.finish().await
}
