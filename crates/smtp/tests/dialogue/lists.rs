//! Mailing lists: what their copies carry here and in the queue, and what they refuse.

use postrider_meta::command::{Change, ListChange, SetGroup};
use postrider_meta::{Notify, QueuedView, ReadAt, query};
use postrider_proto::smtp::{UnsubscribeKey, UnsubscribeLinks};
use postrider_smtp::{Role, SuccessNotices};
use postrider_types::QueueId;

use crate::world::{World, addr};

const FIELDS: &str = "List-Id: <news.example.test>\r\n\
     List-Post: <mailto:news@example.test>\r\n\
     List-Owner: <mailto:ann@example.test>\r\n\
     List-Help: <mailto:ann@example.test>\r\n\
     Precedence: list\r\n\
     Delivered-To: news@example.test\r\n";

/// A world that sends to others.
async fn world() -> World {
    let mut world = World::new().await;
    world.sends = true;
    world.settings.success_notices = SuccessNotices::Everyone;
    world
}

fn links() -> UnsubscribeLinks {
    UnsubscribeLinks {
        url: "https://mail.example.test".into(),
        key: UnsubscribeKey::new([2; 32]),
    }
}

/// A list of ann's.
pub(crate) async fn list(world: &World, name: &str, members: &[&str], unsubscribe: bool) {
    let set = SetGroup {
        address: addr(name),
        add: members.iter().map(|member| addr(member)).collect(),
        remove: Vec::new(),
        internal: Change::Keep,
        list: ListChange {
            on: Change::Set(true),
            owner: Change::Set(Some(addr("ann@example.test"))),
            unsubscribe: Change::Set(unsubscribe),
        },
        only_new: true,
    };
    world.run(set).await;
}

/// Sends a message from outside and expects this reply to it.
async fn post(world: &World, to: &[&str], content: &str, reply: &str) {
    let mut client = world.connect(Role::Mx).await;
    client.open("sue@elsewhere.example", to).await;
    client.data(content, reply).await;
    client.quit().await;
}

/// The entries of the queue in the order in which they came.
pub(crate) async fn queue(world: &World) -> Vec<QueuedView> {
    let ids = (1..=20).map(QueueId).collect();
    let question = query::Queued { ids };
    let (entries, _) = world.meta.ask(question, ReadAt::Latest).await.unwrap();
    entries.into_iter().flatten().collect()
}

/// What the link of a copy says.
fn left(prefix: &[u8]) -> Option<(String, String)> {
    let prefix = std::str::from_utf8(prefix).unwrap();
    let (_, link) = prefix.split_once("\r\nList-Unsubscribe: <")?;
    assert!(
        link.contains(">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"),
        "{prefix}"
    );
    let token = link.strip_prefix("https://mail.example.test/unsubscribe/");
    let (token, _) = token.unwrap().split_once('>').unwrap();
    let opened = links().key.open(token).unwrap();
    Some((opened.list, opened.member))
}

#[tokio::test]
async fn copies_carry_the_fields_of_their_list_and_come_from_it() {
    let world = world().await;
    let members = ["bob@example.test", "carl@one.test", "dora@one.test"];
    list(&world, "news@example.test", &members, true).await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client
        .say("MAIL FROM:<sue@elsewhere.example> RET=FULL ENVID=e1", "250")
        .await;
    let parameters = "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;news@old.example";
    client
        .say(&format!("RCPT TO:<news@example.test> {parameters}"), "250")
        .await;
    client.data("Subject: hi\r\n\r\nHello.\r\n", "250").await;
    client.quit().await;
    let inbox = world.inbox("bob@example.test").await;
    assert_eq!(inbox[0].body, b"Subject: hi\r\n\r\nHello.\r\n");
    let start = format!(
        "Return-Path: <news+bounces@example.test>\r\nDelivered-To: bob@example.test\r\n\
         {FIELDS}Received: from client.example.org "
    );
    assert!(inbox[0].prefix.starts_with(&start), "{}", inbox[0].prefix);
    // Without links there is no way out, and members share an entry.
    let [entry, notice] = &queue(&world).await[..] else {
        panic!("one entry for both, and a notice of success");
    };
    assert_eq!(notice.recipients[0].address, "sue@elsewhere.example");
    let addresses: Vec<_> = entry.recipients.iter().map(|r| &*r.address).collect();
    assert_eq!(addresses, &members[1..]);
    let failure = Notify {
        failure: true,
        ..Notify::default()
    };
    for recipient in &entry.recipients {
        assert_eq!(recipient.notify, Some(failure));
        assert_eq!(recipient.original, None);
    }
    let envelope = &entry.envelope;
    assert_eq!(envelope.reverse_path, "news+bounces@example.test");
    assert_eq!((envelope.ret, &envelope.envelope_id), (None, &None));
    let sign = envelope.sign.as_ref().map(|domain| domain.as_str());
    assert_eq!((sign, &entry.seal), (Some("example.test"), &None));
    let prefix = std::str::from_utf8(&entry.prefix).unwrap();
    assert!(
        prefix.starts_with(&format!("{FIELDS}Received: ")),
        "{prefix}"
    );
    world.check().await;
}

