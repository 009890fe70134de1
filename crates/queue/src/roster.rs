//! [`Roster`]: by which names and addresses the nodes of this cluster are known. An MX
//! record that names one of them leads back to where the message is already.
//!
//! What other nodes are called stands in the metadata, and is read again now and then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_meta::{Client, NodeView, ReadAt, Token, query};
use postrider_route::Ourselves;
use postrider_types::{DomainName, Host, HostPort, Role};

/// How long what was read is good.
const AGE: Duration = Duration::from_secs(60);

/// All nodes that take mail.
pub(crate) struct Roster {
    meta: Client,
    /// This one.
    own: Ourselves,
    known: Mutex<Option<(Instant, Arc<Ourselves>)>>,
}

impl Roster {
    pub(crate) fn new(meta: Client, own: Ourselves) -> Self {
        Self {
            meta,
            own,
            known: Mutex::default(),
        }
    }

    /// Their names and addresses; of this one alone where the others cannot be asked for.
    pub(crate) async fn ourselves(&self) -> Arc<Ourselves> {
        if let Some((read, known)) = &*self.known.lock()
            && read.elapsed() < AGE
        {
            return known.clone();
        }
        let mut all = self.own.clone();
        let at_hand = ReadAt::AtLeast(Token(0));
        match self.meta.ask(query::Nodes {}, at_hand).await {
            Ok((nodes, _)) => nodes.iter().for_each(|node| add(&mut all, node)),
            Err(error) => tracing::debug!(%error, "the other nodes are not known"),
        }
        let all = Arc::new(all);
        *self.known.lock() = Some((Instant::now(), all.clone()));
        all
    }
}

/// Adds a node that takes mail, by what it calls itself and where others reach it.
fn add(all: &mut Ourselves, node: &NodeView) {
    if node.removed.is_some() || !node.roles.contains(&Role::Frontend) {
        return;
    }
    all.names.extend(DomainName::parse(&node.name));
    match node.address.parse::<HostPort>().map(|at| at.host) {
        Ok(Host::Name(name)) => {
            all.names.insert(name);
        }
        // Whoever may send to this machine itself knows why.
        Ok(Host::Address(address)) if !is_loopback(address) => {
            all.addresses.insert(address);
        }
        _ => {}
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use postrider_types::{Millis, NodeId, Versions};

    use super::*;

    fn node(name: &str, address: &str, roles: &[Role]) -> NodeView {
        NodeView {
            id: NodeId(1),
            name: name.into(),
            address: address.into(),
            roles: roles.to_vec(),
            version: "1".into(),
            versions: Versions::PROGRAM,
            hold: None,
            joined: Millis(1),
            removed: None,
            replaced_by: None,
        }
    }

    #[test]
    fn nodes_that_take_mail_are_ourselves() {
        let mut all = Ourselves::default();
        let takes = [Role::Meta, Role::Frontend];
        add(&mut all, &node("mx1.example.org", "192.0.2.1:7000", &takes));
        add(&mut all, &node("b", "mx2.example.org:7000", &takes));
        add(&mut all, &node("c", "127.0.0.1:7000", &takes));
        add(
            &mut all,
            &node("meta.example.org", "192.0.2.9:7000", &[Role::Meta]),
        );
        let gone = NodeView {
            removed: Some(Millis(2)),
            ..node("old.example.org", "192.0.2.8:7000", &takes)
        };
        add(&mut all, &gone);
        for name in ["mx1.example.org", "mx2.example.org"] {
            assert!(
                all.names.contains(&DomainName::parse(name).unwrap()),
                "{name}"
            );
        }
        for name in ["meta.example.org", "old.example.org"] {
            assert!(
                !all.names.contains(&DomainName::parse(name).unwrap()),
                "{name}"
            );
        }
        let addresses: Vec<_> = all.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1"]);
    }
}
