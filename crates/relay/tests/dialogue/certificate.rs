//! Certificates for the peers.

use std::sync::Arc;

use postrider_relay::Tlsa;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A chain with the key of its first certificate.
pub(crate) struct Certificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) public_key: Vec<u8>,
    key: KeyPair,
}

/// An authority of its own.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) public_key: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            certificate,
            public_key: key.subject_public_key_info(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `name`, valid until the year `until`.
    pub(crate) fn issue(&self, name: &str, until: i32) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Certificate {
            chain: vec![leaf.der().clone(), self.certificate.clone()],
            public_key: key.subject_public_key_info(),
            key,
        }
    }
}

impl Certificate {
    /// One that nobody vouches for.
    pub(crate) fn own(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Self {
            chain: vec![params.self_signed(&key).unwrap().der().clone()],
            public_key: key.subject_public_key_info(),
            key,
        }
    }

    /// The same key under another chain.
    pub(crate) fn showing(mut self, chain: Vec<CertificateDer<'static>>) -> Self {
        self.chain = chain;
        self
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_of(rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn acceptor_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            // Key and certificate need not fit, as they need not with a peer.
            .with_cert_resolver(Arc::new(Shown(
                CertifiedKey::new(self.chain.clone(), any_supported_type(&key).unwrap()).into(),
            )));
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A TLSA record over `selected`.
pub(crate) fn tlsa(usage: u8, selector: u8, matching: u8, selected: &[u8]) -> Tlsa {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    let data = match matching {
        1 => digest(&SHA256, selected).as_ref().to_vec(),
        2 => digest(&SHA512, selected).as_ref().to_vec(),
        _ => selected.to_vec(),
    };
    Tlsa {
        usage,
        selector,
        matching,
        data,
    }
}
