//! Why a connection did not come about, or a message did not get as far as to
//! a verdict for each recipient.

use std::fmt;
use std::net::IpAddr;

use postrider_proto::smtp::client::Reply;
use postrider_types::EnhancedStatus;

use crate::wire::WireError;

/// Where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The TCP connection.
    Connect,
    /// The server's greeting.
    Greeting,
    /// EHLO and HELO.
    Hello,
    /// STARTTLS: not offered, refused, or followed by something in the clear.
    StartTls,
    /// The TLS handshake, with the check of the certificate.
    Handshake,
    /// AUTH.
    Login,
    /// RSET.
    Reset,
    /// MAIL, or what the message demands and the server lacks.
    Mail,
    /// RCPT.
    Recipients,
    /// DATA.
    Data,
    /// The content on its way to the server.
    Content,
    /// The content on its way from its source: our own failure.
    Source,
    /// The gate was shut: the caller has no claim to the message any more. No
    /// recipient was decided.
    Gate,
    /// The end of the message and its reply.
    End,
}

/// As it stands in `the server refused …`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connection",
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Handshake => "the TLS handshake",
            Self::Login => "AUTH",
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipients => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::Source => "the reading of the message",
            Self::Gate => "the last step",
            Self::End => "the end of the message",
        })
    }
}

/// Whether it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Later, or with another server, it may succeed.
    Temporary,
    /// It will not, with this server.
    Permanent,
}

/// Why a connection is not as secure as was demanded, as far as a report about
/// it tells them apart (RFC 8460 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsCause {
    /// The server does not offer STARTTLS, or refuses it.
    NotOffered,
    /// The certificate is for other names.
    HostMismatch,
    /// The certificate has run out.
    Expired,
    /// The certificate leads to no authority that is trusted.
    NotTrusted,
    /// Anything else: the protocol, or a certificate that is not the one of the
    /// TLSA records.
    Other,
}

impl TlsCause {
    /// The cause of a handshake that TLS gave up with `error`.
    pub(crate) fn of(error: &rustls::Error) -> Self {
        use rustls::CertificateError as C;
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                C::NotValidForName | C::NotValidForNameContext { .. } => Self::HostMismatch,
                C::Expired | C::ExpiredContext { .. } => Self::Expired,
                C::UnknownIssuer
                | C::BadSignature
                | C::Revoked
                | C::NotValidYet
                | C::NotValidYetContext { .. }
                | C::InvalidPurpose
                | C::InvalidPurposeContext { .. } => Self::NotTrusted,
                // What webpki says of a certificate that signed itself, and is none
                // of a server, it says as its own error.
                C::Other(other) if other.0.is::<webpki::Error>() => Self::NotTrusted,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// Why no recipient has a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// Where it failed.
    pub phase: Phase,
    /// Whether it makes sense to try again. What has to do with TLS and logins
    /// is temporary always: it is a matter of configuration, here or there, and
    /// no reason to send mail back.
    pub kind: Kind,
    /// The status for a notice; that of the reply where there is one.
    pub status: EnhancedStatus,
    /// The server's words, where it said something.
    pub reply: Option<Reply>,
    /// What happened, for logs and notices.
    pub text: String,
    /// The whole message was sent, and its reply did not come: the server may
    /// have it. Trying again may make a duplicate, not trying may lose it.
    pub after_data: bool,
    /// Why TLS did not come about, where that is what failed.
    pub tls: Option<TlsCause>,
    /// Our address, where opening a connection failed after it was there.
    pub local: Option<IpAddr>,
}

impl Failure {
    /// Whether TLS was offered and its handshake failed: a caller that does not
    /// insist on TLS may try again without.
    pub fn is_handshake(&self) -> bool {
        self.phase == Phase::Handshake
    }

    /// Something that is not the server's word.
    pub(crate) fn new(phase: Phase, status: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self {
            phase,
            kind: match status.0 {
                5 => Kind::Permanent,
                _ => Kind::Temporary,
            },
            status: EnhancedStatus(status.0, status.1, status.2),
            reply: None,
            text: text.into(),
            after_data: false,
            tls: None,
            local: None,
        }
    }

    /// The server answered, and not what was hoped for.
    pub(crate) fn refused(phase: Phase, reply: Reply) -> Self {
        let (class, verb) = match reply.code / 100 {
            5 => (5, "refused"),
            4 => (4, "refused"),
            // An answer that makes no sense here says nothing about the message.
            _ => (4, "gave no sensible answer to"),
        };
        let status = reply.enhanced.filter(|status| status.0 == class);
        let status = status.unwrap_or(EnhancedStatus(class, 0, 0));
        let text = format!("the server {verb} {phase}: {reply}");
        Self {
            reply: Some(reply),
            ..Self::new(phase, (status.0, status.1, status.2), text)
        }
    }

    /// The connection is of no use any more.
    pub(crate) fn lost(phase: Phase, error: &WireError) -> Self {
        let status = match error {
            // RFC 3463 §3.5: 4.4.2, bad connection; §3.6: 4.5.0, protocol.
            WireError::Closed | WireError::TimedOut | WireError::Io(_) => (4, 4, 2),
            WireError::Reply(_) => (4, 5, 0),
        };
        Self::new(phase, status, format!("{error}, at {phase}"))
    }

    /// The same, however the server put it, as temporary.
    pub(crate) fn temporary(mut self) -> Self {
        self.kind = Kind::Temporary;
        self.status.0 = 4;
        self
    }

    /// The same, known to be about TLS.
    pub(crate) fn about_tls(mut self, cause: TlsCause) -> Self {
        self.tls = Some(cause);
        self
    }

    /// The same, of a connection from our address `local`.
    pub(crate) fn with_local(mut self, local: Option<IpAddr>) -> Self {
        self.local = local;
        self
    }

    pub(crate) fn after_data(mut self) -> Self {
        self.after_data = true;
        self
    }
}
