//! Segment and mark files: names, creation at full length, listing, removal.
//! Knows no record.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{MARK_SLOT, Mark};
use crate::error::{Error, Result};

/// The name of a segment's file.
pub(super) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:016}.log"))
}

/// The mark file.
pub(super) fn mark_path(dir: &Path) -> PathBuf {
    dir.join("mark")
}

/// Where the next segment is made ready.
pub(super) fn spare_path(dir: &Path) -> PathBuf {
    dir.join("spare.tmp")
}

/// The sequence numbers of all segments, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>> {
    let mut sequences = Vec::new();
    for item in fs::read_dir(dir).map_err(Error::io("cannot list", dir))? {
        let item = item.map_err(Error::io("cannot list", dir))?;
        let path = item.path();
        let stem = path.file_stem().and_then(|e| e.to_str()).unwrap_or("");
        if path.extension().is_some_and(|e| e == "log")
            && let Ok(sequence) = stem.parse()
        {
            sequences.push(sequence);
        }
    }
    sequences.sort_unstable();
    Ok(sequences)
}

/// Removes the segment that was being made ready. Only once the log was read:
/// after a power failure it may be one whose new name was lost.
pub(super) fn remove_spare(dir: &Path) -> Result<()> {
    let path = spare_path(dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a file of `size` zero bytes, on disk: writing into it later changes
/// no metadata, so that fdatasync writes the data alone.
pub(super) fn allocate(path: &Path, size: u64) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(Error::io("cannot create", path))?;
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let chunk = left.min(zeros.len() as u64);
        (&file)
            .write_all(&zeros[..chunk as usize])
            .map_err(Error::io("cannot fill", path))?;
        left -= chunk;
    }
    file.sync_all().map_err(Error::io("cannot sync", path))?;
    Ok(file)
}

/// Makes a folder, with those above it that are missing, and their names durable.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    let missing = dir.ancestors().take_while(|dir| !dir.exists());
    let missing: Vec<&Path> = missing.filter(|dir| *dir != Path::new("")).collect();
    fs::create_dir_all(dir).map_err(Error::io("cannot create", dir))?;
    for made in missing {
        match made.parent() {
            Some(parent) if parent != Path::new("") => sync_dir(parent)?,
            _ => sync_dir(Path::new("."))?,
        }
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io("cannot sync", dir))
}

/// Reads the mark; None if no slot is whole.
pub(super) fn read_mark(dir: &Path) -> Result<Option<Mark>> {
    let path = mark_path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot read", &path)(error)),
    };
    Ok(bytes
        .chunks(MARK_SLOT)
        .filter_map(Mark::decode)
        .max_by_key(|mark| mark.counter))
}

/// Opens the mark file for writing.
pub(super) fn open_mark(dir: &Path) -> Result<File> {
    let path = mark_path(dir);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io("cannot open", path))
}

/// Writes a mark into its slot, without a sync.
pub(super) fn write_mark(file: &File, mark: &Mark) -> std::io::Result<()> {
    let slot = (mark.counter % 2) * MARK_SLOT as u64;
    file.write_all_at(&mark.encode(), slot)
}
