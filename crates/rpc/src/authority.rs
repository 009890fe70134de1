//! The cluster's certificate authority, what a node asks it for, and what a
//! node's certificate says. Keeps nothing on disk and asks nobody: whether a
//! node may have a certificate is decided elsewhere.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, Der, DnsName, TrustAnchor};

use crate::tls::Error;
use crate::token::Token;

/// The name that every node's certificate carries, and that its callers verify.
pub const NODE_NAME: &str = "node.postrider.internal";
/// The domain of the names that say which node it is. Nobody else may have one.
const DOMAIN: &str = "postrider.internal";
/// The name of an authority, before the cluster's id.
const SUBJECT: &str = "Postrider cluster ";

/// How long a node's certificate is good, from when it was signed.
pub const NODE_AGE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How long the authority's own is: longer than any that it signs soon.
const AUTHORITY_AGE: Duration = Duration::from_secs(3 * 3650 * 24 * 3600);

/// An uncompressed point of P-256 (SEC 1 §2.3.3): 4, x, y.
pub(crate) type Point = [u8; 65];

/// The authority of one cluster: an ECDSA key on P-256, which every TLS library
/// can verify, and a certificate that names the cluster.
pub struct Authority {
    cluster: String,
    certificate: String,
    anchor: Point,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.cluster)
    }
}

impl Authority {
    /// A fresh authority for the cluster with this id: 32 hexadecimal digits.
    pub fn new(cluster: &str) -> Result<Self, Error> {
        check_cluster(cluster)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::crypto)?;
        let mut params = params(&format!("{SUBJECT}{cluster}"), AUTHORITY_AGE);
        // It signs nodes, never other authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(Error::crypto)?;
        Ok(Self {
            cluster: cluster.to_owned(),
            certificate: certificate.pem(),
            anchor: point_of(&key)?,
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority out of what [`Authority::certificate`] and
    /// [`Authority::key`] gave.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(Error::crypto)?;
        let point = point_of(&key)?;
        let der = parse(certificate)?;
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(Error::certificate)?;
        let cluster = cluster_of(&anchor.subject)?;
        if *anchor.subject_public_key_info != *key_info(&point) {
            return Err(Error::Certificate(
                "the authority's key belongs to another certificate".into(),
            ));
        }
        Ok(Self {
            cluster,
            certificate: certificate.to_owned(),
            anchor: point,
            issuer: Issuer::from_ca_cert_der(&der, key).map_err(Error::crypto)?,
        })
    }

    /// The id of its cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key, PEM (PKCS #8). A secret: whoever has it adds nodes.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A join token for its cluster with this secret: 16 random bytes, whose
    /// hash the metadata is told. `addresses`: HOST:PORT of nodes that let
    /// others join.
    pub fn token(&self, secret: [u8; 16], addresses: Vec<String>) -> Token {
        Token {
            cluster: self.cluster.clone(),
            anchor: self.anchor,
            secret,
            addresses,
        }
    }

    /// A certificate, PEM, for the key that signed `signing_request` (PKCS #10,
    /// PEM; a [`KeyRequest`]'s). It is good for [`NODE_AGE`], and for servers and
    /// clients under the names [`NODE_NAME`], `node-NODE.postrider.internal` and
    /// `names`: host names and IP addresses, so that mail listeners can use it
    /// too. Those that a certificate cannot carry, or that would say which node
    /// it is, are left out. Nothing but the key is taken from the request.
    pub fn issue(
        &self,
        signing_request: &str,
        node: u64,
        names: &[String],
    ) -> Result<String, Error> {
        self.issue_for(signing_request, node, names, NODE_AGE)
    }

    /// The same, but good for `age`.
    pub fn issue_for(
        &self,
        signing_request: &str,
        node: u64,
        names: &[String],
        age: Duration,
    ) -> Result<String, Error> {
        let key = requested_key(signing_request)?;
        let own = node_name(node);
        let mut params = params(&own, age);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let fixed = [NODE_NAME.to_owned(), own];
        let named = fixed.iter().filter_map(|name| dns_name(name));
        params.subject_alt_names = named.collect();
        for name in names.iter().filter_map(|name| alternative_name(name)) {
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        let certificate = params.signed_by(&key, &self.issuer);
        Ok(certificate.map_err(Error::crypto)?.pem())
    }
}

/// Checks a signing request (PKCS #10, PEM) as [`Authority::issue`] does.
pub fn check_signing_request(signing_request: &str) -> Result<(), Error> {
    requested_key(signing_request).map(drop)
}

/// The key of a signing request that was signed by that key.
fn requested_key(signing_request: &str) -> Result<rcgen::PublicKey, Error> {
    let request = CertificateSigningRequestParams::from_pem(signing_request)
        .map_err(|error| Error::SigningRequest(error.to_string()))?;
    let key = request.public_key;
    if *PublicKeyData::algorithm(&key) != PKCS_ECDSA_P256_SHA256 {
        let text = "its key is not an ECDSA key on P-256";
        return Err(Error::SigningRequest(text.into()));
    }
    Ok(key)
}

/// What a node asks the authority with: a fresh key, which never leaves the
/// node, and a request that the key has signed.
pub struct KeyRequest {
    /// The private key, PEM (PKCS #8). A secret.
    pub key: String,
    /// The signing request, PEM (PKCS #10).
    pub signing_request: String,
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRequest")
    }
}

impl KeyRequest {
    /// A fresh key.
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::crypto)?;
        let mut params = CertificateParams::default();
        // The authority decides what the certificate says.
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(Error::crypto)?;
        Ok(Self {
            key: key.serialize_pem(),
            signing_request: request.pem().map_err(Error::crypto)?,
        })
    }
}

