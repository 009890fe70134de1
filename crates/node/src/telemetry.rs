//! Metrics: the recorder behind `/metrics`, and what the process tells of itself.

use std::fs;
use std::sync::OnceLock;

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the buckets of everything that is a duration.
const SECONDS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// What counts up, with what it says.
const COUNTERS: &[(&str, &str)] = &[
    (
        "postrider_archive_pieces_total",
        "Pieces of the log put into the bucket",
    ),
    ("postrider_archive_bytes_total", "Bytes of them"),
    (
        "postrider_connections_total",
        "Connections served, by protocol",
    ),
    (
        "postrider_connections_refused_total",
        "Connections turned away by a limit, by protocol and reason",
    ),
    (
        "postrider_tls_handshake_failures_total",
        "Failed TLS handshakes, by protocol",
    ),
    ("postrider_logins_total", "Logins by result"),
    (
        "postrider_protocol_errors_total",
        "Sessions ended for too many errors, by protocol",
    ),
    (
        "postrider_imap_commands_total",
        "IMAP commands, by command and outcome",
    ),
    (
        "postrider_smtp_sessions_total",
        "SMTP and LMTP sessions, by role of the listener",
    ),
    (
        "postrider_smtp_messages_accepted_total",
        "Messages accepted, by role of the listener",
    ),
    (
        "postrider_smtp_bytes_accepted_total",
        "Bytes of messages accepted, by role of the listener",
    ),
    (
        "postrider_smtp_deliveries_total",
        "Copies put into mailboxes, by role of the listener",
    ),
    (
        "postrider_smtp_refused_total",
        "Commands refused, by role of the listener and enhanced status",
    ),
    (
        "postrider_queue_recipients_total",
        "Recipients of other servers, by what became of them and destination",
    ),
    (
        "postrider_queue_attempts_total",
        "Attempts to send a message to a destination",
    ),
    (
        "postrider_queue_recipient_checks_total",
        "Questions to servers behind this one about recipients, by answer and source",
    ),
    (
        "postrider_queue_arc_seals_total",
        "Seals (ARC) made, by what they say of the chain",
    ),
    (
        "postrider_queue_arc_unsealed_total",
        "Attempts to forward a message without a seal (ARC), by reason",
    ),
    (
        "postrider_tls_results_dropped_total",
        "Results of TLS that were too many to be reported",
    ),
    (
        "postrider_body_packed_total",
        "Bodies carried to the object store in packs",
    ),
    (
        "postrider_body_packs_total",
        "Packs written to the object store",
    ),
    (
        "postrider_body_objects_removed_total",
        "Objects removed from the object store, by reason",
    ),
    (
        "postrider_body_damaged_total",
        "Bodies read that do not match their checksum",
    ),
    (
        "postrider_blob_requests_total",
        "Requests to the object store, by operation and outcome",
    ),
    (
        "postrider_blob_bytes_total",
        "Bytes read from and written to the object store, by direction",
    ),
    (
        "postrider_blob_cache_chunks_total",
        "Pieces of objects looked up in the cache, by outcome",
    ),
];
/// What goes up and down, with what it says.
const GAUGES: &[(&str, &str)] = &[
    (
        "postrider_archive_lag_seconds",
        "How long changes have waited to be archived in the bucket, on the node that does it",
    ),
    (
        "postrider_archive_active",
        "1 on the node that archives the log, 0 where it did before",
    ),
    ("postrider_build_info", "1, with the version of the program"),
    (
        "postrider_certificate_expires_timestamp_seconds",
        "When the certificate in a file ends, in Unix seconds",
    ),
    (
        "postrider_cluster_version",
        "The version that all nodes obey, 0 before there is one; the same on each node",
    ),
    (
        "postrider_program_version",
        "The newest version of the cluster that this node's program knows",
    ),
    (
        "postrider_connections_active",
        "Connections open now, by protocol",
    ),
    ("postrider_imap_sessions", "IMAP sessions open now"),
    ("postrider_draining", "1 while the node is stopping"),
    (
        "postrider_metadata_available",
        "1 while the metadata answer this node",
    ),
    (
        "postrider_cluster_safe",
        "1 on the leader while any one node may fail, else 0: take the maximum",
    ),
    ("postrider_raft_leader", "1 on the node that leads"),
    (
        "postrider_raft_term",
        "The term of the Raft group as this node knows it",
    ),
    (
        "postrider_raft_voter_lag_entries",
        "Entries that a voter lacks, by node, as the leader knows; 0 elsewhere: take the maximum",
    ),
    (
        "postrider_raft_log_segments",
        "Segments of the Raft log on disk",
    ),
    (
        "postrider_raft_snapshot_bytes",
        "Bytes of the newest snapshot",
    ),
    (
        "postrider_raft_snapshot_due_bytes",
        "Growth of the Raft log, in bytes, at which a snapshot is due",
    ),
    (
        "postrider_meta_queue_commands",
        "Commands that wait for the leader on this node",
    ),
    (
        "postrider_meta_disk_free_bytes",
        "Bytes that are free on the disk under the metadata",
    ),
    (
        "postrider_meta_disk_low",
        "1 while that is less than meta.disk_reserve: the node leads no more and takes no new mail",
    ),
    (
        "postrider_body_inline_bytes",
        "Bytes of bodies that wait to be packed",
    ),
    (
        "postrider_body_inline_limit_bytes",
        "Bytes of bodies that may wait to be packed: body.inline_budget",
    ),
    (
        "postrider_blob_up",
        "1 while the object store answers, by side: read, write",
    ),
    (
        "postrider_queue_entries",
        "Entries of the queue of outbound mail, held ones included; the same on each node",
    ),
    (
        "postrider_queue_held",
        "Entries of the queue that an administrator holds; the same on each node",
    ),
    (
        "postrider_queue_oldest_seconds",
        "How long the oldest entry of the queue is in it, 0 if it is empty; the same on each node",
    ),
    (
        "postrider_queue_destinations",
        "Destinations that mail in the queue waits for; the same on each node",
    ),
    ("process_resident_memory_bytes", "Resident memory"),
    ("process_open_fds", "Open file descriptors"),
];
/// Distributions, with what they say.
const HISTOGRAMS: &[(&str, &str)] = &[
    (
        "postrider_http_request_seconds",
        "HTTP requests by route and status",
    ),
    (
        "postrider_blob_request_seconds",
        "Requests to the object store, by operation",
    ),
    (
        "postrider_meta_commit_seconds",
        "From a batch's proposal to its commit, on the leader",
    ),
    ("postrider_meta_batch_commands", "Commands in a batch"),
    ("postrider_meta_batch_bytes", "Bytes of a batch"),
    (
        "postrider_raft_log_sync_seconds",
        "An fsync of the Raft log",
    ),
    (
        "postrider_raft_log_group_records",
        "Records of the Raft log in one fsync",
    ),
    ("postrider_raft_snapshot_seconds", "Writing a snapshot"),
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
    for (name, text) in COUNTERS {
        describe_counter!(*name, *text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(*name, *text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(*name, *text);
    }
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
