//! Whether a node may fail now, in words. Pure: all that is known comes in.
//!
//! Safe means: whichever single node dies next, writing goes on (a majority of
//! the voters is left) and somebody still serves mail.

use std::time::Duration;

use postrider_types::Role;

use super::report::{Node, Vote};

/// A voter that is further behind than this many entries could not take over at once.
const MAX_LAG: u64 = 1000;

/// A bucket that takes longer for a write, in milliseconds, is worth a word.
const SLOW: u64 = 80;

/// Clocks that are further apart are worth a word. Reports take up to two seconds.
const MAX_APART: Duration = Duration::from_secs(10);

/// An archive that is further behind is worth a word.
pub(crate) const ARCHIVE_LAG: Duration = Duration::from_secs(60);

/// What is to be said of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Any one node may fail.
    pub(crate) safe: bool,
    /// The same in words.
    pub(crate) verdict: String,
    /// What else to look at.
    pub(crate) notes: Vec<String>,
}

/// What is wrong with a node, and what to do.
struct Trouble {
    node: u64,
    what: String,
    advice: String,
    /// It cannot vote or lead.
    no_vote: bool,
    /// It cannot serve mail in full.
    no_mail: bool,
}

impl Trouble {
    fn sentence(&self) -> String {
        format!("{}: {}", self.what, self.advice)
    }
}

/// Judges the nodes (removed ones left out), of which `leader` leads, and the vote
/// in the bucket beside them.
pub(crate) fn judge(nodes: &[Node], leader: Option<u64>, third: Option<&Vote>) -> Judgement {
    let troubles: Vec<Trouble> = nodes.iter().filter_map(trouble).collect();
    let troubled = |node: &Node, fits: fn(&Trouble) -> bool| {
        troubles.iter().any(|t| t.node == node.node && fits(t))
    };
    let voters: Vec<&Node> = nodes.iter().filter(|node| node.voter).collect();
    let fit = voters.iter().filter(|node| !troubled(node, |t| t.no_vote));
    let fit = fit.count() + usize::from(third.is_some_and(Vote::fit));
    let votes = voters.len() + usize::from(third.is_some_and(|third| third.votes));
    let majority = votes / 2 + 1;
    let frontends: Vec<&Node> = nodes.iter().filter(|n| n.has(Role::Frontend)).collect();
    let serving = frontends.iter().filter(|n| !troubled(n, |t| t.no_mail));
    let serving = serving.count();
    // Of those one must be left: a witness does not lead.
    let fit_to_lead = |node: &&&Node| !node.has(Role::Witness) && !troubled(node, |t| t.no_vote);
    let leading = voters.iter().filter(fit_to_lead).count();
    let spare = fit.saturating_sub(majority).min(leading.saturating_sub(1));
    let spare = spare.min(serving.saturating_sub(1));

    // What explains the verdict stands there; the rest is told beside it.
    let of_voters = |t: &Trouble| t.no_vote && voters.iter().any(|v| v.node == t.node);
    let of_mail = |t: &Trouble| t.no_mail && frontends.iter().any(|f| f.node == t.node);
    let because = |fits: &dyn Fn(&Trouble) -> bool| {
        let told = troubles.iter().filter(|t| fits(t));
        let sentences: Vec<String> = told.map(Trouble::sentence).collect();
        (!sentences.is_empty()).then(|| sentences.join("; and because "))
    };
    let mut told: &dyn Fn(&Trouble) -> bool = &|_| false;
    let verdict = if leader.is_none() {
        told = &of_voters;
        let reason = because(told).unwrap_or_else(|| {
            "they have not agreed on one yet: look again in a few seconds".to_owned()
        });
        format!(
            "NOT safe: no node leads, so nothing can be stored now ({fit} of {votes} votes are \
             fit, {majority} are needed), because {reason}"
        )
    } else if spare > 0 {
        safe(spare, third)
    } else if fit < majority {
        told = &of_voters;
        let reason = because(told).unwrap_or_else(|| too_few(nodes, &voters, third));
        format!("NOT safe: nothing can be stored now, because {reason}")
    } else if fit == majority || leading <= 1 {
        told = &of_voters;
        let reason = because(told).unwrap_or_else(|| too_few(nodes, &voters, third));
        format!("NOT safe: if one more node fails, nothing can be stored, because {reason}")
    } else {
        told = &of_mail;
        let reason = because(told).unwrap_or_else(|| too_few_frontends(&frontends));
        let when = match serving {
            0 => "nobody can reach all mail now",
            _ => "if one more node fails, nobody can reach all mail",
        };
        format!("NOT safe: {when}, because {reason}")
    };
    let notes = troubles.iter().filter(|t| !told(t));
    let mut notes: Vec<String> = notes.map(Trouble::sentence).collect();
    notes.extend(pending(nodes).map(catching_up));
    notes.extend(third.and_then(slow));
    notes.extend(versions(nodes));
    notes.extend(clocks(nodes));
    notes.extend(archive(nodes));
    notes.retain(|note| !verdict.contains(note.as_str()));
    Judgement {
        safe: spare > 0 && leader.is_some(),
        verdict,
        notes,
    }
}

