//! `bsq completions` and `bsq man`: what a shell and a manual know of the command line.

use super::error::{CliError, Context};
use super::output::Output;
use super::{Cli, Verdict};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Prints a script that completes commands and options in a shell.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  bsq completions bash > ~/.local/share/bash-completion/completions/bsq
  bsq completions zsh > ~/.zfunc/_bsq
  bsq completions fish > ~/.config/fish/completions/bsq.fish")]
pub struct CompletionsArguments {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn completions(arguments: CompletionsArguments) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "bsq", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::BrokenPipe),
        written => written
            .map(|()| Verdict::Good)
            .map_err(|error| CliError::Output(error.to_string())),
    }
}

/// Writes manual pages: bsq.1, and one for each command.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  bsq man -o ~/.local/share/man/man1
  bsq man -o pages; man pages/bsq-encode.1")]
pub struct ManArguments {
    /// The folder to write, made if need be
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub fn man(arguments: ManArguments, output: &Output) -> Result<Verdict, CliError> {
    let folder = &arguments.output;
    std::fs::create_dir_all(folder).in_(folder.display())?;
    let mut command = Cli::command();
    command.build();
    let mut files = Vec::new();
    for (name, command) in pages(&command) {
        let path = folder.join(format!("{name}.1"));
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        std::fs::write(&path, page).in_(path.display())?;
        files.push(path.display().to_string());
    }
    output.say(format_args!("{}: {} pages", folder.display(), files.len()))?;
    output.value(&json!({ "files": files }))?;
    Ok(Verdict::Good)
}

/// The command and all below it, with the names of their pages: `bsq`, `bsq-encode`, ...
fn pages(command: &Command) -> Vec<(String, Command)> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut pages = vec![(name.to_string(), command.clone())];
    let visible = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    for below in visible.filter(|below| below.get_name() != "help") {
        pages.extend(self::pages(below));
    }
    pages
}
