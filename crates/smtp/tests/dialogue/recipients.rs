//! Who receives: aliases, groups, plus details, postmaster, refusals.

use std::time::Duration;

use postrider_meta::QuotaLimit;
use postrider_meta::command::{Change, CreateMailbox, SetAccount, SetDomain};
use postrider_smtp::Role;
use postrider_types::{Clock, SystemClock};

use crate::world::{World, addr, domain};

#[tokio::test]
async fn a_message_arrives_with_its_trace() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("Sue@Elsewhere.example", &["Ann@Example.test"])
        .await;
    let reply = client
        .data("Subject: hi\r\n\r\n..dot\r\n", "250 2.0.0 accepted as ")
        .await;
    client.quit().await;

    let inbox = world.inbox("ann@example.test").await;
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].body, b"Subject: hi\r\n\r\n.dot\r\n");
    let prefix = &inbox[0].prefix;
    let id = reply.rsplit(' ').next().unwrap();
    let start = format!(
        "Return-Path: <Sue@elsewhere.example>\r\nDelivered-To: ann@example.test\r\n\
         Received: from client.example.org ([192.0.2.7])\r\n\
         \tby mail.example.test with ESMTP id {id}\r\n\tfor <Ann@example.test>;\r\n\t"
    );
    assert!(prefix.starts_with(&start), "{prefix}");
    assert!(prefix.ends_with(" +0000\r\n"), "{prefix}");
    world.check().await;
}

#[tokio::test]
async fn bounces_have_the_null_sender() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.open("", &["ann@example.test"]).await;
    client.data("Subject: bounce\r\n\r\n", "250").await;
    client.quit().await;
    assert!(
        world.inbox("ann@example.test").await[0]
            .prefix
            .starts_with("Return-Path: <>\r\n")
    );
    world.check().await;
}

#[tokio::test]
async fn aliases_groups_and_duplicates_merge() {
    let world = World::new().await;
    world
        .group(
            "all@example.test",
            &["ann@example.test", "bob@example.test"],
            false,
        )
        .await;
    let mut client = world.connect(Role::Mx).await;
    let to = [
        "info@example.test",
        "all@example.test",
        "ann@example.test",
        "ann@example.test",
    ];
    client.open("sue@elsewhere.example", &to).await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    for account in ["ann@example.test", "bob@example.test"] {
        let inbox = world.inbox(account).await;
        assert_eq!(inbox.len(), 1, "{account}");
        assert!(!inbox[0].prefix.contains("for <"), "{}", inbox[0].prefix);
    }
    world.check().await;
}

#[tokio::test]
async fn a_plus_detail_names_the_mailbox() {
    let world = World::new().await;
    let ann = world.meta.ask(
        postrider_meta::query::Account {
            address: addr("ann@example.test"),
        },
        postrider_meta::ReadAt::Latest,
    );
    let account = ann.await.unwrap().0.unwrap().id;
    world
        .run(CreateMailbox {
            account,
            name: "shop".into(),
            special_use: None,
        })
        .await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["ann+shop@example.test"])
        .await;
    client.data("Subject: 1\r\n\r\n", "250").await;
    client
        .envelope("sue@elsewhere.example", &["ann+none@example.test"])
        .await;
    client.data("Subject: 2\r\n\r\n", "250").await;
    client.quit().await;
    let shop = world.mailbox("ann@example.test", "shop").await;
    assert_eq!(shop.len(), 1);
    assert!(
        shop[0]
            .prefix
            .contains("Delivered-To: ann+shop@example.test\r\n")
    );
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_refused_at_rcpt() {
    let world = World::new().await;
    world
        .group("inner@example.test", &["ann@example.test"], true)
        .await;
    world
        .alias("round@example.test", &["about@example.test"])
        .await;
    world
        .alias("about@example.test", &["round@example.test"])
        .await;
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &[]).await;
    for (to, reply) in [
        ("nobody@example.test", "550 5.1.1"),
        ("x@elsewhere.example", "554 5.7.1 relay not permitted"),
        ("x@[203.0.113.1]", "554 5.7.1 relay not permitted"),
        ("ann%elsewhere.example@example.test", "550 5.1.1"),
        ("\"a b\"@example.test", "550 5.1.1"),
        ("inner@example.test", "550 5.7.1"),
        ("round@example.test", "550 5.4.0"),
        ("ünn@example.test", "553 5.6.7"),
        ("ann@", "501 5.1.3"),
    ] {
        client.say(&format!("RCPT TO:<{to}>"), reply).await;
    }
    client.say("DATA", "554 5.5.1").await;
    client.say("RSET", "250").await;
    client.say("DATA", "503 5.5.1").await;
    client.quit().await;
    world.check().await;
}

