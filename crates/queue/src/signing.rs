//! [`Signing`]: the keys that mail is signed with, read from the metadata and
//! kept for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_dkim::{Algorithm, Key, SelectedKey, Signer};
use postrider_meta::{Client, DkimState, Error, ReadAt, Token, query};
use postrider_types::DomainName;

/// How long keys are used before they are read again. A rotation publishes the
/// new key long before the old one goes.
const AGE: Duration = Duration::from_secs(60);
/// The most domains whose keys are kept.
const CAPACITY: usize = 1_000;

type Keys = Arc<[SelectedKey]>;

/// The keys of all domains that send from here.
pub(crate) struct Signing {
    meta: Client,
    known: Mutex<HashMap<DomainName, (Instant, Keys)>>,
}

impl Signing {
    pub(crate) fn new(meta: Client) -> Self {
        let known = Mutex::default();
        Self { meta, known }
    }

    /// A signer for a message in the name of `domain`; None where it has no keys.
    pub(crate) async fn signer(&self, domain: &DomainName) -> Result<Option<Signer>, Error> {
        let keys = self.keys(domain).await?;
        let now = self.meta.clock().now();
        let signer = || Signer::new(domain.clone(), &keys, now);
        Ok((!keys.is_empty()).then(signer))
    }

    /// The key that `domain` seals with. RFC 8617 knows RSA alone.
    pub(crate) async fn sealing_key(
        &self,
        domain: &DomainName,
    ) -> Result<Option<SelectedKey>, Error> {
        let keys = self.keys(domain).await?;
        let mut keys = keys.iter();
        let key = keys.find(|key| key.key().algorithm() == Algorithm::Rsa);
        Ok(key.cloned())
    }

    async fn keys(&self, domain: &DomainName) -> Result<Keys, Error> {
        if let Some((read, keys)) = self.known.lock().get(domain)
            && read.elapsed() < AGE
        {
            return Ok(keys.clone());
        }
        let question = query::DkimKeys {
            domain: domain.clone(),
        };
        let at_hand = ReadAt::AtLeast(Token(0));
        let (rows, _) = self.meta.ask(question, at_hand).await?;
        let active = rows.iter().filter(|row| row.state == DkimState::Active);
        let mut keys = Vec::new();
        for row in active {
            let key = Key::from_pkcs8(&row.private).map(Arc::new);
            match key.and_then(|key| SelectedKey::new(&row.selector, key)) {
                Ok(key) => keys.push(key),
                // Mail without a signature is better than none.
                Err(error) => tracing::error!(
                    %domain, selector = row.selector, %error,
                    "a DKIM key cannot be used: make a new one with `postrider domain rotate-keys`"
                ),
            }
        }
        let keys: Keys = keys.into();
        // A domain that was made just now gets its keys in a moment.
        if keys.is_empty() {
            return Ok(keys);
        }
        let mut known = self.known.lock();
        if known.len() >= CAPACITY {
            known.clear();
        }
        known.insert(domain.clone(), (Instant::now(), keys.clone()));
        Ok(keys)
    }
}
