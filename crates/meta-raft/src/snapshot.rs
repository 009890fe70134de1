//! Snapshots as files: the whole state at one index, compressed in blocks with
//! a checksum each. Written beside the running store, durable before it counts,
//! one kept. The file is self-contained, so that it can be carried elsewhere
//! (to a follower, to an object store) as it is.
//!
//! Layout: magic, length and CRC of the header, header (MessagePack); blocks
//! (raw length, stored length, CRC, zstd bytes) of length-prefixed pairs; an
//! empty block ends it, with the number of pairs and of their bytes.

mod pace;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use postrider_kv::Pair;
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use self::pace::Pace;
use crate::engine::{Progress, View};
use crate::error::{Error, Result};
use crate::log::{make_dir, sync_dir};
use crate::raft::{LogId, SnapshotMeta, StoredMembership, term};

const MAGIC: &[u8; 8] = b"PRsnap03";
/// A block is closed once it holds this many bytes.
const BLOCK: usize = 1 << 20;
/// No block is larger: a block and one value.
const MAX_BLOCK: usize = 1 << 30;
const LEVEL: i32 = 1;
/// Bytes of the end: the number of pairs, and of their bytes.
const END: usize = 16;

/// What a snapshot file begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    applied: Option<LogId>,
    batch: u64,
    time: u64,
    membership: StoredMembership,
}

/// A whole snapshot. The open file stays readable when a newer one takes its place.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    state_bytes: u64,
    head: Head,
    _draft: Option<Arc<Draft>>,
}

/// A snapshot that is being received, at a path of its own. Nothing is there any
/// more once it is dropped; a snapshot that was made the newest one has left it
/// before.
#[derive(Debug)]
pub(crate) struct Draft(PathBuf);

impl Draft {
    /// Where it lies, or is to lie.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.0.display();
                tracing::warn!(%path, %error, "a draft of a snapshot is left until the next start");
            }
            _ => {}
        }
    }
}

impl Stored {
    /// Opens the file at `path` and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("cannot open", path))?;
        let bytes = file
            .metadata()
            .map_err(Error::io("cannot read", path))?
            .len();
        let damaged = |error: io::Error| Error::Unrecoverable {
            path: path.to_owned(),
            reason: format!("the snapshot is damaged: {error}"),
        };
        let mut reader = BufReader::new(&file);
        let head = read_head(&mut reader).map_err(damaged)?;
        let state_bytes = read_state_bytes(&mut reader).map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            bytes,
            state_bytes,
            head,
            _draft: None,
        })
    }

    /// The same, for as long as somebody has it: it keeps its draft.
    pub(crate) fn of(self, draft: Draft) -> Self {
        Self {
            _draft: Some(Arc::new(draft)),
            ..self
        }
    }

    /// Its length.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The length of the state in it: of all keys and values.
    pub(crate) fn state_bytes(&self) -> u64 {
        self.state_bytes
    }

    /// Its file, for reading at offsets.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The last entry in it.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.head.applied
    }

    /// What openraft knows of it.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.head.applied,
            last_membership: self.head.membership.clone(),
        }
    }

    /// The progress of the state in it.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            applied: self.head.applied,
            batch: self.head.batch,
            time: Millis(self.head.time),
            membership: self.head.membership.clone(),
        }
    }

    /// Its pairs, in order. Ends with an error unless it is whole.
    pub(crate) fn pairs(&self) -> Result<Pairs<BufReader<File>>> {
        let file = File::open(&self.path).map_err(Error::io("cannot open", &self.path))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        read_head(&mut reader).map_err(Error::io("cannot read", &self.path))?;
        Ok(Pairs {
            reader,
            block: Bytes::new(),
            count: 0,
            path: self.path.clone(),
            done: false,
        })
    }

    /// Reads all of it. Blocks.
    pub(crate) fn verify(&self) -> Result<()> {
        self.pairs()?.try_for_each(|pair| pair.map(|_| ()))
    }
}

/// The folder of snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    newest: Mutex<Option<Stored>>,
}

