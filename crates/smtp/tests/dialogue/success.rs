//! NOTIFY=SUCCESS (RFC 3461): who hears of what is delivered here, and of what not.

use postrider_meta::command::{Change, SetDomain};
use postrider_meta::{QuotaLimit, ReadAt, query};
use postrider_smtp::{Role, SuccessNotices};

use crate::lists::{list, queue};
use crate::world::{Dialogue, World, domain};

const ANN: &str = "ann@example.test";
const BOB: &str = "bob@example.test";

async fn world() -> World {
    let mut world = World::new().await;
    world.sends = true;
    world.settings.success_notices = SuccessNotices::Everyone;
    world
}

/// Sends a message of ann's to recipients with parameters; what is said at its end.
async fn send(client: &mut Dialogue, from: &str, to: &[(&str, &str)], replies: &[u16]) {
    client
        .say(&format!("MAIL FROM:<{from}> ENVID=e+2B1"), "250")
        .await;
    for (to, parameters) in to {
        client
            .say(&format!("RCPT TO:<{to}> {parameters}"), "250")
            .await;
    }
    client.say("DATA", "354").await;
    let padding = "x".repeat(3000);
    client
        .send(format!("Subject: seen\r\n\r\n{padding}\r\n.\r\n"))
        .await;
    for code in replies {
        client.expect(*code).await;
    }
}

