//! A name server on loopback for tests: zones are set by simple calls, may be
//! signed, and change at any time; each name may be made to fail.
//!
//! The root zone is there from the start and signed; a zone that is added is
//! delegated from it. Records live for no time, so that no answer is cached, unless
//! a test wants it so.

mod zone;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::{LowerName, Name, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{Catalog, MessageResponseBuilder};
use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};

use crate::{NameServer, Settings, Tlsa};
use zone::Zone;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// What the name is an alias of.
    Cname(String),
    /// A host that receives mail, with its preference.
    Mx(u16, String),
    /// A text, of any length.
    Txt(String),
    /// What a certificate must match.
    Tlsa(Tlsa),
}

impl Data {
    /// The host `name` receives mail, with this preference.
    pub fn mx(preference: u16, name: &str) -> Self {
        Self::Mx(preference, name.into())
    }

    /// A text.
    pub fn txt(text: &str) -> Self {
        Self::Txt(text.into())
    }

    /// The record of `address`.
    pub fn address(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(v4) => Self::A(v4),
            std::net::IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }
}

/// How the server fails for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers SERVFAIL.
    ServFail,
    /// It answers REFUSED.
    Refused,
    /// It does not answer.
    Silent,
    /// It answers without the signatures, in a signed zone.
    Unsigned,
    /// It denies the records in the name of another zone, which is not signed, as
    /// a forger would. There must be such a zone.
    Forged,
}

/// The type of a record, where a fault is for one type alone.
pub type Type = RecordType;

/// A name server; ends when it is dropped.
pub struct DnsServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Server<Handler>,
}

/// All that the server knows.
struct State {
    zones: BTreeMap<LowerName, Zone>,
    faults: HashMap<(LowerName, Option<RecordType>), Fault>,
    asked: HashMap<(LowerName, RecordType), usize>,
}

#[derive(Clone)]
struct Handler(Arc<Mutex<State>>);

/// What is done with a query.
enum Plan {
    Answer(Catalog),
    Code(ResponseCode),
    Deny(Box<Record>),
    Silence,
}

impl DnsServer {
    /// Starts a server with a signed root zone on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let root = Zone::new(Name::root(), true);
        let state = Arc::new(Mutex::new(State {
            zones: [(Name::root().into(), root)].into(),
            faults: HashMap::new(),
            asked: HashMap::new(),
        }));
        let (listener, socket) = bind().await;
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let mut server = Server::new(Handler(state.clone()));
        server.register_socket(socket);
        let idle = std::time::Duration::from_secs(30);
        server.register_listener(listener, idle, 1024);
        Self {
            address,
            state,
            _server: server,
        }
    }

    /// Where it listens, for UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settings of a resolver that asks this server alone, quick to give up and
    /// without validation.
    pub fn settings(&self) -> Settings {
        Settings {
            servers: vec![NameServer(self.address)],
            timeout: std::time::Duration::from_millis(500),
            retries: 0,
            ..Settings::default()
        }
    }

    /// The root zone's key, as the text of a trust anchor's file.
    pub fn trust_anchor(&self) -> String {
        self.state.lock().zones[&Name::root().into()].anchor()
    }

    /// Adds an empty zone, delegated from the root zone; `signed` by DNSSEC or
    /// not. One that is there already is emptied.
    pub fn add_zone(&self, origin: &str, signed: bool) {
        let origin = full(origin);
        let zone = Zone::new(origin.clone(), signed);
        let mut state = self.state.lock();
        let root = state.zones.get_mut(&Name::root().into());
        root.expect("it is there from the start").delegate(&zone);
        state.zones.insert(origin.into(), zone);
    }

    /// Lets resolvers keep the records of the zone `origin` for so many seconds.
    pub fn set_ttl(&self, origin: &str, seconds: u32) {
        let origin = full(origin);
        self.state.lock().zone_of(&origin).set_ttl(seconds);
    }

    /// Adds a record to the zone that holds `name`. Panics where that is the root
    /// zone: a zone must be added first.
    pub fn add(&self, name: &str, data: Data) {
        let name = full(name);
        self.state.lock().zone_of(&name).add(name, data);
    }

    /// Removes all records of `name`, and adds `data`.
    pub fn set(&self, name: &str, data: impl IntoIterator<Item = Data>) {
        let name = full(name);
        let mut state = self.state.lock();
        let zone = state.zone_of(&name);
        zone.remove(&name);
        for data in data {
            zone.add(name.clone(), data);
        }
    }

    /// Makes queries for `name` fail, all or those of one type; None ends it.
    pub fn fail(&self, name: &str, kind: Option<Type>, fault: Option<Fault>) {
        let key = (full(name).into(), kind);
        let mut state = self.state.lock();
        match fault {
            Some(fault) => state.faults.insert(key, fault),
            None => state.faults.remove(&key),
        };
    }

    /// How often the server was asked for records of `kind` at `name`.
    pub fn asked(&self, name: &str, kind: Type) -> usize {
        let key = (full(name).into(), kind);
        self.state.lock().asked.get(&key).copied().unwrap_or(0)
    }
}

