//! Tests of the conversion: a table of shapes, what must be refused, and a
//! property over random structures: the leaves say the same before and after.

use proptest::prelude::*;

use super::*;
use crate::transfer::{TransferEncoding, decode};
use crate::{Part, Summarizer};

fn structure(message: &[u8]) -> Part {
    let mut summarizer = Summarizer::new();
    summarizer.push(message);
    summarizer.finish().structure().unwrap()
}

fn plan(message: &[u8], size: usize) -> Result<Option<Plan>, NotConvertible> {
    let mut survey = Survey::new(&structure(message));
    message.chunks(size).for_each(|piece| survey.push(piece));
    survey.finish()
}

fn convert_in(message: &[u8], size: usize) -> Result<Vec<u8>, NotConvertible> {
    let Some(plan) = plan(message, size)? else {
        return Ok(message.to_vec());
    };
    let mut converter = Converter::new(plan);
    let mut out = Vec::new();
    for piece in message.chunks(size) {
        converter.push(piece, &mut out);
    }
    converter.finish(&mut out);
    Ok(out)
}

/// The converted message, the same in pieces of all sizes.
fn convert(message: &[u8]) -> Result<Vec<u8>, NotConvertible> {
    let whole = convert_in(message, message.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(convert_in(message, size), whole, "in pieces of {size}");
    }
    whole
}

/// The type and the decoded body of each leaf.
fn leaves(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    fn collect(message: &[u8], part: &Part, out: &mut Vec<(String, Vec<u8>)>) {
        if part.parts.is_empty() {
            let body = &message[part.body_start as usize..part.body_end as usize];
            let encoding = TransferEncoding::parse(part.encoding.as_deref());
            let kind = [&part.media_type[..], b"/", &part.subtype].concat();
            let kind = String::from_utf8_lossy(&kind).to_lowercase();
            out.push((kind, decode(encoding, body)));
        }
        part.parts.iter().for_each(|p| collect(message, p, out));
    }
    let mut out = Vec::new();
    collect(message, &structure(message), &mut out);
    out
}

fn assert_converts(message: &str, want: &str) {
    let converted = convert(message.as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&converted), want, "{message:?}");
    assert!(converted.is_ascii());
    assert_eq!(leaves(&converted), leaves(message.as_bytes()));
}

const TYPE: &str = "MIME-Version: 1.0\r\nContent-Type:";
const ENCODING: &str = "Content-Transfer-Encoding:";

#[test]
fn a_message_in_ascii_stays() {
    for message in [
        "",
        "A: b",
        "A: b\r\n\r\nc\r\n",
        "Content-Transfer-Encoding: 8bit\r\n\r\nascii\r\n",
    ] {
        assert_eq!(plan(message.as_bytes(), 3), Ok(None), "{message:?}");
    }
    assert!(needs_eight_bit("ü".as_bytes()) && !needs_eight_bit(b"u\0\x7f"));
}

#[test]
fn single_parts_are_encoded() {
    for (message, want) in [
        (
            format!(
                "{TYPE} text/plain; charset=utf-8\r\n{ENCODING} 8bit\r\nTo: x\r\n\r\n=ü\r\n-- \r\n"
            ),
            format!(
                "{TYPE} text/plain; charset=utf-8\r\nTo: x\r\n{ENCODING} quoted-printable\r\n\r\n=3D=C3=BC\r\n=2D-=20\r\n"
            ),
        ),
        // Without MIME, without a line end at its end.
        (
            "A: b\r\n\r\nü".into(),
            format!("A: b\r\nMIME-Version: 1.0\r\n{ENCODING} quoted-printable\r\n\r\n=C3=BC"),
        ),
        (
            "\r\nü".into(),
            format!("MIME-Version: 1.0\r\n{ENCODING} quoted-printable\r\n\r\n=C3=BC"),
        ),
        (
            format!("{TYPE} message/rfc822\r\n\r\nA: b\r\n\r\nü"),
            format!(
                "{TYPE} message/rfc822\r\n\r\n\
                 A: b\r\nMIME-Version: 1.0\r\n{ENCODING} quoted-printable\r\n\r\n=C3=BC"
            ),
        ),
        // A folded label, and line ends of one byte.
        (
            format!("mime-version: 1.0\n{ENCODING}\n 8bit\nA: b\n\nü\nx\n"),
            format!("mime-version: 1.0\nA: b\n{ENCODING} quoted-printable\r\n\r\n=C3=BC\nx\n"),
        ),
        (
            format!("{TYPE} image/png\r\n\r\nü"),
            format!("{TYPE} image/png\r\n{ENCODING} base64\r\n\r\nw7w=\r\n"),
        ),
        (
            format!("{TYPE} text/plain\r\n{ENCODING} binary\r\n\r\nü"),
            format!("{TYPE} text/plain\r\n{ENCODING} base64\r\n\r\nw7w=\r\n"),
        ),
        // Said to be encoded, but not wholly.
        (
            format!("{TYPE} text/plain\r\n{ENCODING} Quoted-Printable\r\n\r\n=3Dü=\r\n.\r\n"),
            format!("{TYPE} text/plain\r\n{ENCODING} quoted-printable\r\n\r\n=3D=C3=BC.\r\n"),
        ),
    ] {
        assert_converts(&message, &want);
    }
}

