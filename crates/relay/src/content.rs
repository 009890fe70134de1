//! The content of one message on its way to the peer: after DATA (RFC 5321
//! §4.1.1.4) or in chunks (RFC 3030). Holds 64 KiB of it at most, besides the
//! piece that its source gave.
//!
//! An error leaves the connection unusable, and the message without its end.

use bytes::Bytes;
use postrider_proto::smtp::client::{BareLineEnd, Lines, Reply, Request, Stuffing};

use crate::connection::Connection;
use crate::failure::{Failure, Phase};
use crate::gate::Gate;
use crate::source::Source;

/// Content that is written at once.
const BLOCK: usize = 64 * 1024;

pub(crate) struct Content<'a, S, G> {
    connection: &'a mut Connection,
    source: &'a mut S,
    gate: G,
    /// Bytes that the source has yet to give.
    left: u64,
}

impl<'a, S: Source, G: Gate> Content<'a, S, G> {
    pub(crate) fn new(connection: &'a mut Connection, source: &'a mut S, gate: G) -> Self {
        let left = source.size();
        Self {
            connection,
            source,
            gate,
            left,
        }
    }

    /// Sends the content after 354; the reply to its end, or the one with which
    /// the peer refused it before.
    pub(crate) async fn data(mut self) -> Result<Reply, Failure> {
        let mut stuffing = Stuffing::new();
        let mut block = Vec::with_capacity(BLOCK);
        while let Some(piece) = self.next().await? {
            for part in piece.chunks(BLOCK) {
                stuffing.push(part, &mut block).map_err(bare)?;
                if block.len() >= BLOCK {
                    if let Some(refusal) = self.block(&block).await? {
                        return Ok(refusal);
                    }
                    block.clear();
                }
            }
        }
        stuffing.finish(&mut block).map_err(bare)?;
        if let Some(refusal) = self.block(&block).await? {
            return Ok(refusal);
        }
        self.finish(Stuffing::END).await
    }

    /// Sends the content in chunks. The last one, without which there is no
    /// message, waits until all others were accepted.
    pub(crate) async fn chunks(mut self) -> Result<Reply, Failure> {
        let mut lines = Lines::default();
        let mut chunk = Vec::new();
        let mut open = 0usize;
        while let Some(piece) = self.next().await? {
            lines.check(&piece).map_err(bare)?;
            for part in piece.chunks(BLOCK) {
                if chunk.len() + part.len() > BLOCK {
                    if let Some(refusal) = self.write(&framed(&chunk, false)).await? {
                        return Ok(refusal);
                    }
                    chunk.clear();
                    open += 1;
                    if let Some(refusal) = self.heard(&mut open)? {
                        return Ok(refusal);
                    }
                }
                chunk.extend_from_slice(part);
            }
        }
        lines.finish().map_err(bare)?;
        while open > 0 {
            let limit = self.connection.settings.command_timeout;
            let reply = self.connection.read_reply(Phase::Content, limit).await?;
            open -= 1;
            if !reply.is_positive() {
                return refusal(reply);
            }
        }
        self.finish(&framed(&chunk, true)).await
    }

    /// The source's next piece. Fails where it gives another number of bytes
    /// than it said.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let failed = |text: String| Failure::new(Phase::Source, (4, 3, 0), text);
        let piece = self.source.next().await;
        let piece = piece.map_err(|error| failed(format!("cannot read the message: {error}")))?;
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let left = self.left.checked_sub(length);
        match (&piece, left) {
            (Some(_), Some(left)) => self.left = left,
            (None, Some(0)) => {}
            (Some(_), None) => return Err(failed("the message is longer than it was".into())),
            (None, _) => {
                let text = format!("the message ends {} bytes early", self.left);
                return Err(failed(text));
            }
        }
        Ok(piece)
    }

    /// Writes content after DATA; the peer's refusal, if it does not wait for
    /// the end.
    async fn block(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Failure> {
        let refused = self.write(bytes).await?;
        if refused.is_some() || self.connection.wire.is_silent() {
            return Ok(refused);
        }
        let limit = self.connection.settings.command_timeout;
        let reply = self.connection.read_reply(Phase::Content, limit).await?;
        refusal(reply).map(Some)
    }

    /// Takes the replies to chunks that are there already.
    fn heard(&mut self, open: &mut usize) -> Result<Option<Reply>, Failure> {
        loop {
            let reply = self.connection.wire.next_reply();
            let reply = reply.map_err(|error| Failure::lost(Phase::Content, &error))?;
            match reply {
                None => return Ok(None),
                Some(reply) if reply.is_positive() && *open > 0 => *open -= 1,
                Some(reply) => return refusal(reply).map(Some),
            }
        }
    }

    /// Writes. Where the connection breaks, the peer may have said why: then it
    /// is a refusal like any other.
    async fn write(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Failure> {
        let wire = &mut self.connection.wire;
        let limit = self.connection.settings.data_block_timeout;
        let Err(error) = wire.write(bytes, limit).await else {
            return Ok(None);
        };
        while let Ok(Some(reply)) = wire.next_reply() {
            // Chunks before this one may have been accepted.
            if !reply.is_positive() {
                return refusal(reply).map(Some);
            }
        }
        Err(Failure::lost(Phase::Content, &error))
    }

    /// Writes what makes the message complete, if the gate is open, and reads
    /// the verdict.
    async fn finish(mut self, end: &[u8]) -> Result<Reply, Failure> {
        // What was said by now, or while the gate is asked, is no answer to the end.
        self.connection.in_step(Phase::Content)?;
        if !self.gate.is_open().await {
            let text = "given up before its end: the message is not ours to send any more";
            return Err(Failure::new(Phase::Gate, (4, 3, 0), text));
        }
        self.connection.in_step(Phase::Content)?;
        let written = self.write(end).await.map_err(|failure| Failure {
            phase: Phase::End,
            ..failure.after_data()
        });
        if let Some(refusal) = written? {
            return Ok(refusal);
        }
        let limit = self.connection.settings.data_end_timeout;
        let reply = self.connection.read_reply(Phase::End, limit).await;
        let reply = reply.map_err(Failure::after_data)?;
        if reply.is_intermediate() {
            return Err(Failure::refused(Phase::End, reply).after_data());
        }
        self.connection.begun = !reply.is_positive();
        // RFC 5321 §3.8
        if reply.code != 421 {
            self.connection.settle();
        }
        Ok(reply)
    }
}

/// A reply before the message's end can only refuse it. The rest is not sent,
/// so that nothing can follow on this connection.
fn refusal(reply: Reply) -> Result<Reply, Failure> {
    match reply.is_transient() || reply.is_permanent() {
        true => Ok(reply),
        false => Err(Failure::refused(Phase::Content, reply)),
    }
}

fn framed(chunk: &[u8], last: bool) -> Vec<u8> {
    let size = chunk.len() as u64;
    let mut out = Vec::with_capacity(chunk.len() + 32);
    Request::Bdat { size, last }
        .write_to(&mut out)
        .expect("a number makes a short line");
    out.extend_from_slice(chunk);
    out
}

fn bare(error: BareLineEnd) -> Failure {
    // RFC 3463 §3.7: x.6.0, something about the content.
    Failure::new(Phase::Source, (5, 6, 0), error.to_string())
}
