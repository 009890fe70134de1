//! The file of the setting `queue.extra_authorities`: whose certificates count beside
//! those of the web's authorities.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Reads the certificates of a PEM file, at least one; none where no file is named. What
/// is wrong with it otherwise.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let refuse = |why: String| format!("queue.extra_authorities: {}: {why}", file.display());
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(format!("it is no PEM file that can be read: {error}")))?;
    if certificates.is_empty() {
        let why = "it has no certificate; expected are -----BEGIN CERTIFICATE----- blocks";
        return Err(refuse(why.into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_is_named_has_a_certificate() {
        assert_eq!(read(None), Ok(Vec::new()));
        let missing = read(Some(Path::new("/no/such/file"))).unwrap_err();
        assert!(missing.contains("/no/such/file"), "{missing}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"none here\n").unwrap();
        let empty = read(Some(file.path())).unwrap_err();
        assert!(empty.contains("no certificate"), "{empty}");
        let pem = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
        file.write_all(pem.as_bytes()).unwrap();
        assert_eq!(read(Some(file.path())).unwrap().len(), 1);
    }
}
