//! AUTH PLAIN and LOGIN.

use postrider_proto::sasl::Secret;
use postrider_relay::{Connection, Failure, Kind, Login, Phase, Security};

use crate::peer::{Server, Wire, connector, serve};

const PLAIN: &str = "250-mx\r\n250 AUTH CRAM-MD5 LOGIN PLAIN\r\n";
const LOGIN: &str = "250-mx\r\n250 AUTH=LOGIN\r\n";

async fn open(server: &Server<String>, password: &str, clear: bool) -> Result<Connection, Failure> {
    let login = Login {
        user: "ann".into(),
        password: Secret::new(password),
        without_tls: clear,
    };
    connector()
        .open(&server.peer(), &Security::Plain, Some(&login))
        .await
}

async fn plain(mut wire: Wire, answer: &str) -> String {
    wire.greet(PLAIN).await;
    wire.on("AUTH PLAIN AGFubgBzZWNyZXQ=", answer).await;
    wire.rest().await
}

#[tokio::test]
async fn plain_is_preferred() {
    let server = serve(async |wire| plain(wire, "235 2.7.0 welcome\r\n").await).await;
    drop(open(&server, "secret", true).await.unwrap());
    assert_eq!(server.end().await, "");
}

#[tokio::test]
async fn a_long_login_waits_to_be_asked_for() {
    let server = serve(async |mut wire| {
        wire.greet(PLAIN).await;
        wire.on("AUTH PLAIN", "334 \r\n").await;
        let line = wire.line().await;
        wire.say("235 welcome\r\n").await;
        line
    })
    .await;
    drop(open(&server, &"x".repeat(500), true).await.unwrap());
    assert_eq!(server.end().await.len(), 676);
}

#[tokio::test]
async fn login_is_spoken_where_there_is_no_plain() {
    let server = serve(async |mut wire| {
        wire.greet(LOGIN).await;
        wire.on("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n").await;
        wire.on("YW5u", "334 UGFzc3dvcmQ6\r\n").await;
        wire.on("c2VjcmV0", "235 welcome\r\n").await;
        wire.rest().await
    })
    .await;
    drop(open(&server, "secret", true).await.unwrap());
    assert_eq!(server.end().await, "");
}

#[tokio::test]
async fn a_refused_login_is_no_reason_to_send_mail_back() {
    for answer in [
        "535 5.7.8 wrong\r\n",
        "454 later\r\n",
        "250 what\r\n",
        "334 \r\n",
        "",
    ] {
        let server = serve(async |wire| {
            let mut wire = wire;
            wire.greet(PLAIN).await;
            wire.on("AUTH PLAIN AGFubgBzZWNyZXQ=", answer).await;
            String::new()
        })
        .await;
        let failure = open(&server, "secret", true).await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Login, Kind::Temporary),
            "{answer:?}"
        );
        assert_eq!(failure.status.0, 4);
        assert!(!format!("{failure:?}").contains("secret"));
        server.end().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_where_it_must_not_be() {
    for (hello, password, clear) in [
        (PLAIN, "secret", false),
        ("250 mx\r\n", "secret", true),
        (PLAIN, "sec\0ret", true),
        (LOGIN, "sec\0ret", true),
    ] {
        let server = serve(async |mut wire| {
            wire.greet(hello).await;
            wire.rest().await
        })
        .await;
        let failure = open(&server, password, clear).await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Login, Kind::Temporary)
        );
        assert_eq!(server.end().await, "");
    }
}
