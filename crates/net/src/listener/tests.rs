//! The accept loop, driven over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::{ReadBuffer, TlsSettings};

/// Greets with the peer's address, echoes lines, says goodbye on drain.
struct Echo;

impl Service for Echo {
    async fn serve(&self, mut connection: Connection, drain: Drain) {
        const LONG: Duration = Duration::from_secs(60);
        let greeting = format!("hello {} {}\r\n", connection.peer(), connection.is_tls());
        let mut buffer = ReadBuffer::new();
        if connection.send(greeting.as_bytes(), LONG).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                () = drain.cancelled() => {
                    let _ = connection.send(b"bye\r\n", LONG).await;
                    return connection.close(LONG).await;
                }
                line = buffer.read_line(&mut connection, 100, LONG) => {
                    let Ok(line) = line else { return };
                    if &line[..] == b"hang\r\n" {
                        std::future::pending::<()>().await;
                    }
                    if &line[..] == b"near\r\n" {
                        let near = format!("{}\r\n", connection.is_loopback());
                        connection.send(near.as_bytes(), LONG).await.unwrap();
                        continue;
                    }
                    if connection.send(&line, LONG).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn busy_reply(&self, busy: Busy) -> &'static [u8] {
        match busy {
            Busy::Total => b"busy in total\r\n",
            Busy::PerAddress => b"busy for you\r\n",
        }
    }

    fn name(&self) -> &'static str {
        "echo"
    }
}

struct Running {
    address: SocketAddr,
    drain: Drain,
    task: tokio::task::JoinHandle<()>,
}

fn start(
    change: impl FnOnce(&mut ListenerSettings),
    tls: Option<Tls>,
    deadline: Duration,
) -> Running {
    let mut settings = ListenerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..ListenerSettings::default()
    };
    change(&mut settings);
    let listener = Listener::bind(settings, tls).unwrap();
    let address = listener.addresses()[0];
    let drain = Drain::new();
    let task = tokio::spawn(listener.run(Arc::new(Echo), drain.clone(), deadline));
    Running {
        address,
        drain,
        task,
    }
}

async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_drain_lets_sessions_say_goodbye_and_refuses_new_ones() {
    let server = start(|_| {}, None, SOON);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    assert!(read_line(&mut client).await.starts_with("hello 127.0.0.1:"));
    client.write_all(b"one\r\n").await.unwrap();
    assert_eq!(read_line(&mut client).await, "one\r\n");
    server.drain.start();
    assert_eq!(read_line(&mut client).await, "bye\r\n");
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_twin_serves_until_it_is_drained_and_then_the_other_does() {
    let settings = ListenerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..ListenerSettings::default()
    };
    let listener = Listener::bind(settings, None).unwrap();
    let address = listener.addresses()[0];
    let run = |listener: Listener| {
        let drain = Drain::new();
        let running = listener.run(Arc::new(Echo), drain.clone(), Duration::from_secs(5));
        (drain, tokio::spawn(running))
    };
    let (drain, running) = run(listener.twin().unwrap());
    let mut first = TcpStream::connect(address).await.unwrap();
    assert!(read_line(&mut first).await.starts_with("hello"));
    drain.start();
    assert_eq!(read_line(&mut first).await, "bye\r\n");
    running.await.unwrap();
    // Nobody is refused in between.
    let mut second = TcpStream::connect(address).await.unwrap();
    let (drain, running) = run(listener);
    assert!(read_line(&mut second).await.starts_with("hello"));
    drain.start();
    running.await.unwrap();
}

#[tokio::test]
async fn a_session_that_hangs_is_dropped_at_the_deadline() {
    let server = start(|_| {}, None, Duration::from_millis(50));
    let mut client = TcpStream::connect(server.address).await.unwrap();
    read_line(&mut client).await;
    client.write_all(b"one\r\nhang\r\n").await.unwrap();
    assert_eq!(read_line(&mut client).await, "one\r\n");
    server.drain.start();
    server.task.await.unwrap();
}

