//! The answer that there are no such records, and how far to believe it.

use hickory_resolver::net::NoRecords;
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, Record, RecordType};

/// There are no such records.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// Not even the name exists (NXDOMAIN).
    pub(crate) nonexistent: bool,
    /// The name that has no such records, behind all aliases.
    name: Name,
    proof: DenialProof,
}

#[derive(Clone, Debug)]
enum DenialProof {
    /// Signed NSEC or NSEC3 records say so.
    Signed,
    /// The zone of this name says so, and it is not signed.
    Unsigned(Name),
    /// Nobody vouches for it. Always so without validation.
    None,
}

impl Denial {
    /// That `name` has no such records, by signed NSEC3 records.
    pub(super) fn proven(name: &Name, nonexistent: bool) -> Self {
        Self {
            nonexistent,
            name: name.clone(),
            proof: DenialProof::Signed,
        }
    }

    /// That `name` has no records of any use; nobody vouches for it.
    pub(crate) fn unproven(name: &Name) -> Self {
        Self {
            nonexistent: false,
            name: name.clone(),
            proof: DenialProof::None,
        }
    }

    /// Reads the proof out of what hickory keeps of the response.
    pub(super) fn from_response(none: &NoRecords) -> Self {
        let authorities: &[Record] = none.authorities.as_deref().unwrap_or_default();
        // Where one of them is there and secure, hickory has checked that they
        // cover the question; it would have failed otherwise.
        let signed = authorities.iter().any(|r| {
            let covers = matches!(r.record_type(), RecordType::NSEC | RecordType::NSEC3);
            covers && r.proof == Proof::Secure
        });
        let name = none.query.name();
        // A zone that does not hold the name proves nothing about it. hickory
        // takes any unsigned one.
        let unsigned = none
            .soa
            .as_deref()
            .filter(|soa| soa.proof == Proof::Insecure && soa.name.zone_of(name));
        let proof = match unsigned {
            _ if signed => DenialProof::Signed,
            Some(soa) => DenialProof::Unsigned(soa.name.clone()),
            None => DenialProof::None,
        };
        Self {
            nonexistent: none.response_code == ResponseCode::NXDomain,
            name: name.clone(),
            proof,
        }
    }

    /// The name that has no such records, behind all aliases.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Whether the zone itself says so: signed, or known to be unsigned.
    pub(crate) fn is_proven(&self) -> bool {
        !matches!(self.proof, DenialProof::None)
    }

    /// Whether it is to be believed where `secure` is a name for which DNSSEC
    /// vouches: what its zone denies is signed, and only the zone of an alias or
    /// one that begins below may be unsigned.
    pub(crate) fn holds_beside(&self, secure: &Name) -> bool {
        match &self.proof {
            DenialProof::Signed => true,
            DenialProof::Unsigned(zone) => !zone.zone_of(secure),
            DenialProof::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::RData;
    use hickory_resolver::proto::rr::rdata::SOA;

    fn denial(asked: &str, zone: &str, proof: Proof) -> Denial {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let query = Query::query(name(asked), RecordType::TLSA);
        let mut none = NoRecords::new(query, ResponseCode::NoError);
        let data = SOA::new(name(zone), name(zone), 1, 1, 1, 1, 1);
        let mut soa = Record::from_rdata(name(zone), 1, data);
        soa.proof = proof;
        none.authorities = Some([soa.clone().map(|soa| Some(RData::SOA(soa))).unwrap()].into());
        none.soa = Some(Box::new(soa));
        Denial::from_response(&none)
    }

    #[test]
    fn only_the_zone_of_a_name_denies_it() {
        let mx = Name::from_ascii("mx.example.org.").unwrap();
        let asked = "_25._tcp.mx.example.org.";
        let foreign = denial(asked, "example.com.", Proof::Insecure);
        assert!(!foreign.is_proven() && !foreign.holds_beside(&mx));
        let above = denial(asked, "example.org.", Proof::Insecure);
        assert!(above.is_proven() && !above.holds_beside(&mx));
        let below = denial(asked, "_tcp.mx.example.org.", Proof::Insecure);
        assert!(below.is_proven() && below.holds_beside(&mx));
        let unknown = denial(asked, "example.org.", Proof::Indeterminate);
        assert!(!unknown.is_proven() && !unknown.holds_beside(&mx));
        let signed = Denial::proven(&mx, false);
        assert!(signed.is_proven() && signed.holds_beside(&mx));
    }
}
