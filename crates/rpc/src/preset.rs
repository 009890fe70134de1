//! The preset join secret: what all nodes of a deployment are given, so that a new one
//! gets a join token without a person. Keeps nothing and decides nothing.
//!
//! The secret itself crosses no wire. Both sides prove that they have it; the token's
//! own secret both derive from it. Whoever stands between them can pass their words on
//! and learns nothing: the new node then knows the cluster by the key in the answer.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;

use crate::authority::NODE_NAME;
use crate::connector::{Connector, Transport};
use crate::failure::Failure;
use crate::proto::join_client::JoinClient;
use crate::proto::{InviteReply, InviteRequest};
use crate::token::Token;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take: it waits for a leader and a commit.
const ANSWER: Duration = Duration::from_secs(15);
/// How far the clocks of both may be apart.
const APART: Duration = Duration::from_secs(300);
/// What the key is derived for.
const CONTEXT: &str = "postrider 2026 preset join secret";
/// The most addresses in an answer.
const MAX_ADDRESSES: usize = 16;

/// The secret that all nodes of a deployment have.
#[derive(Clone)]
pub struct JoinSecret {
    key: [u8; 32],
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret")
    }
}

impl JoinSecret {
    /// The fewest bytes of it.
    pub const MIN: usize = 32;

