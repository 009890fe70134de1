//! What is forwarded in the name of a domain that cannot seal it. Over the memory
//! metadata store, to a server on a loopback address.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_exporter_prometheus::PrometheusBuilder;
use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_dkim::{Algorithm, Key};
use postrider_meta::command::{Accept, AddDomain, SetDkimKeys};
use postrider_meta::memory::Memory;
use postrider_meta::{
    Client, DkimAlgorithm, DkimKey, DkimState, NewDestination, NewQueued, QueueEnvelope,
    QueuedRecipient, Seal,
};
use postrider_proto::smtp::SrsKey;
use postrider_queue::{Courier, Handles, Settings, Wake};
use postrider_route::testing::DnsServer;
use postrider_types::{Clock, DomainName, Millis, NodeId, Random};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The time of this machine.
struct Now;

impl Clock for Now {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Millis(u64::try_from(since.as_millis()).unwrap())
    }
}

struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        for (byte, from) in bytes.iter_mut().zip(count.iter().cycle()) {
            *byte = *from;
        }
    }
}

/// Takes one message; its content.
async fn take(listener: TcpListener) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 peer.test\r\n").await.unwrap();
    let (mut content, mut within) = (String::new(), false);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.unwrap() > 0);
        let answer = match (within, &*line) {
            (true, ".\r\n") => {
                stream.write_all(b"250 OK\r\n").await.unwrap();
                return content;
            }
            (true, line) => {
                content.push_str(line);
                continue;
            }
            (false, "DATA\r\n") => {
                within = true;
                "354 go on\r\n"
            }
            (false, _) => "250 OK\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// Makes `example.test` a domain with a key that ARC does not know.
async fn host(meta: &Client) -> DomainName {
    let name = DomainName::parse("example.test").unwrap();
    let add = AddDomain {
        name: name.clone(),
        internal: false,
        catch_all: None,
        relay: None,
    };
    meta.run(add).await.unwrap().0.unwrap();
    let key = Key::generate(Algorithm::Ed25519).unwrap();
    let set = SetDkimKeys {
        domain: name.clone(),
        before: Vec::new(),
        keys: vec![DkimKey {
            selector: "one".into(),
            algorithm: DkimAlgorithm::Ed25519Sha256,
            private: key.to_pkcs8().unwrap().into(),
            public: key.public_key().to_owned().into(),
            state: DkimState::Active,
            created: Millis(0),
        }],
    };
    meta.run(set).await.unwrap().0.unwrap();
    name
}

/// A message from a stranger that `domain` forwards to an address literal.
async fn forward(handles: &Handles, domain: DomainName) {
    let mut intake = handles.bodies.intake();
    intake
        .write(b"Subject: on\r\n\r\nHello.\r\n")
        .await
        .unwrap();
    let now = handles.meta.clock().now();
    let destination = NewDestination {
        name: "[127.0.0.1]".into(),
        recipients: vec![QueuedRecipient {
            address: "carl@[127.0.0.1]".into(),
            notify: None,
            original: None,
            last: None,
        }],
        sender: None,
        seal: Some(Seal {
            domain,
            client: Ipv4Addr::new(192, 0, 2, 1).into(),
            helo: "client.test".into(),
            came_from: "dora@outside.test".into(),
        }),
        list: None,
        fields: Default::default(),
    };
    let accept = Accept {
        body: intake.finish().await.unwrap(),
        deliveries: Vec::new(),
        received: now,
        queued: Some(NewQueued {
            envelope: QueueEnvelope {
                reverse_path: "dora@outside.test".into(),
                ret: None,
                envelope_id: None,
                smtp_utf8: false,
                require_tls: false,
                tls_optional: false,
                sign: None,
                submitter: None,
            },
            prefix: "Received: here\r\n".into(),
            destinations: vec![destination],
            due: now,
            warn: None,
            expires: now.after(Duration::from_secs(3_600)),
        }),
        origin: None,
        notices: Vec::new(),
    };
    handles.meta.run(accept).await.unwrap().0.unwrap();
}

#[tokio::test]
async fn a_domain_without_an_rsa_key_forwards_without_a_seal() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let dns = DnsServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        dns: dns.settings(),
        loopback: true,
        port: listener.local_addr().unwrap().port(),
        ..Settings::default()
    };
    let meta = Client::new(
        Memory::new(Arc::new(Now)),
        Arc::new(Now),
        Arc::new(Counted(AtomicU64::new(0))),
    );
    let folder = tempfile::tempdir().unwrap();
    let blob = postrider_blob::Settings {
        folder: Some(folder.path().to_owned()),
        ..postrider_blob::Settings::default()
    };
    let blobs = Store::open(&blob).unwrap();
    let handles = Handles {
        bodies: Bodies::new(meta.clone(), blobs, postrider_body::Settings::default()),
        meta: meta.clone(),
        node: NodeId(1),
        hostname: "mail.example.test".into(),
        addresses: Vec::new(),
        srs: SrsKey::new([7; 32]),
        postmaster: None,
        unsubscribe: None,
    };
    let domain = host(&meta).await;
    forward(&handles, domain).await;
    let stop = CancellationToken::new();
    let courier = Courier::new(handles, settings, Wake::default()).unwrap();
    let running = tokio::spawn(courier.run(stop.clone(), Duration::from_secs(5)));
    let content = take(listener).await;
    assert_eq!(content, "Received: here\r\nSubject: on\r\n\r\nHello.\r\n");
    let counted = metrics.render();
    let line = "postrider_queue_arc_unsealed_total{reason=\"key\"} 1\n";
    assert!(counted.contains(line), "{counted}");
    stop.cancel();
    running.await.unwrap();
}
