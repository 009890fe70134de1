//! One message: MAIL, RCPT and DATA (RFC 5321 §3.3), in groups where the peer
//! offers PIPELINING (RFC 2920), with BDAT in place of DATA where it offers
//! CHUNKING as well.

use postrider_proto::smtp::client::{Capabilities, Reply, Request, RequestError};
use postrider_proto::smtp::{Body, MailParameters, RcptParameters};
use postrider_types::EnhancedStatus;

use crate::connection::Connection;
use crate::content::Content;
use crate::envelope::{Envelope, Recipient, Verdict};
use crate::failure::{Failure, Phase};
use crate::gate::Gate;
use crate::source::Source;

/// How many commands are sent before their replies are read: few enough that
/// the replies fit into the buffers on the way.
const MAX_GROUP: usize = 50;

/// A command of the transaction.
#[derive(Clone, Copy)]
enum Step {
    Mail,
    Recipient(usize),
    Data,
}

/// How far the transaction has come.
struct Progress {
    /// By recipient; None for one that was accepted, or not asked yet.
    verdicts: Vec<Option<Verdict>>,
    accepted: usize,
    /// MAIL was answered, and not with 2xx.
    mail: Option<Reply>,
    data: Option<Reply>,
}

impl Connection {
    /// Sends one message: a verdict for each recipient, in order, or why there
    /// is none. `gate` is asked immediately before the last bytes without which
    /// the peer cannot accept the message; where it says false, the message is
    /// given up.
    ///
    /// Afterwards the connection takes another message if
    /// [`Self::is_usable`] says so.
    pub async fn send<S: Source>(
        &mut self,
        envelope: &Envelope,
        source: &mut S,
        gate: impl Gate,
    ) -> Result<Vec<Verdict>, Failure> {
        let mail = self.mail_line(envelope, source.size())?;
        if self.begun {
            self.reset().await?;
        }
        self.take_up(Phase::Mail)?;
        let mut progress = Progress::new(envelope, &self.capabilities);
        let steps = progress.steps(self.chunks());
        if steps.is_empty() {
            self.settle();
            return Ok(progress.finish(None));
        }
        if let Some(goodbye) = self
            .exchange(envelope, &mail, &steps, &mut progress)
            .await?
        {
            return Ok(progress.finish(Some(goodbye)));
        }
        if let Some(reply) = progress.mail {
            self.settle_unless_data(&progress.data);
            return Err(Failure::refused(Phase::Mail, reply));
        }
        if progress.accepted == 0 {
            self.settle_unless_data(&progress.data);
            return Ok(progress.finish(None));
        }
        let content = Content::new(self, source, gate);
        let reply = match progress.data.take() {
            None => content.chunks().await?,
            Some(reply) if reply.code == 354 => content.data().await?,
            Some(reply) if reply.is_transient() || reply.is_permanent() => {
                self.settle_unless_data(&None);
                reply
            }
            Some(reply) => return Err(Failure::refused(Phase::Data, reply)),
        };
        Ok(progress.finish(Some(reply)))
    }

    /// BDAT without PIPELINING would wait for each chunk's reply.
    fn chunks(&self) -> bool {
        self.capabilities.chunking && self.capabilities.pipelining
    }

    /// The transaction is over, and was not completed. A peer that waits for
    /// content though it has accepted no recipient gets none, nor another
    /// message: RFC 2920 §3.1 would have it sent a lone dot, but it might
    /// take that for a message.
    fn settle_unless_data(&mut self, data: &Option<Reply>) {
        self.begun = true;
        if !data.as_ref().is_some_and(Reply::is_intermediate) {
            self.settle();
        }
    }

