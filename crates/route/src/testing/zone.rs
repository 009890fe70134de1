//! A zone's records, and what the server hands out of them.

use std::sync::Arc;
use std::time::Duration;

use hickory_server::dnssec::NxProofKind;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_server::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_server::proto::dnssec::{Algorithm, DigestType, DnssecSigner, SigningKey};
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TLSA, TXT};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, ZoneHandler, ZoneType};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::{Data, full};

/// A zone; its records are signed anew with each change.
pub(super) struct Zone {
    origin: Name,
    key: Option<PrivatePkcs8KeyDer<'static>>,
    ttl: u32,
    records: Vec<(Name, RData)>,
    signed: Arc<Memory>,
    unsigned: Arc<Memory>,
}

type Memory = InMemoryZoneHandler<TokioRuntimeProvider>;

impl Zone {
    pub(super) fn new(origin: Name, signed: bool) -> Self {
        let key = signed.then(|| {
            EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).expect("a key can be made")
        });
        let records = vec![(origin.clone(), RData::NS(NS(full("ns.invalid"))))];
        let mut zone = Self {
            signed: Arc::new(memory(&origin, None, 0, &records)),
            unsigned: Arc::new(memory(&origin, None, 0, &records)),
            origin,
            key,
            // What a test changes is seen at once.
            ttl: 0,
            records,
        };
        zone.publish();
        zone
    }

    /// What answers for it, with its signatures or without.
    pub(super) fn handler(&self, signed: bool) -> Arc<dyn ZoneHandler> {
        match signed {
            true => self.signed.clone(),
            false => self.unsigned.clone(),
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn soa(&self) -> Record {
        soa(&self.origin, self.ttl)
    }

    pub(super) fn set_ttl(&mut self, seconds: u32) {
        self.ttl = seconds;
        self.publish();
    }

    pub(super) fn add(&mut self, name: Name, data: Data) {
        self.records.push((name, rdata(data)));
        self.publish();
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let apex = &self.origin;
        self.records
            .retain(|(n, data)| n != name || (n == apex && matches!(data, RData::NS(_))));
        self.publish();
    }

    /// Hands the names of `child` over to it.
    pub(super) fn delegate(&mut self, child: &Self) {
        self.records.retain(|(n, _)| *n != child.origin);
        let name = || child.origin.clone();
        self.records
            .push((name(), RData::NS(NS(full("ns.invalid")))));
        if let Some(key) = child.dnskey() {
            let digest = key
                .to_digest(&child.origin, DigestType::SHA256)
                .expect("SHA-256 is there");
            let tag = key.calculate_key_tag().expect("the key is whole");
            let data = digest.as_ref().to_vec();
            let ds = DS::new(tag, Algorithm::ECDSAP256SHA256, DigestType::SHA256, data);
            self.records
                .push((name(), RData::DNSSEC(DNSSECRData::DS(ds))));
        }
        self.publish();
    }

    /// Its key as a line of a trust anchor's file.
    pub(super) fn anchor(&self) -> String {
        let key = self.dnskey().expect("only signed zones have an anchor");
        let data = RData::DNSSEC(DNSSECRData::DNSKEY(key));
        format!("{} 0 IN DNSKEY {data}\n", self.origin)
    }

    fn dnskey(&self) -> Option<DNSKEY> {
        let key = signing_key(self.key.as_ref()?);
        let public = key.to_public_key().expect("the key is whole");
        Some(DNSKEY::from_key(&public))
    }

    fn publish(&mut self) {
        self.unsigned = Arc::new(memory(&self.origin, None, self.ttl, &self.records));
        self.signed = Arc::new(memory(
            &self.origin,
            self.key.as_ref(),
            self.ttl,
            &self.records,
        ));
    }
}

/// The zone as hickory serves it.
fn memory(
    origin: &Name,
    key: Option<&PrivatePkcs8KeyDer<'static>>,
    ttl: u32,
    records: &[(Name, RData)],
) -> Memory {
    let proof = key.map(|_| NxProofKind::Nsec);
    let mut zone = Memory::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, proof);
    zone.upsert_mut(soa(origin, ttl), 1);
    for (name, data) in records {
        zone.upsert_mut(Record::from_rdata(name.clone(), ttl, data.clone()), 1);
    }
    if let Some(key) = key {
        let key = signing_key(key);
        let public = key.to_public_key().expect("the key is whole");
        let week = Duration::from_secs(7 * 86_400);
        let signer = DnssecSigner::new(
            DNSKEY::from_key(&public),
            Box::new(key),
            origin.clone(),
            week,
        );
        zone.add_zone_signing_key_mut(signer)
            .and_then(|()| zone.secure_zone_mut())
            .expect("a zone with a key can be signed");
    }
    zone
}

fn soa(origin: &Name, ttl: u32) -> Record {
    let (server, mailbox) = (full("ns.invalid"), full("hostmaster.invalid"));
    let data = SOA::new(server, mailbox, 1, 1, 1, 1, ttl);
    Record::from_rdata(origin.clone(), ttl, RData::SOA(data))
}

fn signing_key(key: &PrivatePkcs8KeyDer<'static>) -> EcdsaSigningKey {
    EcdsaSigningKey::from_pkcs8(key, Algorithm::ECDSAP256SHA256).expect("it was made so")
}

fn rdata(data: Data) -> RData {
    match data {
        Data::A(v4) => RData::A(A(v4)),
        Data::Aaaa(v6) => RData::AAAA(AAAA(v6)),
        Data::Cname(target) => RData::CNAME(CNAME(full(&target))),
        Data::Mx(preference, host) => RData::MX(MX::new(preference, full(&host))),
        // RFC 1035 §3.3: a string has at most 255 octets.
        Data::Txt(text) => RData::TXT(TXT::from_bytes(text.as_bytes().chunks(255).collect())),
        Data::Tlsa(tlsa) => RData::TLSA(TLSA::new(
            tlsa.usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.data,
        )),
    }
}
