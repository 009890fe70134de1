//! STARTTLS (RFC 3207).

use postrider_proto::smtp::Reply;

use super::{End, Session};

impl Session<'_> {
    pub(super) async fn start_tls(&mut self) -> Result<(), End> {
        let server = self.server;
        let tls = match &server.handles.tls {
            Some(_) if self.connection.is_tls() => {
                return self.refuse(503, (5, 5, 1), "TLS is active already");
            }
            Some(tls) => tls,
            None => return self.refuse(502, (5, 5, 1), "STARTTLS is not offered"),
        };
        self.reply(&Reply::new(220, (2, 0, 0), "go ahead"));
        // RFC 3207 §4.2: whatever came in the clear, commands sent ahead
        // included, does not count any more.
        let ahead = self.input.discard();
        if ahead > 0 {
            tracing::warn!(peer = %self.peer, bytes = ahead, "discarded what was sent ahead of TLS");
        }
        self.greeting = None;
        self.login = None;
        self.transaction = None;
        self.flush().await?;
        if let Err(error) = self.connection.start_tls(tls).await {
            tracing::debug!(peer = %self.peer, %error, "the TLS handshake failed");
            return Err(End(None));
        }
        Ok(())
    }
}