#[tokio::test]
async fn trusted_networks_reach_inside_but_not_outside_yet() {
    let mut world = World::new().await;
    world
        .group("inner@example.test", &["ann@example.test"], true)
        .await;
    world.settings.trusted_networks = vec!["192.0.2.0/24".parse().unwrap()];
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["inner@example.test"])
        .await;
    client
        .say("RCPT TO:<x@elsewhere.example>", "554 5.3.3")
        .await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn postmaster_is_always_there() {
    let mut world = World::new().await;
    let forms = [
        "postmaster",
        "PostMaster",
        "postmaster@example.test",
        "postmaster@[198.51.100.1]",
    ];
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &[]).await;
    for form in forms {
        client.say(&format!("RCPT TO:<{form}>"), "550 5.1.1").await;
    }
    client.quit().await;

    // The settings name one.
    world.settings.postmaster = Some(addr("bob@example.test"));
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &forms).await;
    client
        .say("RCPT TO:<postmaster@[203.0.113.1]>", "554 5.7.1")
        .await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    assert_eq!(world.inbox("bob@example.test").await.len(), 1);

    // A domain's own comes first; `<postmaster>` finds it without settings.
    world
        .alias("postmaster@example.test", &["ann@example.test"])
        .await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["postmaster@example.test"])
        .await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    world.settings.postmaster = None;
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &["postmaster"]).await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 2);
    world.check().await;
}

