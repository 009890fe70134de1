//! The content of one message on its way from the connection into `body`.
//! Content that is refused is still read to its end, but kept nowhere.

use postrider_body::{Error as BodyError, Intake};
use postrider_message::{ListFieldRemover, date};
use postrider_meta::NewBody;
use postrider_net::Pace;
use postrider_proto::smtp::{Content, Reply, Violation};
use postrider_types::BodyId;

use super::{End, Session, deliver, success};
use crate::envelope::Envelope;
use crate::header::{Header, Missing};

/// The size of reads once a message turns out to be large.
const LARGE_READ: usize = 64 << 10;

/// Content that is being received.
pub(super) struct Incoming {
    pub(super) content: Content,
    header: Header,
    /// Takes out fields of mailing lists, as long as the header lasts.
    remover: Option<ListFieldRemover>,
    /// None once the content is refused.
    intake: Option<Intake>,
    refusal: Option<Reply>,
    /// Bytes as they came, refused ones included.
    received: u64,
    declared: u64,
    max_size: u64,
    pace: Pace,
    scratch: Vec<u8>,
}

impl Incoming {
    /// Bytes came in from the connection.
    pub(super) fn count(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// Takes the next content.
    pub(super) async fn take(&mut self, piece: &[u8]) {
        if let Some(violation) = self.content.violation() {
            self.refuse(broken(violation));
        }
        let Some(intake) = &mut self.intake else {
            return;
        };
        if intake.size().saturating_add(piece.len() as u64) > self.max_size {
            self.refuse(deliver::too_large());
            return;
        }
        let written = if self.header.is_done() && self.remover.is_none() {
            intake.write(piece).await
        } else {
            self.header.push(piece, &mut self.scratch);
            remove(&mut self.remover, &mut self.scratch);
            let written = intake.write(&self.scratch).await;
            self.scratch.clear();
            written
        };
        if let Err(error) = written {
            self.refuse(body_refusal(&error));
        }
    }

    /// Why the content is refused, so far.
    pub(super) fn refusal(&self) -> Option<&Reply> {
        self.refusal.as_ref()
    }

    /// Refuses the content, unless it is refused already.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.intake = None;
        self.scratch = Vec::new();
        self.refusal.get_or_insert(reply);
    }

    /// The content has ended: the body, and what its header told.
    pub(super) async fn finish(mut self) -> Result<(NewBody, Header), Reply> {
        if self.content.finish() {
            // BDAT alone can leave the last line open.
            self.take(b"\r\n").await;
        }
        if let Some(violation) = self.content.violation() {
            self.refuse(broken(violation));
        }
        let Some(mut intake) = self.intake else {
            return Err(self.refusal.unwrap_or_else(deliver::too_large));
        };
        self.header.finish(&mut self.scratch);
        remove(&mut self.remover, &mut self.scratch);
        if let Some(remover) = &mut self.remover {
            remover.finish(&mut self.scratch);
        }
        intake
            .write(&self.scratch)
            .await
            .map_err(|error| body_refusal(&error))?;
        let body = intake
            .finish()
            .await
            .map_err(|error| body_refusal(&error))?;
        Ok((body, self.header))
    }

    /// An end if there is none to what is refused.
    fn check_refused(&self) -> Result<(), End> {
        if self.refusal.is_some() && self.received > self.max_size.saturating_mul(2) {
            return Err(End(self.refusal.clone()));
        }
        Ok(())
    }

    /// How many bytes to read at once.
    fn hint(&self) -> usize {
        let large = self.received.max(self.declared) > 8 << 10;
        if large { LARGE_READ } else { 0 }
    }
}

/// Takes fields of mailing lists out of what has come, until the header has ended.
fn remove(remover: &mut Option<ListFieldRemover>, scratch: &mut Vec<u8>) {
    if let Some(active) = remover {
        let came = std::mem::take(scratch);
        active.push(&came, scratch);
        remover.take_if(|remover| remover.is_done());
    }
}

impl Session<'_> {
    /// Begins to receive content.
    pub(super) fn begin(&self, content: Content) -> Incoming {
        let settings = &self.server.settings;
        let envelope = self.transaction.as_ref().map(|t| &t.envelope);
        let mail = envelope.map(|envelope| &envelope.mail);
        let mut header = Header::new(self.missing_fields());
        if envelope.is_some_and(|envelope| success::is_wanted(self.server, envelope)) {
            header.keep(success::MAX_HEADER);
        }
        let for_lists = envelope.is_some_and(Envelope::is_for_lists_alone);
        Incoming {
            content,
            header,
            remover: for_lists.then(ListFieldRemover::default),
            intake: Some(self.server.handles.bodies.intake()),
            refusal: None,
            received: 0,
            declared: mail.and_then(|m| m.parameters.size).unwrap_or(0),
            max_size: settings.max_message_size,
            pace: Pace::new(settings.min_data_rate),
            scratch: Vec::new(),
        }
    }

    /// Receives content only to drop it.
    pub(super) fn begin_refused(&self, reply: Reply) -> Incoming {
        let mut incoming = self.begin(Content::bdat(self.server.settings.max_text_line));
        incoming.refuse(reply);
        incoming
    }

    /// RFC 6409 §8.2, §8.3: what a submitted message gets where it lacks it.
    fn missing_fields(&self) -> Option<Missing> {
        if !self.role().is_submission() {
            return None;
        }
        let meta = &self.server.handles.meta;
        let now = meta.clock().now();
        let id = BodyId::new(now, meta.random());
        let host = &self.server.settings.hostname;
        Some(Missing {
            date: format!("Date: {}\r\n", date::format(now, 0)),
            message_id: format!("Message-ID: {}\r\n", date::message_id(id, host)),
        })
    }

    /// Waits for more content.
    pub(super) async fn fill(&mut self, incoming: &mut Incoming) -> Result<(), End> {
        self.flush().await?;
        incoming.check_refused()?;
        let timeout = self.server.settings.data_timeout;
        let (hint, pace) = (incoming.hint(), &mut incoming.pace);
        self.input
            .fill_at_pace(&mut self.connection, hint, timeout, pace)
            .await?;
        Ok(())
    }
}

fn broken(violation: Violation) -> Reply {
    match violation {
        // RFC 5321 §2.3.8: refused, not mended: the other side may have read it
        // as several messages.
        Violation::BareLf => Reply::new(554, (5, 6, 0), "the message has an LF without a CR"),
        Violation::BareCr => Reply::new(554, (5, 6, 0), "the message has a CR without an LF"),
        Violation::LongLine => {
            Reply::new(554, (5, 6, 0), "the message has a line that is too long")
        }
        Violation::Nul => Reply::new(554, (5, 6, 0), "the message has a NUL"),
    }
}

pub(super) fn body_refusal(error: &BodyError) -> Reply {
    match error {
        BodyError::TooLarge { .. } => deliver::too_large(),
        // RFC 3463 §3.4: the system has no room for it now.
        BodyError::Crowded(_) => {
            tracing::warn!(%error, "cannot take in a message");
            Reply::new(
                452,
                (4, 3, 1),
                "too many large messages at once, try again later",
            )
        }
        error => {
            tracing::warn!(%error, "cannot take in a message");
            Reply::new(
                451,
                (4, 3, 0),
                "the message cannot be stored now, try again later",
            )
        }
    }
}
