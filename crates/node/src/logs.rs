//! Logs: text or JSON on standard error, panics included.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// The same for a command that does its work and ends: its own words are its
/// answer, so that only what went wrong is logged.
pub(crate) fn start_quiet(log: &Log) -> anyhow::Result<()> {
    start(&Log {
        level: "error".into(),
        ..log.clone()
    })
}

/// Sets up logging for the process. Once per process; a second call is an error.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter: EnvFilter = log
        .level
        .parse()
        .with_context(|| format!("log.level `{}`; write, for example, info", log.level))?;
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))?;
    // A panic ends one session, not the node; it must stand in the log.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("no message");
        tracing::error!(place, "panic: {text}");
    }));
    Ok(())
}
