//! [`Gateway`]: asks the servers behind this one whether they take mail for a
//! recipient, and remembers their answers for a while.
//!
//! Who is asked stands in the metadata of a domain. What an answer means for a
//! client is decided by the session.

mod answers;
mod server;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use metrics::counter;
use parking_lot::Mutex;
use postrider_meta::Relay;
use postrider_relay::Reply;
use tokio::time::{Instant, timeout};

use crate::plan::Planner;
use crate::trouble::words;

pub use settings::GatewaySettings;

use answers::Answers;
use server::Server;

/// The most servers whose connections are known; there is one per relayed domain at
/// the most, which administrators add.
const MAX_SERVERS: usize = 1000;
/// The most of a reply's text that is kept.
const MAX_TEXT: usize = 400;

/// Asks about recipients. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Desk>);

/// A question that is being asked, for all that wait for its answer.
type Inquiry = Shared<BoxFuture<'static, Result<Reply, Silence>>>;
type Question = (Relay, String);

struct Desk {
    planner: Arc<Planner>,
    settings: GatewaySettings,
    answers: Mutex<Answers>,
    asking: Mutex<HashMap<Question, Inquiry>>,
    servers: Mutex<HashMap<Relay, Arc<Server>>>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
struct Silence {
    why: Arc<str>,
    /// It is so for all recipients, not for this one alone.
    of_all: bool,
}

impl Silence {
    fn once(why: impl Into<Arc<str>>) -> Self {
        let why = why.into();
        Self { why, of_all: false }
    }

    fn of_all(why: impl Into<Arc<str>>) -> Self {
        let why = why.into();
        Self { why, of_all: true }
    }
}

impl Gateway {
    pub(crate) fn new(planner: Arc<Planner>, settings: GatewaySettings) -> Self {
        Self(Arc::new(Desk {
            planner,
            settings,
            answers: Mutex::default(),
            asking: Mutex::default(),
            servers: Mutex::default(),
        }))
    }

    /// What `relay` replies to RCPT for `address` (as it is sent, in quotes where it
    /// needs them), now or a while ago; an error says why it cannot be asked. Takes
    /// no longer than twice the settings' timeout: to come to turn, and to ask. Who asks the same at the same time
    /// waits for the same answer.
    pub async fn check(&self, relay: &Relay, address: &str) -> Result<Reply, String> {
        let now = Instant::now();
        let remembered = self.0.answers.lock().get(relay, address, now);
        let (answer, source) = match remembered {
            Some(reply) => (Ok(reply), "cache"),
            None => (self.0.inquire(relay, address).await, "server"),
        };
        let told = match &answer {
            Ok(reply) if reply.is_positive() => "takes",
            Ok(reply) if reply.is_permanent() => "refuses",
            Ok(_) => "defers",
            Err(_) => "none",
        };
        counter!("postrider_queue_recipient_checks_total", "answer" => told, "source" => source)
            .increment(1);
        answer.map_err(|silence| silence.why.to_string())
    }
}

impl Desk {
    /// Asks, or joins those who ask the same.
    fn inquire(self: &Arc<Self>, relay: &Relay, address: &str) -> Inquiry {
        let question = (relay.clone(), address.to_owned());
        let mut asking = self.asking.lock();
        if let Some(inquiry) = asking.get(&question) {
            return inquiry.clone();
        }
        let end = End {
            desk: Arc::clone(self),
            question: question.clone(),
        };
        // A task of its own: a client that goes away takes nothing from the others.
        let task = tokio::spawn(async move {
            let (relay, address) = &end.question;
            end.desk.ask(relay, address).await
        });
        let stopped = || Silence::once("the question was given up");
        let inquiry = task.map(move |asked| asked.unwrap_or_else(|_| Err(stopped())));
        let inquiry = inquiry.boxed().shared();
        asking.insert(question, inquiry.clone());
        inquiry
    }

