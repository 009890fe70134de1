//! What a cluster under test says of itself, and what is waited for: that it settles,
//! that somebody leads, that all copies of the metadata are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{Cluster, Member};
use crate::process::PATIENCE;

/// Between two looks at something that comes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Cluster {
    /// What `postrider cluster status --json` says on any running node, and whether
    /// it calls the cluster safe.
    pub async fn status(&self) -> anyhow::Result<(bool, Value)> {
        let member = self.any()?;
        let data = member.dir().join("data");
        let data = data.to_string_lossy();
        let arguments = ["cluster", "status", "--json", "--dir", &data];
        let (status, printed) = member.tool(&arguments, b"").await?;
        let value = serde_json::from_str(printed.trim())
            .with_context(|| format!("cluster status: {printed}"))?;
        Ok((status.success(), value))
    }

    /// Waits until every node is there and ready, and every one with metadata
    /// votes: what died is back, what joined is in.
    pub async fn until_settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, status) = self.status().await?;
            if self.is_settled(&status) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the cluster does not settle: {status:#}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn is_settled(&self, status: &Value) -> bool {
        let told = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let is_in = |member: &Member| {
            let mut told = told.iter().filter(|node| node["node"] == member.id);
            told.next().is_some_and(|node| {
                node["report"]["ready"] == true && node["voter"] == member.roles.is_meta()
            })
        };
        let expected = self.nodes().count();
        told.len() == expected && self.nodes().all(|(_, member)| is_in(member))
    }

    /// The place of the node that leads, as soon as a running one does.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for (_, member) in self.nodes().filter(|(_, m)| m.runs()) {
                let Ok(view) = member.cluster().await else {
                    continue;
                };
                let led = self
                    .nodes()
                    .find(|(_, m)| m.runs() && view["leader"].as_u64() == Some(m.id));
                if let Some((place, _)) = led {
                    return Ok(place);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("nobody leads")
    }

    /// A voter that does not lead.
    pub async fn follower(&self) -> anyhow::Result<usize> {
        let leader = self.leader().await?;
        let mut followers = self
            .nodes()
            .filter(|(place, m)| *place != leader && m.roles.is_meta() && m.runs());
        Ok(followers.next().context("no follower runs")?.0)
    }

    /// Waits until each copy of the metadata was seen to have the same state at the same
    /// index as another, and so all as one another; fails if two differ at any. A
    /// cluster always writes a little, so that all are seldom seen at one index.
    pub async fn same_state(&self) -> anyhow::Result<String> {
        let replicas: Vec<&Member> = self
            .nodes()
            .map(|(_, member)| member)
            .filter(|member| member.roles.is_meta() && member.runs())
            .collect();
        let mut seen: BTreeMap<u64, BTreeMap<u64, String>> = BTreeMap::new();
        // Those that are known to be equal, in groups.
        let mut equal: Vec<BTreeSet<u64>> = replicas
            .iter()
            .map(|member| BTreeSet::from([member.id]))
            .collect();
        let mut newest = 0;
        for member in &replicas {
            newest = newest.max(member.hash().await?.0);
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for member in &replicas {
                let (applied, hash) = member.hash().await?;
                if applied < newest {
                    continue;
                }
                let all = seen.entry(applied).or_default();
                all.insert(member.id, hash.clone());
                ensure!(
                    all.values().all(|other| *other == hash),
                    "the states differ at {applied}: {all:?}"
                );
                let (joined, mut apart): (Vec<_>, Vec<_>) = equal
                    .into_iter()
                    .partition(|group| group.iter().any(|id| all.contains_key(id)));
                apart.push(joined.into_iter().flatten().collect());
                equal = apart;
                if equal.len() == 1 {
                    return Ok(hash);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the copies were never at the same index: {seen:?}")
    }
}
