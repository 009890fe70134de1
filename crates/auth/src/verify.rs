//! [`Authenticator`]: from a login and a password to an account.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use parking_lot::Mutex;
use postrider_meta::{AccountState, Client, LoginView, ReadAt, Token, query};
use postrider_net::Counts;
use postrider_types::{AccountId, Address, DomainName};
use rand::TryRngCore;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Settings;
use crate::password::{self, MAX_PASSWORD};
use crate::throttle::Throttle;

/// The longest login: an address's bounds (RFC 5321 §4.5.3.1).
const MAX_LOGIN: usize = 64 + 1 + 255;
/// How long a login may wait for its turn to be checked.
const CHECK_WAIT: Duration = Duration::from_secs(20);
/// Successful checks remembered at once.
const CACHE_CAPACITY: usize = 50_000;

/// A successful login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// Checked against what was known without a majority: the password may have
    /// been changed since.
    pub stale: bool,
}

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The login is unknown or the password wrong; nobody is told which.
    #[error("wrong login or password")]
    Rejected,
    /// Too many failures from this address or for this login: try later.
    #[error("too many failed logins; try again later")]
    Throttled,
    /// The password is right, but the account is not in use.
    #[error("{0}")]
    Closed(ClosedReason),
    /// The store does not answer, or too many logins wait: a temporary error.
    #[error("logins cannot be checked right now; try again later")]
    Unavailable,
}

/// Why an account takes no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClosedReason {
    /// An administrator suspended it.
    #[error("this account is suspended; ask your administrator")]
    Suspended,
    /// Its expiry date has passed.
    #[error("this account has expired; ask your administrator")]
    Expired,
}

/// Checks logins. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
    meta: Client,
}

struct Inner {
    settings: Settings,
    throttle: Throttle,
    checks: Semaphore,
    memory: Arc<password::Memory>,
    /// Successes by keyed hash of login, password and verifier.
    cache: Mutex<HashMap<[u8; 32], Instant>>,
    cache_key: [u8; 32],
    /// A verifier that no password fits: what an unknown login is checked
    /// against, so that it takes the same time.
    decoy: String,
}

impl Authenticator {
    /// An authenticator over `meta` whose limits hold for itself alone. Takes some
    /// ten milliseconds.
    pub fn new(meta: Client, settings: Settings) -> Self {
        Self::sharing(meta, settings, &Counts::new())
    }

    /// The same, with limits that hold wherever `counts` are told.
    pub fn sharing(meta: Client, settings: Settings, counts: &Counts) -> Self {
        let checks = match settings.max_checks {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            checks => checks,
        };
        let mut cache_key = [0; 32];
        let mut unguessable = [0; 32];
        for secret in [&mut cache_key, &mut unguessable] {
            rand::rngs::OsRng
                .try_fill_bytes(secret)
                .expect("the system gives randomness; without it nothing is safe to start");
        }
        let unguessable = blake3::Hash::from_bytes(unguessable).to_hex();
        let decoy = password::hash_password_blocking(&unguessable)
            .expect("64 hexadecimal digits are a valid password");
        let inner = Inner {
            throttle: Throttle::new(&settings, counts),
            settings,
            checks: Semaphore::new(checks),
            memory: Arc::default(),
            cache: Mutex::default(),
            cache_key,
            decoy,
        };
        Self {
            inner: Arc::new(inner),
            meta,
        }
    }

    /// The same, but without a majority it checks against what is known: for those
    /// who let their clients only read meanwhile.
    pub fn serving_stale(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            meta: self.meta.clone().serving_stale(),
        }
    }

    /// Checks `login` (an address, or a local part in the default domain) and
    /// `password` for a client at `peer`. A failure is answered late on purpose.
    pub async fn login(&self, peer: IpAddr, login: &str, password: &str) -> Result<Login, Failure> {
        let result = self.inner.login(&self.meta, peer, login, password).await;
        let label = match &result {
            Ok(_) => "success",
            Err(Failure::Rejected) => "rejected",
            Err(Failure::Throttled) => "throttled",
            Err(Failure::Closed(_)) => "closed",
            Err(Failure::Unavailable) => "unavailable",
        };
        counter!("postrider_logins_total", "result" => label).increment(1);
        if let Err(Failure::Rejected | Failure::Throttled) = &result {
            tokio::time::sleep(self.inner.settings.failure_delay).await;
        }
        result
    }
}