    async fn ask(&self, relay: &Relay, address: &str) -> Result<Reply, Silence> {
        let server = self.server(relay);
        if let Some(why) = server.rests() {
            return Err(why);
        }
        let limit = self.settings.timeout;
        // That others ask much says nothing of the server.
        let asked = match timeout(limit, server.slot()).await {
            Ok(Ok(slot)) => match timeout(limit, server.ask(&self.planner, address, slot)).await {
                Ok(asked) => asked.and_then(about_the_recipient),
                Err(_) => Err(Silence::of_all("it took too long")),
            },
            Ok(Err(stopping)) => Err(stopping),
            Err(_) => Err(Silence::once("others ask it too much")),
        };
        match &asked {
            Ok(reply) => self.remember(&server, address, reply),
            Err(silence) => {
                let why = &*silence.why;
                tracing::warn!(relay = %relay.to, address, why, "a server behind this one does not say whether it takes mail for a recipient");
                if silence.of_all {
                    server.rest(silence);
                }
            }
        }
        asked
    }

    fn remember(&self, server: &Server, address: &str, reply: &Reply) {
        let span = match reply {
            reply if reply.is_positive() => self.settings.known_for,
            reply if reply.is_permanent() => self.settings.unknown_for,
            _ => return,
        };
        let (relay, now) = (server.relay.clone(), Instant::now());
        let mut answers = self.answers.lock();
        answers.put(relay, address, reply.clone(), now, span);
    }

    fn server(&self, relay: &Relay) -> Arc<Server> {
        let mut servers = self.servers.lock();
        if let Some(server) = servers.get(relay) {
            return server.clone();
        }
        if servers.len() >= MAX_SERVERS {
            servers.clear();
        }
        let server = Arc::new(Server::new(relay, self.settings.connections));
        servers.insert(relay.clone(), server.clone());
        server
    }
}

/// The end of an inquiry, however it comes about.
struct End {
    desk: Arc<Desk>,
    question: Question,
}

impl Drop for End {
    fn drop(&mut self) {
        self.desk.asking.lock().remove(&self.question);
    }
}

/// A reply that says something about the recipient, its text cut.
fn about_the_recipient(reply: Reply) -> Result<Reply, Silence> {
    // RFC 5321 §4.2.2, RFC 4954 §6: what is wrong with the session, or wants a login
    // or TLS first, is no word about a mailbox.
    let of_the_session = matches!(reply.code, 500..=504 | 521 | 530 | 534 | 535 | 538 | 555)
        || (reply.code == 554 && reply.enhanced.is_none())
        || reply
            .enhanced
            .is_some_and(|status| (status.0, status.1) == (5, 7));
    if of_the_session || !(reply.is_positive() || reply.is_transient() || reply.is_permanent()) {
        let text = format!("it does not let itself be asked: {}", words(&reply));
        return Err(Silence::once(text));
    }
    let text = match reply.is_positive() {
        true => String::new(),
        false => reply.text.chars().take(MAX_TEXT).collect(),
    };
    Ok(Reply { text, ..reply })
}

#[cfg(test)]
mod tests {
    use postrider_types::EnhancedStatus;

    use super::*;

    #[test]
    fn only_words_about_the_recipient_count() {
        let reply = |code| Reply {
            code,
            enhanced: None,
            text: "x".repeat(1000),
        };
        for code in [550, 551, 552, 553, 450, 451, 452] {
            let kept = about_the_recipient(reply(code)).unwrap();
            assert_eq!((kept.code, kept.text.len()), (code, MAX_TEXT));
        }
        assert_eq!(about_the_recipient(reply(250)).unwrap().text, "");
        for code in [500, 503, 530, 554, 555, 354] {
            assert!(about_the_recipient(reply(code)).is_err(), "{code}");
        }
        // Who may not ask has not heard that there is no such recipient.
        let denied = Reply {
            enhanced: Some(EnhancedStatus(5, 7, 1)),
            ..reply(550)
        };
        assert!(about_the_recipient(denied).is_err());
    }
}
