//! The command line: what there is, in words that a newcomer understands. One
//! file per group of commands; the ones that ask a running node go through
//! [`crate::client`].

mod account;
mod alias;
mod check;
mod check_config;
mod cluster;
mod default_mailboxes;
mod dns;
mod domain;
mod group;
mod output;
mod queue;
mod quickstart;
mod recover;
mod serve;
mod signals;
mod status;
mod tls_reports;
mod trace;
mod verify;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::client::{Client, Target};
use output::Output;
pub(crate) use output::describe;
use postrider_types::Versions;

/// A mail server that survives the loss of machines.
///
/// To try it: `postrider quickstart`, then follow the lines it prints.
/// To run it: write a settings file (see postrider.example.toml), check it with
/// `postrider check-config`, start it with `postrider serve`, and add domains
/// and accounts with `postrider domain add` and `postrider account add`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or settings. Of `status`, `cluster status` and
/// `check`, which tell how something is: 0 well, 1 not well, 2 it could not be found out.
#[derive(Parser)]
#[command(
    name = "postrider",
    version,
    max_term_width = 100,
    subcommand_required = true
)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    command: Command,
}

/// How to find the running node.
#[derive(Args)]
#[command(next_help_heading = "Finding the running node")]
struct NodeArgs {
    /// Its HTTP address, such as http://127.0.0.1:2080 [default: as it left it in its data folder]
    #[arg(long, global = true, env = "POSTRIDER_URL", value_name = "URL")]
    url: Option<String>,
    /// The file with its administration token [default: admin.token in its data folder]
    #[arg(long, global = true, env = "POSTRIDER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For https: a PEM file with the node's certificate, or with the authority that signed it
    /// [default: the certificate of the node in the data folder]
    #[arg(long, global = true, env = "POSTRIDER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A node's data folder
    #[arg(
        long,
        global = true,
        env = "POSTRIDER_DIR",
        value_name = "DIR",
        default_value = "postrider-data"
    )]
    dir: PathBuf,
    /// Print JSON for machines instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Quickstart(quickstart::Quickstart),
    Serve(serve::Serve),
    CheckConfig(check_config::CheckConfig),
    /// Manage a cluster: several nodes that serve the same mail
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Manage the domains that receive mail here
    #[command(subcommand)]
    Domain(domain::Domain),
    /// Manage accounts: their passwords, quotas and expiry dates
    #[command(subcommand)]
    Account(account::Account),
    /// Manage aliases: addresses whose mail goes to other addresses
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Manage distribution groups: addresses whose mail goes to all members
    #[command(subcommand)]
    Group(group::Group),
    /// Manage the mailboxes that each new account gets
    #[command(subcommand)]
    DefaultMailboxes(default_mailboxes::DefaultMailboxes),
    /// Look at mail on its way to other servers, and change what happens to it
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Look at how secure connections to other servers were, and report it to their domains
    #[command(subcommand)]
    TlsReports(tls_reports::TlsReports),
    Trace(trace::Trace),
    Verify(verify::Verify),
    Recover(recover::Recover),
    /// Show whether the node is ready, and why if not
    Status,
    /// Look for contradictions in the metadata; reads all of it
    Check,
}

/// The exit code of a question that got no answer.
const NO_ANSWER: u8 = 2;

/// Runs the command line. Exit codes: as [`Cli`] tells.
pub fn main() -> ExitCode {
    main_as(Versions::PROGRAM)
}

/// The same for a program that works in other versions of the cluster: what tests of
/// upgrades run.
pub fn main_as(versions: Versions) -> ExitCode {
    // First of all: every TLS user in the process shares this provider. A
    // second call (in tests) leaves the first one in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::anyhow!("cannot start threads: {error}");
            return output::fail(&error, cli.node.json);
        }
    };
    let Cli { node, command } = cli;
    let json = node.json;
    let result = runtime.block_on(run(node, command, versions));
    // What still blocks, such as a password check, must not hold up the exit.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => output::fail(&error, json),
    }
}

/// Keeps apart what is not well and what could not be found out.
fn answered(told: anyhow::Result<ExitCode>, output: Output) -> ExitCode {
    told.unwrap_or_else(|error| {
        output::fail(&error, output.json);
        ExitCode::from(NO_ANSWER)
    })
}

async fn run(node: NodeArgs, command: Command, versions: Versions) -> anyhow::Result<ExitCode> {
    let output = Output { json: node.json };
    let client = || {
        Client::find(&Target {
            url: node.url.as_deref(),
            token_file: node.token_file.as_deref(),
            ca: node.ca.as_deref(),
            dir: &node.dir,
        })
    };
    match command {
        Command::Quickstart(args) => return args.run(&node.dir).await,
        Command::Serve(args) => return args.run(versions).await,
        Command::CheckConfig(args) => return args.run(output),
        Command::Recover(args) => return args.run(&node.dir, output).await,
        Command::Verify(args) => return args.run(&client()?, output).await,
        Command::Cluster(command) => return command.run(client, versions, output).await,
        Command::Status => {
            let told = async { status::run(&client()?, output).await };
            return Ok(answered(told.await, output));
        }
        Command::Check => {
            let told = async { check::run(&client()?, output).await };
            return Ok(answered(told.await, output));
        }
        Command::Domain(command) => command.run(&client()?, output).await?,
        Command::Account(command) => command.run(&client()?, output).await?,
        Command::Alias(command) => command.run(&client()?, output).await?,
        Command::Group(command) => command.run(&client()?, output).await?,
        Command::DefaultMailboxes(command) => command.run(&client()?, output).await?,
        Command::Queue(command) => command.run(&client()?, output).await?,
        Command::TlsReports(command) => command.run(&client()?, output).await?,
        Command::Trace(args) => args.run(&client()?, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
