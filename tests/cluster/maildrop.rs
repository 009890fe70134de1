//! A POP3 session on one node while IMAP works on the same mailbox on another.

use postrider_tests::Plan;

use crate::{ALICE, count, deliver, inbox, message, pop3, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maildrop_keeps_its_numbers_while_imap_expunges_elsewhere() -> anyhow::Result<()> {
    let turn = start(Plan::default()).await?;
    let cluster = &turn.cluster;
    let at = |place: usize| cluster.node(place).addresses();
    for number in 1..=5 {
        deliver(at(0), ALICE, &message(&format!("number {number}"), "x")).await?;
    }
    let mut maildrop = pop3(at(0), ALICE).await?;
    let stat = maildrop.ok("STAT").await?;
    let list = maildrop.lines("LIST").await?;
    let names = maildrop.lines("UIDL").await?;
    assert_eq!(names.len(), 5);

    let mut imap = inbox(at(1), ALICE).await?;
    imap.run("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
        .await?
        .ok()?;
    imap.run("EXPUNGE").await?.ok()?;
    deliver(at(2), ALICE, &message("number 6", "x")).await?;

    // RFC 1939 §8: the maildrop is as it was when the session began.
    assert_eq!(maildrop.ok("STAT").await?, stat);
    assert_eq!(maildrop.lines("LIST").await?, list);
    assert_eq!(maildrop.lines("UIDL").await?, names);
    for number in [1, 3, 5] {
        let text = maildrop.lines(&format!("RETR {number}")).await?;
        assert!(
            text.contains(&format!("Subject: number {number}")),
            "{text:?}"
        );
    }
    // What is gone cannot be read, and is refused rather than taken for another.
    for number in [2, 4] {
        let answer = maildrop.run(&format!("RETR {number}")).await?;
        assert!(answer.starts_with("-ERR"), "{answer}");
    }
    for number in [1, 2] {
        maildrop.ok(&format!("DELE {number}")).await?;
    }
    maildrop.ok("QUIT").await?;

    // Number 1 is deleted, nothing else: 3, 5 and 6 are left on every node.
    for place in 0..3 {
        let mut imap = inbox(at(place), ALICE).await?;
        let left = imap
            .run("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            .await?
            .ok()?;
        let subjects: Vec<bool> = ["number 3", "number 5", "number 6"]
            .iter()
            .zip(&left.untagged)
            .map(|(subject, line)| line.contains(subject))
            .collect();
        assert_eq!(
            (left.untagged.len(), subjects),
            (3, vec![true; 3]),
            "{left:?}"
        );
        let mut again = pop3(at(place), ALICE).await?;
        let again = again.lines("UIDL").await?;
        let name = |line: &String| line.split(' ').nth(1).map(str::to_owned);
        assert_eq!(name(&again[0]), name(&names[2]));
        assert_eq!(name(&again[1]), name(&names[4]));
    }
    // A session that breaks off deletes nothing, whichever node it was on.
    let mut broken = pop3(at(2), ALICE).await?;
    broken.ok("DELE 1").await?;
    drop(broken);
    assert_eq!(count(at(0), ALICE).await?, 3);
    turn.cluster.finish().await
}
