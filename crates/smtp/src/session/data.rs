//! DATA (RFC 5321 §4.1.1.4).

use postrider_proto::smtp::{Content, Piece, Reply};

use super::{End, Session};

impl Session<'_> {
    pub(super) async fn data(&mut self) -> Result<(), End> {
        if let Some(refusal) = self.no_recipients() {
            return self.answer(&refusal);
        }
        if self
            .transaction
            .as_ref()
            .is_some_and(|t| t.incoming.is_some())
        {
            // RFC 3030 §2
            return self.refuse(503, (5, 5, 1), "BDAT has begun: DATA cannot follow");
        }
        self.reply(&Reply::plain(
            354,
            "send the message, end it with a dot on a line of its own",
        ));
        let mut incoming = self.begin(Content::data(self.server.settings.max_text_line));
        loop {
            if self.input.is_empty() {
                self.fill(&mut incoming).await?;
            }
            let (used, piece) = incoming.content.next(self.input.buffered());
            incoming.count(used);
            let ended = match piece {
                Piece::Text(text) => {
                    incoming.take(text).await;
                    false
                }
                Piece::End => true,
            };
            self.input.consume(used);
            if ended {
                break;
            }
        }
        self.complete(incoming).await
    }

    /// Why content cannot come now; None if it can.
    pub(super) fn no_recipients(&self) -> Option<Reply> {
        match &self.transaction {
            None => Some(Reply::new(503, (5, 5, 1), "MAIL comes first")),
            Some(t) if !t.envelope.recipients.is_empty() => None,
            // RFC 5321 §3.3: 554 where all were refused, in SMTP; RFC 2033
            // §4.2: 503 in LMTP.
            Some(t) if t.envelope.refused && self.role() != crate::Role::Lmtp => {
                Some(Reply::new(554, (5, 5, 1), "no recipient was accepted"))
            }
            Some(_) => Some(Reply::new(503, (5, 5, 1), "RCPT comes first")),
        }
    }
}