#[tokio::test]
async fn limits_turn_clients_away_with_the_protocols_words() {
    let server = start(|s| s.max_connections_per_address = 1, None, SOON);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    read_line(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_line(&mut second).await, "busy for you\r\n");
    assert_eq!(read_line(&mut second).await, "");

    let server = start(|s| s.max_connections = 1, None, SOON);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    read_line(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(read_line(&mut second).await, "busy in total\r\n");
}

#[tokio::test]
async fn a_proxy_header_counts_from_named_networks_only() {
    let header = b"PROXY TCP4 203.0.113.7 198.51.100.2 4711 25\r\none\r\n";
    let server = start(
        |s| s.proxy_from = vec!["127.0.0.0/8".parse().unwrap()],
        None,
        SOON,
    );
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(header).await.unwrap();
    assert_eq!(
        read_line(&mut client).await,
        "hello 203.0.113.7:4711 false\r\n"
    );
    assert_eq!(read_line(&mut client).await, "one\r\n");
    // Required from there.
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client
        .write_all(b"EHLO example.org and more\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");

    let server = start(|_| {}, None, SOON);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(header).await.unwrap();
    assert!(read_line(&mut client).await.starts_with("hello 127.0.0.1:"));
    assert!(read_line(&mut client).await.starts_with("PROXY TCP4"));
}

#[tokio::test]
async fn what_a_proxy_forwards_is_never_taken_for_local() {
    let server = start(
        |s| s.proxy_from = vec!["127.0.0.0/8".parse().unwrap()],
        None,
        SOON,
    );
    for header in [
        "PROXY UNKNOWN\r\n",
        "PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n",
        "PROXY TCP4 203.0.113.7 198.51.100.2 4711 25\r\n",
    ] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let text = format!("{header}near\r\n");
        client.write_all(text.as_bytes()).await.unwrap();
        assert!(read_line(&mut client).await.starts_with("hello"));
        assert_eq!(read_line(&mut client).await, "false\r\n", "{header}");
    }
    let server = start(|_| {}, None, SOON);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(b"near\r\n").await.unwrap();
    assert!(read_line(&mut client).await.starts_with("hello"));
    assert_eq!(read_line(&mut client).await, "true\r\n");
}

#[tokio::test]
async fn limits_count_the_address_behind_the_proxy() {
    let server = start(
        |s| {
            s.proxy_from = vec!["127.0.0.1".parse().unwrap()];
            s.max_connections_per_address = 1;
        },
        None,
        SOON,
    );
    let connect = async |last: u8| {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let line = format!("PROXY TCP4 203.0.113.{last} 198.51.100.2 4711 25\r\n");
        client.write_all(line.as_bytes()).await.unwrap();
        let greeting = read_line(&mut client).await;
        (client, greeting)
    };
    let first = connect(1).await;
    let second = connect(2).await;
    assert!(first.1.starts_with("hello") && second.1.starts_with("hello"));
    assert_eq!(connect(1).await.1, "busy for you\r\n");
}

fn write_certificate(dir: &std::path::Path) -> TlsSettings {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    TlsSettings {
        certificate,
        key,
        handshake_timeout: SOON,
    }
}

/// Connects trusting exactly the certificate in `settings`' file as it is now.
async fn connect_tls(
    address: SocketAddr,
    settings: &TlsSettings,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(&settings.certificate).unwrap();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
}

#[tokio::test]
async fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let settings = write_certificate(dir.path());
    let tls = Tls::load(settings.clone()).unwrap();
    let server = start(|_| {}, Some(tls.clone()), SOON);
    let old = std::fs::read(&settings.certificate).unwrap();
    let mut client = connect_tls(server.address, &settings).await.unwrap();
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello");

    std::fs::write(&settings.certificate, "not a certificate").unwrap();
    assert!(tls.reload_if_changed().is_err());
    assert!(!tls.reload_if_changed().unwrap(), "reported once");
    std::fs::write(&settings.certificate, &old).unwrap();
    connect_tls(server.address, &settings).await.unwrap();

    write_certificate(dir.path());
    assert!(tls.reload_if_changed().unwrap());
    connect_tls(server.address, &settings).await.unwrap();
}

#[tokio::test]
async fn plain_text_on_a_tls_port_and_silence_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = write_certificate(dir.path());
    settings.handshake_timeout = Duration::from_millis(100);
    let server = start(|_| {}, Some(Tls::load(settings).unwrap()), SOON);
    for hello in [&b"EHLO example.org\r\n"[..], b""] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(hello).await.unwrap();
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"hello"));
    }
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let server = start(|_| {}, None, SOON);
    let settings = ListenerSettings {
        listen: vec![server.address],
        ..Default::default()
    };
    let error = Listener::bind(settings, None).unwrap_err().to_string();
    assert!(
        error.contains(&server.address.to_string()) && error.contains("stop it"),
        "{error}"
    );
}
