//! What a client reads back: all that anybody was told before must be there, on
//! whichever node it asks.

use postrider_meta::query::Messages;
use postrider_meta::{Answer, Detail, Error, Meta, Query, ReadAt, Token, UidRanges};
use postrider_types::ModSeq;
use rand::Rng;

use crate::client::Client;
use crate::model::Fate;
use crate::world::Slot;

impl Client {
    /// Asks once, a node or over the network.
    async fn once_asked(&mut self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        let Some(Slot { node, mut life }) = self.choose(0.4) else {
            return self.remote.query(query, at).await;
        };
        tokio::select! {
            biased;
            _ = life.changed() => Err(Error::Unavailable("the node died".into())),
            answered = node.query(query, at) => answered,
        }
    }

    /// Reads a message that somebody was told about.
    pub(crate) async fn read(&mut self) {
        let chosen = {
            let model = self.world.model.lock().unwrap();
            let known = model.messages.iter().enumerate();
            let known = known.filter(|(_, m)| m.accepted == Fate::Yes && !m.busy);
            let known: Vec<usize> = known.map(|(at, _)| at).collect();
            known
                .get(self.dice.random_range(0..known.len().max(1)))
                .map(|at| {
                    let message = &model.messages[*at];
                    let (account, mailbox) = model.accounts[message.account];
                    (
                        *at,
                        account,
                        mailbox,
                        message.uid,
                        message.version,
                        message.token,
                    )
                })
        };
        let Some((at, account, mailbox, uid, version, token)) = chosen else {
            return;
        };
        let query = Messages {
            account,
            mailbox,
            uids: UidRanges(vec![uid..=uid]),
            detail: Detail::Row,
            changed_since: ModSeq(0),
            limit: 10,
        };
        let fresh = version <= 1 && self.dice.random_bool(0.3);
        let how = match fresh {
            true => ReadAt::AtLeast(token),
            false => ReadAt::Latest,
        };
        let Ok((Answer::Messages(page), seen)) = self.once_asked(query.into(), how).await else {
            return;
        };
        let number = self.number;
        let mut model = self.world.model.lock().unwrap();
        model.reads += 1;
        let message = &model.messages[at];
        let same = message.version == version;
        let wrong = same.then(|| message.wrong(page.messages.first())).flatten();
        drop(model);
        if let Some(text) = wrong {
            let text = format!("c{number} reads {uid} at {how:?}, finds at {seen:?}: {text}");
            self.world.fail(text);
        }
        if seen < token {
            let text = format!("c{number} reads a state of {seen:?} after {token:?}");
            self.world.fail(text);
        }
    }
}
