//! What the command line prints: text in columns, or JSON.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

/// Text or JSON.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Prints `items`: as a JSON array, or in columns under `heads`, each row
    /// made by `row`.
    pub(super) fn table<T: Serialize, const N: usize>(
        self,
        items: &[T],
        heads: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> anyhow::Result<()> {
        if self.json {
            return self.json(&items);
        }
        self.print(&columns(heads, items.iter().map(row)))
    }

    /// Prints a value as JSON.
    pub(super) fn json<T: Serialize + ?Sized>(self, value: &T) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
        self.print(&format!("{text}\n"))
    }

    /// Says what was done; nothing in JSON, where the exit code says it.
    pub(super) fn done(self, text: &str) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        self.print(&format!("{text}\n"))
    }

    /// Prints `text` as it is.
    pub(super) fn print(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // `postrider ... | head` has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write to standard output"),
        }
    }
}

/// Tells on standard error how far a long command is, at most once a second and
/// not at all for machines.
pub(super) struct Progress {
    silent: bool,
    terminal: bool,
    told: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        Self {
            silent: output.json,
            terminal: io::stderr().is_terminal(),
            told: Mutex::new(Instant::now()),
        }
    }

    /// Tells `text`, unless something was told within the last second.
    pub(super) fn tell(&self, text: &str) {
        let mut told = match self.told.lock() {
            Ok(told) => told,
            Err(broken) => broken.into_inner(),
        };
        if self.silent || told.elapsed() < Duration::from_secs(1) {
            return;
        }
        *told = Instant::now();
        // On a terminal the line is written anew.
        let _ = match self.terminal {
            true => write!(io::stderr(), "\r\x1b[K{text}"),
            false => writeln!(io::stderr(), "{text}"),
        };
    }

    /// Makes room for other words.
    pub(super) fn end(&self) {
        if self.terminal && !self.silent {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// `rows` in columns under `heads`.
pub(super) fn columns<const N: usize>(
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&mut heads.into_iter());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// `table`'s lines cut to the terminal; as they are where there is none.
pub(super) fn fitted(table: &str) -> String {
    let width = terminal_size::terminal_size_of(io::stdout());
    match width {
        Some((terminal_size::Width(width), _)) => cut(table, usize::from(width)),
        None => table.to_owned(),
    }
}

fn cut(text: &str, width: usize) -> String {
    let cut = |line: &str| {
        if line.chars().count() <= width {
            return format!("{line}\n");
        }
        let kept: String = line.chars().take(width.saturating_sub(1)).collect();
        format!("{kept}…\n")
    };
    text.lines().map(cut).collect()
}

/// Tells the error on standard error: as text, or as `{"error": "..."}`.
pub(super) fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let text = describe(error);
    let text = match json {
        true => serde_json::json!({ "error": text }).to_string(),
        false => format!("postrider: {text}"),
    };
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// The error and its causes, without those whose text the one before repeats.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// `value`, or a dash.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_say_so() {
        assert_eq!(cut("abc\nabcdef\n", 4), "abc\nabc…\n");
        assert_eq!(cut("üüü\n", 3), "üüü\n");
    }
}
