//! Half-written files in a local folder. `object_store` writes to `name#1` and
//! renames; a process that is killed in between leaves that file behind, and no
//! listing tells it.

use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use postrider_types::Millis;

/// Folders within folders: `kind/2 hex/file`.
const DEPTH: usize = 3;

/// Removes such files that were last touched before `before`, and tells how many.
pub(crate) fn remove(folder: &Path, before: Millis) -> io::Result<u64> {
    let before = UNIX_EPOCH + Duration::from_millis(before.0);
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut removed = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
                // It may have been renamed or removed by its writer just now.
                let old = entry
                    .metadata()
                    .and_then(|m| m.modified())
                    .is_ok_and(|at| at < before);
                if old && std::fs::remove_file(entry.path()).is_ok() {
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

/// Whether a file is one that is being written: keys hold no `#`.
fn is_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
