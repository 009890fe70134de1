//! Mail that comes back: aliases and groups do not forward it twice.

use postrider_smtp::Role;

use crate::lists::queue;
use crate::submission::{logged_in, loopback};
use crate::world::World;

const SUE: &str = "sue@elsewhere.example";
const TEAM: &str = "team@example.test";

/// A group with two members outside, and an alias of it and ann.
async fn world() -> World {
    with_group(World::new().await).await
}

async fn with_group(mut world: World) -> World {
    world.sends = true;
    let members = ["carl@far.test", "dora@other.test"];
    world.group(TEAM, &members, false).await;
    let both = ["ann@example.test", TEAM];
    world.alias("desk@example.test", &both).await;
    world
}

/// Sends a message from outside; what is said at its end.
async fn post(world: &World, to: &[&str], content: &str, reply: &str) -> String {
    let mut client = world.connect(Role::Mx).await;
    client.open(SUE, to).await;
    let said = client.data(content, reply).await;
    client.quit().await;
    said
}

#[tokio::test]
async fn what_members_send_back_to_their_group_ends_there() {
    let world = world().await;
    let content = "Subject: round\r\n\r\nx\r\n";
    post(&world, &[TEAM], content, "250").await;
    let copies = queue(&world).await;
    assert_eq!(copies.len(), 2);
    for copy in &copies {
        let prefix = std::str::from_utf8(&copy.prefix).unwrap();
        let start = "Delivered-To: team@example.test\r\nReceived: ";
        assert!(prefix.starts_with(start), "{prefix}");
        assert_eq!(copy.size, (prefix.len() + content.len()) as u64);
        let back = format!("{prefix}{content}");
        let said = post(&world, &[TEAM], &back, "554 5.4.6").await;
        assert!(said.contains(TEAM), "{said}");
    }
    assert_eq!(queue(&world).await.len(), 2, "none went round");
    world.check().await;
}

#[tokio::test]
async fn a_copy_names_what_was_asked_for_and_what_forwards() {
    let world = world().await;
    post(&world, &["desk@example.test"], "Subject: x\r\n\r\n", "250").await;
    let copies = queue(&world).await;
    assert_eq!(copies.len(), 2);
    let prefix = String::from_utf8(copies[0].prefix.to_vec()).unwrap();
    let start = "Delivered-To: team@example.test\r\nDelivered-To: desk@example.test\r\nReceived: ";
    assert!(prefix.starts_with(start), "{prefix}");
    for back in ["desk@example.test", TEAM] {
        post(&world, &[back], &format!("{prefix}\r\n"), "554 5.4.6").await;
    }
    // Those for whom it is no loop get it again.
    let back = format!("{prefix}\r\n");
    post(&world, &["ann@example.test"], &back, "250").await;
    assert_eq!(queue(&world).await.len(), 2);
    assert_eq!(world.inbox("ann@example.test").await.len(), 2);
    world.check().await;
}

#[tokio::test]
async fn whoever_is_told_of_a_loop_is_told_for_all_but_over_lmtp() {
    let world = world().await;
    let content = format!("Delivered-To: {TEAM}\r\n\r\n");
    let to = ["bob@example.test", TEAM];
    post(&world, &to, &content, "554 5.4.6").await;
    assert!(world.inbox("bob@example.test").await.is_empty());
    let mut client = world.connect(Role::Lmtp).await;
    client.say("LHLO x", "250").await;
    client.envelope(SUE, &to).await;
    client.data(&content, "250").await;
    client.expect(554).await;
    client.quit().await;
    assert_eq!(world.inbox("bob@example.test").await.len(), 1);
    assert!(queue(&world).await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn only_those_behind_a_group_see_its_name() {
    let world = with_group(loopback().await).await;
    let mut client = logged_in(&world).await;
    let to = [TEAM, "eve@far.test"];
    client.envelope("ann@example.test", &to).await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    for copy in queue(&world).await {
        let prefix = String::from_utf8(copy.prefix.to_vec()).unwrap();
        let direct = copy.recipients.iter().any(|it| it.address == to[1]);
        assert_eq!(copy.recipients.len(), 1);
        assert_ne!(prefix.contains("Delivered-To"), direct, "{prefix}");
    }
}

#[tokio::test]
async fn a_mailbox_takes_what_it_had_before() {
    let world = world().await;
    let to = ["ann@example.test", "bob@example.test"];
    let content = "Delivered-To: Ann@example.test\r\n\r\nx\r\n";
    post(&world, &to, content, "250").await;
    post(&world, &to[..1], content, "250").await;
    assert_eq!(world.inbox(to[0]).await.len(), 2);
    assert_eq!(world.inbox(to[1]).await.len(), 1);
    world.check().await;
}
