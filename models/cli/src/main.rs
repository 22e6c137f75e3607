//! The command `bsq`.

fn main() -> std::process::ExitCode {
    bsq_cli::command::run()
}
