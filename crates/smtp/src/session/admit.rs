//! Whether a recipient that was found may be added: room in the envelope, and what an
//! account may send in an hour.

use postrider_proto::smtp::Reply;

use super::Session;
use super::rcpt::{Asked, too_many};
use crate::envelope::Found;

impl Session<'_> {
    /// Takes a recipient, if its sender may write to one more. What is refused does not
    /// count.
    pub(super) async fn count_and_add(&mut self, asked: Asked, found: Found) -> Reply {
        let max = self.server.settings.max_recipients;
        let Some(transaction) = &mut self.transaction else {
            return Reply::new(503, (5, 5, 1), "MAIL comes first");
        };
        let envelope = &mut transaction.envelope;
        if envelope.is_full(max) || !envelope.make_room(&found) {
            return too_many();
        }
        if let Some(refusal) = self.count(&asked, &found).await {
            return refusal;
        }
        self.add(asked, found)
    }

    /// Counts a recipient for the account that has logged in: all of those that it leads
    /// to, or none if these are too many; then the refusal.
    async fn count(&mut self, asked: &Asked, found: &Found) -> Option<Reply> {
        let login = self.login.clone()?;
        // What a list sends on is its own, however many it has.
        let counted = match found.lists.is_empty() {
            true => found.outside.len().max(1),
            false => 1,
        };
        let most = self.server.settings.max_sent_recipients_per_hour;
        if most > 0 && counted > most as usize {
            // RFC 3463 §3.6: it never fits, so that no later try can help.
            let text = format!(
                "<{}> leads to more recipients than the {most} that you may send to in an hour",
                asked.path
            );
            return Some(Reply::new(550, (5, 5, 3), text));
        }
        if self.server.volume.admit_recipients(login.account, counted) {
            return None;
        }
        let limit = format!("{most} recipients an hour");
        self.server.warn_of_volume(&login, self.peer, &limit).await;
        let text = "you have sent to too many recipients in the last hour, try again later";
        Some(Reply::new(450, (4, 7, 1), text))
    }

    fn add(&mut self, asked: Asked, found: Found) -> Reply {
        let Some(transaction) = &mut self.transaction else {
            return Reply::new(503, (5, 5, 1), "MAIL comes first");
        };
        let envelope = &mut transaction.envelope;
        if !envelope.add(asked.path, asked.parameters, found) {
            return too_many();
        }
        Reply::new(250, (2, 1, 5), "recipient accepted")
    }
}