impl Snapshots {
    /// Opens the folder; removes what was not finished.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        make_dir(dir)?;
        let mut names = Vec::new();
        for item in fs::read_dir(dir).map_err(Error::io("cannot list", dir))? {
            let path = item.map_err(Error::io("cannot list", dir))?.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("tmp") => {
                    fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
                }
                Some("snap") => names.push(path),
                _ => {}
            }
        }
        names.sort();
        let newest = names.pop().and_then(|path| match Stored::open(&path) {
            Ok(stored) => Some(stored),
            Err(error) => {
                // Not fatal yet: the state may be whole, and a new one is written.
                tracing::error!(%error, "the newest snapshot cannot be used");
                None
            }
        });
        for path in names {
            fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            newest: Mutex::new(newest),
        })
    }

    /// The newest snapshot.
    pub(crate) fn newest(&self) -> Option<Stored> {
        self.newest.lock().clone()
    }

    /// A fresh path for a snapshot that is being received.
    pub(crate) fn draft(&self) -> Draft {
        let name = format!("received-{:016x}.tmp", crate::simulation::random());
        Draft(self.dir.join(name))
    }

    /// Writes `view` as a snapshot, durably. Blocks.
    pub(crate) fn write(&self, view: &View) -> Result<Stored> {
        let progress = view
            .progress()
            .map_err(|error| Error::Engine(error.to_string()))?;
        let head = Head {
            applied: progress.applied,
            batch: progress.batch,
            time: progress.time.0,
            membership: progress.membership,
        };
        let path = self
            .dir
            .join(format!("built-{:016x}.tmp", crate::simulation::random()));
        let file = File::create(&path).map_err(Error::io("cannot create", &path))?;
        let written = write_all(BufWriter::with_capacity(1 << 18, &file), &head, view);
        if let Err(error) = written {
            // Leaves nothing behind; if that fails too, the next start removes it.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        file.sync_all().map_err(Error::io("cannot sync", &path))?;
        self.adopt(&path)
    }

    /// Makes a received snapshot the newest one; the newest one stays. Blocks.
    pub(crate) fn keep(&self, stored: Stored) -> Result<Stored> {
        match self.newest() {
            Some(newest) if newest.path == stored.path => Ok(stored),
            _ => self.adopt(&stored.path),
        }
    }

    /// Makes the whole snapshot at `path` the newest one, durably. Blocks.
    pub(crate) fn adopt(&self, path: &Path) -> Result<Stored> {
        let stored = Stored::open(path)?;
        let (term, index) = stored.applied().map_or((0, 0), |id| (term(&id), id.index));
        let name = self.dir.join(format!("{term:020}-{index:020}.snap"));
        let mut newest = self.newest.lock();
        if let Some(present) = &*newest
            && present.applied() > stored.applied()
        {
            // Overtaken by one that was received meanwhile.
            fs::remove_file(path).map_err(Error::io("cannot remove", path))?;
            return Ok(present.clone());
        }
        stored
            .file
            .sync_all()
            .map_err(Error::io("cannot sync", path))?;
        fs::rename(path, &name).map_err(Error::io("cannot rename", path))?;
        sync_dir(&self.dir)?;
        let stored = Stored {
            path: name,
            ..stored
        };
        let old = newest.replace(stored.clone());
        if let Some(old) = old.filter(|old| old.path != stored.path) {
            fs::remove_file(&old.path).map_err(Error::io("cannot remove", &old.path))?;
        }
        Ok(stored)
    }
}

fn write_all(mut out: impl Write, head: &Head, view: &View) -> Result<()> {
    let failed = |error: io::Error| Error::Folder {
        path: PathBuf::from("snapshot"),
        reason: format!("cannot write a snapshot: {error}; check the free space"),
    };
    let header = rmp_serde::to_vec_named(head).map_err(|e| failed(io::Error::other(e)))?;
    out.write_all(MAGIC).map_err(failed)?;
    write_numbers(&mut out, &[header.len(), crc32fast::hash(&header) as usize]).map_err(failed)?;
    out.write_all(&header).map_err(failed)?;
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
    let (mut count, mut state_bytes) = (0u64, 0u64);
    let mut flush = |block: &mut Vec<u8>| {
        let stored = compressor.compress(block)?;
        let check = crc32fast::hash(&stored) as usize;
        write_numbers(&mut out, &[block.len(), stored.len(), check])?;
        out.write_all(&stored)?;
        block.clear();
        Ok(())
    };
    let mut pace = Pace::new();
    for pair in view.pairs() {
        let (key, value) = pair.map_err(|error| Error::Engine(error.to_string()))?;
        for bytes in [&key, &value] {
            block.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            block.extend_from_slice(bytes);
        }
        count += 1;
        state_bytes += (key.len() + value.len()) as u64;
        if block.len() >= BLOCK {
            flush(&mut block).map_err(failed)?;
            pace.rest();
        }
    }
    if !block.is_empty() {
        flush(&mut block).map_err(failed)?;
    }
    let end = [count.to_le_bytes(), state_bytes.to_le_bytes()].concat();
    write_numbers(&mut out, &[0, end.len(), crc32fast::hash(&end) as usize]).map_err(failed)?;
    out.write_all(&end).map_err(failed)?;
    out.flush().map_err(failed)
}

