//! Paths of all shapes, and back.

use proptest::prelude::*;

use super::*;

fn forward(text: &str) -> Result<String, PathError> {
    let (path, rest) = forward_path(text)?;
    assert_eq!(rest, "", "{text}");
    Ok(path.to_string())
}

#[test]
fn plain_paths() {
    assert_eq!(forward("<Ann@Example.ORG>"), Ok("Ann@example.org".into()));
    assert_eq!(
        forward("<a.b+c/d=e@x-y.example>"),
        Ok("a.b+c/d=e@x-y.example".into())
    );
    assert_eq!(forward("<ann@example.org.>"), Ok("ann@example.org".into()));
    assert_eq!(forward("<PostMaster>"), Ok("postmaster".into()));
    assert_eq!(
        forward("<üñ@exämple.org>"),
        Ok("üñ@xn--exmple-cua.org".into())
    );
    assert_eq!(
        forward_path("<a@b> NOTIFY=NEVER").unwrap().1,
        " NOTIFY=NEVER"
    );
}

#[test]
fn null_reverse_path() {
    assert_eq!(reverse_path("<> SIZE=1"), Ok((None, " SIZE=1")));
    assert_eq!(forward("<>"), Err(PathError::BadLocalPart));
    assert!(reverse_path("<postmaster>").is_err());
}

#[test]
fn quoted_local_parts() {
    let (path, _) = forward_path(r#"<"a b\"c>\\@d"@example.org>"#).unwrap();
    let ForwardPath::Mailbox(mailbox) = path else {
        panic!("{path:?}")
    };
    assert_eq!(mailbox.local(), r#"a b"c>\@d"#);
    assert_eq!(mailbox.to_string(), r#""a b\"c>\\@d"@example.org"#);
    assert_eq!(mailbox.address(), None); // a space is never stored
    assert_eq!(
        forward(r#"<"ann"@example.org>"#),
        Ok("ann@example.org".into())
    );
    assert_eq!(
        forward("<a..b.@example.org>"),
        Ok(r#""a..b."@example.org"#.into())
    );
}

#[test]
fn source_routes_are_dropped() {
    assert_eq!(
        forward("<@a.example,@b.example:ann@c.example>"),
        Ok("ann@c.example".into())
    );
    for bad in [
        "<@a.example>",
        "<@a.example,b:ann@c>",
        "<@:ann@c>",
        "<@a b:ann@c>",
    ] {
        assert_eq!(forward(bad), Err(PathError::BadRoute), "{bad}");
    }
}

#[test]
fn address_literals() {
    assert_eq!(forward("<ann@[192.0.2.1]>"), Ok("ann@[192.0.2.1]".into()));
    assert_eq!(
        forward("<ann@[ipv6:2001:DB8::1]>"),
        Ok("ann@[IPv6:2001:db8::1]".into())
    );
    for bad in [
        "<a@[]>",
        "<a@[192.0.2]>",
        "<a@[1.2.3.4>",
        "<a@[IPv6:x]>",
        "<a@[x:1]>",
        "<a@[ü]>",
    ] {
        assert_eq!(forward(bad), Err(PathError::BadDomain), "{bad}");
    }
}

#[test]
fn malformed_paths() {
    for bad in ["", "a@b", "<a@b", "a@b>", "<\"a@b>", "<\"a\\"] {
        assert_eq!(forward(bad), Err(PathError::NoBrackets), "{bad}");
    }
    for bad in ["<@>", "<@b>"] {
        assert_eq!(forward(bad), Err(PathError::BadRoute), "{bad}");
    }
    for bad in ["< a@b>", "<\"\"@b>", "<(a)@b>", "<\"a\u{1}\"@b>"] {
        assert_eq!(forward(bad), Err(PathError::BadLocalPart), "{bad}");
    }
    for bad in [
        "<a>", "<a@>", "<a@b c>", "<a@b@c>", "<a b@c>", "<a@-b>", "<a@b..c>",
    ] {
        assert_eq!(forward(bad), Err(PathError::BadDomain), "{bad}");
    }
    let long = format!("<{}@b>", "a".repeat(257));
    assert_eq!(forward(&long), Err(PathError::TooLong));
    let long = format!("<{}@b>", "a".repeat(1100));
    assert_eq!(forward(&long), Err(PathError::TooLong));
}

proptest! {
    #[test]
    fn written_paths_are_read_again(local in "[^\\x00-\\x1f\\x7f-\\u{9f}]{1,40}", v6: bool) {
        let host = if v6 {
            Host::Literal(IpAddr::V6(Ipv6Addr::LOCALHOST))
        } else {
            Host::Domain(DomainName::parse("mail.example.org").unwrap())
        };
        let ascii = local.is_ascii();
        let mailbox = Mailbox { local: local.into(), host, ascii };
        let text = format!("<{mailbox}>");
        let read = forward_path(&text);
        prop_assert_eq!(read, Ok((ForwardPath::Mailbox(mailbox), "")));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        let _ = forward_path(&text);
        let _ = reverse_path(&text);
    }
}
