//! Holds each packet that iptables puts into queue 1 (NFQUEUE) for a fixed time:
//! what `tc netem delay` does on kernels that have it.
//!
//! Speaks the netlink protocol of nf_queue. Attributes have a length and a type in
//! the machine's order, their values are big-endian.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};

/// AF_NETLINK and NETLINK_NETFILTER.
const NETLINK: i32 = 16;
const NETFILTER: i32 = 12;
/// Message types of the subsystem NFNL_SUBSYS_QUEUE (3).
const PACKET: u16 = 3 << 8;
const VERDICT: u16 = (3 << 8) | 1;
const CONFIG: u16 = (3 << 8) | 2;
/// Attributes: NFQA_CFG_CMD, NFQA_CFG_PARAMS, NFQA_CFG_QUEUE_MAXLEN,
/// NFQA_PACKET_HDR, NFQA_VERDICT_HDR.
const COMMAND: u16 = 1;
const PARAMETERS: u16 = 2;
const LENGTH: u16 = 3;
const HEADER: u16 = 1;
const DECISION: u16 = 2;
/// The queue that the rules name.
const QUEUE: u16 = 1;
/// Bytes before the attributes: nlmsghdr and nfgenmsg.
const HEAD: usize = 20;

/// Holds packets until it is killed.
pub(crate) fn packets(time: Duration) -> anyhow::Result<()> {
    let socket = Socket::new(
        Domain::from(NETLINK),
        Type::RAW,
        Some(Protocol::from(NETFILTER)),
    )
    .context("opening netlink")?;
    // Best effort: what does not fit is dropped, like in a full router.
    let _ = socket.set_recv_buffer_size(8 << 20);
    // Bind, and copy no content of packets.
    send(&socket, CONFIG, COMMAND, &[1, 0, 0, 0])?;
    send(&socket, CONFIG, PARAMETERS, &[0, 0, 0, 0, 1])?;
    send(&socket, CONFIG, LENGTH, &65_536_u32.to_be_bytes())?;
    let (held, due) = mpsc::channel::<(Instant, [u8; 4])>();
    let answering = socket.try_clone()?;
    std::thread::spawn(move || {
        for (came, id) in due {
            std::thread::sleep((came + time).saturating_duration_since(Instant::now()));
            // NF_ACCEPT; a packet that the kernel has given up is none to worry about.
            let decision = [[0, 0, 0, 1], id].concat();
            let _ = send(&answering, VERDICT, DECISION, &decision);
        }
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        // An overrun (ENOBUFS) loses packets, which is no reason to end.
        let Ok(count) = (&socket).read(&mut buffer) else {
            continue;
        };
        for id in ids(&buffer[..count]) {
            held.send((Instant::now(), id))?;
        }
    }
}

fn send(socket: &Socket, message: u16, attribute: u16, value: &[u8]) -> anyhow::Result<()> {
    let padded = value.len().next_multiple_of(4);
    let length = HEAD + 4 + padded;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length)?.to_ne_bytes());
    bytes.extend(message.to_ne_bytes());
    // NLM_F_REQUEST; then sequence and port, which nobody asks for.
    bytes.extend(1_u16.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0, 0]);
    bytes.extend(QUEUE.to_be_bytes());
    bytes.extend(u16::try_from(4 + value.len())?.to_ne_bytes());
    bytes.extend(attribute.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length, 0);
    let mut writer = socket;
    writer.write_all(&bytes)?;
    Ok(())
}

/// The ids of the packets in what the kernel sent.
fn ids(mut bytes: &[u8]) -> Vec<[u8; 4]> {
    let mut found = Vec::new();
    while let Some((length, kind)) = lead::<4, 2>(bytes) {
        let length = u32::from_ne_bytes(length) as usize;
        let Some(message) = bytes.get(..length).filter(|_| length >= HEAD) else {
            break;
        };
        if u16::from_ne_bytes(kind) == PACKET {
            found.extend(header(&message[HEAD..]));
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The id in the attribute that names the packet.
fn header(mut attributes: &[u8]) -> Option<[u8; 4]> {
    while let Some((length, kind)) = lead::<2, 2>(attributes) {
        let length = usize::from(u16::from_ne_bytes(length));
        if u16::from_ne_bytes(kind) == HEADER {
            return attributes.get(4..8)?.try_into().ok();
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

/// The first two fields.
fn lead<const A: usize, const B: usize>(bytes: &[u8]) -> Option<([u8; A], [u8; B])> {
    let first = bytes.get(..A)?.try_into().ok()?;
    let second = bytes.get(A..A + B)?.try_into().ok()?;
    Some((first, second))
}
