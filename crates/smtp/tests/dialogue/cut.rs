//! Connections that are cut at any byte: nothing is half delivered, and what
//! was answered 250 is there.

use postrider_smtp::Role;

use crate::world::World;

const DIALOGUE: &str = "EHLO client.example.org\r\nMAIL FROM:<a@b.example>\r\n\
    RCPT TO:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nA: b\r\n\r\nc\r\n.\r\n\
    MAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.test>\r\nBDAT 6\r\nA: b\r\nBDAT 5 LAST\r\n\r\nc\r\nQUIT\r\n";

#[tokio::test]
async fn a_connection_closed_at_any_byte_leaves_whole_messages() {
    let world = World::new().await;
    let server = world.server(Role::Mx);
    let first = DIALOGUE.find("\r\n.\r\n").unwrap() + 5;
    let second = DIALOGUE.find("QUIT").unwrap();
    let mut expected = (0, 0);
    for at in 0..=DIALOGUE.len() {
        let mut client = world.attach(server.clone());
        client.send(&DIALOGUE[..at]).await;
        client.close_sending().await;
        let accepted = client.drain().await.matches("accepted as").count();
        assert_eq!(
            accepted,
            usize::from(at >= first) + usize::from(at >= second),
            "{at}"
        );
        expected.0 += accepted;
        expected.1 += accepted.min(1);
    }
    let (ann, bob) = (
        world.inbox("ann@example.test").await,
        world.inbox("bob@example.test").await,
    );
    assert_eq!((ann.len(), bob.len()), expected);
    assert!(
        ann.iter()
            .chain(&bob)
            .all(|m| m.body == b"A: b\r\n\r\nc\r\n")
    );
    world.check().await;
}

#[tokio::test]
async fn a_connection_reset_at_any_byte_leaves_whole_messages() {
    let world = World::new().await;
    let server = world.server(Role::Mx);
    for at in 0..=DIALOGUE.len() {
        let mut client = world.attach(server.clone());
        client.send(&DIALOGUE[..at]).await;
        client.cut().await;
    }
    let (ann, bob) = (
        world.inbox("ann@example.test").await,
        world.inbox("bob@example.test").await,
    );
    assert!(
        ann.iter()
            .chain(&bob)
            .all(|m| m.body == b"A: b\r\n\r\nc\r\n")
    );
    world.check().await;
}

#[tokio::test]
async fn every_split_of_the_dialogue_gives_the_same_replies() {
    let world = World::new().await;
    let server = world.server(Role::Mx);
    let codes = |text: &str| text.lines().map(|l| l[..4].to_owned()).collect::<Vec<_>>();
    let mut client = world.attach(server.clone());
    client.send(DIALOGUE).await;
    let whole = codes(&client.drain().await);
    assert_eq!(whole.last().map(String::as_str), Some("221 "));
    for step in [1, 2, 3, 5, 7, 11, 50] {
        let mut client = world.attach(server.clone());
        for piece in DIALOGUE.as_bytes().chunks(step) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(codes(&client.drain().await), whole, "step {step}");
    }
    world.check().await;
}

mod garbage {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_answered(
            commands in proptest::collection::vec(
                prop_oneof![
                    "(EHLO x|MAIL FROM:<a@b>|RCPT TO:<ann@example.test>|DATA|BDAT [0-9]{1,2}( LAST)?|RSET|\\.|STARTTLS|NOOP)",
                    "[ -~\\r\\n.]{0,30}",
                    any::<String>(),
                ],
                0..20,
            ),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let world = World::new().await;
                let mut client = world.connect_raw(Role::Mx);
                for command in commands {
                    client.line(&command).await;
                }
                client.cut().await;
                world.check().await;
            });
        }
    }
}
