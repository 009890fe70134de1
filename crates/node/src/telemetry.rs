//! Metrics: the recorder behind `/metrics`, and what the process tells of itself.

use std::fs;
use std::sync::OnceLock;

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the buckets of everything that is a duration.
const SECONDS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The process's recorder; installed on the first call. Several nodes in one
/// process, as in tests, share it.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let durations = Matcher::Suffix("_seconds".into());
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(durations, &SECONDS)
            .and_then(PrometheusBuilder::install_recorder);
        let handle =
            handle.inspect_err(|error| tracing::error!(%error, "there will be no metrics"));
        describe();
        handle.ok()
    };
    RECORDER.get_or_init(install).as_ref()
}

fn describe() {
    describe_counter!(
        "postrider_connections_total",
        "Connections served, by protocol"
    );
    describe_gauge!(
        "postrider_connections_active",
        "Connections open now, by protocol"
    );
    describe_counter!(
        "postrider_connections_refused_total",
        "Connections turned away by a limit, by protocol and reason"
    );
    describe_counter!(
        "postrider_tls_handshake_failures_total",
        "Failed TLS handshakes"
    );
    describe_counter!("postrider_logins_total", "Logins by result");
    describe_gauge!(
        "postrider_body_inline_bytes",
        "Bytes of bodies that wait to be packed"
    );
    describe_gauge!(
        "postrider_queue_entries",
        "Entries of the queue of outbound mail, held ones included; the same on each node"
    );
    describe_gauge!(
        "postrider_queue_held",
        "Entries of the queue that an administrator holds; the same on each node"
    );
    describe_gauge!(
        "postrider_queue_oldest_seconds",
        "How long the oldest entry of the queue is in it, 0 if it is empty; the same on each node"
    );
    describe_gauge!(
        "postrider_queue_destinations",
        "Destinations that mail in the queue waits for; the same on each node"
    );
    describe_gauge!("process_resident_memory_bytes", "Resident memory");
    describe_gauge!("process_open_fds", "Open file descriptors");
    describe_histogram!(
        "postrider_http_request_seconds",
        "HTTP requests by route and status"
    );
}

/// Sets the gauges about this process.
pub(crate) fn observe_process() {
    if let Some(bytes) = resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(entries.count() as f64);
    }
}

/// Resident memory as the kernel tells it; None where it does not.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
