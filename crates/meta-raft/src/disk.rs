//! The room left on the disk under a node. Looks every second and says when it
//! falls below the reserve and when it is back; what follows from that others do.
//!
//! The reserve is what lets a node step back in good order: log segments are
//! allocated ahead, so the log itself goes on for a while on a full disk, but the
//! state engine and snapshots do not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::notice::Notice;
use crate::settings::Settings;

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// The disk under a node.
pub(crate) struct Disk {
    dir: PathBuf,
    reserve: u64,
    free: AtomicU64,
    low: AtomicBool,
}

impl Disk {
    /// The disk of `dir`, of which `reserve` bytes are to stay free.
    pub(crate) fn new(dir: &Path, reserve: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve,
            free: AtomicU64::new(u64::MAX),
            low: AtomicBool::new(false),
        }
    }

    /// Less than the reserve is free, or was and little more is.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Bytes that are free, as of the last look.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether `bytes` may be written beside the reserve.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        !self.is_low() && self.free() >= self.reserve.saturating_add(bytes)
    }

    /// Looks how much is free.
    pub(crate) fn look(&self) {
        match free_bytes(&self.dir) {
            Ok(free) => self.note(free),
            Err(error) => {
                let path = self.dir.display();
                tracing::warn!(%path, %error, "cannot tell how much of the disk is free");
            }
        }
    }

    fn note(&self, free: u64) {
        self.free.store(free, Ordering::Relaxed);
        metrics::gauge!("postrider_meta_disk_free_bytes").set(free as f64);
        let was = self.is_low();
        // So that it does not come and go with every file.
        let floor = match was {
            true => self.reserve.saturating_add(self.reserve / 4),
            false => self.reserve,
        };
        let low = free < floor;
        self.low.store(low, Ordering::Relaxed);
        metrics::gauge!("postrider_meta_disk_low").set(f64::from(u8::from(low)));
        let (path, reserve) = (self.dir.display(), self.reserve);
        match (was, low) {
            (false, true) => tracing::error!(
                %path, free, reserve,
                "the disk is nearly full: this node leads no more and takes no new mail until \
                 there is room; see meta.disk_reserve"
            ),
            (true, false) => tracing::info!(%path, free, "the disk has room again"),
            _ => {}
        }
    }

    /// Waits until there is room to start: half of the reserve. A node whose disk
    /// was full ends, is started again, and must not end over and over.
    pub(crate) async fn wait_for_room(&self) {
        let needed = self.reserve / 2;
        let mut notice = Notice::default();
        loop {
            self.look();
            if self.free() >= needed {
                return;
            }
            if notice.is_due() {
                let (path, free) = (self.dir.display(), self.free());
                tracing::warn!(
                    %path, free, needed,
                    "waiting for room on the disk: make some, or lower meta.disk_reserve"
                );
            }
            sleep(LOOK).await;
        }
    }
}

/// Why a node with these settings does not start yet, if that is for want of room on its
/// disk.
pub fn waits_for_room(settings: &Settings) -> Option<String> {
    let needed = settings.disk_reserve / 2;
    let free = free_bytes(&settings.dir).ok()?;
    (free < needed).then(|| {
        format!(
            "it waits for room on the disk of {}: {} MiB are free, {} MiB are needed; make some, or \
             lower meta.disk_reserve",
            settings.dir.display(),
            free >> 20,
            needed.div_ceil(1 << 20)
        )
    })
}

/// Bytes on the disk of `dir` that this process may still use.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_and_so_is_room() {
        let disk = Disk::new(Path::new("."), 1000);
        // (free, low then)
        let story = [
            (1000, false),
            (999, true),
            (1000, true),
            (1249, true),
            (1250, false),
            (1000, false),
            (0, true),
        ];
        for (free, low) in story {
            disk.note(free);
            assert_eq!(disk.is_low(), low, "{free}");
        }
        disk.note(1500);
        assert!(disk.has_room_for(500) && !disk.has_room_for(501));
        let never = Disk::new(Path::new("."), 0);
        never.note(0);
        assert!(!never.is_low());
    }

    #[test]
    fn the_system_tells_what_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("missing")).is_err());
        let mut settings = Settings {
            dir: dir.path().to_owned(),
            disk_reserve: 0,
            ..Settings::default()
        };
        assert_eq!(waits_for_room(&settings), None);
        settings.disk_reserve = u64::MAX;
        let waits = waits_for_room(&settings).unwrap();
        assert!(waits.contains("meta.disk_reserve"), "{waits}");
    }
}
