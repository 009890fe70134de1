//! Without a majority: mail can be read as it is known, nothing can be changed, and
//! both end by themselves.

use anyhow::ensure;
use postrider_tests::{Addresses, Imap, Plan, Pop3, Roles, Smtp};

use crate::{ALICE, BOB, PASSWORD, deliver, inbox, message, smtp, start};

const SURVIVOR: usize = 0;
const DEAD: [usize; 2] = [1, 2];
const FRONTEND: usize = 3;
const BEGINS: &str = "OK [ALERT] the mail servers have lost touch";
const ENDS: &str = "OK [ALERT] the mail servers are in touch again";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_is_read_only_until_a_majority_is_back() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both, Roles::Both, Roles::Both, Roles::Frontend],
        settings: "[meta]\ntimeout = \"4s\"",
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    deliver(
        cluster.node(1).addresses(),
        ALICE,
        &message("known", "body of it"),
    )
    .await?;
    // So that it is known on the survivor as well.
    cluster.same_state().await?;
    let places = [SURVIVOR, FRONTEND];
    let at = places.map(|place| cluster.node(place).addresses().clone());
    let mut idle = Vec::new();
    for at in &at {
        let mut imap = inbox(at, ALICE).await?;
        let tag = imap.send("IDLE").await?;
        ensure!(imap.response().await?.starts_with('+'), "no IDLE");
        idle.push((imap, tag));
    }
    for place in DEAD {
        cluster.node_mut(place).kill().await?;
    }
    for (imap, _) in &mut idle {
        let told = imap.response().await?;
        ensure!(told.contains(BEGINS), "{told}");
        let told = imap.response().await?;
        ensure!(told.starts_with("* OK [READ-ONLY]"), "{told}");
    }
    for at in &at {
        reads_and_changes_nothing(at).await?;
    }
    for place in DEAD {
        cluster.node_mut(place).spawn()?;
    }
    for place in DEAD {
        cluster.node_mut(place).await_ready().await?;
    }
    for (mut imap, tag) in idle {
        let told = imap.response().await?;
        ensure!(told.contains(ENDS), "{told}");
        let told = imap.response().await?;
        ensure!(told.starts_with("* OK [READ-WRITE]"), "{told}");
        imap.wire.send("DONE\r\n").await?;
        imap.until(&tag).await?.ok()?;
        imap.run("STORE 1 +FLAGS (\\Seen)").await?.ok()?;
    }
    for at in &at {
        deliver(at, BOB, &message("after", "x")).await?;
    }
    turn.cluster.finish().await
}

async fn reads_and_changes_nothing(at: &Addresses) -> anyhow::Result<()> {
    let mut imap = Imap::connect(at.imap).await?;
    let login = imap.run(&format!("LOGIN {ALICE} {PASSWORD}")).await?.ok()?;
    ensure!(login.with(BEGINS).count() == 1, "{login:?}");
    imap.run("LIST \"\" *").await?.ok()?;
    let selected = imap.run("SELECT INBOX").await?.ok()?;
    ensure!(selected.status.contains("[READ-ONLY]"), "{selected:?}");
    let fetched = imap.run("FETCH 1 (FLAGS BODY[])").await?.ok()?;
    ensure!(
        fetched
            .with("FETCH")
            .next()
            .unwrap_or_default()
            .contains("body of it"),
        "{fetched:?}"
    );
    ensure!(
        !fetched
            .with("FETCH")
            .next()
            .unwrap_or_default()
            .contains("Seen"),
        "{fetched:?}"
    );
    let found = imap.run("SEARCH SUBJECT known").await?.ok()?;
    ensure!(found.search()? == [1], "{found:?}");
    for command in ["STORE 1 +FLAGS (\\Seen)", "CREATE New"] {
        let refused = imap.run(command).await?;
        ensure!(refused.status.contains("NO [UNAVAILABLE]"), "{refused:?}");
    }
    let mut pop = Pop3::login(at.pop3, ALICE, PASSWORD).await?;
    ensure!(pop.ok("STAT").await?.starts_with("+OK 1 "), "STAT");
    ensure!(pop.lines("LIST").await?.len() == 1, "LIST");
    let text = pop.lines("RETR 1").await?;
    ensure!(text.iter().any(|line| line == "body of it"), "{text:?}");
    let refused = pop.run("DELE 1").await?;
    ensure!(refused.starts_with("-ERR [SYS/TEMP]"), "{refused}");
    pop.ok("QUIT").await?;
    refuses_mail(smtp(at.smtp).await?).await
}

async fn refuses_mail(mut smtp: Smtp) -> anyhow::Result<()> {
    smtp.expect(250, "MAIL FROM:<s@outside.test>").await?;
    let refused = smtp.command(&format!("RCPT TO:<{ALICE}>")).await?;
    ensure!(refused.code == 451, "{refused:?}");
    Ok(())
}
