//! `postrider queue retry`, `hold`, `release` and `remove`: of single entries, or of
//! all that fit.

use anyhow::bail;
use clap::{ArgGroup, Args};
use hyper::Method;

use super::super::output::Output;
use super::super::words::counted;
use super::select::Filter;
use crate::admin::api;
use crate::client::{Client, segment};

/// A change, and the word for having done it.
pub(super) struct Change {
    action: &'static str,
    done: &'static str,
}

pub(super) const RETRY: Change = Change {
    action: "retry",
    done: "are tried now",
};
pub(super) const HOLD: Change = Change {
    action: "hold",
    done: "are held",
};
pub(super) const RELEASE: Change = Change {
    action: "release",
    done: "go on",
};
const REMOVE: Change = Change {
    action: "remove",
    done: "are removed",
};

#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "all", "sender", "recipient", "domain", "error", "state"])))]
pub(in crate::cli) struct Which {
    /// Their ids, such as q12
    #[arg(value_name = "ID",
        conflicts_with_all = ["all", "sender", "recipient", "domain", "error", "state"])]
    ids: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with_all = ["sender", "recipient", "domain", "error", "state"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
}

impl Which {
    /// All, or all that go to `domain`.
    pub(super) fn flush(domain: Option<String>) -> Self {
        Self {
            ids: Vec::new(),
            all: domain.is_none(),
            filter: Filter::to(domain),
        }
    }

    /// Removes them; many at a time only if somebody means it.
    pub(super) async fn remove(
        self,
        client: &Client,
        output: Output,
        yes: bool,
    ) -> anyhow::Result<()> {
        if self.ids.is_empty() && !yes {
            bail!(
                "nothing was removed: this would remove all entries that fit, and tell nobody. \
                 `postrider queue list` shows them; if it is meant, add --yes"
            );
        }
        self.run(client, output, &REMOVE).await
    }

    pub(super) async fn run(
        self,
        client: &Client,
        output: Output,
        change: &Change,
    ) -> anyhow::Result<()> {
        if self.ids.is_empty() {
            let changed = many(client, change, self.filter.select(self.all)).await?;
            return tell(output, changed, change);
        }
        let (mut changed, mut failures) = (0, Vec::new());
        for id in &self.ids {
            match one(client, change, id).await {
                Ok(()) => changed += 1,
                Err(error) => failures.push(error.to_string()),
            }
        }
        if changed > 0 || failures.is_empty() {
            tell(output, changed, change)?;
        }
        if !failures.is_empty() {
            bail!("{}", failures.join("\n"));
        }
        Ok(())
    }
}

fn tell(output: Output, changed: u64, change: &Change) -> anyhow::Result<()> {
    if output.json {
        let next = None;
        return output.json(&api::Changed { changed, next });
    }
    output.done(&sentence(changed, change))
}

fn sentence(changed: u64, change: &Change) -> String {
    if changed == 0 {
        return "there was nothing to change".into();
    }
    let done = match (changed, change.done.strip_prefix("are ")) {
        (1, Some(done)) => format!("is {done}"),
        (1, None) => "goes on".into(),
        _ => change.done.to_owned(),
    };
    format!("{} {done}", counted(changed, "entry", "entries"))
}

async fn one(client: &Client, change: &Change, id: &str) -> anyhow::Result<()> {
    let path = format!("queue/{}", segment(id));
    if change.action == REMOVE.action {
        return client.delete(&path).await;
    }
    let path = format!("{path}/{}", change.action);
    client.send(Method::POST, &path, &()).await
}

/// The node works on it for a while, and says where to go on.
async fn many(client: &Client, change: &Change, mut select: api::Select) -> anyhow::Result<u64> {
    let path = format!("queue/{}", change.action);
    let mut all = 0;
    loop {
        let part: api::Changed = client.exchange(Method::POST, &path, &select).await?;
        all += part.changed;
        select.after = part.next;
        if select.after.is_none() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_a_sentence() {
        assert_eq!(sentence(0, &HOLD), "there was nothing to change");
        assert_eq!(sentence(1, &HOLD), "1 entry is held");
        assert_eq!(sentence(2, &REMOVE), "2 entries are removed");
        assert_eq!(sentence(1, &RETRY), "1 entry is tried now");
        assert_eq!(sentence(1, &RELEASE), "1 entry goes on");
        assert_eq!(sentence(3, &RELEASE), "3 entries go on");
    }
}