#[tokio::test]
async fn quotas_are_told_at_rcpt_and_at_the_end() {
    let world = World::new().await;
    let quota = |bytes| QuotaLimit {
        bytes: Some(bytes),
        messages: None,
    };
    world.add_account("small@example.test", quota(2000)).await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    // Told by SIZE: never fits.
    client.say("MAIL FROM:<a@b.example> SIZE=5000", "250").await;
    client
        .say("RCPT TO:<small@example.test>", "552 5.2.2")
        .await;
    client.say("RSET", "250").await;
    // Not told: found out at the end.
    let big = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(3000));
    client
        .envelope("a@b.example", &["small@example.test"])
        .await;
    client.data(&big, "552 5.2.2").await;
    // With others under the same reply it is delivered beyond the limit.
    client
        .envelope("a@b.example", &["small@example.test", "ann@example.test"])
        .await;
    client.data(&big, "250").await;
    assert_eq!(world.inbox("small@example.test").await.len(), 1);
    // Full now.
    client.say("MAIL FROM:<a@b.example>", "250").await;
    client
        .say("RCPT TO:<small@example.test>", "452 4.2.2")
        .await;
    client.quit().await;
    assert_eq!(world.inbox("small@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn who_was_accepted_gets_the_message_though_the_mailbox_filled_up() {
    let world = World::new().await;
    let one = QuotaLimit {
        bytes: None,
        messages: Some(1),
    };
    world.add_account("small@example.test", one).await;
    world
        .group(
            "team@example.test",
            &["small@example.test", "bob@example.test"],
            false,
        )
        .await;
    let mut first = world.connect(Role::Mx).await;
    let both = ["small@example.test", "ann@example.test"];
    first.open("sue@elsewhere.example", &both).await;
    let mut second = world.connect(Role::Lmtp).await;
    second.say("LHLO client.example.org", "250").await;
    second
        .envelope("sue@elsewhere.example", &["team@example.test"])
        .await;
    let mut alone = world.connect(Role::Mx).await;
    alone
        .open("sue@elsewhere.example", &["small@example.test"])
        .await;
    // The last place goes to another session.
    let mut other = world.connect(Role::Mx).await;
    other
        .open("sue@elsewhere.example", &["small@example.test"])
        .await;
    other.data("Subject: 1\r\n\r\n", "250").await;
    first.data("Subject: 2\r\n\r\n", "250").await;
    second.data("Subject: 3\r\n\r\n", "250").await;
    // This one's sender can be told.
    alone.data("Subject: 4\r\n\r\n", "552 5.2.2").await;
    for client in [first, second, alone, other] {
        client.quit().await;
    }
    let inbox = world.inbox("small@example.test").await;
    let subjects = inbox.iter().map(|mail| mail.body.as_slice());
    assert!(
        subjects.eq([
            &b"Subject: 1\r\n\r\n"[..],
            b"Subject: 2\r\n\r\n",
            b"Subject: 3\r\n\r\n"
        ]),
        "{inbox:?}"
    );
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    assert_eq!(world.inbox("bob@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn closed_accounts_and_internal_domains_refuse() {
    let world = World::new().await;
    world
        .run(SetAccount {
            address: addr("bob@example.test"),
            verifier: Change::Keep,
            quota: Change::Keep,
            expires: Change::Set(Some(SystemClock.now().before(Duration::from_secs(10)))),
            state: Change::Keep,
        })
        .await;
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &[]).await;
    client.say("RCPT TO:<bob@example.test>", "550 5.2.1").await;
    world
        .run(SetDomain {
            name: domain("example.test"),
            internal: Change::Set(true),
            catch_all: Change::Keep,
            relay: Change::Keep,
        })
        .await;
    client.say("RCPT TO:<ann@example.test>", "550 5.7.1").await;
    client.quit().await;
    world.check().await;
}

#[tokio::test]
async fn an_account_that_closes_before_the_end_is_told() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["bob@example.test"])
        .await;
    world
        .run(postrider_meta::command::RemoveAccount {
            address: addr("bob@example.test"),
        })
        .await;
    let reply = client.data("Subject: x\r\n\r\n", "550 5.").await;
    assert!(
        reply.starts_with("550 5.2.1") || reply.starts_with("550 5.1.1"),
        "{reply}"
    );
    client.quit().await;
    world.check().await;
}

#[tokio::test]
async fn utf8_addresses_need_the_parameter() {
    let world = World::new().await;
    world
        .add_account("jürgen@example.test", QuotaLimit::default())
        .await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client
        .say("MAIL FROM:<süe@elsewhere.example>", "550 5.6.7")
        .await;
    client
        .say("MAIL FROM:<süe@elsewhere.example> SMTPUTF8", "250")
        .await;
    client.say("RCPT TO:<jürgen@example.test>", "250").await;
    client.data("Subject: grüße\r\n\r\n", "250").await;
    client.quit().await;
    let inbox = world.inbox("jürgen@example.test").await;
    assert!(
        inbox[0].prefix.contains("with UTF8SMTP id"),
        "{}",
        inbox[0].prefix
    );
    world.check().await;
}

#[tokio::test]
async fn what_went_through_too_many_servers_is_refused() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["ann@example.test"])
        .await;
    let hops = "Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n".repeat(51);
    client.data(&format!("{hops}\r\nx\r\n"), "554 5.4.6").await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 0);
    world.check().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_a_temporary_failure() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", &[]).await;
    world.set_away(true);
    client.say("RCPT TO:<ann@example.test>", "451 4.3.0").await;
    world.set_away(false);
    client.say("RCPT TO:<ann@example.test>", "250").await;
    client.say("DATA", "354").await;
    client.send("Subject: x\r\n\r\n").await;
    world.set_away(true);
    client.say(".", "451 4.3.0").await;
    world.set_away(false);
    client.quit().await;
    assert!(world.inbox("ann@example.test").await.is_empty());
    world.check().await;
}
