//! `postrider recover`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::output::{Output, Progress};
use super::serve::refuse;
use crate::cluster::{self, Recover as Request, Recovered};
use crate::logs;
use crate::moment::Moment;
use crate::settings::{self, Cluster, Settings};

/// Build a new cluster from what an old one left in the bucket
///
/// For the day on which all disks are lost, or as many as make a majority, and for going back to a
/// moment before a mistake. Makes this machine the first node of a new cluster with all accounts,
/// mailboxes and mail that the bucket holds; others join it afterwards. The old cluster must not run
/// any more. What it left is only read.
///
/// Example: postrider recover --config /etc/postrider/postrider.toml --at 2027-01-31T12:00:00Z
#[derive(Args)]
pub(super) struct Recover {
    /// The settings file of this node: where the bucket and the data folder are, and its address
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The bucket: s3://BUCKET/PREFIX, https://HOST/BUCKET/PREFIX, or file:///FOLDER; its keys come
    /// from the settings file or the environment (AWS_ACCESS_KEY_ID and so on)
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    bucket: Option<String>,
    /// HOST:PORT at which other nodes will reach this one
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "config")]
    address: Option<String>,
    /// The state as it was at this moment, in UTC; without it all there is
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// The id of the cluster, where the bucket holds what several left
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// Stop before a part of the log that is damaged or missing, instead of refusing
    #[arg(long)]
    partial: bool,
    /// Do not look whether a node of the old cluster still writes to the bucket
    #[arg(long)]
    force: bool,
}

impl Recover {
    pub(super) async fn run(self, dir: &Path, output: Output) -> anyhow::Result<ExitCode> {
        let settings = match self.settings(dir) {
            Ok(settings) => settings,
            Err(problems) => return Ok(refuse(&problems)),
        };
        logs::start_quiet(&settings.log)?;
        let data = settings.data_dir.clone();
        let request = Request {
            settings,
            cluster: self.cluster,
            at: self.at.map(|at| at.0),
            partial: self.partial,
            force: self.force,
        };
        let progress = Progress::new(output);
        let recovered = cluster::recover(request, &|text| progress.tell(&text)).await?;
        match output.json {
            true => output.json(&recovered)?,
            false => output.print(&text(&recovered, &data, self.config.as_deref()))?,
        }
        // Done, but not all of it.
        let whole = recovered.missing.is_empty() && recovered.short.is_none();
        Ok(if whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// The settings of the new node; what is wrong with them otherwise.
    fn settings(&self, dir: &Path) -> Result<Settings, String> {
        let mut settings = match &self.config {
            Some(file) => {
                settings::load(file, settings::environment()).map_err(|e| e.to_string())?
            }
            None => Settings {
                data_dir: dir.to_owned(),
                ..Settings::default()
            },
        };
        if let Some(url) = &self.bucket {
            settings.blob = settings.blob.at(url)?;
        }
        if let Some(address) = &self.address {
            settings.cluster = Some(Cluster {
                address: address.clone(),
                ..settings.cluster.unwrap_or_default()
            });
        }
        let cluster = settings.cluster.as_ref();
        if let Some(problem) = cluster.and_then(Cluster::problem) {
            return Err(problem);
        }
        settings.blob.check()?;
        settings.meta.check().map_err(|e| format!("meta: {e}"))?;
        Ok(settings)
    }
}

fn text(it: &Recovered, data: &Path, config: Option<&Path>) -> String {
    let mut text = format!(
        "Recovered cluster {} up to {} (UTC), entry {} of its log: {} accounts, {} messages.\n",
        it.from, it.up_to, it.entry, it.accounts, it.messages
    );
    if let Some(short) = &it.short {
        text += &format!("It ends there because {short}.\n");
    }
    for damaged in &it.damaged {
        text += &format!("It began with an earlier snapshot, as {damaged}.\n");
    }
    match it.missing.len() {
        0 => text += "All bodies are there.\n",
        count => {
            text += &format!("{count} objects with bodies are not as they should be:\n");
            for missing in &it.missing {
                text += &format!("  {missing}\n");
            }
        }
    }
    let config = config.map_or_else(|| "FILE".to_owned(), |file| file.display().to_string());
    let data = data.display();
    text + &format!(
        "\nThis is node {node} of the new cluster {cluster}.\n\n\
         1. Start it, with data_dir = \"{data}\" and this bucket in its settings, and\n   \
            address = \"{address}\" in [cluster]:\n     postrider serve --config {config}\n\
         2. On each of two other machines with empty data folders:\n     \
            postrider cluster join --config FILE {token}\n     \
            postrider serve --config FILE\n\
         3. See how it is, and look at all bodies:\n     \
            postrider cluster status --dir {data}\n     postrider verify --dir {data}\n\n\
         The token lets two nodes in and is good for an hour. Mail that waited to be sent at that \
         moment is sent again\nwhere it was sent since: look at `postrider queue list` first if \
         that matters.\n",
        node = it.node,
        cluster = it.cluster,
        address = it.address,
        token = it.token,
    )
}
