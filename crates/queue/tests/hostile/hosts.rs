//! One destination: its connections, and its hosts.

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
