//! Writes a notice into a body, the message that goes back piece by piece.

use postrider_body::{Error as BodyError, Reader};
use postrider_message::report::{self, Notice, Returned};
use postrider_meta::NewBody;
use postrider_types::Millis;

use crate::{About, Error, Notices, Original};

impl Notices {
    pub(crate) async fn write(
        &self,
        about: &About<'_>,
        recipients: &[report::Recipient<'_>],
        original: Option<Original>,
        now: Millis,
    ) -> Result<NewBody, Error> {
        let returned = match &original {
            Some(original) => Returned::Message {
                eight_bit: is_eight_bit(&original.body).await?,
            },
            None => Returned::Header,
        };
        let hostname = &self.hostname;
        let mut random = [0; 16];
        self.meta.random().fill(&mut random);
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.meta.random().fill(&mut random);
        let report = Notice {
            reporting_mta: hostname,
            envelope_id: about.envelope_id,
            arrival: about.arrival,
            recipients,
            from: &format!("MAILER-DAEMON@{hostname}"),
            to: about.reverse_path,
            message_id: &format!("<{id}@{hostname}>"),
            date: now,
            smtp_utf8: about.smtp_utf8,
            header: about.header,
            returned,
            random,
        }
        .write();
        let mut intake = self.bodies.intake();
        intake.write(&report.head).await?;
        if let Some(mut original) = original {
            intake.write(&original.prefix).await?;
            while let Some(piece) = original.body.next_chunk().await? {
                intake.write(&piece).await?;
            }
        }
        intake.write(&report.tail).await?;
        Ok(NewBody {
            // A notice must not fail for want of room: it is small, and there is one
            // for a message that had room itself.
            inline_budget: u64::MAX,
            ..intake.finish().await?
        })
    }
}

async fn is_eight_bit(body: &Reader) -> Result<bool, BodyError> {
    let mut at = 0;
    while at < body.size() {
        let piece = body.read(at..at + (64 << 10)).await?;
        if !piece.is_ascii() {
            return Ok(true);
        }
        at += piece.len().max(1) as u64;
    }
    Ok(false)
}
