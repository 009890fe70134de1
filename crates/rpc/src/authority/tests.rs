//! What the authority signs, checked by other implementations too.

use std::path::Path;
use std::process::Command;

use super::*;

const CLUSTER: &str = "00c0ffee00c0ffee00c0ffee00c0ffee";

fn names() -> Vec<String> {
    let names = [
        "mail.example.test",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "127.0.0.1",
        "::1",
        "[2001:db8::1]",
        // Nobody's, or another node's.
        "under_score!",
        "",
        "node-1.postrider.internal",
        "NODE-2.Postrider.Internal.",
        "postrider.internal",
    ];
    names.map(str::to_owned).to_vec()
}

fn issued(authority: &Authority, node: u64) -> (KeyRequest, String) {
    let request = KeyRequest::new().unwrap();
    let certificate = authority.issue(&request.signing_request, node, &names());
    (request, certificate.unwrap())
}

#[test]
fn a_certificate_names_its_node_and_no_other() {
    let authority = Authority::new(CLUSTER).unwrap();
    let (_, pem) = issued(&authority, 7);
    let der = parse(&pem).unwrap();
    assert_eq!(node_of(&der), Some(7));
    let certificate = webpki::EndEntityCert::try_from(&der).unwrap();
    let names: Vec<&str> = certificate.valid_dns_names().collect();
    let expected = [
        NODE_NAME,
        "node-7.postrider.internal",
        "mail.example.test",
        "localhost",
    ];
    assert_eq!(names, expected);
    for address in ["127.0.0.1", "::1", "2001:db8::1"] {
        let name = rustls_pki_types::ServerName::try_from(address).unwrap();
        certificate.verify_is_valid_for_subject_name(&name).unwrap();
    }
    // The authority itself is no node.
    assert_eq!(node_of(&parse(authority.certificate()).unwrap()), None);
}

#[test]
fn a_certificate_is_good_for_nodes_whose_clocks_are_behind() {
    let authority = Authority::new(CLUSTER).unwrap();
    let der = parse(&issued(&authority, 7).1).unwrap();
    let certificate = webpki::EndEntityCert::try_from(&der).unwrap();
    let anchor = authority.token([1; 16], Vec::new()).anchor;
    let anchors = [trust_anchor(CLUSTER, &anchor)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(24 * 3600);
    for (at, is_good) in [
        (now, true),
        // As others see it that was signed by a clock ahead by so much.
        (now - 60 * day, true),
        (now - 3650 * day, true),
        (now + NODE_AGE - day, true),
        (now + NODE_AGE + day, false),
    ] {
        let verified = certificate.verify_for_usage(
            rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms
                .all,
            &anchors,
            &[],
            rustls_pki_types::UnixTime::since_unix_epoch(at),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        assert_eq!(verified.is_ok(), is_good, "{at:?}");
    }
}

#[test]
fn an_authority_comes_back_from_its_texts() {
    let authority = Authority::new(CLUSTER).unwrap();
    let again = Authority::from_pem(authority.certificate(), &authority.key()).unwrap();
    assert_eq!(again.cluster(), CLUSTER);
    assert_eq!(again.certificate(), authority.certificate());
    let token = again.token([1; 16], Vec::new());
    assert_eq!(token, authority.token([1; 16], Vec::new()));
    assert!(is_of(authority.certificate(), CLUSTER, &token.anchor));

    let other = Authority::new(CLUSTER).unwrap();
    assert!(!is_of(other.certificate(), CLUSTER, &token.anchor));
    assert!(Authority::from_pem(authority.certificate(), &other.key()).is_err());
    let (request, node) = issued(&authority, 1);
    assert!(Authority::from_pem(&node, &request.key).is_err());
    assert!(Authority::from_pem("", "").is_err());
    for id in ["", "c0ffee", &CLUSTER.to_uppercase()] {
        assert!(Authority::new(id).is_err(), "{id}");
    }
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let authority = Authority::new(CLUSTER).unwrap();
    let good = KeyRequest::new().unwrap().signing_request;
    let (label, der) = <(_, Vec<u8>)>::from_pem_slice(good.as_bytes()).unwrap();
    assert_eq!(label, rustls_pki_types::pem::SectionKind::Csr);
    for at in [der.len() - 1, der.len() / 2] {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, changed);
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"
        );
        let refused = authority.issue(&pem, 1, &[]);
        assert!(matches!(refused, Err(Error::SigningRequest(_))), "{at}");
    }
    assert!(authority.issue("", 1, &[]).is_err());
    let edwards = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let request = CertificateParams::default().serialize_request(&edwards);
    let refused = authority.issue(&request.unwrap().pem().unwrap(), 1, &[]);
    assert!(matches!(refused, Err(Error::SigningRequest(_))));
}

/// Runs a program in `dir`; None where it is not installed.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output();
    let output = output.ok()?;
    let (out, err) = (output.stdout, output.stderr);
    let text = String::from_utf8_lossy(&out).into_owned() + &String::from_utf8_lossy(&err);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    Some(text)
}

#[test]
fn openssl_finds_nothing_to_object_to() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(CLUSTER).unwrap();
    let (request, certificate) = issued(&authority, 7);
    for (file, text) in [
        ("ca.pem", authority.certificate()),
        ("node.pem", &certificate),
        ("node.key", &request.key),
    ] {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    for purpose in ["sslserver", "sslclient"] {
        let verify = [
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            purpose,
            "-verify_hostname",
            "mail.example.test",
            "-CAfile",
            "ca.pem",
            "node.pem",
        ];
        if run(dir.path(), "openssl", &verify).is_none() {
            println!("openssl is not installed: not checked");
            return;
        }
    }
    let other = Authority::new(CLUSTER).unwrap();
    std::fs::write(dir.path().join("other.pem"), other.certificate()).unwrap();
    let verify = ["verify", "-CAfile", "other.pem", "node.pem"];
    let mut refused = Command::new("openssl");
    let refused = refused.args(verify).current_dir(dir.path()).output();
    assert!(!refused.unwrap().status.success(), "another authority's");
}
