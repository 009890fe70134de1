//! DATA and BDAT: transparency, smuggling, chunks, sizes.

use postrider_smtp::Role;

use crate::world::World;

#[tokio::test]
async fn smuggled_ends_are_refused_whole() {
    for smuggle in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\r\n.\r\r\n",
    ] {
        let world = World::new().await;
        let mut client = world.connect(Role::Mx).await;
        client
            .open("sue@elsewhere.example", &["ann@example.test"])
            .await;
        client.say("DATA", "354").await;
        client
            .send(format!(
                "Subject: one\r\n\r\nx{smuggle}MAIL FROM:<evil@elsewhere.example>\r\n\
                 RCPT TO:<bob@example.test>\r\nDATA\r\nSubject: two\r\n\r\nevil\r\n.\r\n"
            ))
            .await;
        let reply = client.expect(554).await;
        assert!(reply.starts_with("554 5.6.0"), "{smuggle:?}: {reply}");
        client.quit().await;
        assert!(
            world.inbox("ann@example.test").await.is_empty(),
            "{smuggle:?}"
        );
        assert!(
            world.inbox("bob@example.test").await.is_empty(),
            "{smuggle:?}"
        );
        world.check().await;
    }
}

#[tokio::test]
async fn chunks_make_one_message() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["ann@example.test"])
        .await;
    client.send("BDAT 10\r\nSubject: x").await;
    client.expect(250).await;
    client
        .send("BDAT 8\r\n\r\n\r\n.\r\n.BDAT 0\r\nBDAT 2 LAST\r\n\r\n")
        .await;
    client.expect(250).await;
    client.expect(250).await;
    let reply = client.expect(250).await;
    assert!(reply.contains("accepted as"), "{reply}");
    client.quit().await;
    let inbox = world.inbox("ann@example.test").await;
    assert_eq!(inbox[0].body, b"Subject: x\r\n\r\n.\r\n.\r\n");
    world.check().await;
}

#[tokio::test]
async fn a_chunk_without_final_crlf_gets_one() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["ann@example.test"])
        .await;
    client.send("BDAT 15 LAST\r\nSubject: x\r\n\r\ny").await;
    client.expect(250).await;
    client.quit().await;
    assert_eq!(
        world.inbox("ann@example.test").await[0].body,
        b"Subject: x\r\n\r\ny\r\n"
    );
    world.check().await;
}

#[tokio::test]
async fn chunks_of_a_failed_transaction_are_consumed() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    // No transaction at all; what looks like commands is content.
    client.send("BDAT 6\r\nQUIT\r\nNOOP\r\n").await;
    client.expect(503).await;
    client.expect(250).await;
    // No recipient was accepted.
    client
        .send("MAIL FROM:<a@b.example>\r\nRCPT TO:<no@example.test>\r\nBDAT 6 LAST\r\nQUIT\r\n")
        .await;
    client.expect(250).await;
    client.expect(550).await;
    client.expect(554).await;
    client.say("RSET", "250").await;
    // A bare LF fails the whole message, whatever follows.
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client
        .send("BDAT 4\r\na\nb\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")
        .await;
    client.expect(554).await;
    client.expect(554).await;
    client.expect(554).await;
    // DATA cannot follow BDAT, nor can RCPT.
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client
        .send("BDAT 2\r\n\r\nDATA\r\nRCPT TO:<bob@example.test>\r\nRSET\r\n")
        .await;
    client.expect(250).await;
    client.expect(503).await;
    client.expect(503).await;
    client.expect(250).await;
    client.quit().await;
    assert!(world.inbox("ann@example.test").await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn a_text_without_a_header_is_the_body() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.say("DATA", "354").await;
    client.say("hello there\r\n.", "250").await;
    client.quit().await;
    let inbox = world.inbox("ann@example.test").await;
    assert_eq!(inbox[0].body, b"\r\nhello there\r\n");
    world.check().await;
}

#[tokio::test]
async fn a_nul_fails_the_message() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.say("DATA", "354").await;
    client
        .say(
            "Subject: x\r\n\r\na\0b\r\n.",
            "554 5.6.0 the message has a NUL",
        )
        .await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.say("BDAT 5 LAST\r\n\r\n\0", "554 5.6.0").await;
    client.quit().await;
    assert!(world.inbox("ann@example.test").await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn sizes_are_limited_declared_or_not() {
    let mut world = World::new().await;
    world.settings.max_message_size = 100_000;
    let mut client = world.connect(Role::Mx).await;
    let ehlo = client.say("EHLO client.example.org", "250").await;
    assert!(ehlo.contains("250-SIZE 100000\n"), "{ehlo}");
    client
        .say("MAIL FROM:<a@b.example> SIZE=100001", "552 5.3.4")
        .await;
    client
        .say(
            "MAIL FROM:<a@b.example> SIZE=99999999999999999999",
            "552 5.3.4",
        )
        .await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    let line = format!("{}\r\n", "x".repeat(70));
    client.data(&line.repeat(2000), "552 5.3.4").await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.send("BDAT 144000 LAST\r\n").await;
    client.send(line.repeat(2000)).await;
    client.expect(552).await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.data(&line.repeat(1000), "250").await;
    // Nobody reads on for ever.
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client.line("BDAT 18446744073709551615 LAST").await;
    client.send(line.repeat(4000)).await;
    client.expect(552).await;
    client.closed().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn a_large_message_streams_through() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client
        .open(
            "sue@elsewhere.example",
            &["ann@example.test", "bob@example.test"],
        )
        .await;
    let body = format!(
        "Subject: big\r\n\r\n{}",
        "0123456789abcdef.\r\n".repeat(500_000)
    );
    client.data(&body, "250").await;
    client.quit().await;
    for account in ["ann@example.test", "bob@example.test"] {
        assert!(
            world.inbox(account).await[0].body == body.as_bytes(),
            "{account}"
        );
    }
    world.check().await;
}

#[tokio::test]
async fn long_text_lines_are_taken_to_the_limit() {
    let mut world = World::new().await;
    world.settings.max_text_line = 5000;
    let mut client = world.connect(Role::Mx).await;
    client
        .open("sue@elsewhere.example", &["ann@example.test"])
        .await;
    client
        .data(&format!("A: b\r\n\r\n{}\r\n", "x".repeat(5000)), "250")
        .await;
    client.envelope("a@b.example", &["ann@example.test"]).await;
    client
        .data(
            &format!("A: b\r\n\r\n{}\r\n", "x".repeat(5001)),
            "554 5.6.0",
        )
        .await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn binary_mime_is_refused_and_eight_bits_are_kept() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client
        .say("MAIL FROM:<a@b.example> BODY=BINARYMIME", "555 5.5.4")
        .await;
    client
        .say(
            "MAIL FROM:<a@b.example> BODY=8BITMIME RET=HDRS ENVID=x",
            "250",
        )
        .await;
    client
        .say(
            "RCPT TO:<ann@example.test> NOTIFY=FAILURE ORCPT=rfc822;x@y.example",
            "250",
        )
        .await;
    client.say("DATA", "354").await;
    client.send(b"A: b\r\n\r\n\xff\xfe\r\n.\r\n").await;
    client.expect(250).await;
    client.quit().await;
    assert_eq!(
        world.inbox("ann@example.test").await[0].body,
        b"A: b\r\n\r\n\xff\xfe\r\n"
    );
    world.check().await;
}
