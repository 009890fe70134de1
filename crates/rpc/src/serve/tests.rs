//! Real servers on loopback: who gets in, and how far.

use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use postrider_types::Versions;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;
use tonic::{Request, Response, Streaming};

use super::*;
use crate::proto::join_client::JoinClient;
use crate::proto::join_server::{Join, JoinServer};
use crate::proto::nodes_client::NodesClient;
use crate::proto::nodes_server::{Nodes, NodesServer};
use crate::proto::raft_client::RaftClient;
use crate::proto::{CountsPart, JoinReply, JoinRequest, ReportReply, ReportRequest, VoteRequest};
use crate::{
    Authority, Caller, Channels, Error, FORWARDED, Identity, KeyRequest, NODE_NAME, Standing,
    Token, join,
};

mod renewal;

const SECRET: [u8; 16] = *b"an open sesame!!";

fn cluster(digit: &str) -> String {
    digit.repeat(32)
}

/// Signs whoever knows the secret as node 9.
struct Doorman {
    authority: Authority,
    /// What it says the authority is, if not the truth.
    claims: Option<String>,
}

#[tonic::async_trait]
impl Join for Doorman {
    async fn invite(
        &self,
        _: Request<crate::proto::InviteRequest>,
    ) -> Result<Response<crate::proto::InviteReply>, Status> {
        Err(Status::unimplemented("nobody is invited here"))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let request = request.into_inner();
        if request.secret != SECRET[..] {
            return Err(Failure::Failed("the join token is unknown".into()).into());
        }
        let certificate = self.authority.issue(&request.signing_request, 9, &[]);
        let truth = || self.authority.certificate().to_owned();
        Ok(Response::new(JoinReply {
            node: 9,
            cluster: self.authority.cluster().to_owned(),
            authority: self.claims.clone().unwrap_or_else(truth),
            certificate: certificate.map_err(|e| Failure::Failed(e.to_string()))?,
            members: Vec::new(),
        }))
    }
}

/// Tells callers who they are, but not those that say they wait.
struct Mirror;

/// Set by callers that are to get no answer.
const WAIT: &str = "wait";

#[tonic::async_trait]
impl Nodes for Mirror {
    type CountsStream = tokio_stream::Pending<Result<CountsPart, Status>>;

    async fn report(
        &self,
        request: Request<ReportRequest>,
    ) -> Result<Response<ReportReply>, Status> {
        if request.metadata().contains_key(WAIT) {
            std::future::pending::<()>().await;
        }
        let caller = request.extensions().get::<Caller>();
        let json = Bytes::from(format!("{caller:?}"));
        Ok(Response::new(ReportReply { json }))
    }

    async fn counts(
        &self,
        _request: Request<Streaming<CountsPart>>,
    ) -> Result<Response<Self::CountsStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}

struct Server {
    address: String,
    serving: JoinHandle<()>,
    stop: DropGuard,
    /// Of all others nothing is known.
    standing: Arc<Mutex<HashMap<u64, Standing>>>,
}

impl Server {
    fn is(&self, node: u64, standing: Standing) {
        self.standing.lock().unwrap().insert(node, standing);
    }
}

async fn start(tls: &Tls, doorman: Doorman) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let standing: Arc<Mutex<HashMap<u64, Standing>>> = Arc::default();
    let known = standing.clone();
    let guard = Guard::new(move |node| {
        let known = known.lock().unwrap();
        known.get(&node).copied().unwrap_or(Standing::Voter)
    });
    let join = JoinServer::new(doorman).max_decoding_message_size(MAX_JOIN_MESSAGE);
    let routes = Routes::new(NodesServer::new(Mirror)).add_service(join);
    let stop = CancellationToken::new();
    let (tls, stopped) = (tls.clone(), stop.clone().cancelled_owned());
    let serving = tokio::spawn(async move {
        serve(listener, &tls, Timeouts::default(), guard, routes, stopped).await
    });
    Server {
        address,
        serving,
        stop: stop.drop_guard(),
        standing,
    }
}

fn identity(authority: &Authority, node: u64) -> Identity {
    let request = KeyRequest::new().unwrap();
    let certificate = authority.issue(&request.signing_request, node, &[]);
    Identity {
        ca: authority.certificate().to_owned(),
        certificate: certificate.unwrap(),
        key: request.key,
    }
}

fn mutual(authority: &Authority, node: u64) -> Tls {
    Tls::mutual(&identity(authority, node)).unwrap()
}

fn doorman(authority: &Authority) -> Doorman {
    let key = authority.key();
    Doorman {
        authority: Authority::from_pem(authority.certificate(), &key).unwrap(),
        claims: None,
    }
}

