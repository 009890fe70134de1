//! BDAT (RFC 3030 §2).

use postrider_proto::smtp::{Content, Piece, Reply};

use super::{End, Session};

impl Session<'_> {
    /// Reads one chunk. Its bytes are consumed whatever is wrong: they follow
    /// the command without waiting for a reply.
    pub(super) async fn bdat(&mut self, size: u64, last: bool) -> Result<(), End> {
        let refusal = self.no_recipients();
        let refused = refusal.is_some();
        let begun = self.transaction.as_mut().and_then(|t| t.incoming.take());
        let mut incoming = match (refusal, begun) {
            (Some(refusal), _) => Box::new(self.begin_refused(refusal)),
            (None, Some(begun)) => begun,
            (None, None) => Box::new(self.begin(Content::bdat(self.server.settings.max_text_line))),
        };
        self.chunk(&mut incoming, size).await?;
        if refused {
            let reply = incoming.refusal().cloned();
            return self.answer(&reply.unwrap_or_else(super::deliver::too_large));
        }
        if last {
            return self.complete(*incoming).await;
        }
        // RFC 3030 §2: after a failure the transaction waits for RSET, and
        // chunks that come nevertheless fail as well.
        let reply = match incoming.refusal() {
            Some(refusal) => refusal.clone(),
            None => Reply::new(250, (2, 0, 0), format!("{size} bytes received")),
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.incoming = Some(incoming);
        }
        self.answer(&reply)
    }

    async fn chunk(&mut self, incoming: &mut super::Incoming, size: u64) -> Result<(), End> {
        let mut left = size;
        while left > 0 {
            if self.input.is_empty() {
                self.fill(incoming).await?;
            }
            let buffered = self.input.buffered();
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffered.len());
            let (used, piece) = incoming
                .content
                .next(buffered.get(..most).unwrap_or(buffered));
            incoming.count(used);
            left = left.saturating_sub(used as u64);
            if let Piece::Text(text) = piece {
                incoming.take(text).await;
            }
            self.input.consume(used);
        }
        Ok(())
    }
}
