//! The account that is logged in, and how commands reach the metadata store in
//! its name.

use std::time::Duration;

use postrider_meta::{AccountState, Act, Ask, Client, MailboxView, ReadAt, Refusal, query};
use postrider_proto::imap::response::Code;
use postrider_types::{AccountId, Address};
use tokio::time::Instant;

use crate::error::{End, Fail, Reply};
use crate::session::Session;
use crate::table::Look;

/// The most rows in one page of a query.
const PAGE: u32 = 1_000;

/// A session learns within this time that its account was closed.
const CLOSED_AFTER: Duration = Duration::from_secs(30);

/// Who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) address: Address,
    /// When the account was last known to be open.
    pub(crate) open_at: Instant,
}

impl Session {
    /// The metadata store.
    pub(crate) fn meta(&self) -> &Client {
        &self.shared.handles.meta
    }

    /// The account; the table of commands lets none run without a login that
    /// needs one.
    pub(crate) fn account(&self) -> Result<AccountId, Fail> {
        match &self.login {
            Some(account) => Ok(account.id),
            None => Err(Reply::bad("log in first").into()),
        }
    }

    /// Ends the session of an account that was suspended or removed, or has
    /// expired, since the login. Asks now and then; while nobody can say, the
    /// session goes on.
    pub(crate) async fn check_open(&mut self) -> Result<(), End> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        if login.open_at.elapsed() < CLOSED_AFTER {
            return Ok(());
        }
        let (id, address) = (login.id, login.address.clone());
        let Ok(found) = self.ask(query::Account { address }, Look::Own).await else {
            return Ok(());
        };
        let now = self.meta().clock().now();
        let is_open = found.is_some_and(|view| {
            view.id == id
                && view.state == AccountState::Active
                && view.expires.is_none_or(|end| now < end)
        });
        if !is_open {
            tracing::info!(account = %id, "closing a session of an account that is closed");
            return Err(End::Bye("this account is closed; ask your administrator"));
        }
        if let Some(login) = &mut self.login {
            login.open_at = Instant::now();
        }
        Ok(())
    }

    /// Asks from a state that is as fresh as `look` wants.
    pub(crate) async fn ask<A: Ask>(&mut self, query: A, look: Look) -> Result<A::Answer, Fail> {
        let at = match look {
            Look::Latest => ReadAt::Latest,
            Look::Own | Look::Nothing => ReadAt::AtLeast(self.token),
        };
        let read = self.meta().read(query, at, self.token).await?;
        self.token = self.token.max(read.token);
        if look == Look::Latest {
            self.tell_standing(read.stale);
        }
        Ok(read.answer)
    }

    /// Executes a command; a refusal is the client's reply.
    pub(crate) async fn act<A: Act>(&mut self, act: A) -> Result<A::Outcome, Fail> {
        Ok(self.try_act(act).await??)
    }

    /// Executes a command; what is refused is the caller's business.
    pub(crate) async fn try_act<A: Act>(
        &mut self,
        act: A,
    ) -> Result<Result<A::Outcome, Refusal>, Fail> {
        self.check_writable()?;
        let (verdict, token) = self.meta().run(act).await?;
        self.token = self.token.max(token);
        Ok(verdict)
    }

    /// The mailbox `name`, as anybody sees it now.
    pub(crate) async fn mailbox(&mut self, name: &str) -> Result<MailboxView, Fail> {
        self.find_mailbox(name)
            .await?
            .ok_or_else(|| Reply::no(Code::NonExistent, "there is no such mailbox").into())
    }

    /// The mailbox `name`, if there is one.
    pub(crate) async fn find_mailbox(&mut self, name: &str) -> Result<Option<MailboxView>, Fail> {
        let query = query::MailboxByName {
            account: self.account()?,
            name: name.to_owned(),
        };
        self.ask(query, Look::Latest).await
    }

    /// All mailboxes, sorted by name byte for byte.
    pub(crate) async fn mailboxes(&mut self) -> Result<Vec<MailboxView>, Fail> {
        let mut all = Vec::new();
        let mut query = query::Mailboxes {
            account: self.account()?,
            after: None,
            limit: PAGE,
        };
        let mut look = Look::Latest;
        loop {
            let page = self.ask(query.clone(), look).await?;
            look = Look::Own;
            all.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}