#[test]
fn parts_are_encoded_where_they_need_it() {
    let message = format!(
        "{TYPE} multipart/mixed; boundary=b\r\n{ENCODING} 8bit\r\n\r\nprü\r\n\
         --b\r\n\r\nplain\r\n\
         --b\r\n{ENCODING} 8bit\r\n\r\nascii\r\n\
         --b\r\nContent-Type: text/html\r\n\r\n<ü>\r\n\
         --b\r\n{ENCODING} base64\r\n\r\nw7w=\r\n\
         --b\r\nContent-Type: message/rfc822\r\n{ENCODING} 8bit\r\n\r\n\
         Subject: inner\r\nContent-Type: multipart/x; boundary=i\r\n\r\n\
         --i\r\nContent-Type: audio/x\r\n\r\nü\r\n--i--\r\n\
         --b--\r\nepi ü\r\n"
    );
    let want = format!(
        "{TYPE} multipart/mixed; boundary=b\r\n{ENCODING} 7bit\r\n\r\npr??\r\n\
         --b\r\n\r\nplain\r\n\
         --b\r\n{ENCODING} 7bit\r\n\r\nascii\r\n\
         --b\r\nContent-Type: text/html\r\n{ENCODING} quoted-printable\r\n\r\n<=C3=BC>\r\n\
         --b\r\n{ENCODING} base64\r\n\r\nw7w=\r\n\
         --b\r\nContent-Type: message/rfc822\r\n{ENCODING} 7bit\r\n\r\n\
         Subject: inner\r\nContent-Type: multipart/x; boundary=i\r\n\r\n\
         --i\r\nContent-Type: audio/x\r\n{ENCODING} base64\r\n\r\nw7w=\r\n\r\n--i--\r\n\
         --b--\r\nepi ??\r\n"
    );
    assert_converts(&message, &want);
}

#[test]
fn a_global_message_is_encoded_whole() {
    let inner = "Subject: ü\r\nContent-Type: multipart/x; boundary=i\r\n\r\n--i\r\n\r\nü\r\n--i--";
    let message = format!(
        "{TYPE} multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/global\r\n\r\n\
         {inner}\r\n--b\r\n\r\nx\r\n--b--\r\n"
    );
    let converted = convert(message.as_bytes()).unwrap();
    assert!(converted.is_ascii());
    let leaves = leaves(&converted);
    assert_eq!(leaves.len(), 2);
    assert_eq!(leaves[0].1, inner.as_bytes());
    assert_eq!(leaves[1].1, b"x");
}

#[test]
fn a_signature_is_not_broken() {
    let signed = |text: &str, around: &str| {
        format!(
            "{TYPE} multipart/mixed; boundary=o\r\n\r\n--o\r\n\
             Content-Type: multipart/signed; boundary=b\r\n{ENCODING} 8bit\r\n\r\n\
             --b\r\n{ENCODING} 8bit\r\n\r\n{text}\r\n--b\r\nContent-Type: application/x\r\n\r\ns\r\n\
             --b--\r\n--o\r\n\r\n{around}\r\n--o--\r\n"
        )
    };
    let dirty = convert(signed("ü", "x").as_bytes());
    assert_eq!(dirty, Err(NotConvertible::Signed));
    // What is beside it may change, its own header too, but nothing in it.
    let message = signed("u", "ü");
    let converted = String::from_utf8(convert(message.as_bytes()).unwrap()).unwrap();
    assert!(converted.contains("=C3=BC"));
    let inner = format!("\r\n--b\r\n{ENCODING} 8bit\r\n\r\nu\r\n--b\r\n");
    assert!(converted.contains(&inner), "{converted}");
    assert_eq!(leaves(converted.as_bytes()), leaves(message.as_bytes()));
}

