//! The body of a one-click unsubscription: a form with a single meaning, in either
//! of the two encodings that mail providers send (RFC 8058 §3.1).

/// The name and value that mean it.
const NAME: &str = "List-Unsubscribe";
const VALUE: &str = "One-Click";

/// Whether a form says that its sender unsubscribes. `kind` is its content type.
pub(super) fn is_one_click(kind: &str, body: &[u8]) -> bool {
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let mut pairs = body.trim_end().split('&');
        return pairs.any(|pair| pair.split_once('=') == Some((NAME, VALUE)));
    }
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        return boundary(kind).is_some_and(|boundary| in_parts(body, boundary));
    }
    false
}

/// The boundary that a content type names (RFC 2046 §5.1.1).
fn boundary(kind: &str) -> Option<&str> {
    let mut parameters = kind.split(';').skip(1).map(str::trim);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_matches('"');
        (name.eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

/// Whether one of the parts is the field with its value (RFC 7578 §4.2).
fn in_parts(body: &str, boundary: &str) -> bool {
    let delimiter = format!("--{boundary}");
    body.split(&delimiter).skip(1).any(|part| {
        let Some((header, value)) = part.split_once("\r\n\r\n") else {
            return false;
        };
        value.trim_end() == VALUE && header.lines().any(is_disposition)
    })
}

/// Whether a line of a part's header says that it is the field.
fn is_disposition(line: &str) -> bool {
    let Some((field, value)) = line.split_once(':') else {
        return false;
    };
    let mut parameters = value.split(';').map(str::trim);
    field.eq_ignore_ascii_case("content-disposition")
        && parameters
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("form-data"))
        && parameters.any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.eq_ignore_ascii_case("name") && value.trim_matches('"') == NAME
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn a_form_may_be_encoded() {
        for body in [
            "List-Unsubscribe=One-Click",
            "List-Unsubscribe=One-Click\r\n",
            "a=b&List-Unsubscribe=One-Click&c",
        ] {
            assert!(is_one_click(FORM, body.as_bytes()), "{body}");
        }
        let kind = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
        assert!(is_one_click(kind, b"List-Unsubscribe=One-Click"));
        for body in [
            "",
            "=",
            "List-Unsubscribe",
            "List-Unsubscribe=no",
            "XList-Unsubscribe=One-Click",
            "List-Unsubscribe=One-Click!",
        ] {
            assert!(!is_one_click(FORM, body.as_bytes()), "{body}");
        }
        assert!(!is_one_click(FORM, b"\xff\xfe"));
        for kind in ["", "text/plain", "multipart/form-data"] {
            assert!(!is_one_click(kind, b"List-Unsubscribe=One-Click"), "{kind}");
        }
    }

    #[test]
    fn a_form_may_come_in_parts() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                    One-Click\r\n--xyz--\r\n";
        for kind in [
            "multipart/form-data; boundary=xyz",
            "Multipart/Form-Data; charset=utf-8; Boundary=\"xyz\"",
        ] {
            assert!(is_one_click(kind, body.as_bytes()), "{kind}");
        }
        let kind = "multipart/form-data; boundary=xyz";
        let after =
            format!("--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n{body}");
        assert!(is_one_click(kind, after.as_bytes()));
        for (from, to) in [
            ("One-Click", "No"),
            ("name=\"List", "name=\"Last"),
            ("form-data;", "attachment;"),
            ("\r\n\r\n", "\r\n"),
            ("--xyz", "--abc"),
        ] {
            let other = body.replace(from, to);
            assert!(!is_one_click(kind, other.as_bytes()), "{other}");
        }
        assert!(!is_one_click(
            "multipart/form-data; boundary=",
            body.as_bytes()
        ));
    }
}
