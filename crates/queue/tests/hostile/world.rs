//! A courier over the memory metadata store, a name server, and other servers: one
//! listener on all loopback addresses, which answers by a script that sees at which of
//! them it was reached.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_meta::command::Accept;
use postrider_meta::memory::Memory;
use postrider_meta::{
    Client, DestinationView, NewDestination, NewQueued, QueueEnvelope, QueuedRecipient, QueuedView,
    ReadAt, query,
};
use postrider_proto::smtp::SrsKey;
use postrider_queue::{Courier, Handles, Settings, Wake};
use postrider_route::testing::{Data, DnsServer};
use postrider_types::{Clock, Millis, NodeId, QueueId, Random};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that anything is waited for.
const LONG: Duration = Duration::from_secs(60);

/// The time of this machine, and more where a test says so.
#[derive(Default)]
pub(crate) struct Now(AtomicU64);

impl Now {
    pub(crate) fn jump(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Now {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ahead = self.0.load(Ordering::SeqCst);
        Millis(u64::try_from(since.as_millis()).unwrap() + ahead)
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

/// What a server does.
pub(crate) enum Act {
    /// Replies as one that takes all.
    Accept,
    Reply(&'static str),
    /// Replies as one that takes all, once the world is told to go on.
    AcceptLater,
    /// Says nothing until the client goes.
    Silence,
    Close,
}

/// A moment of a dialogue.
pub(crate) struct Moment<'a> {
    /// The address at which the server was reached.
    pub(crate) at: IpAddr,
    /// The command; `CONNECT` before the greeting, and `.` for a message's end.
    pub(crate) command: &'a str,
}

type Script = dyn Fn(&Moment<'_>) -> Act + Send + Sync;

/// What the servers have met.
#[derive(Clone, Default)]
pub(crate) struct Met {
    visits: usize,
    /// All that were heard.
    pub(crate) commands: Vec<String>,
    /// Who has a message.
    pub(crate) taken: Vec<String>,
    /// Connections at the moment, by address.
    pub(crate) open: Vec<IpAddr>,
}

pub(crate) struct World {
    pub(crate) dns: DnsServer,
    pub(crate) meta: Client,
    pub(crate) clock: Arc<Now>,
    handles: Handles,
    met: watch::Sender<Met>,
    go_on: watch::Sender<bool>,
    listening: JoinHandle<()>,
    port: u16,
    courier: Mutex<Option<JoinHandle<()>>>,
    wake: Wake,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(script: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        let dns = DnsServer::start().await;
        dns.add_zone("test", false);
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = Arc::new(Now::default());
        let random = Arc::new(Counted(AtomicU64::new(0)));
        let meta = Client::new(Memory::new(clock.clone()), clock.clone(), random);
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
        let met = watch::Sender::default();
        let go_on = watch::Sender::new(false);
        let serving = serve(listener, Arc::new(script), met.clone(), go_on.clone());
        Self {
            dns,
            meta,
            clock,
            handles,
            met,
            go_on,
            listening: tokio::spawn(serving),
            port,
            courier: Mutex::default(),
            wake: Wake::default(),
            stop: CancellationToken::new(),
            _folder: folder,
        }
    }

    /// Settings for these servers: one connection to each destination.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            dns: self.dns.settings(),
            loopback: true,
            port: self.port,
            connections_per_destination: 1,
            ..Settings::default()
        }
    }

    pub(crate) fn start(&self, settings: Settings) {
        let courier = Courier::new(self.handles.clone(), settings, self.wake.clone()).unwrap();
        let running = courier.run(self.stop.clone(), Duration::from_secs(5));
        *self.courier.lock() = Some(tokio::spawn(running));
    }

    /// The servers of `name`: their MX hosts in order, each with its addresses.
    pub(crate) fn publish(&self, name: &str, hosts: &[&[[u8; 4]]]) {
        for (number, addresses) in (0u16..).zip(hosts) {
            let host = format!("mx{number}.{name}");
            self.dns.add(name, Data::mx(number * 10, &host));
            for address in *addresses {
                self.dns.add(&host, Data::address(IpAddr::from(*address)));
            }
        }
    }

    /// Queues a message from nobody.
    pub(crate) async fn send(&self, to: &str) {
        let (_, domain) = to.split_once('@').unwrap();
        let mut intake = self.handles.bodies.intake();
        intake
            .write(b"Subject: on\r\n\r\nHello.\r\n")
            .await
            .unwrap();
        let now = self.clock.now();
        let destination = NewDestination {
            name: domain.into(),
            recipients: vec![QueuedRecipient {
                address: to.into(),
                notify: None,
                original: None,
                last: None,
            }],
            sender: None,
            seal: None,
            list: None,
            fields: Default::default(),
        };
        let accept = Accept {
            body: intake.finish().await.unwrap(),
            deliveries: Vec::new(),
            received: now,
            queued: Some(NewQueued {
                envelope: QueueEnvelope {
                    reverse_path: String::new(),
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
                expires: now.after(Duration::from_secs(86_400)),
            }),
            origin: None,
            notices: Vec::new(),
        };
        self.meta.run(accept).await.unwrap().0.unwrap();
        self.wake.wake();
    }

    /// Waits until what the servers have met is as wished.
    pub(crate) async fn until(&self, wished: impl FnMut(&Met) -> bool) -> Met {
        let mut met = self.met.subscribe();
        let waited = tokio::time::timeout(LONG, met.wait_for(wished)).await;
        match waited {
            Ok(met) => met.unwrap().clone(),
            Err(_) => panic!("in vain: {:?}", self.met.borrow().commands),
        }
    }

    pub(crate) fn met(&self) -> Met {
        self.met.borrow().clone()
    }

    /// Lets those go on who wait for it.
    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    /// What is in the queue under a number, from 1.
    pub(crate) async fn entry(&self, id: u64) -> Option<QueuedView> {
        let ids = vec![QueueId(id)];
        let answer = self.meta.ask(query::Queued { ids }, ReadAt::Latest).await;
        answer.unwrap().0.pop().flatten()
    }

    /// Waits until the queue knows why a destination waits.
    pub(crate) async fn rests(&self, name: &str) -> DestinationView {
        let looking = async {
            loop {
                let name = name.to_owned();
                let question = query::QueueDestination { name };
                let (view, _) = self.meta.ask(question, ReadAt::Latest).await.unwrap();
                match view.filter(|view| view.last_error.is_some()) {
                    Some(view) => return view,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(LONG, looking).await.unwrap()
    }

    /// Ends all; the courier first, which shall not panic.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.go_on();
        let courier = self.courier.lock().take();
        courier.unwrap().await.unwrap();
        self.listening.abort();
    }
}

async fn serve(
    listener: TcpListener,
    script: Arc<Script>,
    met: watch::Sender<Met>,
    go_on: watch::Sender<bool>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (script, met, go_on) = (script.clone(), met.clone(), go_on.subscribe());
        tokio::spawn(async move {
            let at = stream.local_addr().unwrap().ip();
            let mut visit = 0;
            met.send_modify(|met| {
                visit = met.visits;
                met.visits += 1;
                met.open.push(at);
            });
            let talked = talk(stream, (at, visit), &*script, &met, go_on);
            // The client may go at any moment.
            let _ = talked.await;
            met.send_modify(|met| {
                let place = met.open.iter().position(|it| *it == at);
                met.open.remove(place.unwrap());
            });
        });
    }
}

async fn talk(
    stream: TcpStream,
    (at, visit): (IpAddr, usize),
    script: &Script,
    met: &watch::Sender<Met>,
    mut go_on: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut command, mut to) = (String::from("CONNECT"), String::new());
    loop {
        met.send_modify(|met| met.commands.push(format!("{visit} {command}")));
        let moment = Moment {
            at,
            command: &command,
        };
        let usual = match &*command {
            "CONNECT" => "220 peer.test\r\n",
            "DATA" => "354 go on\r\n",
            _ => "250 OK\r\n",
        };
        let reply = match script(&moment) {
            Act::Accept => usual,
            Act::Reply(reply) => reply,
            Act::AcceptLater => {
                let _ = go_on.wait_for(|it| *it).await;
                usual
            }
            Act::Silence => "",
            Act::Close => return Ok(()),
        };
        let done = command == "." && reply.starts_with('2');
        let within = command == "DATA" && reply.starts_with('3');
        if let Some(path) = command.strip_prefix("RCPT TO:") {
            to = path.to_owned();
        }
        if done {
            met.send_modify(|met| met.taken.push(to.clone()));
        }
        stream.write_all(reply.as_bytes()).await?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            command = line.trim_end().to_owned();
            if !within || command == "." {
                break;
            }
        }
    }
}
