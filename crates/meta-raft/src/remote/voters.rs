//! What a client knows about the voters: who they are, which one leads, and
//! which ones do not answer well and are left out for now. Asks nobody.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_rpc::proto;
use tokio::sync::watch;
use tokio::time::Instant;

/// HOST:PORT.
pub(super) type Address = Arc<str>;

/// A voter, or a seed that may be one.
#[derive(Clone, Debug)]
struct Peer {
    address: Address,
    /// Since when it is left out.
    out: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    peers: Vec<Peer>,
    leader: Option<Address>,
    /// The highest term that anybody told.
    term: u64,
    /// The leader of that term itself named the members.
    certain: bool,
    /// Somebody has told them.
    told: bool,
    /// Where the next query begins.
    turn: usize,
}

/// The knowledge, shared by all calls.
#[derive(Debug)]
pub(super) struct Voters {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Voters {
    /// Nothing but addresses to begin with.
    pub(super) fn new(seeds: &[Address]) -> Self {
        let state = State {
            peers: seeds.iter().cloned().map(Peer::new).collect(),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            changed: watch::channel(()).0,
        }
    }

    /// Told whenever anything below changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All of them.
    pub(super) fn addresses(&self) -> Vec<Address> {
        let state = self.state.lock();
        state.peers.iter().map(|p| p.address.clone()).collect()
    }

    /// All of them in the order in which a query should try: each time another
    /// one first, those that are left out last.
    pub(super) fn order(&self) -> Vec<Address> {
        let mut state = self.state.lock();
        let mut order = state.peers.clone();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        drop(state);
        let (mut fit, mut out): (Vec<_>, Vec<_>) = order.drain(..).partition(|p| p.out.is_none());
        for part in [&mut fit, &mut out] {
            let by = turn % part.len().max(1);
            part.rotate_left(by);
        }
        fit.into_iter().chain(out).map(|p| p.address).collect()
    }

    /// Who leads, as far as is known.
    pub(super) fn leader(&self) -> Option<Address> {
        self.state.lock().leader.clone()
    }

    /// For how long it has been left out; zero if it is not.
    pub(super) fn out_for(&self, address: &str) -> Duration {
        let state = self.state.lock();
        let out = state.peer(address).and_then(|peer| peer.out);
        out.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether it is left out.
    pub(super) fn is_out(&self, address: &str) -> bool {
        let state = self.state.lock();
        state.peer(address).is_some_and(|peer| peer.out.is_some())
    }

    /// Whether anybody is left out.
    pub(super) fn any_out(&self) -> bool {
        self.state
            .lock()
            .peers
            .iter()
            .any(|peer| peer.out.is_some())
    }

    /// Somebody other than `address` that is not left out.
    pub(super) fn other_fit(&self, address: &str) -> Option<Address> {
        let state = self.state.lock();
        let mut peers = state.peers.iter();
        let other = peers.find(|peer| peer.out.is_none() && &*peer.address != address);
        other.map(|peer| peer.address.clone())
    }

    /// Leaves it out until it answers well again.
    pub(super) fn leave_out(&self, address: &str, reason: &dyn std::fmt::Display) {
        let mut state = self.state.lock();
        let peer = state.peers.iter_mut().find(|p| &*p.address == address);
        if let Some(peer) = peer.filter(|peer| peer.out.is_none()) {
            peer.out = Some(Instant::now());
            drop(state);
            tracing::debug!(address, %reason, "a metadata node is left out for now");
            self.changed.send_replace(());
        }
    }

    /// It answers well.
    pub(super) fn take_back(&self, address: &str) {
        let mut state = self.state.lock();
        let peer = state.peers.iter_mut().find(|p| &*p.address == address);
        if peer.and_then(|peer| peer.out.take()).is_some() {
            drop(state);
            tracing::debug!(address, "a metadata node is back");
            self.changed.send_replace(());
        }
    }

    /// `from` was taken for the leader and says that it is not.
    pub(super) fn not_leader(&self, from: &str, hint: Option<String>) {
        let mut state = self.state.lock();
        // Otherwise something newer is known already.
        if state.leader.as_deref().is_none_or(|leader| leader == from) {
            let hint = hint.filter(|hint| hint != from);
            state.leader = hint.map(Into::into);
            drop(state);
            self.changed.send_replace(());
        }
    }

    /// `address` cannot say who leads: it is asked itself if nobody knows better.
    pub(super) fn presume(&self, address: &str) {
        let mut state = self.state.lock();
        if state.leader.is_none() && !state.told {
            state.leader = Some(address.into());
            drop(state);
            self.changed.send_replace(());
        }
    }

    /// What `from` says about the members.
    pub(super) fn told(&self, from: &str, reply: proto::MembersReply) {
        let mut state = self.state.lock();
        let voters = reply.members.iter().filter(|m| m.voter);
        let voters: Vec<_> = voters.filter(|m| !m.address.is_empty()).collect();
        // Witnesses answer no queries while there are others.
        let serve = |all: bool| {
            let some = voters.iter().filter(move |m| all || !m.witness);
            some.map(|m| m.address.as_str().into())
                .collect::<Vec<Address>>()
        };
        let addresses = match serve(false) {
            none if none.is_empty() => serve(true),
            some => some,
        };
        // A node that is not in any group yet knows nothing; one of an older
        // term knows what was.
        if addresses.is_empty() || reply.term < state.term {
            return;
        }
        let of_leader = reply.members.iter().find(|m| m.node == reply.leader);
        let leader = of_leader.map(|m| &m.address).filter(|a| !a.is_empty());
        let newer = reply.term > state.term;
        let certain = leader.is_some_and(|leader| leader == from);
        let mut changed = false;
        if newer || certain || !state.certain {
            changed = state.replace(addresses);
            state.certain = certain || (state.certain && !newer);
        }
        if newer || leader.is_some() {
            let leader = leader.map(|leader| Address::from(leader.as_str()));
            changed |= state.leader != leader;
            state.leader = leader;
        }
        state.term = reply.term;
        state.told = true;
        drop(state);
        if changed {
            self.changed.send_replace(());
        }
    }
}

impl Peer {
    fn new(address: Address) -> Self {
        Self { address, out: None }
    }
}

impl State {
    fn peer(&self, address: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| &*peer.address == address)
    }