#[tokio::test]
async fn each_member_has_a_way_out_of_its_own() {
    let mut world = world().await;
    world.unsubscribe = Some(links());
    world.alias("c@example.test", &["carl@one.test"]).await;
    let members = [
        "bob+lists@example.test",
        "c@example.test",
        "dora@one.test",
        "eve@one.test",
    ];
    list(&world, "inner@example.test", &members, true).await;
    let nested = ["inner@example.test", "ann@example.test", "fred@one.test"];
    list(&world, "outer@example.test", &nested, false).await;
    post(&world, &["outer@example.test"], "A: b\r\n\r\n", "250").await;
    let by = |member: &str| Some(("inner@example.test".to_owned(), member.to_owned()));
    let bob = world.inbox("bob@example.test").await;
    assert_eq!(left(bob[0].prefix.as_bytes()), by(members[0]));
    let ann = &world.inbox("ann@example.test").await[0].prefix;
    assert!(
        ann.contains("\r\nList-Id: <outer.example.test>\r\n"),
        "{ann}"
    );
    assert_eq!(left(ann.as_bytes()), None);
    let mut found = Vec::new();
    for entry in queue(&world).await {
        let prefix = std::str::from_utf8(&entry.prefix).unwrap();
        let sender = entry.envelope.reverse_path;
        let name = sender.strip_suffix("+bounces@example.test").unwrap();
        let id = format!("List-Id: <{name}.example.test>\r\n");
        assert!(prefix.starts_with(&id), "{sender}: {prefix}");
        // The links are made as the copies are sent, each for one.
        assert_eq!(left(&entry.prefix), None);
        let leaves = entry.leaves.map(|list| list.to_string());
        for to in entry.recipients {
            found.push((to.address, name.to_owned(), leaves.clone()));
        }
    }
    found.sort();
    let expected = [
        ("carl@one.test", "inner", None),
        ("dora@one.test", "inner", Some("inner@example.test")),
        ("eve@one.test", "inner", Some("inner@example.test")),
        ("fred@one.test", "outer", None),
    ];
    let expected =
        expected.map(|(to, name, list)| (to.to_owned(), name.to_owned(), list.map(str::to_owned)));
    assert_eq!(found, expected);
    world.check().await;
}

#[tokio::test]
async fn what_a_list_refuses_others_still_get() {
    let world = world().await;
    let members = ["bob@example.test", "carl@one.test"];
    list(&world, "news@example.test", &members, false).await;
    let looped = "List-Id: News <NEWS.example.test>\r\n\r\n";
    let reply = "Auto-Submitted: auto-replied\r\n\r\n";
    post(&world, &["news@example.test"], looped, "554 5.4.6").await;
    post(&world, &["news@example.test"], reply, "550 5.7.1").await;
    assert_eq!(queue(&world).await, []);
    let both = ["news@example.test", "ann@example.test"];
    post(&world, &both, looped, "250").await;
    post(&world, &both, reply, "250").await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 2);
    assert_eq!(world.inbox("bob@example.test").await.len(), 0);
    assert_eq!(queue(&world).await, []);
    // LMTP tells each for itself.
    let mut client = world.connect(Role::Lmtp).await;
    client.say("LHLO front.example.test", "250").await;
    client.envelope("sue@elsewhere.example", &both).await;
    client.data(looped, "554 5.4.6").await;
    client.expect(250).await;
    client.quit().await;
    // Whoever is reached in another way gets it by that one.
    let direct = ["news@example.test", "bob@example.test"];
    post(&world, &direct, looped, "250").await;
    let bob = world.inbox("bob@example.test").await;
    assert!(!bob[0].prefix.contains("List-"), "{}", bob[0].prefix);
    list(&world, "other@example.test", &members, false).await;
    let lists = ["news@example.test", "other@example.test"];
    post(&world, &lists, looped, "250").await;
    let bob = world.inbox("bob@example.test").await;
    assert!(
        bob[1].prefix.contains("List-Id: <other."),
        "{}",
        bob[1].prefix
    );
    let entries = queue(&world).await;
    assert_eq!(entries.len(), 1);
    let sender = &entries[0].envelope.reverse_path;
    assert_eq!(sender, "other+bounces@example.test");
    // A message of another list is none of this one's.
    let other = "List-Id: <news.elsewhere.example>\r\nAuto-Submitted: auto-generated\r\n\r\n";
    post(&world, &["news@example.test"], other, "250").await;
    assert_eq!(world.inbox("bob@example.test").await.len(), 3);
    assert_eq!(queue(&world).await.len(), 2);
    world.check().await;
}

