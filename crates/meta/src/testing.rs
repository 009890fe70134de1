//! The suite that every backend runs: what each command promises, seen through
//! [`Meta`] alone, and the invariants of the whole store after each scenario.
//! Panics on a deviation. Also the clock and the randomness that tests set.

mod bodies;
mod mailboxes;
mod messages;
mod random;
mod repeats;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_types::{
    AccountId, Address, BodyId, Clock, DomainName, Flag, Flags, MailboxId, Millis, ModSeq, Random,
    Uid,
};

use crate::command as c;
use crate::memory::Memory;
use crate::query as q;
use crate::{
    Act, Ask, Client, Content, Detail, Encoding, MailboxView, MessageView, Meta, NewBody,
    QuotaLimit, ReadAt, Refusal, UidRanges,
};

/// A backend under test.
#[async_trait]
pub trait Backend: Meta {
    /// What is wrong with its store: [`crate::check_consistency`].
    async fn check(&self) -> Vec<String>;
}

#[async_trait]
impl Backend for Memory {
    async fn check(&self) -> Vec<String> {
        self.check_consistency()
            .await
            .expect("memory does not fail")
    }
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows some moment of 2026.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_780_000_000_000)))
    }

    /// Moves it forward.
    pub fn advance(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that never repeat and are the same in each run.
#[derive(Debug, Default)]
pub struct CountingRandom(AtomicU64);

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::SeqCst);
        bytes.fill(0);
        for (byte, from) in bytes.iter_mut().rev().zip(next.to_le_bytes()) {
            *byte = from;
        }
    }
}

/// Runs everything, each scenario over a fresh backend out of `start`, which
/// must take the time from the clock it is given.
pub async fn suite<B: Backend>(start: impl AsyncFn(Arc<dyn Clock>) -> Arc<B>) {
    macro_rules! run {
        ($($scenario:path),* $(,)?) => { $({
            let clock = ManualClock::new();
            let fixture = Fixture::new(start(clock.clone()).await, clock).await;
            $scenario(&fixture).await;
            fixture.check(stringify!($scenario)).await;
        })* };
    }
    run!(
        repeats::a_command_sent_again_is_applied_once,
        repeats::a_watcher_is_told,
        mailboxes::mailboxes_are_created_with_superiors,
        mailboxes::bad_names_are_refused,
        mailboxes::a_rename_takes_inferiors_along,
        mailboxes::a_rename_of_inbox_moves_its_messages,
        mailboxes::a_deleted_mailbox_frees_quota_at_once_and_is_purged,
        mailboxes::subscriptions_outlive_mailboxes,
        mailboxes::a_removed_account_is_purged,
        messages::a_message_is_accepted_by_several,
        messages::deliveries_fail_one_by_one,
        messages::an_overdraft_is_taken_once,
        messages::an_append_is_all_or_none,
        messages::flags_change_as_asked,
        messages::copies_and_moves_keep_what_they_should,
        messages::expunge_removes_the_deleted,
        messages::the_change_log_tells_everything,
        messages::pages_hold_every_message_once,
        messages::recent_is_claimed_once,
        bodies::bodies_move_into_packs_and_packs_die,
        bodies::doubtful_bodies_are_refused,
        bodies::inline_bytes_have_a_budget,
        repeats::old_verdicts_are_trimmed,
    );
    random::any_sequence_of_commands_keeps_the_store_whole(&start).await;
}

/// A store with the domain `example.test` and the account `ann`.
struct Fixture {
    backend: Arc<dyn Backend>,
    client: Client,
    clock: Arc<ManualClock>,
    random: Arc<CountingRandom>,
    ann: AccountId,
}

/// Why a call that must succeed did not, with the place in the test.
fn succeed<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the command is in order")
}

impl Fixture {
    async fn new<B: Backend>(backend: Arc<B>, clock: Arc<ManualClock>) -> Self {
        let random = Arc::new(CountingRandom::default());
        let client = Client::new(backend.clone(), clock.clone(), random.clone());
        let mut fixture = Self {
            backend,
            client,
            clock,
            random,
            ann: AccountId(0),
        };
        let domain = c::AddDomain {
            name: DomainName::parse("example.test").expect("a domain"),
            internal: false,
            catch_all: None,
        };
        fixture.run(domain).await;
        fixture.ann = fixture.add_account("ann", QuotaLimit::default()).await;
        fixture
    }

    fn address(local: &str) -> Address {
        Address::parse(&format!("{local}@example.test")).expect("an address")
    }

    async fn add_account(&self, local: &str, quota: QuotaLimit) -> AccountId {
        let account = c::AddAccount {
            address: Self::address(local),
            verifier: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into(),
            quota,
            expires: None,
        };
        self.run(account).await
    }

    async fn check(&self, scenario: &str) {
        let findings = self.backend.check().await;
        assert!(findings.is_empty(), "after {scenario}: {findings:#?}");
    }

