//! The self-signed certificate of quickstart.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use postrider_net::TlsSettings;

/// The certificate in `dir`, made where it does not exist: for `localhost` and
/// the loopback addresses, trusted by nobody until told so.
pub(crate) fn self_signed(dir: &Path) -> anyhow::Result<TlsSettings> {
    let settings = TlsSettings {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        handshake_timeout: Duration::from_secs(10),
    };
    if settings.certificate.exists() && settings.key.exists() {
        return Ok(settings);
    }
    crate::dir::make(dir)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    crate::dir::replace(&settings.key, made.signing_key.serialize_pem().as_bytes())?;
    crate::dir::replace(&settings.certificate, made.cert.pem().as_bytes())?;
    Ok(settings)
}
