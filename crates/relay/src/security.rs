//! How a connection is to be protected, and how it was.

/// What a caller demands of a connection. Where the demand is not met, nothing
/// is sent.
///
/// [`Peer::implicit_tls`](crate::Peer::implicit_tls) says apart from this
/// whether TLS comes from the start or by STARTTLS; with it, `Plain` and
/// `Opportunistic` demand as much as `Encrypted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Never STARTTLS.
    Plain,
    /// STARTTLS where it is offered, with any certificate; in the clear where it
    /// is not offered or refused. Where the handshake fails
    /// ([`Failure::is_handshake`](crate::Failure::is_handshake)), the caller may
    /// try again with [`Self::Plain`]: whoever could break the handshake could
    /// take the offer away as well.
    Opportunistic,
    /// TLS, with any certificate.
    Encrypted,
    /// TLS, with a certificate that chains to a public authority or one of the
    /// connector's own and is valid for one of the names.
    Verified {
        /// Host names, at least one. A name that is none matches nothing.
        names: Vec<String>,
    },
    /// TLS with a certificate that matches one of the records (RFC 7672). Where
    /// no record is usable, as [`Self::Encrypted`] (RFC 7672 §2.2).
    Dane {
        /// The TLSA records, validated by DNSSEC.
        records: Vec<Tlsa>,
        /// The names of which a certificate under a trust anchor (DANE-TA) must
        /// have one (RFC 7672 §3.2.2); DANE-EE asks for none.
        names: Vec<String>,
    },
}

/// A TLSA record (RFC 6698 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage: 2 (DANE-TA) and 3 (DANE-EE) are usable.
    pub usage: u8,
    /// What is matched: the certificate (0) or its public key (1).
    pub selector: u8,
    /// How it is matched: as it is (0), by SHA-256 (1) or by SHA-512 (2).
    pub matching: u8,
    /// What it is matched with.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether mail can be secured with it. RFC 7672 §3.1.3: the usages 0 and 1,
    /// which ask for public authorities besides, are not used for SMTP.
    pub fn is_usable(&self) -> bool {
        let length_fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && length_fits
    }
}

/// What protects a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
    /// The server has proved who it is, by an authority or by DANE.
    pub verified: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_records_are_told_from_others() {
        let record = |usage, selector, matching, length| Tlsa {
            usage,
            selector,
            matching,
            data: vec![0; length],
        };
        for good in [(3, 1, 1, 32), (2, 0, 2, 64), (3, 0, 0, 5), (2, 1, 0, 1)] {
            assert!(
                record(good.0, good.1, good.2, good.3).is_usable(),
                "{good:?}"
            );
        }
        let bad = [
            (0, 1, 1, 32),
            (1, 1, 1, 32),
            (4, 1, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 2, 32),
            (3, 1, 0, 0),
        ];
        for bad in bad {
            assert!(!record(bad.0, bad.1, bad.2, bad.3).is_usable(), "{bad:?}");
        }
    }
}
