//! Before and at login: capabilities, TLS, SASL, failures.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use postrider_net::{Tls, TlsSettings};

use crate::support::{PASSWORD, USER, World};

fn base64(bytes: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn capabilities_follow_the_state() {
    let world = World::new().await;
    let mut imap = world.connect().await;
    let before = imap.ok("CAPABILITY").await;
    assert!(
        before[0].contains(" AUTH=PLAIN") && !before[0].contains("IDLE"),
        "{before:?}"
    );
    let login = imap.reply(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert!(login.starts_with("OK [CAPABILITY IMAP4rev1 "), "{login}");
    let after = imap.ok("CAPABILITY").await;
    for name in ["IDLE", "MOVE", "CONDSTORE", "UIDPLUS", "ESEARCH", "QUOTA"] {
        assert!(
            after[0].split(' ').any(|word| word == name),
            "{name} in {after:?}"
        );
    }
    assert!(!after[0].contains("AUTH="), "{after:?}");
    let id = imap.ok("ID (\"name\" \"test\")").await;
    assert!(id[0].starts_with("* ID (\"name\" \"Postrider\""), "{id:?}");
    assert_eq!(imap.ok("ENABLE CONDSTORE X").await, ["* ENABLED CONDSTORE"]);
    assert_eq!(imap.ok("LOGOUT").await, ["* BYE goodbye"]);
    imap.closed().await;
    world.check().await;
}

#[tokio::test]
async fn commands_wait_for_their_state() {
    let world = World::new().await;
    let mut imap = world.connect().await;
    for command in ["SELECT INBOX", "LIST \"\" *", "IDLE", "FETCH 1 FLAGS"] {
        assert_eq!(imap.reply(command).await, "BAD log in first", "{command}");
    }
    imap.ok(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    for command in ["FETCH 1 FLAGS", "CLOSE", "CHECK", "EXPUNGE", "SEARCH ALL"] {
        assert_eq!(
            imap.reply(command).await,
            "BAD select a mailbox first",
            "{command}"
        );
    }
    let again = imap.reply(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert_eq!(again, "BAD you are logged in already");
    let append = imap.append("Nowhere", "Subject: x\r\n\r\n").await;
    assert!(append.starts_with("NO [TRYCREATE]"), "{append}");
    imap.ok("NOOP").await;
}

#[tokio::test]
async fn sasl_logs_in() {
    let world = World::new().await;
    let plain = base64(&format!("\0{USER}\0{PASSWORD}"));
    let mut imap = world.connect().await;
    imap.ok(&format!("AUTHENTICATE PLAIN {plain}")).await;

    let mut imap = world.connect().await;
    let tag = imap.start("authenticate plain").await;
    assert_eq!(imap.response().await, "+ ");
    imap.send(format!("{plain}\r\n").as_bytes()).await;
    assert!(imap.until(&tag).await[0].starts_with("OK "));

    let mut imap = world.connect().await;
    let tag = imap.start("AUTHENTICATE LOGIN").await;
    assert_eq!(imap.response().await, "+ VXNlcm5hbWU6");
    imap.send(format!("{}\r\n", base64(USER)).as_bytes()).await;
    assert_eq!(imap.response().await, "+ UGFzc3dvcmQ6");
    imap.send(format!("{}\r\n", base64(PASSWORD)).as_bytes())
        .await;
    assert!(imap.until(&tag).await[0].starts_with("OK "));

    let mut imap = world.connect().await;
    let tag = imap.start("AUTHENTICATE PLAIN").await;
    imap.response().await;
    imap.send(b"*\r\n").await;
    assert!(imap.until(&tag).await[0].starts_with("BAD "));
    let other = base64(&format!("bob@example.test\0{USER}\0{PASSWORD}"));
    let reply = imap.reply(&format!("AUTHENTICATE PLAIN {other}")).await;
    assert!(reply.starts_with("NO [AUTHORIZATIONFAILED]"), "{reply}");
    let reply = imap.reply("AUTHENTICATE CRAM-MD5").await;
    assert!(reply.starts_with("NO "), "{reply}");
}

#[tokio::test]
async fn wrong_passwords_are_counted() {
    let mut world = World::new().await;
    world.settings.max_login_failures = 3;
    let mut imap = world.connect().await;
    for user in [USER, "nobody@example.test"] {
        let reply = imap.reply(&format!("LOGIN {user} wrong")).await;
        assert_eq!(reply, "NO [AUTHENTICATIONFAILED] wrong login or password");
    }
    imap.start("LOGIN x y").await;
    assert!(imap.response().await.starts_with("* BYE "));
    imap.closed().await;
}

#[tokio::test]
async fn passwords_need_tls_where_it_is_not_local() {
    let mut world = World::new().await;
    world.peer = ([192, 0, 2, 1], 5000).into();
    let mut imap = world.connect().await;
    let capability = imap.ok("CAPABILITY").await;
    assert!(capability[0].ends_with(" LOGINDISABLED"), "{capability:?}");
    let reply = imap.reply(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert!(reply.starts_with("NO [PRIVACYREQUIRED]"), "{reply}");
    let reply = imap.reply("AUTHENTICATE PLAIN").await;
    assert!(reply.starts_with("NO [PRIVACYREQUIRED]"), "{reply}");
    assert!(imap.reply("STARTTLS").await.starts_with("BAD "));
}

#[tokio::test]
async fn starttls_drops_what_came_before() {
    let mut world = World::new().await;
    world.peer = ([192, 0, 2, 1], 5000).into();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (world.path().join("c.pem"), world.path().join("k.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let settings = TlsSettings {
        certificate,
        key,
        handshake_timeout: Duration::from_secs(10),
    };
    world.handles.tls = Some(Tls::load(settings).unwrap());

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));

    let mut imap = world.connect().await;
    let capability = imap.ok("CAPABILITY").await;
    assert!(
        capability[0].contains(" STARTTLS LOGINDISABLED"),
        "{capability:?}"
    );
    // One write: the second command must never be executed.
    let tag = imap.start("STARTTLS\r\nx LOGOUT").await;
    assert_eq!(imap.until(&tag).await, ["OK begin TLS now"]);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut imap = imap
        .over(|stream| async move { connector.connect(name, stream).await.unwrap() })
        .await;
    let capability = imap.ok("CAPABILITY").await;
    assert!(capability[0].contains("AUTH=PLAIN") && !capability[0].contains("STARTTLS"));
    imap.ok(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert!(imap.reply("STARTTLS").await.starts_with("BAD "));
    imap.ok("LOGOUT").await;
}
