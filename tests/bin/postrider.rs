//! The product's binary once more, so that this package's tests always drive a
//! fresh build of it.

fn main() -> std::process::ExitCode {
    postrider_node::cli::main()
}
