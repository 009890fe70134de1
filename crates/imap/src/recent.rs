//! `\Recent` (RFC 3501 §2.3.2): which session is the first to hear of a message.
//!
//! SELECT claims all that no session has claimed. Messages that arrive while
//! several sessions have the mailbox selected are recent in each of them, which
//! the RFC allows; they are claimed at the end of the selection, so that arrival
//! costs no write of its own.

use postrider_meta::{MailboxView, command};

use crate::error::Fail;
use crate::session::Session;

impl Session {
    /// The UID from which on messages are recent in this session.
    pub(crate) async fn announce_recent(&mut self, view: &MailboxView, read_only: bool) -> u32 {
        if read_only || view.first_recent >= view.uid_next {
            return view.first_recent.0;
        }
        // Without an answer the messages stay recent for the next session too.
        let claimed = self.claim(view.id).await;
        claimed.unwrap_or(view.first_recent).0
    }

    /// Ends the selection.
    pub(crate) async fn deselect(&mut self) {
        let Some(selected) = self.selected.take() else {
            return;
        };
        if !selected.read_only
            && selected.last_uid() >= selected.claimed_to
            && self.claim(selected.mailbox).await.is_err()
        {
            tracing::debug!(mailbox = %selected.mailbox, "messages stay recent");
        }
    }

    async fn claim(
        &mut self,
        mailbox: postrider_types::MailboxId,
    ) -> Result<postrider_types::Uid, Fail> {
        let account = self.account()?;
        self.act(command::ClaimRecent { account, mailbox }).await
    }
}
