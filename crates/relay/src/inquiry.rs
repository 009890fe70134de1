//! Whether a peer takes mail for somebody: asked by RCPT, without a message.

use postrider_proto::smtp::client::{Reply, Request};
use postrider_proto::smtp::{MailParameters, RcptParameters};
use postrider_types::EnhancedStatus;

use crate::connection::Connection;
use crate::failure::{Failure, Phase};

impl Connection {
    /// Asks whether the peer takes mail for `path`, an address as
    /// [`Recipient::path`](crate::Recipient::path) has it: its reply to RCPT, from
    /// the null sender, or one that was made here where it cannot be asked about
    /// such an address. No message is sent. Fails where the connection does, or the
    /// peer refuses MAIL.
    ///
    /// Afterwards the connection takes another inquiry or a message if
    /// [`Self::is_usable`] says so.
    pub async fn ask_recipient(&mut self, path: &str) -> Result<Reply, Failure> {
        let smtp_utf8 = !path.is_ascii();
        if smtp_utf8 && !self.capabilities.smtp_utf8 {
            // RFC 6531 §3.5
            return Ok(Reply {
                code: 553,
                enhanced: Some(EnhancedStatus(5, 6, 7)),
                text: "the address needs SMTPUTF8, which the server does not offer".into(),
            });
        }
        if self.begun {
            self.reset().await?;
        }
        self.take_up(Phase::Mail)?;
        self.begun = true;
        let limit = self.settings.command_timeout;
        let mail = Request::Mail {
            reverse_path: None,
            parameters: &MailParameters {
                smtp_utf8,
                ..MailParameters::default()
            },
        };
        let reply = self.ask(&mail, Phase::Mail, limit).await?;
        if !reply.is_positive() {
            self.settle_unless_closing(&reply);
            return Err(Failure::refused(Phase::Mail, reply));
        }
        let rcpt = Request::Rcpt {
            forward_path: path,
            parameters: &RcptParameters::default(),
        };
        let reply = self.ask(&rcpt, Phase::Recipients, limit).await?;
        if reply.is_intermediate() {
            return Err(Failure::refused(Phase::Recipients, reply));
        }
        self.settle_unless_closing(&reply);
        Ok(reply)
    }

    /// RFC 5321 §3.8: with 421 the peer closes.
    fn settle_unless_closing(&mut self, reply: &Reply) {
        if reply.code != 421 {
            self.settle();
        }
    }
}