#[test]
fn what_cannot_be_converted_is_refused() {
    use NotConvertible::{Header, Structure};
    for (message, why) in [
        ("Subject: ü\r\n\r\nx".to_owned(), Header),
        ("Subject: ü".to_owned(), Header),
        (
            format!(
                "{TYPE} multipart/x; boundary=b\r\n\r\n--b\r\nContent-Description: ü\r\n\r\nx\r\n--b--"
            ),
            Header,
        ),
        (
            format!("{TYPE} message/rfc822\r\n\r\nSubject: ü\r\n\r\nx"),
            Header,
        ),
        (
            format!("{TYPE} text/plain\r\n{ENCODING} x-uuencode\r\n\r\nü"),
            Structure,
        ),
        (format!("{TYPE} multipart/mixed\r\n\r\nü"), Structure),
        (format!("{TYPE} message/partial\r\n\r\nü"), Structure),
        (
            format!("{TYPE} message/rfc822\r\n{ENCODING} base64\r\n\r\nü"),
            Structure,
        ),
    ] {
        assert_eq!(convert(message.as_bytes()), Err(why), "{message:?}");
    }
    let many = "--b\r\n\r\nü\r\n".repeat(crate::MAX_PARTS + 1);
    let many = format!("{TYPE} multipart/x; boundary=b\r\n\r\n{many}--b--\r\n");
    let result = convert_in(many.as_bytes(), 1000);
    assert_eq!(result, Err(Structure));
}

/// A line that a soft break would cut in front of what looks like a delimiter, and
/// one that is too long to be a delimiter until it is cut.
#[test]
fn encoding_makes_no_delimiter() {
    for line in [
        format!("{}--b", "x".repeat(75)),
        format!("{}--b--", "x".repeat(74)),
        format!("--b{}", "x".repeat(3000)),
    ] {
        let message = format!(
            "{TYPE} multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nü\r\n{line}\r\nend\r\n--b--\r\n"
        );
        let converted = convert(message.as_bytes()).unwrap();
        assert_eq!(leaves(&converted), leaves(message.as_bytes()), "{line}");
    }
}

/// An entity: header fields beside the label, and a body.
fn entity() -> impl Strategy<Value = String> {
    let text = "([a-zü=. -]{0,90}\r\n){0,4}[aü ]{0,3}";
    let leaf = (
        "(text/plain|text/html|image/png|application/x)",
        "(|8bit|binary|7bit)",
        text,
    )
        .prop_map(|(kind, label, body)| {
            let label = match label.as_str() {
                "" => String::new(),
                label => format!("{ENCODING} {label}\r\n"),
            };
            format!("Content-Type: {kind}\r\n{label}\r\n{body}")
        });
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            (
                prop::collection::vec(inner.clone(), 1..4),
                0_u32..1000,
                "(|8bit)"
            )
                .prop_map(|(parts, boundary, label)| {
                    let label = match label.as_str() {
                        "" => String::new(),
                        label => format!("{ENCODING} {label}\r\n"),
                    };
                    let mut text = format!(
                        "Content-Type: multipart/mixed; boundary=\"={boundary}\"\r\n{label}\r\n"
                    );
                    for part in parts {
                        text.push_str(&format!("--={boundary}\r\n{part}\r\n"));
                    }
                    text + &format!("--={boundary}--\r\n")
                }),
            inner.prop_map(|inner| format!(
                "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n{inner}"
            )),
        ]
    })
}

const PIECES: &[&[u8]] = &[
    b"Content-Type: multipart/x; boundary=b\r\n\r\n",
    b"Content-Type: multipart/signed; boundary=b\n\n",
    b"Content-Type: message/global\r\n\r\n",
    b"\r\n--b\r\n",
    b"--b--\n",
    b"A: b\r\n",
    b"\n",
    b"x",
    b"\xff",
];

proptest! {
    #[test]
    fn leaves_say_the_same(entity in entity(), size in 1_usize..200) {
        let message = format!("From: a@b\r\nMIME-Version: 1.0\r\n{entity}");
        let converted = convert_in(message.as_bytes(), size).unwrap();
        prop_assert!(converted.is_ascii());
        let (before, after) = (leaves(message.as_bytes()), leaves(&converted));
        prop_assert_eq!(before, after, "{}", String::from_utf8_lossy(&converted));
        prop_assert_eq!(plan(&converted, size), Ok(None));
    }

    #[test]
    fn any_bytes_are_taken(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14),
        size in 1_usize..50,
    ) {
        let message = pieces.concat();
        if let Ok(converted) = convert_in(&message, size) {
            prop_assert!(converted.is_ascii());
        }
    }
}