    /// The secret in a file's `text`, without white space around it; None if it is
    /// shorter than [`Self::MIN`].
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let key = || blake3::derive_key(CONTEXT, text);
        (text.len() >= Self::MIN).then(|| Self { key: key() })
    }

    /// A request for a node that will be reached at `address`. `nonce`: random. `now`:
    /// Unix milliseconds.
    pub fn request(&self, nonce: [u8; 16], now: u64, address: &str) -> InviteRequest {
        let proof = self.proof_of_request(&nonce, now, address);
        InviteRequest {
            nonce: Bytes::copy_from_slice(&nonce),
            made_at: now,
            address: address.to_owned(),
            proof: Bytes::copy_from_slice(proof.as_bytes()),
        }
    }

    /// Checks that a request was made with this secret, and lately. What is wrong
    /// otherwise.
    pub fn check(&self, request: &InviteRequest, now: u64) -> Result<(), &'static str> {
        let proof = self.proof_of_request(&request.nonce, request.made_at, &request.address);
        if request.nonce.len() != 16 || !is(proof, &request.proof) {
            return Err("the join secret is another one: give all nodes the same");
        }
        if u128::from(now.abs_diff(request.made_at)) > APART.as_millis() {
            return Err("the clocks differ by more than five minutes: have both keep time by NTP");
        }
        Ok(())
    }

    /// The secret of the token that `request` is answered with: of that request alone.
    pub fn token_secret(&self, request: &InviteRequest) -> [u8; 16] {
        let hash = self.keyed("token", &[&request.nonce, request.address.as_bytes()]);
        let (secret, _) = hash
            .as_bytes()
            .split_first_chunk()
            .expect("a hash has 32 bytes");
        *secret
    }

    /// The answer to `request`, by which it knows `token`.
    pub fn answer(&self, request: &InviteRequest, token: &Token) -> InviteReply {
        let mut reply = InviteReply {
            cluster: token.cluster.clone(),
            anchor: Bytes::copy_from_slice(&token.anchor),
            addresses: token.addresses.clone(),
            proof: Bytes::new(),
        };
        let proof = self.proof_of_reply(request, &reply);
        reply.proof = Bytes::copy_from_slice(proof.as_bytes());
        reply
    }

    /// The token that `reply` stands for; None where it was not made with this secret
    /// for this request.
    pub fn token(&self, request: &InviteRequest, reply: InviteReply) -> Option<Token> {
        if !is(self.proof_of_reply(request, &reply), &reply.proof) {
            return None;
        }
        Some(Token {
            cluster: reply.cluster,
            anchor: reply.anchor[..].try_into().ok()?,
            secret: self.token_secret(request),
            addresses: reply.addresses.into_iter().take(MAX_ADDRESSES).collect(),
        })
    }

    fn proof_of_request(&self, nonce: &[u8], made_at: u64, address: &str) -> blake3::Hash {
        self.keyed(
            "request",
            &[nonce, &made_at.to_be_bytes(), address.as_bytes()],
        )
    }

    fn proof_of_reply(&self, request: &InviteRequest, reply: &InviteReply) -> blake3::Hash {
        let mut parts: Vec<&[u8]> = vec![
            &request.nonce[..],
            &request.proof[..],
            reply.cluster.as_bytes(),
            &reply.anchor[..],
        ];
        parts.extend(reply.addresses.iter().map(|address| address.as_bytes()));
        self.keyed("reply", &parts)
    }

    /// A keyed hash over parts, each with its length, for one purpose.
    fn keyed(&self, purpose: &str, parts: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [purpose.as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// Compares in constant time.
fn is(proof: blake3::Hash, given: &[u8]) -> bool {
    let given: Option<[u8; 32]> = given.try_into().ok();
    given.is_some_and(|given| proof == blake3::Hash::from_bytes(given))
}

/// What came of asking a seed.
#[derive(Debug)]
pub enum Invited {
    /// A join token.
    Token(Token),
    /// Somebody is there, but gives none now: why.
    NotNow(String),
    /// Nobody is there: why.
    Silent(String),
}

/// Asks at `seed` (HOST:PORT).
pub async fn invite(secret: &JoinSecret, seed: &str, request: InviteRequest) -> Invited {
    let connector = match connector() {
        Ok(connector) => connector,
        Err(error) => return Invited::NotNow(error.to_string()),
    };
    let endpoint = match Endpoint::from_shared(format!("http://{seed}")) {
        Ok(endpoint) => endpoint.timeout(ANSWER),
        Err(_) => return Invited::Silent(format!("{seed:?} is no address")),
    };
    // Whether anybody is there shows before TLS.
    let reached = tokio::time::timeout(CONNECT, TcpStream::connect(seed)).await;
    match reached {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Invited::Silent(error.to_string()),
        Err(_) => return Invited::Silent("no connection in time".into()),
    }
    let connecting = endpoint.connect_with_connector(connector);
    let channel = match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => return Invited::NotNow(error.to_string()),
        Err(_) => return Invited::NotNow("no TLS connection in time".into()),
    };
    match JoinClient::new(channel).invite(request.clone()).await {
        Ok(reply) => match secret.token(&request, reply.into_inner()) {
            Some(token) => Invited::Token(token),
            None => Invited::NotNow("its answer was not made with the join secret".into()),
        },
        Err(status) => Invited::NotNow(Failure::from(status).to_string()),
    }
}

/// Connects by TLS to whoever is there: who it is, the answer proves.
fn connector() -> Result<Connector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    Ok(Connector::new(move |to: &str| {
        let (tls, to) = (tls.clone(), to.to_owned());
        Box::pin(async move {
            let stream = TcpStream::connect(&to).await?;
            let name = ServerName::try_from(NODE_NAME).map_err(io::Error::other)?;
            let stream = tls.connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Transport>)
        })
    }))
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn secret(text: &str) -> JoinSecret {
        JoinSecret::new(text.as_bytes()).unwrap()
    }

    fn ours() -> JoinSecret {
        secret("0123456789abcdef0123456789abcdef\n")
    }

    #[test]
    fn a_short_secret_is_none_and_none_is_shown() {
        assert!(JoinSecret::new(b" 0123456789abcdef0123456789abcde \n").is_none());
        assert_eq!(format!("{:?}", ours()), "JoinSecret");
    }

    #[test]
    fn both_sides_come_to_the_same_token() {
        let (here, there) = (ours(), secret("0123456789abcdef0123456789abcdef"));
        let request = here.request([7; 16], NOW, "new:7425");
        assert_eq!(there.check(&request, NOW + 1000), Ok(()));
        let token = Token {
            cluster: "00c0ffee".repeat(4),
            anchor: [4; 65],
            secret: there.token_secret(&request),
            addresses: vec!["old:7425".into()],
        };
        let reply = there.answer(&request, &token);
        assert!(here.token(&request, reply.clone()) == Some(token));
        // Somebody in between changes the answer, or gives it to another request.
        let mut changed = reply.clone();
        changed.anchor = Bytes::from_static(&[5; 65]);
        assert!(here.token(&request, changed).is_none());
        let mut changed = reply.clone();
        changed.addresses.push("evil:7425".into());
        assert!(here.token(&request, changed).is_none());
        let other = here.request([8; 16], NOW, "new:7425");
        assert!(here.token(&other, reply).is_none());
    }

    #[test]
    fn another_secret_and_an_old_request_are_refused() {
        let here = ours();
        let request = here.request([7; 16], NOW, "new:7425");
        let other = secret("another secret of thirty-two bytes or more");
        assert!(
            other
                .check(&request, NOW)
                .unwrap_err()
                .contains("another one")
        );
        let late = here.check(&request, NOW + 301_000).unwrap_err();
        assert!(late.contains("clocks"), "{late}");
        let mut moved = request.clone();
        moved.address = "evil:7425".into();
        assert!(here.check(&moved, NOW).is_err());
        let mut later = request;
        later.made_at += 1;
        assert!(here.check(&later, NOW).is_err());
        assert!(here.check(&InviteRequest::default(), NOW).is_err());
    }
}