    /// Takes `addresses` for all voters. False if they were.
    fn replace(&mut self, mut addresses: Vec<Address>) -> bool {
        addresses.sort();
        addresses.dedup();
        if self.peers.iter().map(|p| &p.address).eq(&addresses) {
            return false;
        }
        let peer = |address: Address| Peer {
            out: self.peer(&address).and_then(|peer| peer.out),
            address,
        };
        self.peers = addresses.into_iter().map(peer).collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(term: u64, leader: u64, nodes: &[u64]) -> proto::MembersReply {
        let member = |node: &u64| proto::Member {
            node: *node,
            address: format!("n{node}:1"),
            voter: true,
            ..proto::Member::default()
        };
        proto::MembersReply {
            members: nodes.iter().map(member).collect(),
            leader,
            term,
            short_of_room: false,
            clock: 0,
        }
    }

    fn told() -> Voters {
        let voters = Voters::new(&["seed:1".into()]);
        voters.told("seed:1", reply(3, 1, &[1, 2, 3]));
        voters
    }

    #[test]
    fn voters_are_learnt_and_older_terms_do_not_count() {
        let voters = told();
        assert_eq!(voters.addresses().len(), 3);
        assert_eq!(voters.leader().as_deref(), Some("n1:1"));
        voters.told("n2:1", reply(4, 0, &[1, 2, 3]));
        assert_eq!(voters.leader(), None);
        voters.told("n1:1", reply(3, 1, &[1, 2, 3]));
        assert_eq!(voters.leader(), None);
        voters.told("n2:1", reply(4, 2, &[1, 2, 3]));
        // In the same term who does not know does not take it back.
        voters.told("n3:1", reply(4, 0, &[1, 2, 3]));
        assert_eq!(voters.leader().as_deref(), Some("n2:1"));
        // What the leader itself says of the members stands against laggards.
        voters.told("n2:1", reply(4, 2, &[2, 3, 4]));
        voters.told("n1:1", reply(4, 2, &[1, 2, 3]));
        assert_eq!(*voters.addresses()[2], *"n4:1");
        // A node outside of any group.
        voters.told("n9:1", reply(9, 0, &[]));
        assert_eq!(voters.addresses().len(), 3);
    }

    #[test]
    fn queries_take_turns_and_those_left_out_come_last() {
        let voters = told();
        let first: std::collections::BTreeSet<_> =
            (0..3).map(|_| voters.order()[0].clone()).collect();
        assert_eq!(first.len(), 3);
        voters.leave_out("n2:1", &"test");
        for _ in 0..4 {
            assert_eq!(*voters.order()[2], *"n2:1");
        }
        assert!(voters.is_out("n2:1") && voters.any_out());
        // A change of members keeps it out.
        voters.told("n1:1", reply(3, 1, &[1, 2]));
        assert!(voters.is_out("n2:1"));
        assert_eq!(voters.other_fit("n1:1"), None);
        voters.take_back("n2:1");
        assert_eq!(voters.other_fit("n1:1").as_deref(), Some("n2:1"));
    }

    #[test]
    fn a_refusal_counts_only_from_who_was_taken_for_the_leader() {
        let voters = told();
        voters.not_leader("n2:1", Some("n3:1".into()));
        assert_eq!(voters.leader().as_deref(), Some("n1:1"));
        voters.not_leader("n1:1", Some("n3:1".into()));
        assert_eq!(voters.leader().as_deref(), Some("n3:1"));
        voters.not_leader("n3:1", Some("n3:1".into()));
        assert_eq!(voters.leader(), None);
    }
}
