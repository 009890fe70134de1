//! Users: logins, whose address, missing fields.

use postrider_meta::command::Change;
use postrider_smtp::Role;

use crate::world::{Dialogue, PASSWORD, World, addr};

/// base64 of `\0ann@example.test\0correct horse`, and a wrong one.
const ANN: &str = "AGFubkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ==";
const WRONG: &str = "AGFubkBleGFtcGxlLnRlc3QAd3Jvbmc=";
/// base64 of `bob@example.test\0ann@example.test\0correct horse`.
const ANN_AS_BOB: &str = "Ym9iQGV4YW1wbGUudGVzdABhbm5AZXhhbXBsZS50ZXN0AGNvcnJlY3QgaG9yc2U=";

pub(crate) async fn loopback() -> World {
    assert_eq!(PASSWORD, "correct horse");
    let mut world = World::new().await;
    world.peer = "127.0.0.1".parse().unwrap();
    world.settings.plain_login_from_loopback = true;
    world
}

pub(crate) async fn logged_in(world: &World) -> Dialogue {
    let mut client = world.connect(Role::Submission).await;
    let ehlo = client.say("EHLO [127.0.0.1]", "250").await;
    assert!(ehlo.contains("AUTH PLAIN LOGIN"), "{ehlo}");
    client.say(&format!("AUTH PLAIN {ANN}"), "235 2.7.0").await;
    client
}

#[tokio::test]
async fn no_login_without_tls_and_no_mail_without_login() {
    let world = World::new().await;
    let mut client = world.connect(Role::Submission).await;
    client.say(&format!("AUTH PLAIN {ANN}"), "503 5.5.1").await;
    let ehlo = client.say("EHLO client.example.org", "250").await;
    assert!(!ehlo.contains("AUTH"), "{ehlo}");
    assert!(ehlo.contains("STARTTLS"), "{ehlo}");
    client.say(&format!("AUTH PLAIN {ANN}"), "538 5.7.11").await;
    client
        .say("MAIL FROM:<ann@example.test>", "530 5.7.0")
        .await;
    client.quit().await;
}

#[tokio::test]
async fn all_forms_of_login() {
    let world = loopback().await;
    for lines in [
        vec![(format!("AUTH PLAIN {ANN}"), "235")],
        vec![("auth plain".into(), "334 "), (ANN.into(), "235")],
        vec![
            ("AUTH LOGIN".into(), "334 VXNlcm5hbWU6"),
            ("YW5uQGV4YW1wbGUudGVzdA==".into(), "334 UGFzc3dvcmQ6"),
            ("Y29ycmVjdCBob3JzZQ==".into(), "235"),
        ],
    ] {
        let mut client = world.connect(Role::Submission).await;
        client.say("EHLO client.example.org", "250").await;
        for (line, reply) in lines {
            client.say(&line, reply).await;
        }
        client.say(&format!("AUTH PLAIN {ANN}"), "503 5.5.1").await;
        client.say("MAIL FROM:<ann@example.test>", "250").await;
        client.quit().await;
    }
}