/// A server of node 1.
async fn node_one(authority: &Authority) -> Server {
    let tls = mutual(authority, 1);
    start(&tls, doorman(authority)).await
}

/// What node says of the caller with `tls`.
async fn report(tls: Tls, address: &str) -> Result<String, Failure> {
    let channel = Channels::new(tls, Timeouts::default())
        .get(address)
        .unwrap();
    let reply = NodesClient::new(channel).report(ReportRequest {}).await?;
    Ok(String::from_utf8(reply.into_inner().json.to_vec()).unwrap())
}

fn request() -> (KeyRequest, JoinRequest) {
    let key = KeyRequest::new().unwrap();
    let request = JoinRequest {
        signing_request: key.signing_request.clone(),
        ..JoinRequest::default()
    };
    (key, request)
}

/// A connection as somebody without a certificate makes it.
async fn stranger(token: &Token) -> tonic::transport::Channel {
    let anchor = crate::authority::trust_anchor(&token.cluster, &token.anchor);
    let tls = tonic::transport::ClientTlsConfig::new()
        .trust_anchor(anchor)
        .domain_name(NODE_NAME);
    let endpoint = format!("https://{}", token.addresses[0]);
    let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn a_node_joins_by_token_and_is_known_from_then_on() {
    let authority = Authority::new(&cluster("a")).unwrap();
    let server = node_one(&authority).await;
    // Nobody listens at the first address.
    let addresses = vec!["127.0.0.1:1".into(), server.address.clone()];
    let token: Token = authority
        .token(SECRET, addresses)
        .to_string()
        .parse()
        .unwrap();
    let (key, request) = request();
    let reply = join(&token, Versions::PROGRAM, request).await.unwrap();
    assert_eq!((reply.node, reply.cluster), (9, cluster("a")));
    let tls = Identity {
        ca: reply.authority,
        certificate: reply.certificate,
        key: key.key,
    };
    let tls = Tls::mutual(&tls).unwrap();
    let told = report(tls.clone(), &server.address).await;
    assert_eq!(told.unwrap(), "Some(Caller(9))");

    // Once removed it is refused, in so many words.
    server.is(9, Standing::Removed);
    assert_eq!(report(tls, &server.address).await, Err(Failure::Removed));
    let other = mutual(&authority, 2);
    let told = report(other, &server.address).await;
    assert_eq!(told.unwrap(), "Some(Caller(2))");
}

#[tokio::test]
async fn a_stranger_reaches_join_alone() {
    let authority = Authority::new(&cluster("b")).unwrap();
    let server = node_one(&authority).await;
    let token = authority.token([0; 16], vec![server.address.clone()]);
    let channel = stranger(&token).await;
    let refused = NodesClient::new(channel.clone())
        .report(ReportRequest {})
        .await;
    let refused = Failure::from(refused.unwrap_err());
    let told = matches!(&refused, Failure::Failed(text) if text.contains("certificate"));
    assert!(told, "{refused:?}");
    let large = JoinRequest {
        name: "x".repeat(2 * MAX_JOIN_MESSAGE),
        ..request().1
    };
    assert!(JoinClient::new(channel).join(large).await.is_err());

    // It gets there, and needs the secret.
    let refused = join(&token, Versions::PROGRAM, request().1)
        .await
        .unwrap_err();
    assert_eq!(refused, Failure::Failed("the join token is unknown".into()));

    // In the clear there is nothing at all.
    assert!(report(Tls::Off, &server.address).await.is_err());
}

#[tokio::test]
async fn another_authority_is_refused_by_both_sides() {
    let ours = Authority::new(&cluster("c")).unwrap();
    // Even one that says it is of the same cluster.
    let theirs = Authority::new(&cluster("c")).unwrap();
    let server = node_one(&ours).await;
    // The server refuses a certificate that another authority signed: this one
    // trusts the server, so that it is not the client that ends it.
    let mixed = Identity {
        ca: ours.certificate().to_owned(),
        ..identity(&theirs, 2)
    };
    assert!(
        report(Tls::mutual(&mixed).unwrap(), &server.address)
            .await
            .is_err()
    );
    // A node refuses a server that another authority signed.
    let node = Identity {
        ca: theirs.certificate().to_owned(),
        ..identity(&ours, 2)
    };
    assert!(
        report(Tls::mutual(&node).unwrap(), &server.address)
            .await
            .is_err()
    );
    // A joining node shows its secret to no such server, and says why.
    let token = theirs.token(SECRET, vec![server.address.clone()]);
    let refused = join(&token, Versions::PROGRAM, request().1)
        .await
        .unwrap_err();
    let told = matches!(&refused, Failure::Unavailable(text) if text.contains("does not belong"));
    assert!(told, "{refused:?}");
    // And is not talked into trusting another authority.
    let liar = Doorman {
        claims: Some(theirs.certificate().to_owned()),
        ..doorman(&ours)
    };
    let server = start(&mutual(&ours, 3), liar).await;
    let token = ours.token(SECRET, vec![server.address.clone()]);
    let refused = join(&token, Versions::PROGRAM, request().1)
        .await
        .unwrap_err();
    assert!(matches!(refused, Failure::Failed(_)), "{refused:?}");
}

#[tokio::test]
async fn nodes_without_metadata_have_no_part_in_raft() {
    let authority = Authority::new(&cluster("9")).unwrap();
    let server = node_one(&authority).await;
    server.is(2, Standing::Frontend);
    for (node, reached) in [(2, false), (3, true)] {
        let tls = mutual(&authority, node);
        let channel = Channels::new(tls, Timeouts::default());
        let channel = channel.get(&server.address).unwrap();
        let vote = RaftClient::new(channel.clone())
            .vote(VoteRequest::default())
            .await;
        // No such service is served here: the guard has let it through.
        let vote = Failure::from(vote.unwrap_err());
        assert_eq!(matches!(vote, Failure::Unsupported(_)), reached, "{vote:?}");
        let mut passed_on = Request::new(ReportRequest {});
        let yes = "1".parse().unwrap();
        passed_on.metadata_mut().insert(FORWARDED, yes);
        let mut client = NodesClient::new(channel);
        assert_eq!(client.report(passed_on).await.is_ok(), reached);
        assert!(client.report(ReportRequest {}).await.is_ok());
    }
}

#[tokio::test]
async fn the_streams_of_a_node_end_when_it_is_removed() {
    let authority = Authority::new(&cluster("8")).unwrap();
    let server = node_one(&authority).await;
    let tls = mutual(&authority, 2);
    let channel = Channels::new(tls.clone(), Timeouts::default());
    let mut client = NodesClient::new(channel.get(&server.address).unwrap());
    let sent = tokio_stream::pending::<CountsPart>();
    let mut counts = client.counts(sent).await.unwrap().into_inner();
    server.is(2, Standing::Removed);
    assert!(counts.message().await.is_err());
    assert_eq!(report(tls, &server.address).await, Err(Failure::Removed));
}

#[tokio::test]
async fn a_node_is_not_taken_for_another_at_its_address() {
    let authority = Authority::new(&cluster("a")).unwrap();
    let server = node_one(&authority).await;
    let tls = mutual(&authority, 2);
    let channels = Channels::new(tls, Timeouts::default());
    for (node, reached) in [(1, true), (3, false), (11, false)] {
        let channel = channels.node(node, &server.address).unwrap();
        let told = NodesClient::new(channel).report(ReportRequest {}).await;
        assert_eq!(told.is_ok(), reached, "node {node}");
    }
    let channel = channels.get(&server.address).unwrap();
    let told = NodesClient::new(channel).report(ReportRequest {}).await;
    assert!(told.is_ok());
}

#[tokio::test]
async fn only_neighbours_in_version_are_answered() {
    let authority = Authority::new(&cluster("f")).unwrap();
    let server = node_one(&authority).await;
    let tls = mutual(&authority, 2);
    let ours = Versions::PROGRAM.newest.0;
    for (newest, answered) in [(ours, true), (ours + 1, true), (ours + 2, false)] {
        let channels = Channels::new(tls.clone(), Timeouts::default());
        let channels = channels.speaking(Versions::up_to(newest));
        let channel = channels.get(&server.address).unwrap();
        let told = NodesClient::new(channel).report(ReportRequest {}).await;
        let told = told.map(|_| ()).map_err(Failure::from);
        match answered {
            true => assert_eq!(told, Ok(())),
            false => assert!(
                matches!(&told, Err(Failure::Unsupported(text)) if text.contains("neighbours")),
                "{told:?}"
            ),
        }
    }
}

#[tokio::test]
async fn without_tls_everybody_is_let_in() {
    let authority = Authority::new(&cluster("d")).unwrap();
    let server = start(&Tls::Off, doorman(&authority)).await;
    let told = report(Tls::Off, &server.address).await;
    assert_eq!(told.unwrap(), "None");
}

#[tokio::test]
async fn a_server_that_ends_leaves_no_connection() {
    let authority = Authority::new(&cluster("e")).unwrap();
    let server = node_one(&authority).await;
    let tls = mutual(&authority, 2);
    let channel = Channels::new(tls, Timeouts::default());
    let channel = channel.get(&server.address).unwrap();
    let mut client = NodesClient::new(channel);
    // A stream that would go on for ever.
    let sent = tokio_stream::pending::<CountsPart>();
    let mut counts = client.counts(sent).await.unwrap().into_inner();
    drop(server.stop);
    server.serving.await.unwrap();
    assert!(counts.message().await.is_err());
    let address: SocketAddr = server.address.parse().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn unusable_certificates_are_told_at_once() {
    let authority = Authority::new(&cluster("f")).unwrap();
    let good = identity(&authority, 1);
    let other = identity(&authority, 1);
    for bad in [
        Identity {
            key: other.key,
            ..good.clone()
        },
        Identity {
            certificate: String::new(),
            ..good.clone()
        },
        Identity {
            ca: String::new(),
            ..good
        },
    ] {
        let told = Tls::mutual(&bad);
        assert!(matches!(told, Err(Error::Certificate(_))), "{told:?}");
    }
}

#[tokio::test]
async fn who_opens_connections_and_says_nothing_keeps_no_node_out() {
    let authority = Authority::new(&cluster("e")).unwrap();
    let server = node_one(&authority).await;
    let address: std::net::SocketAddr = server.address.parse().unwrap();
    // More than are let in from one address, which is not the nodes'.
    let mut silent = Vec::new();
    for _ in 0..2 * HANDSHAKES_PER_ADDRESS {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    let mut last = silent.pop().unwrap();
    let closed = tokio::io::AsyncReadExt::read(&mut last, &mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    let node = mutual(&authority, 2);
    let told = report(node, &server.address).await;
    assert_eq!(told.unwrap(), "Some(Caller(2))");
}

/// A stranger's connection from 127.0.0.2 that is made, and then does nothing.
async fn idle_stranger(authority: &Authority, address: &str) -> impl AsyncRead + use<> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority.certificate().as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = NODE_NAME.try_into().unwrap();
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn one_address_does_not_keep_others_from_joining() {
    let authority = Authority::new(&cluster("7")).unwrap();
    let server = node_one(&authority).await;
    let mut idle = Vec::new();
    for _ in 0..=STRANGERS {
        idle.push(idle_stranger(&authority, &server.address).await);
    }
    let token = authority.token(SECRET, vec![server.address.clone()]);
    join(&token, Versions::PROGRAM, request().1).await.unwrap();
}

#[tokio::test]
async fn slow_strangers_keep_nobody_from_joining() {
    let authority = Authority::new(&cluster("6")).unwrap();
    let server = node_one(&authority).await;
    let token = authority.token(SECRET, vec![server.address.clone()]);
    // More calls than may join at once, of which no body ever comes.
    let mut slow = JoinSet::new();
    for _ in 0..3 {
        let channel = stranger(&token).await;
        for _ in 0..4 {
            let mut grpc = tonic::client::Grpc::new(channel.clone());
            slow.spawn(async move {
                grpc.ready().await.unwrap();
                let never = Request::new(tokio_stream::pending::<JoinRequest>());
                let path = "/postrider.v1.Join/Join".parse().unwrap();
                let codec = tonic_prost::ProstCodec::<JoinRequest, JoinReply>::default();
                grpc.client_streaming(never, path, codec).await.map(drop)
            });
        }
    }
    join(&token, Versions::PROGRAM, request().1).await.unwrap();
    // And they are told so after a while.
    let told = slow.join_next().await.unwrap().unwrap();
    assert!(told.unwrap_err().message().contains("too long"));
}

#[tokio::test]
async fn a_call_ends_with_its_deadline() {
    // Without a client, which would give up by itself.
    let routes = Routes::new(NodesServer::new(Mirror)).prepare();
    let routes = TowerToHyperService::new(routes);
    for (wait, status) in [(true, Some("4")), (false, None)] {
        let mut request = hyper::Request::post("http://node/postrider.v1.Nodes/Report")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "50m");
        if wait {
            request = request.header(WAIT, "1");
        }
        // No compression, no bytes.
        let body = Body::new(Full::new(Bytes::from_static(&[0; 5])));
        let response = call(&routes, request.body(body).unwrap()).await;
        let told = response.headers().get("grpc-status");
        assert_eq!(told.map(|it| it.to_str().unwrap()), status);
    }
}

#[tokio::test]
async fn a_stream_outlives_the_deadline_of_its_call() {
    let authority = Authority::new(&cluster("5")).unwrap();
    let server = node_one(&authority).await;
    let channels = Channels::new(mutual(&authority, 2), Timeouts::default());
    let mut client = NodesClient::new(channels.get(&server.address).unwrap());
    let mut counts = Request::new(tokio_stream::pending::<CountsPart>());
    counts.set_timeout(Duration::from_secs(1));
    let mut counts = client.counts(counts).await.unwrap().into_inner();
    let more = timeout(Duration::from_millis(1200), counts.message()).await;
    assert!(more.is_err(), "{more:?}");
}
