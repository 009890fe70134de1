//! Versions of what the nodes of a cluster agree on: what they store, and what
//! they say to each other. One number, which all nodes obey and which is raised
//! once each of them runs a program that knows it (ADR 34). Not the number of a
//! release: that may leave it as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a cluster works as. Zero: nothing was agreed on yet, so that no feature is
/// used; ascends and is never lowered.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u32);

/// What a program knows: it reads and writes everything from the oldest version to
/// the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest it works in.
    pub oldest: Version,
    /// The newest it works in.
    pub newest: Version,
}

/// Something that only programs from some version on understand: a row in another
/// form, a command, a call. Each is a constant of this type, with the version that
/// brought it; it is used where [`Version::has`] says so. Once no program that works
/// in an older version is left, the constant goes, and the code before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    since: Version,
}

impl Feature {
    /// A feature that came with `since`.
    pub const fn since(since: Version) -> Self {
        Self { since }
    }
}

impl Version {
    /// Whether everybody understands `feature`.
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.since
    }

    /// Whether programs of which these are the newest versions may work side by side:
    /// each reads what the one before it writes.
    pub fn works_beside(self, other: Self) -> bool {
        self.0.abs_diff(other.0) <= 1
    }

    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Versions {
    /// This program's. Raised in the same change as the first feature of a new
    /// version; a release raises it once at most.
    pub const PROGRAM: Self = Self::up_to(1);

    /// Of a program whose newest version is `newest`: that one and the one before.
    pub const fn up_to(newest: u32) -> Self {
        let oldest = match newest {
            0 | 1 => newest,
            newest => newest - 1,
        };
        Self {
            oldest: Version(oldest),
            newest: Version(newest),
        }
    }

    /// Whether the program works in a cluster of this version.
    pub fn include(self, version: Version) -> bool {
        version == Version::default() || (self.oldest <= version && version <= self.newest)
    }

    /// Why the program, called `who`, does not work in a cluster of `version`, with
    /// what to do; None where it does.
    pub fn objection(self, who: &str, version: Version) -> Option<String> {
        let Self { oldest, newest } = self;
        if self.include(version) {
            return None;
        }
        Some(match version > newest {
            true => format!(
                "the cluster works as version {version}, and {who} knows versions {oldest} to \
                 {newest}: it is too old. Run a program at least as new as those of the other nodes"
            ),
            false => format!(
                "the cluster works as version {version}, and {who} knows versions {oldest} to \
                 {newest}: it is too new to be the next one. Upgrade all nodes to a release in \
                 between first, and wait until `postrider cluster status` tells version {oldest}"
            ),
        })
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::PROGRAM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_works_in_its_version_and_the_one_before() {
        let third = Versions::up_to(3);
        for (version, fits) in [(0, true), (1, false), (2, true), (3, true), (4, false)] {
            assert_eq!(third.include(Version(version)), fits, "{version}");
            let objection = third.objection("it", Version(version));
            assert_eq!(objection.is_none(), fits, "{objection:?}");
        }
        let old = third.objection("this program", Version(4));
        assert!(old.is_some_and(|text| text.contains("too old")));
        let new = third.objection("this program", Version(1));
        assert!(new.is_some_and(|text| text.contains("too new")));
        assert!(!Versions::up_to(1).include(Version(2)));
    }

    #[test]
    fn a_feature_waits_for_its_version() {
        const LATER: Feature = Feature::since(Version(2));
        let used: Vec<bool> = (0..4).map(|n| Version(n).has(LATER)).collect();
        assert_eq!(used, [false, false, true, true]);
    }

    #[test]
    fn neighbours_work_side_by_side() {
        assert!(Version(1).works_beside(Version(2)));
        assert!(Version(2).works_beside(Version(1)));
        assert!(!Version(3).works_beside(Version(1)));
    }
}