fn safe(spare: usize, third: Option<&Vote>) -> String {
    match spare {
        1 if third.is_some_and(Vote::fit) => {
            "Safe: any one may fail, of the nodes and the bucket with the third vote.".into()
        }
        1 => "Safe: any one node may fail.".into(),
        2 => "Safe: any two nodes may fail.".into(),
        _ => format!("Safe: any {spare} nodes may fail."),
    }
}

/// Each write waits for the bucket while one of two nodes is away.
fn slow(third: &Vote) -> Option<String> {
    let took = third.told.write_ms.filter(|took| *took > SLOW)?;
    Some(format!(
        "the bucket took {took} ms for a small write when it was tried: while one of the nodes is \
         away, each write takes at least that long, and where it takes more than 100 ms \
         meta.election_timeout has to be raised"
    ))
}

/// The worst that is wrong with a node.
fn trouble(node: &Node) -> Option<Trouble> {
    let title = node.title();
    let trouble = |what: String, advice: &str, no_vote: bool, no_mail: bool| {
        Some(Trouble {
            node: node.node,
            what,
            advice: advice.to_owned(),
            no_vote,
            no_mail,
        })
    };
    let Some(report) = &node.report else {
        let advice = format!(
            "start it, or remove it with `postrider cluster remove {}` and join another",
            node.node
        );
        return trouble(format!("{title} does not answer"), &advice, true, true);
    };
    if report.lacks_confirmed {
        let what = format!(
            "{title} lacks entries that it had confirmed (its data folder is an old copy, or its \
             disk has lost them)"
        );
        let advice = "stop it and run `postrider cluster rejoin` there";
        return trouble(what, advice, true, true);
    }
    if !report.ready {
        let reasons = match report.reasons.join("; ") {
            none if none.is_empty() => "it gives no reason".to_owned(),
            reasons => reasons,
        };
        let what = format!("{title} is not ready ({reasons})");
        let (advice, no_vote) = match report.stopping {
            true => ("wait until it is back", true),
            // A voter that answers has its vote: what it lacks is the others'.
            false => (
                "it waits for a majority of the nodes with metadata",
                node.voter && report.applied.is_none(),
            ),
        };
        return trouble(what, advice, no_vote, true);
    }
    if let Some(lag) = node.lag.filter(|lag| node.voter && *lag > MAX_LAG) {
        let what = format!("{title} is {lag} entries behind");
        return trouble(what, "wait until it has caught up", true, false);
    }
    if report.disk_low {
        let mib = report.disk_free.unwrap_or(0) >> 20;
        let what = format!("{title} has only {mib} MiB left on its disk and does not lead");
        let advice = "make room there, or lower meta.disk_reserve";
        return trouble(what, advice, true, false);
    }
    let advice = "check the bucket or folder in [blob], and the network to it";
    match (report.bucket_readable, report.bucket_writable) {
        (true, true) => None,
        (false, _) => trouble(
            format!("{title} cannot read the object store"),
            advice,
            false,
            true,
        ),
        (true, false) => trouble(
            format!("{title} cannot write to the object store"),
            advice,
            false,
            true,
        ),
    }
}

