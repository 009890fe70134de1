//! The selected mailbox catches up with the store: what others (and this
//! client) changed becomes untagged responses.

use postrider_meta::{Detail, UidRanges, query};
use postrider_types::{ModSeq, Uid};

use crate::error::{End, Fail};
use crate::selected::Selected;
use crate::session::Session;
use crate::table::Look;

/// The most entries of the change log that are read at once.
const LOG_PAGE: u32 = 2_000;
/// The most messages of which flags are read at once.
const FLAGS_PAGE: u32 = 5_000;

impl Session {
    /// Tells the client what has changed: flags first, by the numbers it knows;
    /// then, if they are allowed, removals; then new messages.
    pub(crate) async fn tell_changes(&mut self, look: Look, expunges: bool) -> Result<(), Fail> {
        if look == Look::Nothing {
            return Ok(());
        }
        // What was read before a failure is told next time, with the rest.
        self.read_changes(look, expunges).await?;
        if let Some(selected) = &mut self.selected {
            selected.forget_own();
            let told = selected.catch_up(expunges);
            for number in &told.expunged {
                self.out.expunge(*number);
                self.out.relieve().await?;
            }
            if told.grown {
                self.out.exists(selected.count());
                self.out.recent(selected.recent());
            }
        }
        Ok(())
    }

    async fn read_changes(&mut self, look: Look, expunges: bool) -> Result<(), Fail> {
        let account = self.account()?;
        let mut look = look;
        loop {
            let Some(selected) = &self.selected else {
                return Ok(());
            };
            let query = query::ChangesSince {
                account,
                mailbox: selected.mailbox,
                since: selected.mod_seq,
                limit: LOG_PAGE,
            };
            let page = self.ask(query, look).await?;
            look = Look::Own;
            if page.gone {
                // RFC 2180 §3.3
                return Err(End::Bye("the selected mailbox was deleted").into());
            }
            if page.truncated {
                if expunges {
                    self.read_anew(page.up_to).await?;
                }
                return Ok(());
            }
            for message in &page.changed {
                self.tell_flags(message, true).await?;
            }
            let Some(selected) = &mut self.selected else {
                return Ok(());
            };
            selected.remove(&page.vanished);
            selected.mod_seq = selected.mod_seq.max(page.up_to);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// One changed message: new, or with other flags.
    async fn tell_flags(
        &mut self,
        message: &postrider_meta::MessageView,
        changed: bool,
    ) -> Result<(), Fail> {
        let Some(selected) = &mut self.selected else {
            return Ok(());
        };
        if selected.note_keywords(&message.flags) {
            self.out.flags(&selected.flags());
        }
        if selected.add(message.uid) || !changed {
            return Ok(());
        }
        let Some(number) = selected.number_of(message.uid) else {
            return Ok(());
        };
        if selected.is_own(message.uid, message.mod_seq) {
            return Ok(());
        }
        self.out.fetch_start(number);
        self.out.fetch_uid(message.uid);
        if self.condstore {
            self.out.fetch_mod_seq(message.mod_seq);
        }
        self.out
            .fetch_flags(&message.flags, selected.is_recent(message.uid));
        self.out.fetch_end();
        self.out.relieve().await?;
        Ok(())
    }

    /// The change log no longer reaches back to where the client stands: what
    /// is gone follows from what is there.
    async fn read_anew(&mut self, up_to: ModSeq) -> Result<(), Fail> {
        let Some(selected) = &self.selected else {
            return Ok(());
        };
        let (since, last) = (selected.mod_seq, selected.last_uid());
        let mut up_to = since.max(up_to);
        let mut left = Vec::with_capacity(selected.known().len());
        let mut from = Some(Uid(1));
        while let Some(first) = from {
            let page = self.flags_page(first).await?;
            for message in &page.messages {
                up_to = up_to.max(message.mod_seq);
                if message.uid.0 <= last {
                    left.push(message.uid.0);
                }
                self.tell_flags(message, message.mod_seq > since).await?;
            }
            from = page.next;
        }
        if let Some(selected) = &mut self.selected {
            selected.keep_only(&left, last);
            selected.mod_seq = up_to;
        }
        Ok(())
    }

    async fn flags_page(&mut self, first: Uid) -> Result<query::MessagePage, Fail> {
        let query = query::Messages {
            account: self.account()?,
            mailbox: self
                .selected
                .as_ref()
                .map(|s| s.mailbox)
                .unwrap_or_default(),
            uids: UidRanges(vec![first.0..=u32::MAX]),
            detail: Detail::Flags,
            changed_since: ModSeq(0),
            limit: FLAGS_PAGE,
        };
        self.ask(query, Look::Own).await
    }

    /// Reads the list of messages of a mailbox that is being selected; the
    /// sequence number of the first without `\Seen`.
    pub(crate) async fn load(&mut self, selected: Selected) -> Result<Option<u32>, Fail> {
        let mut first_unseen = None;
        let mut number = 0;
        self.selected = Some(Box::new(selected));
        let mut from = Some(Uid(1));
        while let Some(first) = from {
            let page = self.flags_page(first).await?;
            let Some(selected) = &mut self.selected else {
                break;
            };
            for message in &page.messages {
                number += 1;
                selected.add(message.uid);
                selected.note_keywords(&message.flags);
                if first_unseen.is_none() && !message.flags.contains(&postrider_types::Flag::Seen) {
                    first_unseen = Some(number);
                }
            }
            from = page.next;
        }
        if let Some(selected) = &mut self.selected {
            selected.loaded();
        }
        Ok(first_unseen)
    }
}
