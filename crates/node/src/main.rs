//! The `postrider` binary: hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    postrider_node::cli::main()
}
