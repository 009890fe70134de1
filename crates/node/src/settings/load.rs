//! Reading the settings: the file, then the environment over it.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use super::overlay::{self, Variable};
use super::{Settings, suggest};

/// Why the settings cannot be used. Shown as it stands.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the settings file {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not as it should be.
    #[error("{file}:{line}: {message}")]
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A variable in the environment is not as it should be.
    #[error("environment variable {name}: {message}")]
    Environment {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// The settings in `file` with `POSTRIDER__…` variables out of `environment`
/// over them. Relative paths in the file count from the working directory.
pub fn load(
    file: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, LoadError> {
    let text = fs::read_to_string(file).map_err(|source| LoadError::Read {
        file: file.to_owned(),
        source,
    })?;
    let variables = overlay::variables(environment);
    let in_file = |error: toml::de::Error| LoadError::File {
        file: file.to_owned(),
        line: line_of(&text, error.span().map_or(0, |span| span.start)),
        message: suggest::explain(error.message()),
    };
    // The file alone first: only there is a line known.
    match toml::from_str::<Settings>(&text) {
        Ok(settings) if variables.is_empty() => return Ok(settings),
        Ok(_) => {}
        // A key that is missing may still come from the environment.
        Err(error) if !variables.is_empty() && error.message().starts_with("missing field") => {}
        Err(error) => return Err(in_file(error)),
    }
    let mut table: Table = text.parse().map_err(in_file)?;
    for variable in &variables {
        table = overlay(table, variable)?;
    }
    table.try_into().map_err(in_file)
}

/// `table` with `variable` over it, read in the way that fits its key.
fn overlay(table: Table, variable: &Variable) -> Result<Table, LoadError> {
    let refuse = |message: String| LoadError::Environment {
        name: variable.name.clone(),
        message,
    };
    let mut first_error = None;
    for value in variable.readings() {
        let mut changed = table.clone();
        variable.set(&mut changed, value).map_err(refuse)?;
        match changed.clone().try_into::<Settings>() {
            Ok(_) => return Ok(changed),
            // Another variable may still bring it.
            Err(error) if error.message().starts_with("missing field") => return Ok(changed),
            Err(error) => {
                first_error.get_or_insert_with(|| suggest::explain(error.message()));
            }
        }
    }
    Err(refuse(first_error.unwrap_or_default()))
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|b| **b == b'\n').count()
}
