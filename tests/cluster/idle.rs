//! What happens on one node is told to those who wait on another.

use std::time::{Duration, Instant};

use postrider_tests::{Figures, Imap, Plan, Roles};

use crate::{ALICE, deliver, inbox, message, start_alone};

/// Messages and changes of flags that are waited for.
const TRIES: u32 = 60;
/// The promise of a hint from node to node, in the median.
const PROMISE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_on_one_node_tells_of_mail_and_flags_on_others() -> anyhow::Result<()> {
    let turn = start_alone(Plan {
        roles: &[Roles::Both, Roles::Both, Roles::Both, Roles::Frontend],
        ..Plan::default()
    })
    .await?;
    let cluster = &turn.cluster;
    let mut flagger = inbox(cluster.node(2).addresses(), ALICE).await?;
    let mut exists = 0;
    for (place, whose) in [(0, "a voter"), (3, "a frontend")] {
        let mut waiter = inbox(cluster.node(place).addresses(), ALICE).await?;
        let tag = waiter.send("IDLE").await?;
        assert!(waiter.response().await?.starts_with('+'));
        let (mut mail, mut flags) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            exists += 1;
            let text = message(&format!("m{exists}"), "x");
            deliver(cluster.node(1).addresses(), ALICE, &text).await?;
            let told = Instant::now();
            response(&mut waiter, |line| line == format!("* {exists} EXISTS")).await?;
            mail.push(told.elapsed());

            flagger.run("NOOP").await?.ok()?;
            let store = format!("STORE {exists} +FLAGS.SILENT (\\Flagged)");
            flagger.run(&store).await?.ok()?;
            let told = Instant::now();
            let start = format!("* {exists} FETCH ");
            let is_it = |line: &str| line.starts_with(&start) && line.contains("\\Flagged");
            response(&mut waiter, is_it).await?;
            flags.push(told.elapsed());
        }
        waiter.wire.send("DONE\r\n").await?;
        waiter.until(&tag).await?.ok()?;
        for (what, times) in [("mail", mail), ("flags", flags)] {
            let figures = Figures::of(times).unwrap();
            println!("IDLE on {whose}, {what} on another node: {figures}");
            assert!(figures.median < PROMISE, "{what}: {figures}");
        }
    }
    turn.cluster.finish().await
}

/// Reads up to the response that is waited for.
async fn response(imap: &mut Imap, is_it: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    while !is_it(&imap.response().await?) {}
    Ok(())
}