#[tokio::test]
async fn notices_go_to_the_owner_and_not_to_the_list() {
    let world = world().await;
    list(&world, "news@example.test", &["bob@example.test"], false).await;
    world.alias("n@example.test", &["news@example.test"]).await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client.say("MAIL FROM:<>", "250").await;
    for list in ["news@example.test", "n@example.test"] {
        client.say(&format!("RCPT TO:<{list}>"), "550 5.7.1").await;
    }
    client
        .say("RCPT TO:<news+bounces@example.test>", "250")
        .await;
    client.data("Subject: back\r\n\r\n", "250").await;
    client.quit().await;
    let ann = world.inbox("ann@example.test").await;
    assert_eq!(ann.len(), 1);
    let start = "Return-Path: <>\r\nDelivered-To: ann@example.test\r\nReceived: ";
    assert!(ann[0].prefix.starts_with(start), "{}", ann[0].prefix);
    assert_eq!(world.inbox("bob@example.test").await.len(), 0);
    world.check().await;
}

#[tokio::test]
async fn a_plain_group_passes_mail_on_as_it_came() {
    let mut world = world().await;
    world.unsubscribe = Some(links());
    let members = ["bob@example.test", "carl@one.test"];
    world.group("team@example.test", &members, false).await;
    post(&world, &["team@example.test"], "A: b\r\n\r\n", "250").await;
    let bob = &world.inbox("bob@example.test").await[0].prefix;
    let start =
        "Return-Path: <sue@elsewhere.example>\r\nDelivered-To: bob@example.test\r\nReceived: ";
    assert!(bob.starts_with(start), "{bob}");
    let entry = &queue(&world).await[0];
    // But for its name, by which a circle is cut.
    let start = b"Delivered-To: team@example.test\r\nReceived: ";
    assert!(entry.prefix.starts_with(start), "{entry:?}");
    assert!(
        entry.envelope.reverse_path.starts_with("SRS0="),
        "{entry:?}"
    );
    assert!(entry.seal.is_some() && entry.envelope.sign.is_none());
    world.check().await;
}

#[tokio::test]
async fn a_copy_has_the_fields_of_its_list_alone() {
    let world = world().await;
    let members = ["bob@example.test", "carl@one.test"];
    list(&world, "news@example.test", &members, false).await;
    let other = "Subject: x\r\nList-Id: <a.elsewhere.example>\r\nList-Post:\r\n <mailto:a@b.example>\r\n                 List-Archive: y\r\nTo: z@b.example\r\n\r\nList-Id: text\r\n";
    post(&world, &["news@example.test"], other, "250").await;
    let expected = "Subject: x\r\nTo: z@b.example\r\n\r\nList-Id: text\r\n";
    let bob = world.inbox("bob@example.test").await;
    assert_eq!(String::from_utf8_lossy(&bob[0].body), expected);
    // Who gets it directly as well gets it as it came; copies lose the fields on their way.
    post(
        &world,
        &["news@example.test", "ann@example.test"],
        other,
        "250",
    )
    .await;
    let ann = world.inbox("ann@example.test").await;
    assert_eq!(String::from_utf8_lossy(&ann[0].body), other);
    let entries = queue(&world).await;
    assert!(entries.iter().all(|entry| entry.list), "{entries:?}");
    // What has come through here is known, whatever others have put in the place of
    // the list's own fields.
    let back = "List-Id: <a.elsewhere.example>\r\nDelivered-To: news@example.test\r\n\r\n";
    post(&world, &["news@example.test"], back, "554 5.4.6").await;
    world.check().await;
}