impl Inner {
    async fn login(
        &self,
        meta: &Client,
        peer: IpAddr,
        login: &str,
        password: &str,
    ) -> Result<Login, Failure> {
        let address = self.address(login);
        if self.throttle.refuses(peer, address.as_ref()) {
            return Err(Failure::Throttled);
        }
        // Whatever the reason, the check below runs, against the decoy: no
        // difference in time tells which it was.
        let (view, stale) = match &address {
            Some(address) if password.len() <= MAX_PASSWORD => look_up(meta, address).await?,
            _ => (None, false),
        };
        let checked: String = password.chars().take(MAX_PASSWORD).collect();
        let key = self.cache_key(login, &checked, self.verifier(view.as_ref()));
        let right = self.is_cached(&key)
            || self
                .in_turn(peer, address.as_ref(), key, checked, view.as_ref())
                .await?;
        let (Some(view), true) = (view, right) else {
            tracing::info!(%peer, "a login was rejected");
            return Err(Failure::Rejected);
        };
        self.throttle.succeeded(peer, &view.address);
        if view.expires.is_some_and(|at| at <= meta.clock().now()) {
            return Err(Failure::Closed(ClosedReason::Expired));
        }
        match view.state {
            AccountState::Active => Ok(Login {
                account: view.account,
                address: view.address,
                stale,
            }),
            AccountState::Suspended => Err(Failure::Closed(ClosedReason::Suspended)),
            // The store no longer shows it; should it, then as if unknown.
            AccountState::Removing => Err(Failure::Rejected),
        }
    }

    fn address(&self, login: &str) -> Option<Address> {
        if login.len() > MAX_LOGIN {
            return None;
        }
        if login.contains('@') {
            return Address::parse(login).ok();
        }
        let domain: &DomainName = self.settings.default_domain.as_ref()?;
        Address::new(login, domain.clone()).ok()
    }

    /// What a password is checked against; the decoy without a view.
    fn verifier<'a>(&'a self, view: Option<&'a LoginView>) -> &'a str {
        view.map_or(&self.decoy, |view| &view.verifier)
    }

    /// The turn to check a password.
    async fn permit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        match tokio::time::timeout(CHECK_WAIT, self.checks.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                tracing::warn!("too many logins wait to be checked");
                Err(Failure::Unavailable)
            }
        }
    }

    /// Waits for its turn, then checks. Guesses that arrive together have all passed
    /// the first look at the limits: each is measured again by what failed before it.
    async fn in_turn(
        &self,
        peer: IpAddr,
        address: Option<&Address>,
        key: [u8; 32],
        password: String,
        view: Option<&LoginView>,
    ) -> Result<bool, Failure> {
        let _permit = self.permit().await?;
        // Somebody before us in the line may have made the same check.
        if self.is_cached(&key) {
            return Ok(true);
        }
        if self.throttle.refuses(peer, address) {
            return Err(Failure::Throttled);
        }
        let right = self.check(key, password, view).await?;
        if !right {
            // Before the permit goes to the next in the line.
            self.throttle.failed(peer, address);
        }
        Ok(right)
    }

    /// Whether the password fits; false without a view, in the same time. What
    /// fits is remembered under `key`.
    async fn check(
        &self,
        key: [u8; 32],
        password: String,
        view: Option<&LoginView>,
    ) -> Result<bool, Failure> {
        let verifier = self.verifier(view).to_owned();
        let memory = Arc::clone(&self.memory);
        let checked = tokio::task::spawn_blocking(move || memory.check(&password, &verifier));
        match checked.await {
            Ok(Some(right)) => {
                // No password fits the decoy, but never trust that alone.
                let right = right && view.is_some();
                if right {
                    self.remember(key);
                }
                Ok(right)
            }
            Ok(None) => {
                let account = view.map(|view| view.account.0);
                tracing::error!(
                    account,
                    "the stored password verifier is not usable; set the password anew"
                );
                Ok(false)
            }
            Err(error) => {
                tracing::error!(%error, "a password check failed");
                Err(Failure::Unavailable)
            }
        }
    }

    fn cache_key(&self, login: &str, password: &str, verifier: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.cache_key);
        for part in [login, password, verifier] {
            // Lengths keep the parts apart.
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    fn is_cached(&self, key: &[u8; 32]) -> bool {
        // Looked up by a keyed hash of the secret: timing reveals nothing about it.
        let cache = self.cache.lock();
        cache.get(key).is_some_and(|until| Instant::now() < *until)
    }

    fn remember(&self, key: [u8; 32]) {
        if self.settings.cache.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut cache = self.cache.lock();
        if cache.len() >= CACHE_CAPACITY {
            cache.retain(|_, until| now < *until);
            if cache.len() >= CACHE_CAPACITY {
                cache.clear();
            }
        }
        cache.insert(key, now + self.settings.cache);
    }
}

/// What is stored about a login, and whether that may be old.
async fn look_up(meta: &Client, address: &Address) -> Result<(Option<LoginView>, bool), Failure> {
    let ask = query::Login {
        address: address.clone(),
    };
    match meta.read(ask, ReadAt::Latest, Token::default()).await {
        Ok(read) => Ok((read.answer, read.stale)),
        Err(error) => {
            tracing::warn!(%error, "a login could not be checked");
            Err(Failure::Unavailable)
        }
    }
}

#[cfg(test)]
mod tests;