/// Which node a certificate belongs to, that the authority was found to have
/// signed. None if it belongs to no node.
pub(crate) fn node_of(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut nodes = certificate.valid_dns_names().filter_map(|name| {
        let name = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
        name.strip_prefix("node-")?.parse().ok()
    });
    let node = nodes.next()?;
    // The authority writes one. Two would be somebody's trick.
    nodes.next().is_none().then_some(node)
}

/// What the authority with this public key is to a TLS client.
pub(crate) fn trust_anchor(cluster: &str, point: &Point) -> TrustAnchor<'static> {
    TrustAnchor {
        subject: Der::from(subject(cluster)),
        subject_public_key_info: Der::from(key_info(point)),
        name_constraints: None,
    }
}

/// Whether `certificate` (PEM) is that of the authority with this public key.
pub(crate) fn is_of(certificate: &str, cluster: &str, point: &Point) -> bool {
    let Ok(der) = parse(certificate) else {
        return false;
    };
    webpki::anchor_from_trusted_cert(&der)
        .is_ok_and(|anchor| anchor == trust_anchor(cluster, point))
}

/// Refuses what is no id of a cluster.
fn check_cluster(cluster: &str) -> Result<(), Error> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if cluster.len() != 32 || !cluster.bytes().all(hex) {
        let text = format!("{cluster:?} is no id of a cluster: 32 hexadecimal digits");
        return Err(Error::Certificate(text));
    }
    Ok(())
}

/// The name that only the certificate of this node carries.
pub(crate) fn node_name(node: u64) -> String {
    format!("node-{node}.{DOMAIN}")
}

fn parse(certificate: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(Error::certificate)
}

/// What all certificates have: a name, and a beginning that is past by any clock,
/// so that one is good everywhere that was signed by a clock ahead of the others.
/// Nothing relies on the beginning.
fn params(name: &str, age: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let start = rcgen::date_time_ymd(1970, 1, 1) + now.unwrap_or_default();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = start + age;
    params
}

/// A name that is asked for. None for one that must not be given.
fn alternative_name(name: &str) -> Option<SanType> {
    let name = name.trim_matches(['[', ']']).trim_end_matches('.');
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(SanType::IpAddress(address));
    }
    let name = name.to_ascii_lowercase();
    let reserved = name.strip_suffix(DOMAIN);
    if reserved.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
        return None;
    }
    dns_name(&name)
}

fn dns_name(name: &str) -> Option<SanType> {
    DnsName::try_from(name).ok()?;
    Some(SanType::DnsName(name.try_into().ok()?))
}

fn point_of(key: &KeyPair) -> Result<Point, Error> {
    let point = key.public_key_raw().try_into();
    point.map_err(|_| Error::Certificate("the key is not an ECDSA key on P-256".into()))
}

/// The contents of the authority's subject (RFC 5280 §4.1.2.4): one common name,
/// in a form of fixed length, so that it can be told from the cluster's id.
fn subject(cluster: &str) -> Vec<u8> {
    // SET { SEQUENCE { OBJECT IDENTIFIER 2.5.4.3, UTF8String of 50 bytes } }
    let mut der = vec![
        0x31, 0x3b, 0x30, 0x39, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x32,
    ];
    der.extend_from_slice(SUBJECT.as_bytes());
    der.extend_from_slice(cluster.as_bytes());
    der
}

fn cluster_of(found: &[u8]) -> Result<String, Error> {
    let cluster = found.last_chunk::<32>();
    let cluster = cluster.and_then(|cluster| std::str::from_utf8(cluster).ok());
    let cluster = cluster.filter(|cluster| *found == *subject(cluster));
    let no = || Error::Certificate("the certificate is not of a cluster's authority".into());
    let cluster = cluster.ok_or_else(no)?;
    check_cluster(cluster)?;
    Ok(cluster.to_owned())
}

/// The contents of a SubjectPublicKeyInfo (RFC 5480 §2): id-ecPublicKey on
/// secp256r1, and the point.
fn key_info(point: &Point) -> Vec<u8> {
    let mut der = vec![
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    der.extend_from_slice(point);
    der
}

#[cfg(test)]
mod tests;