fn write_numbers(out: &mut impl Write, numbers: &[usize]) -> io::Result<()> {
    for number in numbers {
        let number = u32::try_from(*number).map_err(io::Error::other)?;
        out.write_all(&number.to_le_bytes())?;
    }
    Ok(())
}

fn read_number(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_bytes(reader: &mut impl Read, length: u32, check: u32) -> io::Result<Vec<u8>> {
    if length as usize > MAX_BLOCK {
        return Err(io::Error::other("a block is too long"));
    }
    let mut bytes = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() != length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if crc32fast::hash(&bytes) != check {
        return Err(io::Error::other("a checksum does not match"));
    }
    Ok(bytes)
}

fn read_head(reader: &mut impl Read) -> io::Result<Head> {
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(io::Error::other("this is no snapshot of this version"));
    }
    let (length, check) = (read_number(reader)?, read_number(reader)?);
    let bytes = read_bytes(reader, length, check)?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}

/// The number of pairs and of their bytes.
fn read_end(end: &[u8]) -> io::Result<(u64, u64)> {
    let mut end = <&[u8; END]>::try_from(end)
        .map_err(|_| io::ErrorKind::InvalidData)?
        .as_slice();
    Ok((end.get_u64_le(), end.get_u64_le()))
}

/// The length of the state, from the end of the file.
fn read_state_bytes(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    file.seek(SeekFrom::End(-(END as i64)))?;
    let mut end = [0; END];
    file.read_exact(&mut end)?;
    Ok(read_end(&end)?.1)
}

/// Reads a whole snapshot from `reader` and checks all of it. The last entry in it.
/// Blocks.
pub(crate) fn check(reader: impl Read) -> io::Result<Option<LogId>> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let head = read_head(&mut reader)?;
    let mut pairs = Pairs {
        reader,
        block: Bytes::new(),
        count: 0,
        path: PathBuf::new(),
        done: false,
    };
    while pairs.read()?.is_some() {}
    Ok(head.applied)
}

/// The pairs of a snapshot.
pub(crate) struct Pairs<R> {
    reader: R,
    block: Bytes,
    count: u64,
    path: PathBuf,
    done: bool,
}

impl<R: Read> Pairs<R> {
    fn read(&mut self) -> io::Result<Option<Pair>> {
        while self.block.is_empty() {
            let raw = read_number(&mut self.reader)?;
            let (length, check) = (
                read_number(&mut self.reader)?,
                read_number(&mut self.reader)?,
            );
            let bytes = read_bytes(&mut self.reader, length, check)?;
            if raw == 0 {
                if read_end(&bytes)?.0 != self.count {
                    return Err(io::Error::other("pairs are missing"));
                }
                return Ok(None);
            }
            if raw as usize > MAX_BLOCK {
                return Err(io::Error::other("a block is too long"));
            }
            self.block = zstd::bulk::decompress(&bytes, raw as usize)?.into();
        }
        let mut take = || {
            if self.block.len() < 4 {
                return Err(io::Error::other("a pair is cut off"));
            }
            let length = self.block.get_u32_le() as usize;
            if length > self.block.len() {
                return Err(io::Error::other("a pair is cut off"));
            }
            Ok(self.block.split_to(length))
        };
        let pair = (take()?, take()?);
        self.count += 1;
        Ok(Some(pair))
    }
}

impl<R: Read> Iterator for Pairs<R> {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.read() {
            Ok(Some(pair)) => Some(Ok(pair)),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(Error::Unrecoverable {
                    path: self.path.clone(),
                    reason: format!("the snapshot is damaged: {error}"),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