    /// MAIL as it is sent, or why this peer cannot have the message.
    fn mail_line(&self, envelope: &Envelope, size: u64) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let request = Request::Mail {
            reverse_path: envelope.reverse_path.as_deref(),
            parameters: &self.mail_parameters(envelope, size)?,
        };
        // RFC 3463 §3.2: x.1.7, bad syntax of the sender's address.
        let written = request.write_to(&mut line);
        written.map_err(|error| Failure::new(Phase::Mail, (5, 1, 7), error.to_string()))?;
        Ok(line)
    }

    fn mail_parameters(&self, envelope: &Envelope, size: u64) -> Result<MailParameters, Failure> {
        let offered = &self.capabilities;
        let refuse = |status, text| Err(Failure::new(Phase::Mail, status, text));
        match offered.size {
            // RFC 1870 §6.1
            Some(limit) if limit != 0 && size > limit => {
                let text = format!("the server takes at most {limit} bytes; it is {size} bytes");
                return Err(Failure::new(Phase::Mail, (5, 3, 4), text));
            }
            _ => {}
        }
        let ascii = envelope.reverse_path.as_ref().is_none_or(|p| p.is_ascii());
        if (envelope.smtp_utf8 || !ascii) && !offered.smtp_utf8 {
            // RFC 6531 §3.5
            let text = "the message needs SMTPUTF8, which the server does not offer";
            return refuse((5, 6, 7), text);
        }
        if envelope.eight_bit && !offered.eight_bit {
            // RFC 6152 §3
            let text = "the message needs 8BITMIME, which the server does not offer";
            return refuse((5, 6, 3), text);
        }
        let unicode = |r: &Recipient| !r.path.is_ascii();
        Ok(MailParameters {
            size: offered.size.map(|_| size),
            body: envelope.eight_bit.then_some(Body::EightBitMime),
            smtp_utf8: envelope.smtp_utf8
                || !ascii
                || (offered.smtp_utf8 && envelope.recipients.iter().any(unicode)),
            require_tls: self.demands_tls(envelope)?,
            ret: envelope.ret.filter(|_| offered.dsn),
            envelope_id: envelope.envelope_id.clone().filter(|_| offered.dsn),
            auth: None,
        })
    }

    /// Whether the peer is told to protect the message as it must be, or why it cannot
    /// have it.
    fn demands_tls(&self, envelope: &Envelope) -> Result<bool, Failure> {
        let proved = self.tls.is_some_and(|tls| tls.verified);
        if !envelope.require_tls || (proved && self.capabilities.require_tls) {
            return Ok(envelope.require_tls);
        }
        // RFC 8689 §5: what becomes of a message is better told in the clear than not.
        if envelope.reverse_path.is_none() {
            return Ok(false);
        }
        // RFC 8689 §4.2.1 has a status for each.
        let (status, text) = match proved {
            true => ((5, 7, 30), "the server does not offer REQUIRETLS"),
            false => ((5, 7, 10), "the server has not proved who it is"),
        };
        let text = format!("the sender requires TLS all the way, and {text}");
        Err(Failure::new(Phase::Mail, status, text))
    }

    /// Sends the commands and takes their replies. The reply with which the peer
    /// said goodbye, if it did: then nothing more can be sent.
    async fn exchange(
        &mut self,
        envelope: &Envelope,
        mail: &[u8],
        steps: &[Step],
        progress: &mut Progress,
    ) -> Result<Option<Reply>, Failure> {
        let most = if self.capabilities.pipelining {
            MAX_GROUP
        } else {
            1
        };
        for group in steps.chunks(most) {
            let lone_data = matches!(group, [Step::Data]);
            if progress.mail.is_some() || (lone_data && progress.accepted == 0) {
                break;
            }
            self.begun = true;
            self.send_group(envelope, mail, group).await?;
            for step in group {
                let limit = match step {
                    Step::Mail | Step::Recipient(_) => self.settings.command_timeout,
                    Step::Data => self.settings.data_init_timeout,
                };
                let reply = self.read_reply(step.phase(), limit).await?;
                // RFC 5321 §3.8: the server closes, and answers nothing more.
                let goodbye = reply.code == 421;
                match (goodbye, progress.mail.take(), step) {
                    (true, Some(refusal), _) => return Err(Failure::refused(Phase::Mail, refusal)),
                    (true, None, Step::Mail) => return Err(Failure::refused(Phase::Mail, reply)),
                    (true, None, _) => return Ok(Some(reply)),
                    (false, mail, _) => progress.mail = mail,
                }
                progress.take(*step, reply)?;
            }
        }
        Ok(None)
    }

    async fn send_group(
        &mut self,
        envelope: &Envelope,
        mail: &[u8],
        group: &[Step],
    ) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for step in group {
            let written = match step {
                Step::Mail => {
                    lines.extend_from_slice(mail);
                    Ok(())
                }
                Step::Recipient(at) => match envelope.recipients.get(*at) {
                    Some(recipient) => write_recipient(recipient, &self.capabilities, &mut lines),
                    None => Ok(()),
                },
                Step::Data => Request::Data.write_to(&mut lines),
            };
            written.expect("recipients that cannot be written are not asked about");
        }
        let phase = group.first().map_or(Phase::Mail, |step| step.phase());
        self.in_step(phase)?;
        self.write(&lines, phase).await
    }
}

