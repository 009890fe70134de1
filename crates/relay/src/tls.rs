//! TLS as a client: which server a connection wants to be talking to.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::security::Security;
use crate::verifier::{Trust, Verifier};

/// What all connections have in common.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
}

impl Tls {
    /// Trusts the public authorities and `extra`.
    pub(crate) fn new(extra: &[CertificateDer<'static>]) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in extra {
            roots.add(root.clone())?;
        }
        Ok(Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            roots: Arc::new(roots),
        })
    }

    /// The configuration for one connection, and whether the server will have
    /// proved who it is.
    pub(crate) fn config(&self, security: &Security) -> (Arc<ClientConfig>, bool) {
        let trust = match security {
            Security::Plain | Security::Opportunistic | Security::Encrypted => Trust::Anybody,
            Security::Verified { names } => Trust::Authorities {
                roots: self.roots.clone(),
                names: server_names(names),
            },
            Security::Dane { records, names } => Trust::dane(records, server_names(names)),
        };
        let verified = !matches!(trust, Trust::Anybody);
        let verifier = Verifier::new(trust, self.provider.signature_verification_algorithms);
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .expect("the provider has suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // A resumed session would not have its certificate checked anew, by
        // records and names that may have changed.
        config.resumption = Resumption::disabled();
        (Arc::new(config), verified)
    }
}

/// The names that are names; others match no certificate.
fn server_names(names: &[String]) -> Vec<ServerName<'static>> {
    let parsed = names.iter().map(|name| server_name(name));
    parsed.filter_map(Result::ok).collect()
}

fn server_name(name: &str) -> Result<ServerName<'static>, rustls_pki_types::InvalidDnsNameError> {
    // A name in DNS may end with a dot; a name in a certificate does not.
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
}

/// The name that is told to the server (SNI, RFC 7672 §8.1): its host name, or
/// none where it has only an address.
pub(crate) fn indicated_name(host: &str, address: IpAddr) -> ServerName<'static> {
    server_name(host).unwrap_or_else(|_| ServerName::IpAddress(address.into()))
}
