//! Logins against the real domain over the memory engine.

use std::sync::atomic::{AtomicU64, Ordering};

use postrider_meta::command::{AddAccount, AddDomain, Change, SetAccount};
use postrider_meta::memory::Memory;
use postrider_meta::{Act, QuotaLimit};
use postrider_types::{Clock, Millis, Random};
use rand::RngCore;

use super::*;
use crate::hash_password_blocking;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

struct TestClock(AtomicU64);
impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

struct TestRandom;
impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

struct World {
    meta: Client,
    clock: Arc<TestClock>,
}

impl World {
    /// `ann@example.org` with the password `sesame`.
    async fn new() -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
        let meta = Client::new(
            Memory::new(clock.clone()),
            clock.clone(),
            Arc::new(TestRandom),
        );
        let world = Self { meta, clock };
        let domain = DomainName::parse("example.org").unwrap();
        let add = AddDomain {
            name: domain,
            internal: false,
            catch_all: None,
            relay: None,
        };
        world.run(add).await;
        let add = AddAccount {
            address: ann(),
            verifier: hash_password_blocking("sesame").unwrap(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        world.run(add).await;
        world
    }

    async fn run<A: Act>(&self, act: A)
    where
        A::Outcome: std::fmt::Debug,
    {
        self.meta.run(act).await.unwrap().0.unwrap();
    }

    async fn set(&self, change: impl FnOnce(&mut SetAccount)) {
        let mut set = SetAccount {
            address: ann(),
            verifier: Change::Keep,
            quota: Change::Keep,
            expires: Change::Keep,
            state: Change::Keep,
        };
        change(&mut set);
        self.run(set).await;
    }

    fn auth(&self, settings: Settings) -> Authenticator {
        let failure_delay = Duration::ZERO;
        Authenticator::new(
            self.meta.clone(),
            Settings {
                failure_delay,
                ..settings
            },
        )
    }
}

fn ann() -> Address {
    Address::parse("ann@example.org").unwrap()
}

#[tokio::test]
async fn a_right_password_opens_and_nothing_else_does() {
    let world = World::new().await;
    let auth = world.auth(Settings {
        default_domain: DomainName::parse("example.org").ok(),
        ..Settings::default()
    });
    for login in ["ann@example.org", "Ann@EXAMPLE.org", "ann"] {
        let found = auth.login(HOME, login, "sesame").await.unwrap();
        assert_eq!(found.address, ann());
    }
    let long = "x".repeat(5000);
    for (login, password) in [
        ("ann@example.org", "Sesame"),
        ("ann@example.org", ""),
        ("ann@example.org", &long),
        ("bob@example.org", "sesame"),
        ("ann@elsewhere.org", "sesame"),
        ("", "sesame"),
        (&long, "sesame"),
        ("ann\0@example.org", "sesame"),
    ] {
        let failure = auth.login(HOME, login, password).await;
        assert_eq!(failure, Err(Failure::Rejected), "{login} {password}");
    }
}

#[tokio::test]
async fn a_closed_account_says_so_to_its_owner_alone() {
    let world = World::new().await;
    let auth = world.auth(Settings::default());
    world
        .set(|set| set.state = Change::Set(AccountState::Suspended))
        .await;
    let wrong = auth.login(HOME, "ann@example.org", "wrong").await;
    assert_eq!(wrong, Err(Failure::Rejected));
    let right = auth.login(HOME, "ann@example.org", "sesame").await;
    assert_eq!(right, Err(Failure::Closed(ClosedReason::Suspended)));

    let expiry = Millis(2_000_000);
    let active = Change::Set(AccountState::Active);
    world
        .set(|set| (set.state, set.expires) = (active, Change::Set(Some(expiry))))
        .await;
    assert!(auth.login(HOME, "ann@example.org", "sesame").await.is_ok());
    world.clock.0.store(expiry.0, Ordering::Relaxed);
    let late = auth.login(HOME, "ann@example.org", "sesame").await;
    assert_eq!(late, Err(Failure::Closed(ClosedReason::Expired)));
}

#[tokio::test]
async fn a_changed_password_counts_at_once() {
    let world = World::new().await;
    let auth = world.auth(Settings::default());
    assert!(auth.login(HOME, "ann@example.org", "sesame").await.is_ok());
    let verifier = hash_password_blocking("open").unwrap();
    world.set(|set| set.verifier = Change::Set(verifier)).await;
    let old = auth.login(HOME, "ann@example.org", "sesame").await;
    assert_eq!(old, Err(Failure::Rejected));
    assert!(auth.login(HOME, "ann@example.org", "open").await.is_ok());
}

#[tokio::test]
async fn failures_close_the_door_to_strangers_not_to_the_owner() {
    let world = World::new().await;
    let auth = world.auth(Settings {
        max_failures_per_account: 3,
        ..Settings::default()
    });
    assert!(auth.login(HOME, "ann@example.org", "sesame").await.is_ok());
    for _ in 0..3 {
        let failure = auth.login(AWAY, "ann@example.org", "guess").await;
        assert_eq!(failure, Err(Failure::Rejected));
    }
    let guessed = auth.login(AWAY, "ann@example.org", "sesame").await;
    assert_eq!(guessed, Err(Failure::Throttled));
    assert!(auth.login(HOME, "ann@example.org", "sesame").await.is_ok());
}

#[tokio::test]
async fn an_address_that_guesses_is_refused_for_all_logins() {
    let world = World::new().await;
    let auth = world.auth(Settings {
        max_failures_per_address: 3,
        ..Settings::default()
    });
    for login in ["a@example.org", "b@example.org", "nonsense"] {
        let failure = auth.login(AWAY, login, "guess").await;
        assert_eq!(failure, Err(Failure::Rejected));
    }
    let refused = auth.login(AWAY, "ann@example.org", "sesame").await;
    assert_eq!(refused, Err(Failure::Throttled));
    let refused = auth.login(AWAY, "nonsense", "guess").await;
    assert_eq!(refused, Err(Failure::Throttled));
    assert!(auth.login(HOME, "ann@example.org", "sesame").await.is_ok());
}

#[tokio::test]
async fn guesses_that_arrive_together_are_limited_like_those_that_come_in_turn() {
    let world = World::new().await;
    let limits = [(3, 0), (0, 3)];
    for (max_failures_per_account, max_failures_per_address) in limits {
        let auth = world.auth(Settings {
            max_failures_per_account,
            max_failures_per_address,
            max_checks: 1,
            ..Settings::default()
        });
        let guesses: Vec<_> = (0..30)
            .map(|n| {
                let auth = auth.clone();
                let guess = async move {
                    auth.login(AWAY, "ann@example.org", &format!("guess {n}"))
                        .await
                };
                tokio::spawn(guess)
            })
            .collect();
        let mut checked = 0;
        for guess in guesses {
            match guess.await.unwrap() {
                Err(Failure::Rejected) => checked += 1,
                other => assert_eq!(other, Err(Failure::Throttled)),
            }
        }
        assert_eq!(checked, 3);
    }
}
