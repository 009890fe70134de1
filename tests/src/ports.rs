//! Ports that stay a node's own over its restarts.
//!
//! They lie below those that the system gives to outgoing connections, in blocks;
//! a block belongs to whoever has bound its first port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, ensure};
use rand::seq::SliceRandom as _;

/// Ports in a block: the guard, and what a node listens on.
const BLOCK: u16 = 12;
/// The first port of the first block; `deploy/local-cluster` uses its multiples
/// of ten thousand and the standard ports above them.
const FIRST: u16 = 12_000;
/// Linux gives ports from 32768 on to outgoing connections.
const END: u16 = 30_000;

/// A block of ports on loopback that nobody else listens on.
pub(crate) struct Ports {
    first: u16,
    _guard: TcpListener,
}

impl Ports {
    /// Takes a free block.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let mut blocks: Vec<u16> = (FIRST..END).step_by(usize::from(BLOCK)).collect();
        blocks.shuffle(&mut rand::rng());
        let block = blocks.into_iter().find_map(|first| {
            let guard = TcpListener::bind(local(first)).ok()?;
            let free = (1..BLOCK).all(|n| TcpListener::bind(local(first + n)).is_ok());
            free.then_some(Self {
                first,
                _guard: guard,
            })
        });
        block.context("no free ports")
    }

    /// The port that stands for the block.
    pub(crate) fn first(&self) -> u16 {
        self.first
    }

    /// One of its ports, from 0.
    pub(crate) fn get(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let number = u16::try_from(number)?;
        ensure!(number + 1 < BLOCK, "a block has fewer ports");
        Ok(local(self.first + 1 + number))
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
