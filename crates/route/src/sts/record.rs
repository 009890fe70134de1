//! The TXT record that announces a policy (RFC 8461 §3.1).

/// The id of the one record among `texts` that announces a policy. None where
/// there is not exactly one, or where it is broken.
pub(super) fn id(texts: &[String]) -> Option<&str> {
    let mut announced = texts.iter().filter_map(|text| fields(text));
    let fields = announced.next()?;
    if announced.next().is_some() {
        return None;
    }
    let id = fields
        .split(';')
        .find_map(|field| trim(field).strip_prefix("id="))?;
    let fits = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then_some(id)
}

/// What follows the version in a record that begins with it.
fn fields(text: &str) -> Option<&str> {
    trim(text.strip_prefix("v=STSv1")?).strip_prefix(';')
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(texts: &[&str]) -> Option<String> {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        id(&texts).map(str::to_owned)
    }

    #[test]
    fn the_id_of_the_one_record_counts() {
        let good = "v=STSv1; id=20260601T000000;";
        let found = Some("20260601T000000".to_owned());
        assert_eq!(id_of(&[good]), found);
        assert_eq!(id_of(&["v=spf1 -all", good]), found);
        assert_eq!(id_of(&["v=STSv1;x=1 ; id=20260601T000000"]), found);
        assert_eq!(id_of(&[good, good]), None);
        assert_eq!(id_of(&[]), None);
    }

    #[test]
    fn broken_records_announce_nothing() {
        let long = format!("v=STSv1; id={}", "1".repeat(33));
        for bad in [
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; id=",
            "v=STSv1; id=a-b",
            "v=STSv10; id=1",
            "v=stsv1; id=1",
            " v=STSv1; id=1",
            "id=1; v=STSv1",
            &long,
        ] {
            assert_eq!(id_of(&[bad]), None, "{bad}");
        }
    }
}
