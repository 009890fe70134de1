//! `postrider serve`, and what it shares with quickstart: how a node ends, and the
//! ready file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use postrider_types::Versions;

use super::signals::Signals;
use crate::node::Node;
use crate::settings::Settings;
use crate::{cluster, dir, logs, open_files, settings};

/// Run a node with a settings file
///
/// SIGTERM and Ctrl-C let sessions end and then stop the node; a second one stops it at once.
/// SIGHUP reads the certificates again (changed files are also noticed without it).
/// A node with cluster.join_secret_file that belongs to no cluster yet joins one first.
///
/// Example: postrider serve --config /etc/postrider/postrider.toml
#[derive(Args)]
pub(super) struct Serve {
    /// The settings file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/postrider/postrider.toml"
    )]
    config: PathBuf,
    /// Write a JSON file with the bound addresses once ready, for scripts
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub(super) async fn run(self, versions: Versions) -> anyhow::Result<ExitCode> {
        let loaded = settings::load(&self.config, settings::environment());
        let mut settings = match loaded.map(|settings| (settings.problems(), settings)) {
            Ok((problems, settings)) if problems.is_empty() => settings,
            Ok((problems, _)) => return Ok(refuse(&problems.join("\n"))),
            Err(error) => return Ok(refuse(&error.to_string())),
        };
        settings.meta.versions = versions;
        logs::start(&settings.log)?;
        open_files::raise_limit();
        let mut signals = Signals::take()?;
        let node = tokio::select! {
            node = start(settings) => node?,
            () = signals.stop(|| {}) => return Ok(ExitCode::SUCCESS),
        };
        if let Some(file) = &self.ready_file {
            write_ready(&node, file)?;
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
        until_stopped(node, signals).await
    }
}

/// Starts the node, in a cluster if it is to be in one. One of a cluster whose metadata
/// turn out to be damaged takes its own place anew, if the others can do without it.
async fn start(settings: Settings) -> anyhow::Result<Node> {
    if cluster::was_interrupted(&settings)? {
        tracing::info!("this node goes on getting its metadata from the others");
        cluster::rejoin(&settings).await?;
    }
    cluster::enter(&settings).await?;
    let error = match Node::start(settings.clone()).await {
        Err(error) => cluster::may_rejoin(error, &settings)?,
        started => return started,
    };
    tracing::error!(
        error = super::describe(&error),
        "the metadata of this node are damaged: it sets them aside and gets all from the others"
    );
    if let Err(failed) = cluster::rejoin(&settings).await {
        let failed = super::describe(&failed);
        return Err(error.context(format!("the node was not made anew: {failed}")));
    }
    Node::start(settings).await
}

pub(super) fn refuse(problems: &str) -> ExitCode {
    let _ = writeln!(
        std::io::stderr(),
        "postrider: the settings are not usable:\n{problems}"
    );
    ExitCode::from(2)
}

/// Tells scripts where the node listens.
pub(super) fn write_ready(node: &Node, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(node.bound()).context("cannot write JSON")?;
    dir::replace(file, &text)
}

/// Runs until a signal says to stop, then drains.
pub(super) async fn until_stopped(node: Node, mut signals: Signals) -> anyhow::Result<ExitCode> {
    tokio::select! {
        () = signals.stop(|| node.reload_certificates()) => {}
        failure = node.failed() => {
            // Draining would wait for answers that cannot come.
            anyhow::bail!(failure);
        }
    }
    tracing::info!("stopping: sessions may finish; a second signal stops at once");
    tokio::select! {
        result = node.shutdown() => {
            result?;
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        () = signals.stop(|| {}) => Ok(ExitCode::FAILURE),
    }
}