/// The messages in an INBOX, whole.
async fn inbox(world: &World, account: &str) -> Vec<String> {
    let mails = world.inbox(account).await.into_iter();
    mails
        .map(|mail| mail.prefix + &String::from_utf8_lossy(&mail.body))
        .collect()
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn one_notice_tells_of_all_who_got_it() {
    let world = world().await;
    let mut client = world.connect(Role::Mx).await;
    let hello = client.say("EHLO x", "250").await;
    assert!(hello.contains("DSN"), "{hello}");
    let to = [
        (BOB, "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@old.test"),
        ("info@example.test", "NOTIFY=SUCCESS"),
    ];
    send(&mut client, ANN, &to, &[250]).await;
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    assert_eq!(mails.len(), 2, "the message by the alias, and one notice");
    assert_holds(
        &mails[1],
        &[
            "Return-Path: <>\r\nDelivered-To: ann@example.test\r\nReceived: by mail.example.test",
            "Original-Envelope-Id: e+1\r\n",
            "Original-Recipient: rfc822; bob+x@old.test\r\n",
            "Final-Recipient: rfc822; bob@example.test\r\nAction: delivered\r\nStatus: 2.0.0",
            "Final-Recipient: rfc822; info@example.test\r\nAction: delivered",
            "Subject: seen\r\n",
        ],
    );
    assert!(!mails[1].contains("xxx"), "the content does not go back");
    assert_eq!(inbox(&world, BOB).await.len(), 1);
}

#[tokio::test]
async fn who_does_not_ask_hears_nothing() {
    let world = world().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    for notify in ["", "NOTIFY=NEVER", "NOTIFY=FAILURE,DELAY"] {
        send(&mut client, ANN, &[(BOB, notify)], &[250]).await;
    }
    // Nobody is told of a notice, nor where the sender is none here.
    let to = [(BOB, "NOTIFY=SUCCESS")];
    send(&mut client, "", &to, &[250]).await;
    send(&mut client, "nobody@example.test", &to, &[250]).await;
    client.quit().await;
    assert!(inbox(&world, ANN).await.is_empty());
    assert_eq!(inbox(&world, BOB).await.len(), 5);
}

#[tokio::test]
async fn a_group_is_told_to_be_expanded_and_its_members_are_not() {
    let world = world().await;
    world
        .group("team@example.test", &[BOB, "carl@far.test"], false)
        .await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    let to = [("team@example.test", "NOTIFY=SUCCESS,FAILURE")];
    send(&mut client, ANN, &to, &[250]).await;
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    assert_eq!(mails.len(), 1);
    assert_holds(
        &mails[0],
        &["Final-Recipient: rfc822; team@example.test\r\nAction: expanded"],
    );
    for member in [BOB, "carl@far.test"] {
        assert!(!mails[0].contains(member), "{}", mails[0]);
    }
    let question = query::Queued {
        ids: vec![postrider_types::QueueId(1)],
    };
    let (queued, _) = world.meta.ask(question, ReadAt::Latest).await.unwrap();
    let notify = queued[0].as_ref().unwrap().recipients[0].notify.unwrap();
    assert!(!notify.success && notify.failure, "{notify:?}");
}

#[tokio::test]
async fn a_sender_elsewhere_is_told_by_mail() {
    let world = world().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    send(
        &mut client,
        "dora@far.test",
        &[(BOB, "NOTIFY=SUCCESS")],
        &[250],
    )
    .await;
    client.quit().await;
    let question = query::Queued {
        ids: vec![postrider_types::QueueId(1)],
    };
    let (queued, _) = world.meta.ask(question, ReadAt::Latest).await.unwrap();
    let queued = queued[0].as_ref().unwrap();
    assert_eq!(queued.envelope.reverse_path, "");
    assert_eq!(queued.destination, "far.test");
    assert_eq!(queued.recipients[0].address, "dora@far.test");
}

#[tokio::test]
async fn who_names_a_list_or_an_internal_group_as_sender_does_not_reach_it() {
    let world = world().await;
    world.group("staff@example.test", &[BOB], true).await;
    list(&world, "news@example.test", &[BOB, "carl@far.test"], false).await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    for from in ["staff@example.test", "news@example.test"] {
        send(&mut client, from, &[(ANN, "NOTIFY=SUCCESS")], &[250]).await;
    }
    client.quit().await;
    assert_eq!(inbox(&world, ANN).await.len(), 2);
    assert!(inbox(&world, BOB).await.is_empty());
    let (stats, _) = world
        .meta
        .ask(query::QueueStats {}, ReadAt::Latest)
        .await
        .unwrap();
    assert_eq!(stats.entries, 0);
}

#[tokio::test]
async fn notices_of_success_do_not_exceed_a_quota() {
    let world = world().await;
    let quota = QuotaLimit {
        bytes: Some(4000),
        messages: None,
    };
    world.add_account("small@example.test", quota).await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    for _ in 0..6 {
        let to = [(BOB, "NOTIFY=SUCCESS")];
        send(&mut client, "small@example.test", &to, &[250]).await;
    }
    client.quit().await;
    let mails = inbox(&world, "small@example.test").await;
    let size: usize = mails.iter().map(String::len).sum();
    assert!(!mails.is_empty() && size <= 4000, "{size}");
    assert_eq!(inbox(&world, BOB).await.len(), 6);
}

#[tokio::test]
async fn what_a_list_refuses_is_no_success_though_its_member_has_it() {
    let world = world().await;
    list(&world, "news@example.test", &[BOB], false).await;
    let mut client = world.connect(Role::Lmtp).await;
    client.say("LHLO x", "250").await;
    client.say(&format!("MAIL FROM:<{ANN}>"), "250").await;
    for to in ["news@example.test", BOB] {
        client
            .say(&format!("RCPT TO:<{to}> NOTIFY=SUCCESS"), "250")
            .await;
    }
    client.say("DATA", "354").await;
    client
        .send("Auto-Submitted: auto-replied\r\n\r\nAway.\r\n.\r\n")
        .await;
    for code in [550, 250] {
        client.expect(code).await;
    }
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    assert_eq!(mails.len(), 1);
    assert!(!mails[0].contains("news@"), "{}", mails[0]);
    assert_eq!(inbox(&world, BOB).await.len(), 1);
}

#[tokio::test]
async fn over_lmtp_only_those_who_got_it_are_told_of() {
    let world = world().await;
    let quota = QuotaLimit {
        bytes: Some(2000),
        messages: None,
    };
    world.add_account("small@example.test", quota).await;
    let mut client = world.connect(Role::Lmtp).await;
    let hello = client.say("LHLO front.example.test", "250").await;
    assert!(hello.contains("DSN"), "{hello}");
    let to = [
        ("small@example.test", "NOTIFY=SUCCESS"),
        (BOB, "NOTIFY=SUCCESS"),
    ];
    send(&mut client, ANN, &to, &[552, 250]).await;
    send(&mut client, ANN, &to[..1], &[552]).await;
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    assert_eq!(mails.len(), 1);
    assert_holds(
        &mails[0],
        &["Final-Recipient: rfc822; bob@example.test\r\nAction: delivered"],
    );
    assert!(!mails[0].contains("small@"), "{}", mails[0]);
}

#[tokio::test]
async fn strangers_hear_nothing_by_default_and_have_nothing_sent() {
    let mut world = world().await;
    world.settings.success_notices = SuccessNotices::Users;
    world.alias("away@example.test", &["carl@far.test"]).await;
    let mut client = world.connect(Role::Mx).await;
    let hello = client.say("EHLO x", "250").await;
    assert!(hello.contains("DSN"), "failures are told: {hello}");
    let to = [
        (BOB, "NOTIFY=SUCCESS,FAILURE"),
        ("away@example.test", "NOTIFY=SUCCESS,FAILURE"),
    ];
    send(&mut client, "victim@elsewhere.example", &to, &[250]).await;
    let to = [("away@example.test", "NOTIFY=SUCCESS")];
    send(&mut client, "victim@elsewhere.example", &to, &[250]).await;
    client.quit().await;
    assert_eq!(inbox(&world, BOB).await.len(), 1);
    let entries = queue(&world).await;
    let notify = entries.iter().map(|it| it.recipients[0].notify.unwrap());
    let asked: Vec<_> = notify.map(|it| (it.success, it.failure)).collect();
    assert_eq!(
        asked,
        [(false, true), (false, false)],
        "no notice among them"
    );
}

#[tokio::test]
async fn a_trusted_client_is_told_inside_a_domain_that_is_internal() {
    let mut world = world().await;
    world.settings.success_notices = SuccessNotices::Users;
    world.settings.trusted_networks = vec!["192.0.2.0/24".parse().unwrap()];
    world
        .run(SetDomain {
            name: domain("example.test"),
            internal: Change::Set(true),
            catch_all: Change::Keep,
            relay: Change::Keep,
        })
        .await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    send(&mut client, ANN, &[(BOB, "NOTIFY=SUCCESS")], &[250]).await;
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    assert_eq!(mails.len(), 1);
    assert_holds(&mails[0], &["Action: delivered"]);
}

#[tokio::test]
async fn little_of_a_long_header_comes_back() {
    let world = world().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO x", "250").await;
    client.say(&format!("MAIL FROM:<{ANN}>"), "250").await;
    let to = format!("RCPT TO:<{BOB}> NOTIFY=SUCCESS");
    client.say(&to, "250").await;
    let field = format!("X-Words: {}\r\n", "buy ".repeat(20));
    client.data(&(field.repeat(200) + "\r\n"), "250").await;
    client.quit().await;
    let mails = inbox(&world, ANN).await;
    let foreign = mails[0].matches("buy ").count() * 4;
    assert!((1..=4096).contains(&foreign), "{foreign}");
}
