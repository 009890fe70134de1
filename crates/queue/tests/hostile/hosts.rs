//! One destination: its connections, and its hosts.

use std::net::IpAddr;

use crate::world::{Act, World};

#[tokio::test]
async fn a_server_that_refuses_rset_gets_the_next_message_over_a_new_connection() {
    for refusal in [
        "502 5.5.1 what?\r\n",
        "354 go on\r\n",
        "450 4.3.0 later\r\n",
    ] {
        let world = World::new(move |moment| match moment.command {
            "RCPT TO:<no@outside.test>" => Act::Reply("550 5.1.1 nobody\r\n"),
            "RSET" => Act::Reply(refusal),
            _ => Act::Accept,
        })
        .await;
        world.publish("outside.test", &[&[[127, 0, 0, 1]]]);
        world.send("no@outside.test").await;
        world.send("carl@outside.test").await;
        world.start(world.settings());
        let met = world.until(|met| !met.taken.is_empty()).await;
        assert_eq!(met.taken, ["<carl@outside.test>"]);
        assert!(
            met.commands.contains(&"0 RSET".into()),
            "{:?}",
            met.commands
        );
        assert!(
            met.commands.contains(&"1 DATA".into()),
            "{:?}",
            met.commands
        );
        world.stop().await;
    }
}

#[tokio::test]
async fn a_backup_host_is_tried_however_many_addresses_the_first_has() {
    let backup = IpAddr::from([127, 0, 1, 100]);
    let world = World::new(move |moment| match moment.at == backup {
        true => Act::Accept,
        false => Act::Close,
    })
    .await;
    let first: Vec<[u8; 4]> = (1..=9).map(|last| [127, 0, 1, last]).collect();
    world.publish("outside.test", &[&first, &[[127, 0, 1, 100]]]);
    world.send("carl@outside.test").await;
    world.start(world.settings());
    world.until(|met| !met.taken.is_empty()).await;
    world.stop().await;
}
