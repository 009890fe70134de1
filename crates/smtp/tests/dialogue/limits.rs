//! Order of commands, bad lines, pipelining, limits, timeouts, draining.

use std::time::Duration;

use postrider_smtp::Role;

use crate::world::World;

#[tokio::test]
async fn commands_out_of_order_are_told() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    for (line, reply) in [
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("RCPT TO:<ann@example.test>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("LHLO x", "500 5.5.1"),
        ("FOO", "500 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("HELO client.example.org", "250 "),
        ("MAIL FROM:<a@b.example>", "250 2.1.0"),
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("VRFY ann", "252 2.5.0"),
        ("EXPN all", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("NOOP x", "250 2.0.0"),
        ("AUTH PLAIN", "502 5.5.1"),
        ("RSET", "250 2.0.0"),
        ("RCPT TO:<ann@example.test>", "503 5.5.1"),
        ("MAIL FROM:<a@b.example> FOO=1", "555 5.5.4"),
    ] {
        client.say(line, reply).await;
    }
    client.quit().await;
}

#[tokio::test]
async fn without_the_setting_no_helo_is_needed() {
    let mut world = World::new().await;
    world.settings.require_helo = false;
    let mut client = world.connect(Role::Mx).await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.data("A: b\r\n\r\n", "250").await;
    client.quit().await;
    let inbox = world.inbox("ann@example.test").await;
    assert!(
        inbox[0].prefix.contains("from unknown ([192.0.2.7])"),
        "{}",
        inbox[0].prefix
    );
    assert!(
        inbox[0].prefix.contains("with SMTP id"),
        "{}",
        inbox[0].prefix
    );
    world.check().await;
}

#[tokio::test]
async fn bad_bytes_and_line_ends_are_refused() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    for bad in [
        &b"NOOP\0\r\n"[..],
        b"NOOP\n",
        b"MAIL FROM:<a\0@b>\r\n",
        b"NO\rOP\r\n",
        b"\xff\xfe\r\n",
    ] {
        client.send(bad).await;
        let reply = client.expect(500).await;
        assert!(reply.starts_with("500 5.5.2"), "{bad:?}: {reply}");
    }
    client.quit().await;
}

#[tokio::test]
async fn long_lines_are_refused_and_longer_ones_end_it() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.line(&"x".repeat(3000)).await;
    client.expect(500).await;
    client.line(&format!("NOOP {}", "x".repeat(20_000))).await;
    client.expect(500).await;
    client.say("NOOP", "250").await;
    client.send(vec![b'x'; 200_000]).await;
    client.expect(421).await;
    client.closed().await;
}

#[tokio::test]
async fn a_pipelined_group_is_answered_in_order() {
    let world = World::new().await;
    let mut client = world.connect_raw(Role::Mx);
    client
        .send(
            "EHLO client.example.org\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.test>\r\n\
             RCPT TO:<nobody@example.test>\r\nRCPT TO:<bad\r\nrcpt to:<bob@example.test>\r\nDATA\r\n",
        )
        .await;
    for code in [220, 250, 250, 250, 550, 501, 250, 354] {
        client.expect(code).await;
    }
    client.send("A: b\r\n\r\nc\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\nBDAT 6 LAST\r\nA: b\r\nQUIT\r\n").await;
    for code in [250, 250, 250, 250, 221] {
        client.expect(code).await;
    }
    client.closed().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 2);
    assert_eq!(world.inbox("bob@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn a_hundred_thousand_recipients() {
    let mut world = World::new().await;
    world.settings.max_commands = 0;
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &[]).await;
    let line = "RCPT TO:<ann@example.test>\r\n".repeat(1000);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..100 {
        client.send(&line).await;
        for _ in 0..1000 {
            let reply = client.reply().await.unwrap();
            match &reply[..9] {
                "250 2.1.5" => accepted += 1,
                "452 4.5.3" => refused += 1,
                _ => panic!("{reply}"),
            }
        }
    }
    assert_eq!((accepted, refused), (1000, 99_000));
    client.data("A: b\r\n\r\n", "250").await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn a_large_group_is_not_looked_up_again_and_again() {
    let mut world = World::new().await;
    world.sends = true;
    let members: Vec<String> = (0..6_000).map(|n| format!("m{n}@far.example")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    world.group("many@example.test", &members[..1], false).await;
    for members in members[1..].chunks(1_000) {
        world.join("many@example.test", members).await;
    }
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["many@example.test"]).await;
    assert_eq!(world.lookups(), 1);
    // The second is too much for one message; that is known of the others then.
    let line: String = (0..200)
        .map(|n| format!("RCPT TO:<many+{n}@example.test>\r\n"))
        .collect();
    client.send(&line).await;
    for _ in 0..200 {
        let reply = client.expect(452).await;
        assert!(reply.starts_with("452 4.5.3"), "{reply}");
    }
    let lookups = world.lookups();
    assert!(lookups <= 8, "{lookups} of 200 were looked up");
    client.say("RCPT TO:<ann@example.test>", "452 4.5.3").await;
    assert_eq!(world.lookups(), 0);
    client.quit().await;
}

#[tokio::test]
async fn an_address_has_few_lookups_at_once_over_all_its_connections() {
    let world = World::new().await;
    let server = world.server(Role::Mx);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = world.attach(server.clone());
        client.expect(220).await;
        client.open("a@b.example", &[]).await;
        clients.push(client);
    }
    world.bar();
    for client in &mut clients {
        let line = "RCPT TO:<ann@example.test>\r\n".repeat(8);
        client.send(&line).await;
    }
    while world.looking_up() < 4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.looking_up(), 4);
    world.unbar();
    for mut client in clients {
        for _ in 0..8 {
            client.expect(250).await;
        }
        client.quit().await;
    }
}

