//! The data folder: one process at a time, and the small files in it by which
//! the command line finds a running node.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rand::TryRngCore;

/// The administration token.
pub(crate) const TOKEN: &str = "admin.token";
/// The address of the administration API of the node that runs here.
pub(crate) const URL: &str = "admin.url";
/// Where the certificate lies that the API shows there, if it speaks TLS.
pub(crate) const CERTIFICATE: &str = "admin.certificate";
/// Held locked by the process that uses the folder.
const LOCK: &str = "lock";

/// The exclusive right to a data folder; given back when dropped or when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

/// Makes the folder if need be (for its owner only) and locks it.
pub(crate) fn lock(dir: &Path) -> anyhow::Result<DirLock> {
    make(dir)?;
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(TryLockError::WouldBlock) => bail!(
            "another Postrider runs in {}: stop it, or choose another folder",
            dir.display()
        ),
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Makes a folder that only its owner may enter, and its parents.
pub(crate) fn make(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))
}

/// Makes a folder for mail, which only its owner may enter. One that is there
/// already is left as it is: if others may enter it, the log says so.
pub(crate) fn make_private(dir: &Path) -> anyhow::Result<()> {
    make(dir)?;
    let found = fs::metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            folder = %dir.display(),
            mode = format!("{mode:o}"),
            "other users of this machine may enter a folder with mail: chmod 700 it"
        );
    }
    Ok(())
}

/// The administration token in `file`; a fresh one is made where there is none.
pub(crate) fn token(file: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(file) {
        Ok(token) if token.trim().len() >= 16 => return Ok(token.trim().to_owned()),
        Ok(_) => bail!(
            "the token in {} is shorter than 16 characters: remove the file and a fresh one is made",
            file.display()
        ),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
    }
    let mut secret = [0; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut secret)
        .context("the system gives no randomness")?;
    let token: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    replace(file, format!("{token}\n").as_bytes())?;
    Ok(token)
}

/// Puts `bytes` into `file` at once and durably, readable by the owner only: a
/// reader sees all or nothing.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut out = options.open(&temporary)?;
        out.write_all(bytes)?;
        out.sync_all()
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    rename(&temporary, file)
}

/// Gives a file another name, durably; what had that name before is gone.
pub(crate) fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    let rename = || -> io::Result<()> {
        fs::rename(from, to)?;
        // The name must outlast a loss of power as well.
        match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
            _ => Ok(()),
        }
    };
    rename().with_context(|| format!("cannot write {}", to.display()))
}

/// Makes durable what a folder holds, and what it does not hold any more.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let error = lock(dir.path()).unwrap_err().to_string();
        assert!(error.contains("another Postrider runs in"), "{error}");
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN);
        let made = token(&file).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(token(&file).unwrap(), made);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&file, "short").unwrap();
        assert!(token(&file).is_err());
    }
}
