//! What a node finds on its host: its folder, its part of the settings, its clock.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postrider_tests::Host;

use crate::field::Programs;
use crate::network::{self, ALL, BALANCER, OURS};
use crate::servers::{BUCKET, KEY, SECRET};

/// A certificate for all nodes, in `dir`; it and the name of its key's file.
pub(crate) fn identity(dir: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = dir.join("key.pem");
    fs::write(&key, certified.signing_key.serialize_pem())?;
    fs::write(dir.join("cert.pem"), certified.cert.pem())?;
    Ok((
        certified.cert.pem().into_bytes(),
        key.to_string_lossy().into_owned(),
    ))
}

/// What a node at `place` finds on its host.
pub(crate) fn host(
    place: usize,
    programs: &Programs,
    dir: PathBuf,
    authority: Arc<[u8]>,
) -> anyhow::Result<Host> {
    let clock = dir.join("clock");
    fs::write(&clock, 0_i64.to_ne_bytes())?;
    let mut environment = vec![
        ("POSTRIDER__SMTP__TRUSTED_NETWORKS", format!("[\"{OURS}\"]")),
        ("POSTRIDER__SMTP__MAX_MESSAGES_PER_MINUTE", "0".into()),
        (
            "POSTRIDER__HTTP__ADMIN_FROM",
            format!("[\"{ALL}\", \"127.0.0.0/8\"]"),
        ),
        ("POSTRIDER__BODY__INLINE_BUDGET", "128MiB".into()),
        ("POSTRIDER__BODY__SWEEP_EVERY", "5s".into()),
        // What one node has shown must not be missing on the next.
        ("POSTRIDER__CLUSTER__WITHOUT_MAJORITY", "refuse".into()),
        ("RUST_BACKTRACE", "1".into()),
    ];
    if let Some(library) = &programs.clock {
        environment.extend([
            ("LD_PRELOAD", library.clone()),
            ("CHAOS_CLOCK", clock.to_string_lossy().into_owned()),
        ]);
    }
    let port = network::bucket_port(place);
    Ok(Host {
        namespace: network::namespace(place),
        address: IpAddr::V4(network::node(place)),
        dir,
        settings: format!(
            "[blob.s3]\nbucket = \"{BUCKET}\"\nendpoint = \"http://{OURS}:{port}\"\n\
             access_key_id = \"{KEY}\"\nsecret_access_key = \"{SECRET}\"\nallow_http = true\n"
        ),
        environment: environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        balancer: IpAddr::V4(BALANCER),
        authority,
    })
}
