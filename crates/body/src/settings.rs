//! How bodies are stored, packed and swept. Part of the node's settings file.

use std::time::Duration;

use postrider_types::human;
use serde::Deserialize;

/// Settings of bodies. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bodies up to this size travel inside the metadata command and are packed
    /// later; larger ones get an object of their own. 0 to 1 MiB; 64 KiB by
    /// default.
    #[serde(with = "human::size")]
    pub inline_limit: u64,
    /// The most bytes that all inline bodies may occupy in the metadata store. It
    /// fills while the object store is away; then mail is refused for the time
    /// being. 1 GiB by default.
    #[serde(with = "human::size")]
    pub inline_budget: u64,
    /// Bodies from this size on are compressed where that saves something.
    /// Below it the saving is too small to pay for the time on each read.
    #[serde(with = "human::size")]
    pub compress_from: u64,
    /// The most bytes of one body, 256 MiB by default.
    #[serde(with = "human::size")]
    pub max_size: u64,
    /// How large a pack grows before it is written. 64 KiB to 64 MiB; 8 MiB by
    /// default.
    #[serde(with = "human::size")]
    pub pack_size: u64,
    /// Inline bodies younger than this are left alone: they are read soon.
    #[serde(with = "human::duration")]
    pub pack_after: Duration,
    /// A pack is written though it is small once its oldest body has waited for
    /// this long beyond `pack_after`.
    #[serde(with = "human::duration")]
    pub pack_wait: Duration,
    /// The most bytes that the packer moves in a second, so that delivery has
    /// the disk and the metadata store to itself.
    #[serde(with = "human::size")]
    pub pack_rate: u64,
    /// How long dead and unknown objects are kept before they are removed, at
    /// least a day: an upload that is still under way looks like an orphan.
    #[serde(with = "human::duration")]
    pub grace: Duration,
    /// How often the object store is searched for dead and unknown objects.
    #[serde(with = "human::duration")]
    pub sweep_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inline_limit: 64 << 10,
            inline_budget: 1 << 30,
            compress_from: 8 << 10,
            max_size: 256 << 20,
            pack_size: 8 << 20,
            pack_after: Duration::from_secs(30),
            pack_wait: Duration::from_secs(30),
            pack_rate: 16 << 20,
            grace: Duration::from_secs(24 * 3600),
            sweep_every: Duration::from_secs(3600),
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("body.{name} is {value}; it may be {low} to {high}"))
            }
        };
        within("inline_limit", self.inline_limit, 0, 1 << 20)?;
        within("inline_budget", self.inline_budget, 1 << 20, 1 << 40)?;
        within("max_size", self.max_size, 1 << 20, 4 << 30)?;
        within("pack_size", self.pack_size, 64 << 10, 64 << 20)?;
        within("pack_rate", self.pack_rate, 64 << 10, 1 << 40)?;
        within(
            "grace in seconds",
            self.grace.as_secs(),
            24 * 3600,
            366 * 24 * 3600,
        )?;
        within(
            "sweep_every in seconds",
            self.sweep_every.as_secs(),
            1,
            366 * 24 * 3600,
        )
    }
}