/// Nodes that shall vote, answer, and do not vote yet.
fn pending(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    let pending = |node: &&Node| node.shall_vote() && !node.voter && node.report.is_some();
    nodes.iter().filter(pending)
}

fn catching_up(node: &Node) -> String {
    let lag = match node.lag {
        Some(lag) if lag > 0 => format!(" ({lag} entries behind)"),
        _ => String::new(),
    };
    format!(
        "{} is still catching up{lag} and has no vote yet: wait for it",
        node.title()
    )
}

/// Why voters that are all well cannot spare one.
fn too_few(nodes: &[Node], voters: &[&Node], third: Option<&Vote>) -> String {
    let have = match voters {
        [] => "no node with metadata is known".to_owned(),
        [one] => format!("node {} alone holds the metadata", one.node),
        _ if voters
            .iter()
            .filter(|node| !node.has(Role::Witness))
            .count()
            == 1 =>
        {
            let full = voters.iter().find(|node| !node.has(Role::Witness));
            let full = full.map_or(0, |node| node.node);
            return format!(
                "node {full} alone holds metadata and serves: join another node with the role \
                 \"meta\" (`postrider cluster token` gives the token for it)"
            );
        }
        [one, two] => format!(
            "the two nodes with metadata ({} and {}) need each other",
            one.node, two.node
        ),
        _ => format!("{} nodes with metadata need each other", voters.len()),
    };
    if let Some(node) = pending(nodes).next() {
        return format!("{have}, and {}", catching_up(node));
    }
    if let Some(third) = third {
        let advice = "mend that, or join a third node, which may be a small one with \
                      `roles = [\"witness\"]`";
        return match &third.told.problem {
            Some(problem) => format!("{have}, and the bucket cannot vote ({problem}): {advice}"),
            None => format!("{have}, and the bucket has no vote yet: look again in some seconds"),
        };
    }
    let more = 3_usize.saturating_sub(voters.len()).max(1);
    let more = match more {
        1 => "one more node".to_owned(),
        more => format!("{more} more nodes"),
    };
    format!("{have}: join {more} (`postrider cluster token` gives the token for it)")
}

fn too_few_frontends(frontends: &[&Node]) -> String {
    match frontends {
        [] => "no node has the role \"frontend\": join one".into(),
        [one, ..] => format!(
            "only node {} serves mail: join another node with the role \"frontend\"",
            one.node
        ),
    }
}

/// Nodes of different versions are fine for the time of an upgrade.
fn versions(nodes: &[Node]) -> Option<String> {
    let mut versions: Vec<&str> = nodes.iter().map(|n| n.version.as_str()).collect();
    versions.retain(|version| !version.is_empty());
    versions.sort_unstable();
    versions.dedup();
    (versions.len() > 1).then(|| {
        format!(
            "the nodes run different versions ({}): finish the upgrade",
            versions.join(", ")
        )
    })
}

/// A leader refuses commands of nodes whose clocks are minutes away.
fn clocks(nodes: &[Node]) -> Option<String> {
    let told = nodes.iter().filter_map(|node| node.report.as_ref());
    let clocks = told.map(|report| report.clock).filter(|clock| *clock > 0);
    let (first, last) = (clocks.clone().min()?, clocks.max()?);
    let apart = Duration::from_millis(last - first);
    (apart > MAX_APART).then(|| {
        format!(
            "the clocks of the nodes differ by {} s: have all keep time by NTP, before commands \
             are refused",
            apart.as_secs()
        )
    })
}

/// What is not archived is lost with all disks.
fn archive(nodes: &[Node]) -> Option<String> {
    let told = nodes.iter().filter_map(|node| node.report.as_ref());
    let lags = told.filter_map(|report| report.archive_lag_seconds);
    let lag = Duration::from_secs(lags.max()?);
    (lag >= ARCHIVE_LAG).then(|| {
        format!(
            "the archive in the bucket is {} s behind: were all disks lost now, so much would be; \
             look at the bucket and at the log of the node that does the work \"snapshots\"",
            lag.as_secs()
        )
    })
}

#[cfg(test)]
mod tests;
