//! Renews a node's certificate once half of its time is over, with a new key, by the
//! authority in the metadata. Connections show the new one from then on, those between
//! nodes and those of mail clients; what is connected goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use postrider_meta::{ReadAt, query};
use postrider_net::Validity;
use postrider_rpc::{Authority, KeyRequest, NODE_AGE};

use super::identity::Identity;
use super::settle::Settling;

/// Renews the certificate in the data folder, if it is time, and takes the one that is
/// there for new connections.
pub(crate) async fn renew(node: &Settling) -> anyhow::Result<()> {
    let Some(identity) = Identity::load(&node.data_dir)? else {
        return Ok(());
    };
    if is_due(&identity.certificate, now()) {
        return replace(node, identity).await;
    }
    // A renewal that was interrupted here counts as well.
    Ok(node.tls.renew(&identity.certificate, &identity.key)?)
}

async fn replace(node: &Settling, old: Identity) -> anyhow::Result<()> {
    let authority = node.meta.ask(query::Authority {}, ReadAt::Latest).await?.0;
    let authority = authority.context("the metadata know no authority")?;
    let authority = Authority::from_pem(&authority.certificate, &authority.key)?;
    let name = node.name.as_str();
    let new = renewed(old, &authority, name)?;
    new.write_certificate(&node.data_dir)?;
    node.tls.renew(&new.certificate, &new.key)?;
    tracing::info!("this node has a new certificate");
    Ok(())
}

/// The identity with a new key and a certificate for it.
fn renewed(identity: Identity, authority: &Authority, name: &str) -> anyhow::Result<Identity> {
    let request = KeyRequest::new()?;
    let names = super::names(name, &identity.facts.address);
    let certificate = authority.issue(&request.signing_request, identity.facts.node.0, &names)?;
    Ok(Identity {
        certificate,
        key: request.key,
        ..identity
    })
}

/// Whether half of its time is over, which its end tells alone: its beginning is the
/// same for all. One that cannot be read is left to whoever put it there.
fn is_due(certificate: &str, now: i64) -> bool {
    let validity = Validity::of_pem(certificate);
    validity.is_some_and(|it| now >= it.until.saturating_sub(seconds(NODE_AGE / 2)))
}

/// Unix seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, seconds)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use postrider_types::{NodeId, Role};

    use super::super::identity::Facts;
    use super::*;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn a_certificate_is_renewed_with_a_new_key_once_half_of_its_time_is_over() {
        let authority = Authority::new(&"00c0ffee".repeat(4)).unwrap();
        let request = KeyRequest::new().unwrap();
        let names = ["mail1".to_owned()];
        let signing = &request.signing_request;
        let certificate = authority.issue(signing, 3, &names).unwrap();
        let old = Identity {
            facts: Facts {
                cluster: authority.cluster().to_owned(),
                node: NodeId(3),
                address: "mail1.test:7425".into(),
                roles: Role::FULL.to_vec(),
                members: Vec::new(),
                begun: true,
            },
            authority: authority.certificate().to_owned(),
            certificate,
            key: request.key,
        };
        let now = now();
        assert!(!is_due(&old.certificate, now));
        assert!(!is_due(&old.certificate, now + 1820 * DAY));
        assert!(is_due(&old.certificate, now + 1830 * DAY));
        // Signed by a clock that was ahead, and by one that was far behind.
        assert!(!is_due(&old.certificate, now - 60 * DAY));
        assert!(is_due(&old.certificate, now + 20 * 365 * DAY));
        let new = renewed(old.clone(), &authority, "mail1").unwrap();
        assert_ne!(new.key, old.key);
        assert_eq!(new.facts, old.facts);
        assert!(!is_due(&new.certificate, now + 1800 * DAY));
        let valid = Validity::of_pem(&new.certificate).unwrap();
        assert!(valid.until > now + 3600 * DAY, "{valid:?}");
        assert!(!is_due("no certificate", now));
    }
}
