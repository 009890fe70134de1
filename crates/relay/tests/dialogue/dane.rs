//! Certificates under TLSA records (RFC 7672).

use postrider_relay::{Phase, Security, Tlsa};

use crate::certificate::{Authority, Certificate, tlsa};
use crate::peer::{BARE, NAME, WITH_TLS, serve};
use crate::tls::tls_server;

/// Whether the server counts as verified; None where it was refused.
async fn open(certificate: Certificate, records: Vec<Tlsa>, names: &[&str]) -> Option<bool> {
    let server = tls_server(certificate).await;
    let names = names.iter().map(|&n| n.into()).collect();
    let opened = server.open_with(&Security::Dane { records, names }).await;
    let verified = match opened {
        Ok(connection) => {
            let verified = connection.tls().unwrap().verified;
            connection.quit().await;
            Some(verified)
        }
        Err(failure) => {
            assert!(failure.is_handshake(), "{failure}");
            None
        }
    };
    server.end().await;
    verified
}

#[tokio::test]
async fn an_end_entity_matches_by_all_selectors_and_digests() {
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        // RFC 7672 §3.1.1: neither name nor date nor issuer counts.
        let certificate = Authority::new().issue("other.example", 2001);
        let selected = match selector {
            0 => certificate.chain[0].to_vec(),
            _ => certificate.public_key.clone(),
        };
        let good = tlsa(3, selector, matching, &selected);
        let mut bad = good.clone();
        *bad.data.last_mut().unwrap() ^= 1;
        let both = vec![bad.clone(), good];
        assert_eq!(
            open(certificate, both, &[]).await,
            Some(true),
            "{selector} {matching}"
        );
        let certificate = Certificate::own(NAME);
        assert_eq!(
            open(certificate, vec![bad], &[NAME]).await,
            None,
            "{selector} {matching}"
        );
    }
}

#[tokio::test]
async fn a_trust_anchor_vouches_for_names_and_dates() {
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let authority = Authority::new();
        let selected = match selector {
            0 => authority.certificate.to_vec(),
            _ => authority.public_key.clone(),
        };
        let record = tlsa(2, selector, matching, &selected);
        let cases = [
            (NAME, 2090, Some(true)),
            ("other.example", 2090, None),
            (NAME, 2001, None),
        ];
        for (name, until, expected) in cases {
            let certificate = authority.issue(name, until);
            let found = open(certificate, vec![record.clone()], &["example.test", NAME]).await;
            assert_eq!(found, expected, "{selector} {matching} {name} {until}");
        }
        // The anchor's certificate is shown, but has not signed.
        let mut certificate = Authority::new().issue(NAME, 2090);
        certificate.chain[1] = authority.certificate.clone();
        assert_eq!(open(certificate, vec![record.clone()], &[NAME]).await, None);
    }
}

#[tokio::test]
async fn a_whole_anchor_in_a_record_need_not_be_shown() {
    let authority = Authority::new();
    let mut certificate = authority.issue(NAME, 2090);
    certificate.chain.truncate(1);
    let record = tlsa(2, 0, 0, &authority.certificate);
    assert_eq!(open(certificate, vec![record], &[NAME]).await, Some(true));
}

#[tokio::test]
async fn the_strongest_digest_counts() {
    let certificate = Certificate::own(NAME);
    let weak = tlsa(3, 1, 1, &certificate.public_key);
    let strong = tlsa(3, 1, 2, b"another key");
    assert_eq!(open(certificate, vec![weak, strong], &[NAME]).await, None);
}

#[tokio::test]
async fn without_a_usable_record_tls_is_demanded_all_the_same() {
    let certificate = Certificate::own("other.example");
    let records: Vec<Tlsa> = [0, 1]
        .iter()
        .map(|usage| tlsa(*usage, 1, 1, b"any"))
        .collect();
    assert_eq!(
        open(certificate, records.clone(), &[NAME]).await,
        Some(false)
    );
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.rest().await
    })
    .await;
    let names = vec![NAME.into()];
    let opened = server.open_with(&Security::Dane { records, names }).await;
    assert_eq!(opened.unwrap_err().phase, Phase::StartTls);
    assert_eq!(server.end().await, "");
}

#[tokio::test]
async fn the_key_of_the_record_must_sign_in_both_versions() {
    for (version, name) in [
        (&rustls::version::TLS12, "TLSv1.2"),
        (&rustls::version::TLS13, "TLSv1.3"),
    ] {
        for thief in [false, true] {
            let certificate = Certificate::own(NAME);
            let record = tlsa(3, 1, 1, &certificate.public_key);
            // One who has the certificate, but not its key.
            let shown = match thief {
                true => Certificate::own(NAME).showing(certificate.chain.clone()),
                false => certificate,
            };
            let acceptor = shown.acceptor_of(&[version]);
            let server = serve(async move |mut wire| {
                wire.greet(WITH_TLS).await;
                wire.on("STARTTLS", "220 go on\r\n").await;
                if let Ok(mut wire) = wire.start_tls_with(acceptor).await {
                    wire.line().await;
                    wire.say(BARE).await;
                }
            })
            .await;
            let security = Security::Dane {
                records: vec![record],
                names: vec![],
            };
            match server.open_with(&security).await {
                Ok(connection) => {
                    assert!(!thief, "{name}");
                    let facts = connection.tls().unwrap();
                    assert_eq!((facts.protocol, facts.verified), (name, true));
                }
                Err(failure) => assert!(thief && failure.is_handshake(), "{failure}"),
            }
            server.end().await;
        }
    }
}
