//! [`Answers`]: what servers have said about recipients, for a while. Bounded,
//! whoever asks for how many addresses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_meta::Relay;
use postrider_relay::Reply;
use tokio::time::Instant;

/// The most answers of a kind in one of its two ages.
const CAPACITY: usize = 20_000;

/// Answers by address. The two kinds do not displace each other: who tries names
/// by the thousand makes nobody forgotten who exists.
#[derive(Default)]
pub(super) struct Answers {
    known: Ages,
    unknown: Ages,
}

/// One answer.
struct Answer {
    /// Who gave it. The domain may have gone to another server since.
    relay: Arc<Relay>,
    reply: Reply,
    until: Instant,
}

/// Answers in two ages: where the young ones are many, the old ones go.
#[derive(Default)]
struct Ages {
    young: HashMap<String, Answer>,
    old: HashMap<String, Answer>,
}

impl Answers {
    /// What `relay` has said of `address`, if that is still good.
    pub(super) fn get(&self, relay: &Relay, address: &str, now: Instant) -> Option<Reply> {
        let of = |ages: &Ages| ages.get(relay, address, now);
        of(&self.known).or_else(|| of(&self.unknown))
    }

    /// Keeps an answer: that there is such a recipient, or that there is none.
    pub(super) fn put(
        &mut self,
        relay: Arc<Relay>,
        address: &str,
        reply: Reply,
        now: Instant,
        span: Duration,
    ) {
        let ages = match reply.is_positive() {
            true => &mut self.known,
            false => &mut self.unknown,
        };
        let answer = Answer {
            relay,
            reply,
            until: now + span,
        };
        ages.put(address, answer);
    }
}

impl Ages {
    fn get(&self, relay: &Relay, address: &str, now: Instant) -> Option<Reply> {
        let answer = self.young.get(address).or_else(|| self.old.get(address))?;
        let good = answer.until > now && *answer.relay == *relay;
        good.then(|| answer.reply.clone())
    }

    fn put(&mut self, address: &str, answer: Answer) {
        self.old.remove(address);
        if self.young.len() >= CAPACITY {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address.to_owned(), answer);
    }
}

#[cfg(test)]
mod tests {
    use postrider_meta::RelayTls;

    use super::*;

    fn reply(code: u16) -> Reply {
        Reply {
            code,
            enhanced: None,
            text: String::new(),
        }
    }

    fn relay(to: &str) -> Arc<Relay> {
        Arc::new(Relay {
            to: to.parse().unwrap(),
            tls: RelayTls::Off,
        })
    }

    #[test]
    fn an_answer_is_good_for_its_time_and_its_server() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let (one, span) = (relay("one.test"), Duration::from_secs(60));
        answers.put(one.clone(), "a@x.test", reply(250), now, span);
        let get = |relay: &Relay, at| answers.get(relay, "a@x.test", at);
        assert_eq!(get(&one, now), Some(reply(250)));
        assert_eq!(get(&one, now + span), None);
        assert_eq!(get(&relay("two.test"), now), None);
        assert_eq!(answers.get(&one, "b@x.test", now), None);
    }

    #[test]
    fn who_tries_many_names_makes_nobody_forgotten() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let (one, span) = (relay("one.test"), Duration::from_secs(60));
        answers.put(one.clone(), "a@x.test", reply(250), now, span);
        for n in 0..3 * CAPACITY {
            answers.put(one.clone(), &format!("{n}@x.test"), reply(550), now, span);
        }
        assert!(answers.get(&one, "a@x.test", now).is_some());
        assert!(answers.get(&one, "0@x.test", now).is_none());
        let last = format!("{}@x.test", 3 * CAPACITY - 1);
        assert!(answers.get(&one, &last, now).is_some());
        let kept = answers.unknown.young.len() + answers.unknown.old.len();
        assert!(kept <= 2 * CAPACITY, "{kept}");
    }
}
