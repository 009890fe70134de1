//! A disk for each node: a file system in a file, which can be full or slow.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::network::run;

/// How much a disk holds; its file is sparse.
const SIZE: &str = "1G";
/// Where the kernel lets a group's writes be bounded (cgroup v1).
const GROUPS: &str = "/sys/fs/cgroup/blkio";

/// A mounted file system.
pub(crate) struct Disk {
    mount: PathBuf,
    /// Major and minor number of its device.
    device: String,
    group: PathBuf,
}

impl Disk {
    /// Makes one in `image` and mounts it at `mount`.
    pub(crate) async fn mount(image: &Path, mount: &Path, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(mount)?;
        let (file, place) = (image.display(), mount.display());
        run(&format!("truncate -s {SIZE} {file}")).await?;
        run(&format!("mkfs.ext4 -q -m 0 {file}")).await?;
        run(&format!("mount -o loop {file} {place}")).await?;
        fs::remove_dir(mount.join("lost+found"))?;
        let told = Command::new("losetup")
            .args(["--noheadings", "--output", "MAJ:MIN", "--associated"])
            .arg(image)
            .output()
            .await?;
        let device = String::from_utf8(told.stdout)?.trim().to_owned();
        ensure!(!device.is_empty(), "no loop device for {file}");
        let unique = rand::random::<u32>();
        Ok(Self {
            mount: mount.to_owned(),
            device,
            group: Path::new(GROUPS).join(format!("postrider-{name}-{unique:08x}")),
        })
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// Leaves so many bytes free, or not a block.
    pub(crate) async fn fill(&self, left: u64) -> anyhow::Result<()> {
        self.free().await?;
        let filler = self.filler();
        let stat = rustix::fs::statvfs(&self.mount)?;
        let free = stat.f_bavail * stat.f_frsize;
        // The file system needs some for itself to note this down.
        let taken = free.saturating_sub(left.max(1 << 20));
        if taken > 0 {
            run(&format!("fallocate -l {taken} {}", filler.display())).await?;
        }
        if left == 0 {
            let mut file = fs::File::options().create(true).append(true).open(filler)?;
            for size in [1 << 16, 4096, 512] {
                while file.write_all(&vec![0; size]).is_ok() {}
            }
        }
        Ok(())
    }

    /// Gives the room back, on the disk below as well: the bucket lies there, too.
    pub(crate) async fn free(&self) -> anyhow::Result<()> {
        let filler = self.filler();
        if filler.exists() {
            fs::remove_file(filler)?;
            // Not every kernel can.
            let _ = run(&format!("fstrim {}", self.mount.display())).await;
        }
        Ok(())
    }

    /// Whether the kernel can make it slow.
    pub(crate) fn can_be_slow() -> bool {
        Path::new(GROUPS).join("cgroup.procs").exists()
    }

    /// Lets this process write so many times a second.
    pub(crate) fn slow(&self, pid: u32, writes: u32) -> anyhow::Result<()> {
        fs::create_dir_all(&self.group)?;
        let limit = self.group.join("blkio.throttle.write_iops_device");
        fs::write(limit, format!("{} {writes}", self.device))?;
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).context("into the group")
    }

    /// As fast as it is.
    pub(crate) fn quick(&self) -> anyhow::Result<()> {
        if self.group.exists() {
            let limit = self.group.join("blkio.throttle.write_iops_device");
            fs::write(limit, format!("{} 0", self.device))?;
        }
        Ok(())
    }

    /// Takes it away; nothing uses it any more.
    pub(crate) async fn unmount(self) -> anyhow::Result<()> {
        run(&format!("umount {}", self.mount.display())).await?;
        if self.group.exists() {
            fs::remove_dir(&self.group)?;
        }
        Ok(())
    }
}