impl State {
    fn zone_of(&mut self, name: &Name) -> &mut Zone {
        let mut at = LowerName::from(name);
        while !self.zones.contains_key(&at) {
            at = at.base_name();
        }
        assert!(!at.is_root(), "no zone holds {name}: add one first");
        self.zones.get_mut(&at).expect("it was found just now")
    }

    /// The SOA record of a zone that is not signed.
    fn foreign_soa(&self) -> Record {
        let unsigned = self.zones.values().find(|zone| !zone.is_signed());
        unsigned.expect("a test adds one to forge with").soa()
    }

    fn plan(&mut self, name: &LowerName, kind: RecordType) -> Plan {
        *self.asked.entry((name.clone(), kind)).or_default() += 1;
        let of = |kind| self.faults.get(&(name.clone(), kind)).copied();
        let fault = of(Some(kind)).or_else(|| of(None));
        match fault {
            Some(Fault::Silent) => return Plan::Silence,
            Some(Fault::ServFail) => return Plan::Code(ResponseCode::ServFail),
            Some(Fault::Refused) => return Plan::Code(ResponseCode::Refused),
            Some(Fault::Forged) => return Plan::Deny(Box::new(self.foreign_soa())),
            Some(Fault::Unsigned) | None => {}
        }
        let mut at = name.clone();
        // RFC 4035 §3.1.4.1: the parent zone answers for the DS records of a zone.
        if kind == RecordType::DS && !at.is_root() {
            at = at.base_name();
        }
        while !self.zones.contains_key(&at) {
            at = at.base_name();
        }
        let mut catalog = Catalog::new();
        catalog.upsert(at.clone(), vec![self.zones[&at].handler(fault.is_none())]);
        Plan::Answer(catalog)
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let plan = match request.request_info() {
            Ok(info) => self
                .0
                .lock()
                .plan(info.query.name(), info.query.query_type()),
            Err(_) => Plan::Code(ResponseCode::FormErr),
        };
        let nothing = || {
            ResponseInfo::from(Header {
                metadata: Metadata::response_from_request(&request.metadata),
                counts: HeaderCounts::default(),
            })
        };
        match plan {
            Plan::Answer(catalog) => catalog.handle_request::<R, T>(request, response).await,
            Plan::Silence => nothing(),
            Plan::Deny(soa) => {
                let builder = MessageResponseBuilder::from_message_request(request);
                let metadata = Metadata::response_from_request(&request.metadata);
                let message = builder.build(metadata, [], [], [&*soa], []);
                let sent = response.send_response(message).await;
                sent.unwrap_or_else(|_| nothing())
            }
            Plan::Code(code) => {
                let builder = MessageResponseBuilder::from_message_request(request);
                let message = builder.error_msg(&request.metadata, code);
                let sent = response.send_response(message).await;
                sent.unwrap_or_else(|_| nothing())
            }
        }
    }
}

/// A port that is free for both TCP and UDP.
async fn bind() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        if let Ok(socket) = UdpSocket::bind(address).await {
            return (listener, socket);
        }
    }
}

fn full(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a test names what can be a name");
    name.set_fqdn(true);
    name
}
