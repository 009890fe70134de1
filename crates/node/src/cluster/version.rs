//! Raises the version of the cluster by itself, once every node's program knows
//! the next one and none holds it back. One node of the cluster does it at a time.

use std::time::Duration;

use postrider_meta::{Client, NodeView, ReadAt, command, query};
use postrider_types::{Version, Versions};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// What decides on the version, beside the rows of the nodes.
#[derive(Clone)]
pub(crate) struct Raiser {
    pub(crate) meta: Client,
    /// This node's program.
    pub(crate) versions: Versions,
    /// As this node's settings say.
    pub(crate) hold: Option<Version>,
}

impl Raiser {
    /// Looks, and raises it, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            match self.step().await {
                Ok(Some(version)) => {
                    tracing::info!(%version, "the cluster works as this version from now on");
                    // The next one may be due, too.
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!("the cluster's version stays: {error:#}"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Raises it by one, if that may be; to what.
    async fn step(&self) -> anyhow::Result<Option<Version>> {
        let present = self.meta.ask(query::ClusterVersion {}, ReadAt::Latest);
        let present = present.await?.0;
        let nodes = self.meta.ask(query::Nodes {}, ReadAt::Latest).await?.0;
        let to = match present {
            Version(0) => self.first(&nodes),
            present => present.next(),
        };
        let held = self
            .hold
            .is_some_and(|hold| to > hold && present > Version(0));
        let works = self.versions.include(present) && self.versions.include(to);
        if held || !works || !blockers(&nodes, to).is_empty() {
            return Ok(None);
        }
        self.meta.run(command::RaiseVersion { to }).await?.0?;
        Ok(Some(to))
    }

    /// The version to begin with: the newest that all know and none holds back.
    fn first(&self, nodes: &[NodeView]) -> Version {
        let Versions { oldest, newest } = self.versions;
        let held = self.hold.unwrap_or(newest).clamp(oldest, newest);
        match blockers(nodes, held).is_empty() {
            true => held,
            false => oldest,
        }
    }
}

/// Why the cluster's version is not raised to `to` yet, one sentence for each node
/// that is in the way.
pub(crate) fn blockers(nodes: &[NodeView], to: Version) -> Vec<String> {
    let members = nodes.iter().filter(|node| node.removed.is_none());
    members.filter_map(|node| node.objection(to)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postrider_meta::memory::Memory;
    use postrider_meta::{Authority, NewNode};
    use postrider_types::{NodeId, Role, SystemClock};

    use super::*;
    use crate::random::ThreadRandom;

    fn client() -> Client {
        let clock = Arc::new(SystemClock);
        Client::new(Memory::new(clock.clone()), clock, Arc::new(ThreadRandom))
    }

    fn raiser(meta: &Client, newest: u32, hold: Option<u32>) -> Raiser {
        Raiser {
            meta: meta.clone(),
            versions: Versions::up_to(newest),
            hold: hold.map(Version),
        }
    }

    async fn announce(meta: &Client, newest: u32, hold: Option<u32>) {
        let announce = command::AnnounceNode {
            id: NodeId(1),
            address: "one.test:7425".into(),
            roles: vec![Role::Meta],
            version: "1".into(),
            versions: Versions::up_to(newest),
            hold: hold.map(Version),
        };
        meta.run(announce).await.unwrap().0.unwrap();
    }

    #[tokio::test]
    async fn a_node_alone_goes_on_from_version_to_version() {
        let meta = client();
        for (newest, hold, expected) in [
            (1, None, Some(1)),
            (1, None, None),
            (2, Some(1), None),
            (2, None, Some(2)),
            // Two ahead: it would not have started.
            (4, None, None),
            (3, Some(9), Some(3)),
        ] {
            let raised = raiser(&meta, newest, hold).step().await.unwrap();
            assert_eq!(raised, expected.map(Version), "{newest} {hold:?}");
        }
        // A hold that is there from the beginning decides what to begin with.
        let fresh = client();
        let raised = raiser(&fresh, 3, Some(2)).step().await.unwrap();
        assert_eq!(raised, Some(Version(2)));
    }

    #[tokio::test]
    async fn all_nodes_must_know_it() {
        let meta = client();
        let pem = "-----BEGIN TEST-----".to_owned();
        let found = command::FoundCluster {
            id: "0a".repeat(16),
            authority: Authority {
                certificate: pem.clone(),
                key: pem,
            },
            node: NewNode {
                name: "one".into(),
                address: "one.test:7425".into(),
                roles: vec![Role::Meta],
                version: "1".into(),
                versions: Versions::up_to(1),
            },
            node_id: NodeId(1),
        };
        meta.run(found).await.unwrap().0.unwrap();
        let newer = raiser(&meta, 2, None);
        // The program that raises is not the one that the row knows.
        assert_eq!(newer.step().await.unwrap(), Some(Version(1)));
        assert_eq!(newer.step().await.unwrap(), None);
        announce(&meta, 2, Some(1)).await;
        assert_eq!(newer.step().await.unwrap(), None);
        announce(&meta, 2, None).await;
        assert_eq!(newer.step().await.unwrap(), Some(Version(2)));
        let nodes = meta.ask(query::Nodes {}, ReadAt::Latest).await.unwrap().0;
        assert_eq!(blockers(&nodes, Version(3)).len(), 1);
    }
}