    /// Executes a command that must succeed.
    async fn run<A: Act>(&self, act: A) -> A::Outcome {
        succeed(self.try_run(act).await)
    }

    async fn try_run<A: Act>(&self, act: A) -> Result<A::Outcome, Refusal> {
        self.client.run(act).await.expect("the backend is up").0
    }

    /// Executes a command that must be refused.
    async fn refused<A: Act>(&self, act: A) -> Refusal {
        self.try_run(act)
            .await
            .err()
            .expect("the command is refused")
    }

    async fn ask<A: Ask>(&self, ask: A) -> A::Answer {
        let answer = self.client.ask(ask, ReadAt::Latest).await;
        answer.expect("the backend is up").0
    }

    /// A body that travels inline.
    fn body(&self, text: &str) -> NewBody {
        let content = Content::Inline(Bytes::copy_from_slice(text.as_bytes()));
        self.body_of(text.len() as u64, content)
    }

    fn body_of(&self, size: u64, content: Content) -> NewBody {
        NewBody {
            id: BodyId::new(self.clock.now(), &*self.random),
            size,
            checksum: [7; 32],
            encoding: Encoding::Identity,
            content,
            summary: Bytes::from_static(b"summary"),
            inline_budget: u64::MAX,
        }
    }

    fn delivery(account: AccountId, mailbox: &str) -> c::Delivery {
        c::Delivery {
            account,
            mailbox: mailbox.into(),
            prefix: Bytes::from_static(b"Received: here\r\n"),
            flags: Flags::new(),
            overdraft: false,
        }
    }

    /// Delivers `text` to ann.
    async fn accept(&self, mailbox: &str, text: &str) -> c::Delivered {
        let accepted = self.run(c::Accept {
            body: self.body(text),
            deliveries: vec![Self::delivery(self.ann, mailbox)],
            received: self.clock.now(),
        });
        succeed(accepted.await.deliveries.remove(0))
    }

    /// Delivers `count` messages to ann's INBOX, and answers its id.
    async fn fill_inbox(&self, count: usize) -> MailboxId {
        for n in 0..count {
            self.accept("INBOX", &format!("message {n}")).await;
        }
        self.mailbox("INBOX").await.id
    }

    async fn create(&self, name: &str) -> MailboxId {
        let created = self.run(c::CreateMailbox {
            account: self.ann,
            name: name.into(),
            special_use: None,
        });
        created.await
    }

    async fn find(&self, name: &str) -> Option<MailboxView> {
        let found = self.ask(q::MailboxByName {
            account: self.ann,
            name: name.into(),
        });
        found.await
    }

    async fn mailbox(&self, name: &str) -> MailboxView {
        self.find(name).await.expect("the mailbox exists")
    }

    async fn messages(&self, mailbox: MailboxId) -> Vec<MessageView> {
        let page = self.ask(q::Messages {
            account: self.ann,
            mailbox,
            uids: all(),
            detail: Detail::Summary,
            changed_since: ModSeq(0),
            limit: 10_000,
        });
        page.await.messages
    }

    async fn uids(&self, mailbox: MailboxId) -> Vec<u32> {
        let messages = self.messages(mailbox).await;
        messages.iter().map(|message| message.uid.0).collect()
    }

    async fn store(&self, mailbox: MailboxId, uids: UidRanges, flags: &[&str]) -> c::Stored {
        let stored = self.run(c::Store {
            account: self.ann,
            mailbox,
            uids,
            mode: c::StoreMode::Add,
            flags: flags_of(flags),
            unchanged_since: None,
        });
        stored.await
    }

    async fn expunge(&self, mailbox: MailboxId) -> Vec<u32> {
        let expunged = self.run(c::Expunge {
            account: self.ann,
            mailbox,
            uids: all(),
            only_deleted: true,
            limit: 20_000,
        });
        expunged.await.uids.iter().map(|uid| uid.0).collect()
    }

    async fn inline_usage(&self) -> u64 {
        self.ask(q::InlineUsage {}).await
    }

    async fn purge(&self) -> usize {
        let mut steps = 1;
        while self.run(c::Purge { limit: 2 }).await.more {
            steps += 1;
        }
        steps
    }

    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: u32) -> q::ChangePage {
        let page = self.ask(q::ChangesSince {
            account: self.ann,
            mailbox,
            since,
            limit,
        });
        page.await
    }
}

fn all() -> UidRanges {
    UidRanges(vec![1..=u32::MAX])
}

fn some(uids: &[u32]) -> UidRanges {
    UidRanges(uids.iter().map(|uid| *uid..=*uid).collect())
}

fn flags_of(words: &[&str]) -> Flags {
    words
        .iter()
        .map(|word| Flag::parse(word).expect("a flag"))
        .collect()
}

fn numbers(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_backend_keeps_all_promises() {
        suite(async |clock| Memory::new(clock)).await;
    }
}
