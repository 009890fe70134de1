//! Makes the content of an entry ready for a peer: converted to 7 bits where the
//! peer takes no other, signed or sealed as it will be sent.
//!
//! The body is read piece by piece, once for each of these and once to be sent.

use bytes::Bytes;
use postrider_body::Error as BodyError;
use postrider_dkim::{Sealer, Signer};
use postrider_message::Summarizer;
use postrider_message::seven_bit::{Plan, Survey, needs_eight_bit};
use postrider_meta::QueuedView;
use postrider_relay::Source as _;

use crate::content::{Content, Text};
use crate::courier::Shared;
use crate::seal::{self, MakeSealer};
use crate::trouble::Trouble;

/// A message ready to be sent.
pub(crate) struct Prepared {
    pub(crate) content: Content,
    /// It has bytes beyond ASCII.
    pub(crate) eight_bit: bool,
}

/// What one reading of a message told.
struct Facts {
    signature: Bytes,
    /// What became of the chain, where it was sealed.
    chain: Option<&'static str>,
    eight_bit: bool,
    /// Of the body alone, as it will be sent.
    size: u64,
}

/// Makes an entry ready for a peer that takes 8-bit content, or does not.
pub(crate) async fn prepare(
    shared: &Shared,
    entry: &QueuedView,
    takes_eight_bit: bool,
) -> Result<Prepared, Trouble> {
    let mut plan = None;
    let make_sealer = seal::sealer(shared, entry).await?;
    let sealer = make_sealer.as_ref();
    let mut facts = read(shared, entry, None, sealer).await?;
    // A header in UTF-8 cannot be converted; the peer must take it or nothing.
    if facts.eight_bit && !takes_eight_bit && !entry.envelope.smtp_utf8 {
        plan = conversion(shared, entry).await?;
        facts = read(shared, entry, plan.clone(), sealer).await?;
    }
    match facts.chain {
        Some(chain) => {
            metrics::counter!("postrider_queue_arc_seals_total", "cv" => chain).increment(1);
        }
        // Its header is too long to be signed.
        None if sealer.is_some() => drop(seal::unsealed("header")),
        None => {}
    }
    let body = open(shared, entry).await?;
    Ok(Prepared {
        content: Content::new(
            [facts.signature, prefix(shared, entry)],
            body,
            facts.size,
            plan,
        ),
        eight_bit: facts.eight_bit,
    })
}

/// Reads the message as it will be sent, to sign it and to know its size.
async fn read(
    shared: &Shared,
    entry: &QueuedView,
    plan: Option<Plan>,
    make_sealer: Option<&MakeSealer>,
) -> Result<Facts, Trouble> {
    let mut signer = signer(shared, entry).await?;
    let mut sealer = make_sealer.and_then(|make| make());
    let chain = sealer.as_ref().map(|sealer| sealer.chain().as_str());
    let body = open(shared, entry).await?;
    let prefix = prefix(shared, entry);
    let before = prefix.len() as u64;
    let mut whole = Content::new([prefix], body, 0, plan);
    let (mut eight_bit, mut size) = (false, 0);
    while let Some(piece) = whole.next().await.map_err(|error| unreadable(&error))? {
        eight_bit |= needs_eight_bit(&piece);
        size += piece.len() as u64;
        if let Some(signer) = &mut signer {
            signer.update(&piece);
        }
        if let Some(sealer) = &mut sealer {
            sealer.update(&piece);
        }
    }
    // An entry has one or the other.
    let signed = signer.map(Signer::finish);
    let signature = signed.or_else(|| sealer.map(Sealer::finish)).transpose();
    let signature = signature.unwrap_or_else(|error| {
        tracing::warn!(id = %entry.body, %error, "a message is sent without a signature");
        None
    });
    Ok(Facts {
        chain: chain.filter(|_| signature.is_some()),
        signature: signature.unwrap_or_default().into(),
        eight_bit,
        size: size - before,
    })
}

/// The header fields before the body. Where its only recipient may leave a mailing list,
/// the link is made here, as the copy is sent: it needs no place in the queue.
fn prefix(shared: &Shared, entry: &QueuedView) -> Bytes {
    let links = shared.handles.unsubscribe.as_ref();
    match (&entry.leaves, links, &entry.recipients[..]) {
        (Some(list), Some(links), [only]) => {
            let way_out = links.fields(&list.to_string(), &only.address);
            [way_out.as_bytes(), &entry.prefix].concat().into()
        }
        _ => entry.prefix.clone(),
    }
}

async fn signer(shared: &Shared, entry: &QueuedView) -> Result<Option<Signer>, Trouble> {
    let Some(domain) = &entry.envelope.sign else {
        return Ok(None);
    };
    let signer = shared.signing.signer(domain).await;
    signer.map_err(|error| no_keys(&error))
}

pub(crate) fn no_keys(error: &postrider_meta::Error) -> Trouble {
    let text = format!("the keys to sign with cannot be read: {error}");
    Trouble::ours((4, 3, 0), text)
}

/// How the body becomes one of 7 bits. Refused where it cannot (RFC 6152 §3).
async fn conversion(shared: &Shared, entry: &QueuedView) -> Result<Option<Plan>, Trouble> {
    let mut summarizer = Summarizer::new();
    let mut body = open(shared, entry).await?;
    while let Some(piece) = next(&mut body).await? {
        summarizer.push(&piece);
    }
    let odd = |text: String| Trouble::ours((5, 6, 3), text);
    let structure = summarizer.finish().structure();
    let structure = structure.map_err(|error| odd(error.to_string()))?;
    let mut survey = Survey::new(&structure);
    let mut body = open(shared, entry).await?;
    while let Some(piece) = next(&mut body).await? {
        survey.push(&piece);
    }
    survey.finish().map_err(|error| odd(error.to_string()))
}

pub(crate) async fn open(shared: &Shared, entry: &QueuedView) -> Result<Text, Trouble> {
    let opened = shared.handles.bodies.open(entry.body).await;
    let opened = opened.map(|body| Text::new(body, entry.list));
    opened.map_err(|error| match error {
        // Told by the consistency check too; here somebody waits for an answer.
        BodyError::NotFound(_) => Trouble::ours((5, 3, 0), "the message's content is lost"),
        error => unreadable(&error),
    })
}

pub(crate) async fn next(body: &mut Text) -> Result<Option<Bytes>, Trouble> {
    body.next().await.map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Trouble {
    Trouble::ours((4, 3, 0), format!("the message cannot be read: {error}"))
}
