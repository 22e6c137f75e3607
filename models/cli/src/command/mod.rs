//! The command line: options, subcommands, exit codes.
//!
//! A subcommand is one file: its arguments as a struct, and `run`, which gives a `Verdict` or
//! an error. Results go to standard output, as text or as one JSON value; notices, progress and
//! errors go to standard error.

mod bench;
mod check;
mod clip;
mod decode;
mod detokenize;
mod device;
mod encode;
mod error;
mod eval;
mod explain;
mod export;
mod export_model;
mod failures;
mod files;
mod functions;
mod generate;
mod init;
mod inspect;
mod interrupt;
mod limits;
mod memory;
mod model;
mod output;
mod paths;
mod picture;
mod plan;
mod precision;
mod prior;
mod progress;
mod quality;
mod ranks;
mod reconstruct;
mod run_arguments;
mod shell;
mod standard;
mod stream;
mod tokens;
mod train;

use clap::{Args, Parser, Subcommand};
use error::CliError;
use output::Output;
use std::process::ExitCode;

/// Photos as tokens: BSQ-ViT image tokenizers, compiled to this machine.
#[derive(Parser)]
#[command(name = "bsq", version, max_term_width = 100)]
#[command(long_about = "\
Photos as tokens: BSQ-ViT image tokenizers, compiled to this machine.

A tokenizer cuts a photo into patches and turns each into a few bits; its decoder makes a photo \
of the bits again. Results are the same, bit for bit, on every machine and with any number of \
threads.

Start with:
  bsq reconstruct photo.jpg      photo to tokens to photo, with figures
  bsq encode photo.jpg           photo to a small file, photo.bsq
  bsq decode photo.bsq           and back, to photo.bsq.png
  bsq generate --class sneaker --grid out.png    pictures that never were
  bsq explain default            what the compiler makes of a model
  bsq help COMMAND               a command's options, with examples

Exit codes: 0 good; 1 a check failed; 2 bad input; 130 interrupted.

Environment: BSQ_CPU=avx512|avx2|portable forces a family of instructions; it changes speed, \
never results (in f32: see --precision). BSQ_DUMP=PASS,... prints what went into passes of the \
compiler and what came out, to standard error; an unknown name is answered with the list.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand, accepted before and after its name.
#[derive(Args, Clone, Debug)]
struct Global {
    /// Threads to compute with [default: as many as the CPU has]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON value on standard output, everything else on standard error
    #[arg(long, global = true)]
    json: bool,
    /// Say more: compile times, memory, lists in full
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    Reconstruct(reconstruct::Arguments),
    Tokens(tokens::Arguments),
    Detokenize(detokenize::Arguments),
    Encode(encode::Arguments),
    Decode(decode::Arguments),
    Generate(generate::Arguments),
    Init(init::Arguments),
    Train(train::Arguments),
    Eval(eval::Arguments),
    Check(check::Arguments),
    Inspect(inspect::Arguments),
    Explain(explain::Arguments),
    ExportModel(export_model::Arguments),
    Export(export::Arguments),
    Plan(plan::Arguments),
    Bench(bench::Arguments),
    Completions(shell::CompletionsArguments),
    Man(shell::ManArguments),
}

/// What a command that ran found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Something that was checked is not as it should be.
    CheckFailed,
    /// The user stopped it; what was done is saved.
    Interrupted,
}

/// Parses the command line, runs the command, and reports what went wrong.
pub fn run() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    interrupt::install();
    let output = Output::new(&global);
    let result = match command {
        Command::Reconstruct(arguments) => reconstruct::run(arguments, &output),
        Command::Tokens(arguments) => tokens::run(arguments, &output),
        Command::Detokenize(arguments) => detokenize::run(arguments, &output),
        Command::Encode(arguments) => encode::run(arguments, &output),
        Command::Decode(arguments) => decode::run(arguments, &output),
        Command::Generate(arguments) => generate::run(arguments, &output),
        Command::Init(arguments) => init::run(arguments, &output),
        Command::Train(arguments) => train::run(arguments, &output),
        Command::Eval(arguments) => eval::run(arguments, &output),
        Command::Check(arguments) => check::run(arguments, &output),
        Command::Inspect(arguments) => inspect::run(arguments, &output),
        Command::Explain(arguments) => explain::run(arguments, &output),
        Command::ExportModel(arguments) => export_model::run(arguments, &output),
        Command::Export(arguments) => export::run(arguments, &output),
        Command::Plan(arguments) => plan::run(arguments, &output),
        Command::Bench(arguments) => bench::run(arguments, &output),
        Command::Completions(arguments) => shell::completions(arguments),
        Command::Man(arguments) => shell::man(arguments, &output),
    };
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::CheckFailed) => ExitCode::from(1),
        Ok(Verdict::Interrupted) => ExitCode::from(interrupt::INTERRUPTED),
        // Whoever read the output has seen enough.
        Err(CliError::BrokenPipe) => ExitCode::SUCCESS,
        Err(CliError::Message(message) | CliError::Output(message)) => {
            output.error(&message);
            ExitCode::from(2)
        }
        Err(CliError::Reported) => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_are_accepted_before_and_after_the_subcommand() {
        for line in [
            "bsq --threads 2 --json -v inspect x",
            "bsq inspect x --threads 2 --json -v",
            "bsq --json inspect --threads 2 x -v",
        ] {
            let global = Cli::try_parse_from(line.split(' '))
                .unwrap_or_else(|error| panic!("{line}: {error}"))
                .global;
            assert_eq!(
                (global.threads, global.json, global.verbose),
                (Some(2), true, true),
                "{line}"
            );
        }
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
            assert!(help.contains(&format!("bsq {}", command.get_name())));
        }
    }
}
