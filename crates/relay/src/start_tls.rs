//! STARTTLS (RFC 3207) and the TLS handshake.

use std::io;
use std::sync::Arc;

use postrider_proto::smtp::client::Request;
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;

use crate::connection::Connection;
use crate::failure::{Failure, Phase, TlsCause};
use crate::security::{Security, TlsFacts};

impl Connection {
    /// Asks for TLS as `security` demands: whether the server expects a
    /// handshake now.
    pub(crate) async fn offers_tls(&mut self, security: &Security) -> Result<bool, Failure> {
        let insist = match security {
            Security::Plain => return Ok(false),
            Security::Opportunistic => false,
            Security::Encrypted | Security::Verified { .. } | Security::Dane { .. } => true,
        };
        if !self.capabilities.start_tls {
            if insist {
                // RFC 3463 §3.8: x.7.4, security features not supported.
                let text = "the server does not offer TLS, which is required here";
                let failure = Failure::new(Phase::StartTls, (4, 7, 4), text);
                return Err(failure.about_tls(TlsCause::NotOffered));
            }
            return Ok(false);
        }
        let limit = self.settings.command_timeout;
        let reply = self.ask(&Request::StartTls, Phase::StartTls, limit).await?;
        if reply.code != 220 {
            // A server that closes (RFC 5321 §3.8) does not go on in the clear.
            if insist || reply.is_positive() || reply.code == 421 {
                let failure = Failure::refused(Phase::StartTls, reply).temporary();
                return Err(failure.about_tls(TlsCause::NotOffered));
            }
            return Ok(false);
        }
        // RFC 3207 §6: what somebody in between has put behind the reply would
        // count as said under TLS.
        match self.wire.is_silent() {
            true => Ok(true),
            false => {
                let text = "the server said something in the clear after its answer to STARTTLS";
                let failure = Failure::new(Phase::StartTls, (4, 7, 5), text);
                Err(failure.about_tls(TlsCause::Other))
            }
        }
    }

    pub(crate) async fn handshake(
        &mut self,
        (config, verified): (Arc<ClientConfig>, bool),
        name: ServerName<'static>,
    ) -> Result<(), Failure> {
        let limit = self.settings.handshake_timeout;
        if let Err(error) = self.wire.start_tls(config, name, limit).await {
            // RFC 3463 §3.8: x.7.5, cryptographic failure.
            let text = format!("the TLS handshake failed: {}", explain(&error));
            let failure = Failure::new(Phase::Handshake, (4, 7, 5), text);
            return Err(failure.about_tls(cause(&error)));
        }
        self.tls = self.wire.tls().map(|(protocol, cipher)| TlsFacts {
            protocol,
            cipher,
            verified,
        });
        Ok(())
    }
}

fn cause(error: &io::Error) -> TlsCause {
    let error = error.get_ref().and_then(|e| e.downcast_ref());
    error.map_or(TlsCause::Other, TlsCause::of)
}

/// Why a handshake failed, in words that say what to look at.
fn explain(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return "the server took too long".to_owned();
    }
    let cause = error.get_ref().and_then(|e| e.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(own))) => own.0.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_failed_handshake_is_told() {
        let of = |error: rustls::Error| cause(&io::Error::other(error));
        let certificate = |error: CertificateError| of(error.into());
        for (error, expected) in [
            (CertificateError::Expired, TlsCause::Expired),
            (CertificateError::NotValidForName, TlsCause::HostMismatch),
            (CertificateError::UnknownIssuer, TlsCause::NotTrusted),
            (CertificateError::BadEncoding, TlsCause::Other),
        ] {
            assert_eq!(certificate(error), expected);
        }
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(of(alert), TlsCause::Other);
        assert_eq!(cause(&io::ErrorKind::TimedOut.into()), TlsCause::Other);
    }
}