#[tokio::test]
async fn endless_commands_and_errors_end_the_session() {
    let mut world = World::new().await;
    world.settings.max_commands = 10;
    let mut client = world.connect(Role::Mx).await;
    for _ in 0..10 {
        client.say("NOOP", "250").await;
    }
    client.say("NOOP", "421 4.7.0").await;
    client.closed().await;

    world.settings.max_commands = 0;
    world.settings.max_errors = 3;
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &[]).await;
    client.say("RCPT TO:<x@example.test>", "550").await;
    client.say("RCPT TO:<y@example.test>", "550").await;
    // An accepted message starts the count anew.
    client.say("RCPT TO:<ann@example.test>", "250").await;
    client.data("A: b\r\n\r\n", "250").await;
    for _ in 0..3 {
        client.say("FOO", "500").await;
    }
    client.expect(421).await;
    client.closed().await;
}

#[tokio::test]
async fn messages_per_minute_are_limited_per_address() {
    let mut world = World::new().await;
    world.settings.max_messages_per_minute = 2;
    let server = world.server(Role::Mx);
    for code in ["250", "250", "450 4.7.0"] {
        let mut client = world.attach(server.clone());
        client.expect(220).await;
        client.say("EHLO client.example.org", "250").await;
        client.say("MAIL FROM:<a@b.example>", code).await;
        client.quit().await;
    }
    world.peer = "203.0.113.9".parse().unwrap();
    let mut client = world.attach(server.clone());
    client.expect(220).await;
    client.say("EHLO client.example.org", "250").await;
    client.say("MAIL FROM:<a@b.example>", "250").await;
    client.quit().await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_session() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    tokio::time::sleep(Duration::from_secs(290)).await;
    client.say("NOOP", "250").await;
    tokio::time::sleep(Duration::from_secs(310)).await;
    client.expect(421).await;
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn silence_and_drips_within_a_message_end_it() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["ann@example.test"]).await;
    client.say("DATA", "354").await;
    client.send("A: b\r\n").await;
    tokio::time::sleep(Duration::from_secs(190)).await;
    client.expect(421).await;
    client.closed().await;

    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["ann@example.test"]).await;
    client.say("DATA", "354").await;
    for _ in 0..40 {
        client.send("x").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let reply = client.expect(421).await;
    assert!(reply.starts_with("421 4.4.2"), "{reply}");
    client.closed().await;
    assert!(world.inbox("ann@example.test").await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn a_drain_finishes_the_message_and_says_goodbye() {
    let world = World::new().await;
    let mut idle = world.connect(Role::Mx).await;
    let mut busy = world.connect(Role::Mx).await;
    busy.open("a@b.example", &["ann@example.test"]).await;
    busy.say("DATA", "354").await;
    world.drain.start();
    let reply = idle.expect(421).await;
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    idle.closed().await;
    busy.send("A: b\r\n\r\n.\r\n").await;
    busy.expect(250).await;
    busy.expect(421).await;
    busy.closed().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn an_idle_session_is_small() {
    use postrider_net::{Connection, Service};
    let world = World::new().await;
    let server = world.server(Role::Mx);
    let (_client, stream) = tokio::io::duplex(64);
    let address = "192.0.2.1:25".parse().unwrap();
    let connection = Connection::from_duplex(stream, address, address);
    let session = server.serve(connection, world.drain.clone());
    // What an idle connection holds of it; what a command needs is boxed.
    let size = std::mem::size_of_val(&session);
    assert!(size < 3072, "{size} bytes");
}
