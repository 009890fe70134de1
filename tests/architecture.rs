//! The arrows between the crates: which may import which. A new arrow is a
//! decision, made here and in `docs/architecture.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Each crate with all that it may import, besides crates from outside.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("proto", &["types"]),
    ("message", &["types"]),
    ("kv", &["types"]),
    ("meta", &["kv", "types"]),
    ("blob", &["types"]),
    ("body", &["blob", "message", "meta", "types"]),
    ("net", &["types"]),
    ("auth", &["meta", "net", "types"]),
    ("rpc", &["types"]),
    ("meta-raft", &["blob", "kv", "meta", "rpc", "types"]),
    ("dkim", &["types"]),
    ("relay", &["proto", "types"]),
    ("route", &["types"]),
    ("arc", &["dkim", "route", "types"]),
    ("notice", &["body", "message", "meta", "proto", "types"]),
    (
        "queue",
        &[
            "arc", "body", "dkim", "message", "meta", "net", "notice", "proto", "relay", "route",
            "types",
        ],
    ),
    (
        "smtp",
        &[
            "auth", "body", "message", "meta", "net", "notice", "proto", "types",
        ],
    ),
    (
        "imap",
        &["auth", "body", "message", "meta", "net", "proto", "types"],
    ),
    (
        "pop3",
        &["auth", "body", "message", "meta", "net", "proto", "types"],
    ),
];

/// What the domain may not know: its time, ids and I/O come from outside.
const NOT_IN_META: &[&str] = &["tokio", "rand", "mail-parser", "object_store", "openraft"];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The normal dependencies of the crate `name` (tests may import more).
fn imports(packages: &[Value], name: &str) -> BTreeSet<String> {
    let full = format!("postrider-{name}");
    let package = packages
        .iter()
        .find(|package| package["name"] == full.as_str())
        .unwrap_or_else(|| panic!("no package {full}"));
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn crates_import_only_what_the_architecture_allows() {
    let packages = packages();
    for (name, allowed) in ARROWS {
        for import in imports(&packages, name) {
            if let Some(import) = import.strip_prefix("postrider-") {
                assert!(allowed.contains(&import), "{name} must not import {import}");
            }
        }
    }
}

#[test]
fn the_domain_knows_no_runtime_and_no_format() {
    let packages = packages();
    for name in ["kv", "meta"] {
        for import in imports(&packages, name) {
            assert!(
                !NOT_IN_META.contains(&import.as_str()),
                "{name} must not import {import}"
            );
        }
    }
}

#[test]
fn every_crate_is_listed() {
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let apart = ["node", "tests", "benches"];
    for package in packages() {
        let name = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("postrider-")
            .to_owned();
        assert!(
            listed.contains(name.as_str()) || apart.contains(&name.as_str()),
            "{name}"
        );
    }
}
