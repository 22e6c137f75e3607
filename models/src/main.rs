//! The command `bsq`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
