//! What a person sees who writes settings.

use std::time::Duration;

use super::*;

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    std::fs::write(&file, text).unwrap();
    let pairs = environment.iter();
    let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let result = load(&file, pairs).map_err(|e| e.to_string());
    result.map_err(|e| e.replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn a_typo_is_shown_with_its_line_and_a_suggestion() {
    let error = read("data_dir = \"/x\"\n[log]\nlevle = \"info\"\n", &[]);
    assert_eq!(
        error.unwrap_err(),
        "p.toml:3: unknown key `levle`; did you mean `level`?"
    );
    let error = read("[[listener]]\nprotocol = \"imapz\"\n", &[]).unwrap_err();
    assert_eq!(
        error,
        "p.toml:2: unknown value `imapz`; did you mean `imap`?"
    );
    let error = read("drain_timeout = \"5 minutes\"\n", &[]).unwrap_err();
    assert!(
        error.starts_with("p.toml:1: `5 minutes` is not a duration"),
        "{error}"
    );
    let error = read("[log\n", &[]).unwrap_err();
    assert!(error.starts_with("p.toml:1: "), "{error}");
}

#[test]
fn the_environment_goes_over_the_file() {
    let file = "[smtp]\nhostname = \"a.example\"\n[[listener]]\nprotocol = \"imap\"\nlisten = []\n";
    let settings = read(
        file,
        &[
            ("POSTRIDER__SMTP__HOSTNAME", "b.example"),
            ("POSTRIDER__DRAIN_TIMEOUT", "5s"),
            ("POSTRIDER__LISTENER__0__LISTEN", "[\"127.0.0.1:0\"]"),
            ("POSTRIDER__LISTENER__0__MAX_CONNECTIONS", "7"),
            ("POSTRIDER__BLOB__S3__BUCKET", "12345"),
            ("POSTRIDER_SERVICE_HOST", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!(settings.smtp.hostname, "b.example");
    assert_eq!(settings.drain_timeout, Duration::from_secs(5));
    assert_eq!(
        settings.listener[0].listen,
        ["127.0.0.1:0".parse().unwrap()]
    );
    assert_eq!(settings.listener[0].max_connections, 7);
    assert_eq!(settings.blob.s3.unwrap().bucket, "12345");
}

#[test]
fn a_wrong_variable_is_named() {
    let error = read("", &[("POSTRIDER__LOG__LEVLE", "info")]).unwrap_err();
    assert_eq!(
        error,
        "environment variable POSTRIDER__LOG__LEVLE: unknown key `levle`; did you mean `level`?"
    );
    let error = read("", &[("POSTRIDER__SMTP__HOSTNAME__X", "1")]);
    assert!(error.is_err());
    let error = read("listener = []", &[("POSTRIDER__LISTENER__3__LISTEN", "[]")]).unwrap_err();
    assert!(error.contains("list of 0"), "{error}");
    assert!(read("", &[("POSTRIDER__", "1")]).is_err());
}

fn example() -> Settings {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/postrider.example.toml"
    );
    load(example.as_ref(), std::iter::empty()).unwrap()
}

#[test]
fn the_example_shows_the_defaults() {
    let mut shown = example();
    let mut real = read(
        "[tls]\ncertificate = \"/etc/postrider/cert.pem\"\nkey = \"/etc/postrider/key.pem\"",
        &[],
    )
    .unwrap();
    // One listener shows what the others leave out.
    let listeners = std::mem::take(&mut shown.listener);
    let [full, short, ..] = &listeners[..] else {
        panic!("{listeners:?}");
    };
    let short = Listener {
        protocol: full.protocol,
        listen: full.listen.clone(),
        ..short.clone()
    };
    assert_eq!(format!("{full:#?}"), format!("{short:#?}"));
    // What has no default.
    real.smtp.hostname.clone_from(&shown.smtp.hostname);
    real.blob.folder.clone_from(&shown.blob.folder);
    assert_eq!(format!("{shown:#?}"), format!("{real:#?}"));
}

#[test]
fn the_example_is_valid_but_for_its_certificate() {
    let settings = example();
    let problems = settings.problems();
    assert!(
        problems.iter().all(|p| p.contains("for TLS")),
        "{problems:#?}"
    );
    assert!(!settings.listener.is_empty());
}

#[test]
fn problems_name_the_listener_and_the_way_out() {
    let problems = read(
        "[[listener]]\nprotocol = \"imaps\"\nlisten = [\"127.0.0.1:0\"]",
        &[],
    );
    let problems = problems.unwrap().problems().join("\n");
    assert!(
        problems.contains("the imaps listener needs a certificate"),
        "{problems}"
    );
    assert!(
        problems.contains("exactly one of `folder` and `s3`"),
        "{problems}"
    );
}

#[test]
fn roles_and_the_cluster_section_fit_together() {
    let problems = |text: &str| read(text, &[]).unwrap().problems().join("\n");
    assert!(problems("roles = [\"frontend\"]").contains("remove roles, or add [cluster]"));
    assert!(problems("roles = []").contains("roles is empty"));
    assert!(problems("[cluster]").contains("cluster.address is missing"));
    let odd = problems("[cluster]\naddress = \"mail1\"");
    assert!(odd.contains("write HOST:PORT"), "{odd}");
    let text = "roles = [\"meta\"]\n[cluster]\naddress = \"a:7425\"\n\
                [[listener]]\nprotocol = \"imap\"\nlisten = [\"127.0.0.1:0\"]";
    let mail = problems(text);
    assert!(mail.contains("remove the imap listener"), "{mail}");
    // The node's own certificate serves where none is set.
    let text = "[cluster]\naddress = \"a:7425\"\n\
                [[listener]]\nprotocol = \"imaps\"\nlisten = [\"127.0.0.1:0\"]";
    assert!(!problems(text).contains("certificate"));
    let witness = problems("roles = [\"witness\"]\n[cluster]\naddress = \"a:7425\"");
    assert!(!witness.contains("blob"), "{witness}");
    assert!(problems("roles = [\"witness\"]").contains("add [cluster]"));
    let both = problems("roles = [\"witness\", \"meta\"]\n[cluster]\naddress = \"a:7425\"");
    assert!(both.contains("a witness does nothing else"), "{both}");
    let error = read("roles = [\"voter\"]", &[]).unwrap_err();
    assert!(error.contains("`voter`"), "{error}");
}

#[test]
fn joining_by_a_secret_needs_all_of_it() {
    let problems = |keys: &str, roles: &str| {
        let text =
            format!("roles = {roles}\n[cluster]\naddress = \"a:7425\"\nname = \"a\"\n{keys}");
        read(&text, &[]).unwrap().problems().join("\n")
    };
    let both = r#"["meta", "frontend"]"#;
    let seeds = "seeds = [\"b:7425\"]\n";
    let secret = "join_secret_file = \"/nowhere\"\n";
    assert!(problems(seeds, both).contains("not cluster.join_secret_file"));
    assert!(problems(secret, both).contains("names nobody else"));
    let own = format!("{secret}seeds = [\"a:7425\"]\n");
    assert!(problems(&own, both).contains("names nobody else"));
    let founder = format!("{own}founder = \"a\"\n");
    assert!(!problems(&founder, both).contains("cluster."));
    let good = format!("{secret}{seeds}");
    assert!(!problems(&good, both).contains("cluster."));
    let odd = format!("{secret}seeds = [\"b\"]\n");
    assert!(problems(&odd, both).contains("write HOST:PORT"));
    let leaves = format!("{good}leave_on_stop = true\n");
    assert!(problems(&leaves, both).contains("role \"frontend\" alone"));
    assert!(!problems(&leaves, r#"["frontend"]"#).contains("cluster."));
    let settings = read(&format!("[cluster]\naddress = \"a:7425\"\n{good}"), &[]).unwrap();
    let error = settings.cluster.unwrap().join_secret().unwrap_err();
    assert!(format!("{error:#}").contains("/nowhere"), "{error:#}");
}
