//! Checks a server's certificate: not at all, by authority and name, or by
//! TLSA records (RFC 6698, RFC 7671, RFC 7672).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};

use crate::security::Tlsa;

/// RFC 6698 §2.1.1
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

/// Whom a certificate must convince.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Nobody: any certificate will do.
    Anybody,
    /// One of the authorities, and it must be for one of the names.
    Authorities {
        roots: Arc<RootCertStore>,
        names: Vec<ServerName<'static>>,
    },
    /// One of the records, all usable; under a trust anchor it must be for one
    /// of the names.
    Records {
        records: Vec<Tlsa>,
        names: Vec<ServerName<'static>>,
    },
}

impl Trust {
    /// Trust by those of `records` that are usable.
    pub(crate) fn dane(records: &[Tlsa], names: Vec<ServerName<'static>>) -> Self {
        let mut usable: Vec<Tlsa> = records.iter().filter(|r| r.is_usable()).cloned().collect();
        if usable.is_empty() {
            // RFC 7672 §2.2: TLS is a must all the same, but nothing can be checked.
            return Self::Anybody;
        }
        // RFC 7671 §9: of the digests of one kind of record the strongest counts,
        // so that a weak one does not have to be trusted while it is still there.
        let strong: Vec<(u8, u8)> = usable
            .iter()
            .filter(|r| r.matching == 2)
            .map(|r| (r.usage, r.selector))
            .collect();
        usable.retain(|r| r.matching != 1 || !strong.contains(&(r.usage, r.selector)));
        Self::Records {
            records: usable,
            names,
        }
    }
}

/// A certificate that is not what DNS says.
#[derive(Debug, thiserror::Error)]
#[error("the server's certificate matches none of its TLSA records")]
struct NoRecordMatches;

#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(crate) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { trust, algorithms }
    }

    /// Chains to one of `roots`, is valid now, and for one of `names`.
    fn check_chain(
        &self,
        roots: &RootCertStore,
        names: &[ServerName<'_>],
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        let mut refusal = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in names {
            match verify_server_name(&parsed, name) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn check_records(
        &self,
        records: &[Tlsa],
        names: &[ServerName<'_>],
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // RFC 7672 §3.1.1: the record says it all, names and dates do not count.
        if records
            .iter()
            .any(|r| r.usage == DANE_EE && matches_end_entity(r, end_entity))
        {
            return Ok(());
        }
        let anchors = anchors(records, intermediates);
        if anchors.is_empty() {
            return Err(CertificateError::Other(OtherError(Arc::new(NoRecordMatches))).into());
        }
        // RFC 7672 §3.1.2: below the anchor everything is checked.
        let roots = RootCertStore { roots: anchors };
        self.check_chain(&roots, names, end_entity, intermediates, now)
    }
}

/// The trust anchors that DANE-TA records name: among the certificates that the
/// server sent, or whole in a record (RFC 7671 §5.2.2 has servers send theirs).
fn anchors(records: &[Tlsa], intermediates: &[CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
    let records = records.iter().filter(|r| r.usage == DANE_TA);
    let mut found = Vec::new();
    for record in records {
        if (record.selector, record.matching) == (0, 0) {
            let certificate = CertificateDer::from(record.data.as_slice());
            found.extend(anchor(&certificate));
            continue;
        }
        for certificate in intermediates {
            let Some(anchor) = anchor(certificate) else {
                continue;
            };
            let matched = match record.selector {
                0 => matches_data(record, certificate),
                _ => matches_data(record, &webpki::spki_for_anchor(&anchor)),
            };
            if matched {
                found.push(anchor);
            }
        }
    }
    found
}

fn anchor(certificate: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let anchor = webpki::anchor_from_trusted_cert(certificate).ok()?;
    Some(anchor.to_owned())
}

fn matches_end_entity(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    if record.selector == 0 {
        return matches_data(record, certificate);
    }
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|parsed| matches_data(record, &parsed.subject_public_key_info()))
}

/// RFC 6698 §2.1.3
fn matches_data(record: &Tlsa, selected: &[u8]) -> bool {
    match record.matching {
        0 => record.data == selected,
        1 => record.data == digest(&SHA256, selected).as_ref(),
        2 => record.data == digest(&SHA512, selected).as_ref(),
        _ => false,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Anybody => {}
            Trust::Authorities { roots, names } => {
                self.check_chain(roots, names, end_entity, intermediates, now)?;
            }
            Trust::Records { records, names } => {
                self.check_records(records, names, end_entity, intermediates, now)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            // A signature by a key that anybody may have made proves nothing, and
            // old certificates that cannot be parsed are common in mail.
            Trust::Anybody => Ok(HandshakeSignatureValid::assertion()),
            _ => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            Trust::Anybody => Ok(HandshakeSignatureValid::assertion()),
            _ => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