impl Step {
    const fn phase(self) -> Phase {
        match self {
            Self::Mail => Phase::Mail,
            Self::Recipient(_) => Phase::Recipients,
            Self::Data => Phase::Data,
        }
    }
}

fn write_recipient(
    recipient: &Recipient,
    offered: &Capabilities,
    lines: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let parameters = match offered.dsn {
        true => RcptParameters {
            notify: recipient.notify,
            original: recipient.original.clone(),
        },
        false => RcptParameters::default(),
    };
    Request::Rcpt {
        forward_path: &recipient.path,
        parameters: &parameters,
    }
    .write_to(lines)
}

impl Progress {
    /// Decides those recipients that this peer cannot be asked about.
    fn new(envelope: &Envelope, offered: &Capabilities) -> Self {
        let unasked = |recipient: &Recipient| {
            if !recipient.path.is_ascii() && !offered.smtp_utf8 {
                // RFC 6531 §3.5
                let text = "the address needs SMTPUTF8, which the server does not offer";
                return Some(own_refusal((5, 6, 7), text.to_owned()));
            }
            let written = write_recipient(recipient, offered, &mut Vec::new());
            // RFC 3463 §3.2: x.1.3, bad syntax of the address.
            let error = written.err()?;
            Some(own_refusal((5, 1, 3), error.to_string()))
        };
        Self {
            verdicts: envelope.recipients.iter().map(unasked).collect(),
            accepted: 0,
            mail: None,
            data: None,
        }
    }

    /// The commands to send; none if there is nobody to ask about.
    fn steps(&self, chunks: bool) -> Vec<Step> {
        let open = self.verdicts.iter().enumerate().filter(|v| v.1.is_none());
        let mut steps: Vec<Step> = std::iter::once(Step::Mail)
            .chain(open.map(|(at, _)| Step::Recipient(at)))
            .collect();
        if steps.len() == 1 {
            steps.clear();
        } else if !chunks {
            steps.push(Step::Data);
        }
        steps
    }

    fn take(&mut self, step: Step, reply: Reply) -> Result<(), Failure> {
        match step {
            Step::Mail if reply.is_positive() => {}
            Step::Mail => self.mail = Some(reply),
            Step::Data => self.data = Some(reply),
            Step::Recipient(at) => {
                if reply.is_intermediate() {
                    return Err(Failure::refused(Phase::Recipients, reply));
                }
                if reply.is_positive() {
                    self.accepted += 1;
                } else if let Some(slot) = self.verdicts.get_mut(at) {
                    *slot = Some(match too_many(&reply) && self.accepted > 0 {
                        true => Verdict::Deferred(reply),
                        false => Verdict::refused(reply),
                    });
                }
            }
        }
        Ok(())
    }

    /// The verdicts, with `reply` for all that have none.
    fn finish(self, reply: Option<Reply>) -> Vec<Verdict> {
        let last = |reply: &Reply| match reply.is_positive() {
            true => Verdict::Delivered(reply.clone()),
            false => Verdict::refused(reply.clone()),
        };
        let open = reply.as_ref().map(last);
        let verdicts = self.verdicts.into_iter();
        verdicts
            .filter_map(|verdict| verdict.or_else(|| open.clone()))
            .collect()
    }
}

/// RFC 5321 §4.5.3.1.10: servers that follow RFC 821 say 552 where they mean
/// 452, too many recipients.
fn too_many(reply: &Reply) -> bool {
    let full = EnhancedStatus(5, 5, 3);
    reply.code == 552 && reply.enhanced.is_none_or(|status| status == full)
}

fn own_refusal((class, subject, detail): (u8, u16, u16), text: String) -> Verdict {
    Verdict::Failed(Reply {
        code: 553,
        enhanced: Some(EnhancedStatus(class, subject, detail)),
        text,
    })
}
