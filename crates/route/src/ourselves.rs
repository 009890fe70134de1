//! How this server recognizes itself among the hosts of a domain.

use std::collections::HashSet;
use std::net::IpAddr;

use postrider_types::DomainName;

/// The names and addresses of this server and its fellows that take the same
/// mail: a route never leads to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ourselves {
    /// Names by which an MX record may mean this server.
    pub names: HashSet<DomainName>,
    /// Addresses at which this server takes mail.
    pub addresses: HashSet<IpAddr>,
    /// Loopback addresses are this server. To be turned off only where other
    /// servers listen on loopback, as in tests.
    pub loopback: bool,
}

impl Ourselves {
    /// Whether `name`, in lower case and without a final dot, is this server's.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        // RFC 6761 §6.3: these always lead to loopback.
        let local = name == "localhost" || name.ends_with(".localhost");
        local || DomainName::parse(name).is_ok_and(|name| self.names.contains(&name))
    }

    /// Whether `address` leads to this server.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // A connection to the unspecified address goes to this machine.
        address.is_unspecified()
            || (self.loopback && address.is_loopback())
            || self.addresses.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_its_names_and_addresses_in_all_forms() {
        let ourselves = Ourselves {
            names: [DomainName::parse("mail.example.org").unwrap()].into(),
            addresses: ["192.0.2.1".parse().unwrap()].into(),
            loopback: true,
        };
        for name in ["mail.example.org", "localhost", "x.localhost"] {
            assert!(ourselves.has_name(name), "{name}");
        }
        assert!(!ourselves.has_name("example.org"));
        for ours in [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "127.8.0.1",
            "::1",
            "0.0.0.0",
        ] {
            assert!(ourselves.has_address(ours.parse().unwrap()), "{ours}");
        }
        assert!(!ourselves.has_address("192.0.2.2".parse().unwrap()));
        assert!(!Ourselves::default().has_address("127.0.0.1".parse().unwrap()));
    }
}
