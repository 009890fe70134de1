//! The way to a node's administration: TCP, and TLS where its address says https. Its
//! certificate is the one in a file that the caller trusts, or signed by that.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use postrider_rpc::Transport;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection.
pub(super) type Stream = TokioIo<Box<dyn Transport>>;

/// Makes connections to one node.
pub(super) struct Connect {
    host: String,
    port: u16,
    /// None: in the clear.
    tls: Option<TlsConnector>,
}

impl Connect {
    /// To the node at `url`. `trusted`: a PEM file with its certificate, or with the
    /// authority's; for https alone.
    pub(super) fn new(url: &Uri, trusted: Option<&Path>) -> anyhow::Result<Self> {
        let https = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("the address `{url}` begins with neither http:// nor https://"),
        };
        let host = url.host().context("it names no host")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
        let tls = match (https, trusted) {
            (false, _) => None,
            (true, Some(file)) => Some(connector(file)?),
            (true, None) => bail!(
                "the certificate of {url} cannot be checked: name the file with it, or with the \
                 authority that signed it, with --ca"
            ),
        };
        Ok(Self { host, port, tls })
    }

    /// Connects.
    pub(super) async fn connect(&self) -> anyhow::Result<Stream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            let stream: Box<dyn Transport> = Box::new(stream);
            return Ok(TokioIo::new(stream));
        };
        let name = ServerName::try_from(self.host.clone()).context("its host is no name")?;
        let stream: Box<dyn Transport> = Box::new(tls.connect(name, stream).await?);
        Ok(TokioIo::new(stream))
    }
}

fn connector(file: &Path) -> anyhow::Result<TlsConnector> {
    let shown = file.display();
    let unreadable = || format!("cannot read certificates in {shown}");
    let trusted = CertificateDer::pem_file_iter(file).with_context(unreadable)?;
    let trusted: Result<Vec<_>, _> = trusted.collect();
    let trusted = trusted.with_context(unreadable)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let signed = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let signed = signed
        .build()
        .with_context(|| format!("no certificate in {shown} is usable"))?;
    let verifier = Verifier { trusted, signed };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes the trusted certificates themselves, under whatever name they are reached, and
/// those that they have signed for the name.
#[derive(Debug)]
struct Verifier {
    trusted: Vec<CertificateDer<'static>>,
    signed: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.signed
            .verify_server_cert(shown, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
