//! What the clients asked for and were told, and whether a state fits it.

use std::collections::BTreeMap;

use postrider_meta::{MessageView, Token};
use postrider_types::{AccountId, BodyId, Flags, MailboxId};

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: Vec<(AccountId, MailboxId)>,
    pub(crate) messages: Vec<Message>,
    /// Commands that were acknowledged: asked at, told at, token.
    pub(crate) acks: Vec<(u64, u64, Token)>,
    pub(crate) refused: u64,
    pub(crate) reads: u64,
    /// The node that was taken out for ever.
    pub(crate) expelled: Option<u64>,
}

/// What a client knows of something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    No,
    Unknown,
    Yes,
}

pub(crate) struct Message {
    pub(crate) body: BodyId,
    pub(crate) account: usize,
    /// The client that alone changes it.
    pub(crate) owner: u64,
    pub(crate) asked: u64,
    pub(crate) told: u64,
    pub(crate) accepted: Fate,
    /// If accepted for certain.
    pub(crate) uid: u32,
    pub(crate) token: Token,
    /// The flags as last acknowledged.
    pub(crate) flags: Flags,
    /// Flags of commands whose fate is unknown: they may still come about.
    pub(crate) perhaps: Vec<Flags>,
    pub(crate) expunged: Fate,
    /// Ascends when a command about it begins and when it ends.
    pub(crate) version: u64,
    /// A command about it is under way.
    pub(crate) busy: bool,
}

impl Message {
    /// Why a message as found (or not found) is not as it must be.
    pub(crate) fn wrong(&self, found: Option<&MessageView>) -> Option<String> {
        let Some(found) = found else {
            let gone = self.accepted != Fate::Yes || self.expunged != Fate::No;
            return (!gone).then(|| "an acknowledged message is lost".into());
        };
        if self.accepted == Fate::No {
            return Some("a refused message is there".into());
        }
        if self.expunged == Fate::Yes {
            return Some("an expunged message is there".into());
        }
        if self.accepted == Fate::Yes && found.uid.0 != self.uid {
            return Some(format!("its UID was {}, is {}", self.uid, found.uid.0));
        }
        if found.flags != self.flags && !self.perhaps.contains(&found.flags) {
            let (is, was) = (&found.flags, &self.flags);
            return Some(format!("its flags are {is:?}, acknowledged were {was:?}"));
        }
        None
    }
}

impl Model {
    /// Checks what was told against the order in which it was told.
    pub(crate) fn check_order(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for before in &self.messages {
            for after in &self.messages {
                let ordered = before.accepted == Fate::Yes
                    && after.accepted == Fate::Yes
                    && before.account == after.account
                    && before.told < after.asked;
                if ordered && before.uid >= after.uid {
                    wrong.push(format!("UID {} came before {}", before.uid, after.uid));
                }
            }
        }
        for (_, told, first) in &self.acks {
            for (asked, _, second) in &self.acks {
                if told < asked && first > second {
                    wrong.push(format!("token {first:?} came before {second:?}"));
                }
            }
        }
        wrong
    }

    /// Checks the whole of an account.
    pub(crate) fn check_account(&self, account: usize, found: &[MessageView]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut by_body: BTreeMap<BodyId, &MessageView> = BTreeMap::new();
        for message in found {
            if by_body.insert(message.body, message).is_some() {
                wrong.push(format!("{:?} is there twice", message.body));
            }
        }
        for message in self.messages.iter().filter(|m| m.account == account) {
            let found = by_body.remove(&message.body);
            if let Some(text) = message.wrong(found) {
                wrong.push(format!("{:?}: {text}", message.body));
            }
        }
        for body in by_body.keys() {
            wrong.push(format!("nobody sent {body:?}"));
        }
        wrong
    }
}
