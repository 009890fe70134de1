//! Turns serde's words about an unknown key into a hint for people.

/// serde's `unknown field `x`, expected one of `a`, `b`` (or `unknown
/// variant`), with the nearest known name as a suggestion. Other messages stay
/// as they are.
pub(super) fn explain(message: &str) -> String {
    let message = message.trim();
    let (what, rest) = if let Some(rest) = message.strip_prefix("unknown field ") {
        ("key", rest)
    } else if let Some(rest) = message.strip_prefix("unknown variant ") {
        ("value", rest)
    } else {
        return message.to_owned();
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else {
        return message.to_owned();
    };
    let known: Vec<&str> = names.collect();
    let likeness = |name: &&str| strsim::damerau_levenshtein(unknown, name);
    match known.iter().copied().min_by_key(likeness) {
        Some(name) if likeness(&name) <= 1 + unknown.len() / 3 => {
            format!("unknown {what} `{unknown}`; did you mean `{name}`?")
        }
        _ if known.is_empty() => format!("unknown {what} `{unknown}`; none is allowed here"),
        _ => format!(
            "unknown {what} `{unknown}`; known here: {}",
            known.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_typo_gets_the_nearest_name() {
        let message = "unknown field `lisen`, expected one of `protocol`, `listen`, `tls`";
        assert_eq!(
            explain(message),
            "unknown key `lisen`; did you mean `listen`?"
        );
    }

    #[test]
    fn nonsense_gets_the_list() {
        let message = "unknown field `zzzzzz`, expected `format` or `level`";
        assert_eq!(
            explain(message),
            "unknown key `zzzzzz`; known here: format, level"
        );
    }
}