#[tokio::test]
async fn failed_logins_are_told_and_counted() {
    let world = loopback().await;
    let mut client = world.connect(Role::Submission).await;
    client.say("EHLO client.example.org", "250").await;
    client.say("AUTH CRAM-MD5", "504 5.5.4").await;
    client.say("AUTH PLAIN !!!", "501 5.5.2").await;
    client.say("AUTH PLAIN", "334").await;
    client.say("*", "501 5.7.0").await;
    client.say("AUTH LOGIN", "334").await;
    client.say(&"A".repeat(14_000), "500 5.5.6").await;
    client
        .say(&format!("AUTH PLAIN {}", "A".repeat(12_000)), "501 5.5.2")
        .await;
    client
        .say(&format!("AUTH PLAIN {ANN_AS_BOB}"), "535 5.7.8")
        .await;
    for _ in 0..3 {
        client
            .say(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8")
            .await;
    }
    client
        .say(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8")
        .await;
    client.expect(421).await;
    client.closed().await;
}

#[tokio::test]
async fn a_suspended_account_is_told_so() {
    let world = loopback().await;
    world
        .run(postrider_meta::command::SetAccount {
            address: addr("ann@example.test"),
            verifier: Change::Keep,
            quota: Change::Keep,
            expires: Change::Keep,
            state: Change::Set(postrider_meta::AccountState::Suspended),
        })
        .await;
    let mut client = world.connect(Role::Submission).await;
    client.say("EHLO client.example.org", "250").await;
    client.say(&format!("AUTH PLAIN {ANN}"), "525 5.7.13").await;
    client
        .say(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8")
        .await;
    client.quit().await;
}

#[tokio::test]
async fn users_send_as_themselves() {
    let world = loopback().await;
    let mut client = logged_in(&world).await;
    for (from, reply) in [
        ("bob@example.test", "553 5.7.1"),
        ("ann@elsewhere.example", "553 5.7.1"),
        ("ann@[127.0.0.1]", "553 5.7.1"),
        ("ann@example.test", "250"),
        ("ANN@example.test", "250"),
        ("ann+list@example.test", "250"),
        ("info@example.test", "250"),
        ("", "250"),
    ] {
        client.say(&format!("MAIL FROM:<{from}>"), reply).await;
        client.say("RSET", "250").await;
    }
    client.say("MAIL FROM:<ann@example.test>", "250").await;
    client
        .say("RCPT TO:<x@elsewhere.example>", "554 5.3.3")
        .await;
    client.quit().await;
    world.check().await;
}

#[tokio::test]
async fn missing_date_and_message_id_are_added() {
    let world = loopback().await;
    let mut client = logged_in(&world).await;
    client
        .envelope("ann@example.test", &["bob@example.test"])
        .await;
    client.data("Subject: x\r\n\r\nhello\r\n", "250").await;
    client
        .envelope("ann@example.test", &["bob@example.test"])
        .await;
    client
        .data("Date: mine\r\nMessage-ID: <mine@x>\r\n\r\nhello\r\n", "250")
        .await;
    client.quit().await;
    let inbox = world.inbox("bob@example.test").await;
    let body = String::from_utf8(inbox[0].body.clone()).unwrap();
    assert!(body.starts_with("Subject: x\r\nDate: "), "{body}");
    assert!(body.contains(" +0000\r\nMessage-ID: <"), "{body}");
    assert!(
        body.ends_with("@mail.example.test>\r\n\r\nhello\r\n"),
        "{body}"
    );
    assert!(
        inbox[0].prefix.contains("with ESMTPA id"),
        "{}",
        inbox[0].prefix
    );
    assert_eq!(
        inbox[1].body,
        b"Date: mine\r\nMessage-ID: <mine@x>\r\n\r\nhello\r\n"
    );
    world.check().await;
}

#[tokio::test]
async fn mail_from_other_servers_is_left_alone() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["bob@example.test"]).await;
    client.data("Subject: x\r\n\r\nhello\r\n", "250").await;
    client.quit().await;
    assert_eq!(
        world.inbox("bob@example.test").await[0].body,
        b"Subject: x\r\n\r\nhello\r\n"
    );
}

#[tokio::test]
async fn trusted_networks_submit_without_login() {
    let mut world = World::new().await;
    world.settings.trusted_networks = vec!["192.0.2.7".parse().unwrap()];
    let mut client = world.connect(Role::Submission).await;
    client
        .open("printer@example.test", &["bob@example.test"])
        .await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    let body = String::from_utf8(world.inbox("bob@example.test").await[0].body.clone()).unwrap();
    assert!(body.contains("Message-ID:"), "{body}");
    world.check().await;
}

#[tokio::test]
async fn a_group_counts_whole_or_not_at_all() {
    let mut world = loopback().await;
    world.sends = true;
    world.settings.max_sent_recipients_per_hour = 4;
    let members = [
        "a@far.test",
        "b@far.test",
        "c@far.test",
        "d@far.test",
        "e@far.test",
    ];
    world
        .group("three@example.test", &members[..3], false)
        .await;
    world.group("five@example.test", &members, false).await;
    let mut client = logged_in(&world).await;
    client.say("MAIL FROM:<ann@example.test>", "250").await;
    // That can never be.
    let never = client.say("RCPT TO:<five@example.test>", "550 5.5.3").await;
    assert!(never.contains("more recipients than the 4"), "{never}");
    client.say("RCPT TO:<three@example.test>", "250").await;
    // Not now; and what was refused leaves room for what fits.
    client
        .say("RCPT TO:<three@example.test>", "450 4.7.1")
        .await;
    client.say("RCPT TO:<bob@example.test>", "250").await;
    client.say("RCPT TO:<x@far.test>", "450 4.7.1").await;
    client.quit().await;
}
