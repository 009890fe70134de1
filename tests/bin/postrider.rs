//! The product's binary once more, so that this package's tests always drive a
//! fresh build of it. Here it may play a program of another version of the cluster,
//! as `POSTRIDER_TEST_KNOWS` names it.

use postrider_types::Versions;

fn main() -> std::process::ExitCode {
    let newest = std::env::var("POSTRIDER_TEST_KNOWS");
    let newest = newest.ok().and_then(|newest| newest.parse().ok());
    let versions = newest.map_or(Versions::PROGRAM, Versions::up_to);
    postrider_node::cli::main_as(versions)
}
