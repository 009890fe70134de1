//! `postrider quickstart`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use postrider_meta::Client;

use super::output::{self, Output};
use super::serve;
use super::signals::Signals;
use crate::bound::Bound;
use crate::node::Node;
use crate::quickstart::{PASSWORD, quickstart_settings, seed};
use crate::settings::Protocol;
use crate::{dir, logs};

/// Try Postrider: one node on this machine, ready to use, nothing to configure
///
/// Makes the folder postrider-data (--dir chooses another), a self-signed certificate, the domain
/// example.test and the accounts alice@example.test and bob@example.test with the password
/// `postrider`. Listens on loopback only. Started again in the same folder, it goes on with the
/// same mail.
///
/// Example: postrider quickstart --dir /tmp/mail
#[derive(Args)]
pub(super) struct Quickstart {
    /// Add this to every port, so that several can run side by side
    #[arg(long, value_name = "N", default_value_t = 0)]
    port_offset: u16,
    /// Take free ports instead of the usual ones
    #[arg(long, conflicts_with = "port_offset")]
    free_ports: bool,
    /// Write a JSON file with the bound addresses once ready, for scripts
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Quickstart {
    pub(super) async fn run(self, dir: &Path) -> anyhow::Result<ExitCode> {
        // Made first: everything in it is named by its full path.
        dir::make(dir)?;
        let dir = std::path::absolute(dir)?;
        let offset = (!self.free_ports).then_some(self.port_offset);
        let settings = quickstart_settings(&dir, offset)?;
        logs::start(&settings.log)?;
        let mut fresh = false;
        let first = async |meta: &Client| {
            fresh = seed(meta, &dir).await?;
            anyhow::Ok(())
        };
        let mut signals = Signals::take()?;
        let node = tokio::select! {
            node = Node::start_after(settings, first) => node,
            () = signals.stop(|| {}) => return Ok(ExitCode::SUCCESS),
        };
        let node = node.map_err(|error| {
            let taken = error.downcast_ref::<postrider_net::Error>();
            if !matches!(taken, Some(postrider_net::Error::Bind { .. })) {
                return error;
            }
            let error = output::describe(&error);
            let other = self.port_offset.saturating_add(10_000);
            let other = format!(
                "postrider quickstart --port-offset {other} --dir ANOTHER_FOLDER, or --free-ports"
            );
            anyhow::anyhow!("{error}.\nTo run beside it: {other}")
        })?;
        if let Some(file) = &self.ready_file {
            serve::write_ready(&node, file)?;
        }
        Output { json: false }.print(&welcome(node.bound(), &dir, fresh))?;
        serve::until_stopped(node, signals).await
    }
}

fn welcome(bound: &Bound, dir: &Path, fresh: bool) -> String {
    let dir = dir.display();
    let port = |protocol| bound.address(protocol).map_or(0, |address| address.port());
    let row = |left: Protocol, left_text: &str, right: Protocol, right_text: &str| {
        let (left, right) = (port(left), port(right));
        format!("  {left:<6}{left_text:<26}{right:<6}{right_text}\n")
    };
    let mail = if fresh { "New" } else { "The same as before" };
    let mut text = format!("\nPostrider is ready on localhost. Mail in {dir}: {mail}.\n\n");
    text += &row(Protocol::Smtp, "SMTP", Protocol::Imap, "IMAP (STARTTLS)");
    text += &row(
        Protocol::Submission,
        "submission (STARTTLS)",
        Protocol::Imaps,
        "IMAP over TLS",
    );
    text += &row(
        Protocol::Submissions,
        "submission over TLS",
        Protocol::Pop3,
        "POP3 (STLS)",
    );
    text += &row(Protocol::Lmtp, "LMTP", Protocol::Pop3s, "POP3 over TLS");
    let http = port(Protocol::Http);
    text += &format!("  {http:<6}HTTP: /healthz/ready, /metrics, administration\n\n");
    text += &format!(
        "Accounts: alice@example.test and bob@example.test, password: {PASSWORD}\n\
         Certificate (self-signed): {dir}/cert.pem\n\n\
         Try, in another terminal:\n\n  \
         printf 'From: alice@example.test\\r\\nTo: bob@example.test\\r\\nSubject: hello\\r\\n\\r\\nIt works.\\r\\n' | \
         curl smtps://localhost:{submissions} --cacert {dir}/cert.pem --user alice@example.test:{PASSWORD} \
         --mail-from alice@example.test --mail-rcpt bob@example.test --upload-file -\n\n  \
         curl 'imap://localhost:{imap}/INBOX;MAILINDEX=1' --user bob@example.test:{PASSWORD}\n\n  \
         curl pop3://localhost:{pop3}/1 --user bob@example.test:{PASSWORD}\n\n\
         Stop with Ctrl-C. More: postrider --help\n",
        submissions = port(Protocol::Submissions),
        imap = port(Protocol::Imap),
        pop3 = port(Protocol::Pop3),
    );
    text
}
