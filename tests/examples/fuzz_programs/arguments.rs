//! The command line.

use bsq_codegen::cpu::microkernel::Family;
use bsq_tests::programs::Limits;
use bsq_tests::programs::search::Search;
use std::path::PathBuf;

const HELP: &str = "\
fuzz_programs [--programs N] [--seed S] [--finds FOLDER] [--all-ways] [--family NAME]
              [--steps N] [--elements N]
fuzz_programs --replay FILE | --shrink FILE | --print SEED

  --programs   how many (1000); program i has the seed S + i
  --seed       the first seed (1)
  --finds      where what fails is written (finds/)
  --all-ways   each program in every way, not in some that change from program to program
  --family     one family of CPUs, portable, avx2 or avx512, not each that this CPU has
  --steps      most ops and layers of a program (14)
  --elements   most elements of a tensor (1500; of every eighth program 8 times that)
  --replay     checks the program of a file in every way
  --shrink     makes the program of a file, which ends its process or hangs, small
  --print      prints the program of a seed
";

/// What is asked for.
pub enum Task {
    Search,
    /// A part of a search, in a separate process.
    Work,
    Replay(PathBuf),
    Shrink(PathBuf),
    Print(u64),
}

pub struct Arguments {
    pub task: Task,
    pub programs: u64,
    pub seed: u64,
    pub finds: PathBuf,
    pub search: Search,
}

/// Reads the command line.
///
/// # Errors
/// With what is wrong, or the help.
pub fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        task: Task::Search,
        programs: 1000,
        seed: 1,
        finds: "finds".into(),
        search: Search {
            limits: Limits::default(),
            families: Family::all_supported(),
            all: false,
        },
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or(format!("{name} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text}: no number"));
        let limits = &mut arguments.search.limits;
        match &*name {
            "--programs" => arguments.programs = number(value()?)?,
            "--seed" => arguments.seed = number(value()?)?,
            "--finds" => arguments.finds = value()?.into(),
            "--steps" => limits.steps = number(value()?)?.max(1) as usize,
            "--elements" => limits.elements = number(value()?)?.max(1) as usize,
            "--all-ways" => arguments.search.all = true,
            "--family" => {
                let family: Family = value()?.parse().map_err(|error| format!("{error}"))?;
                if !family.is_supported() {
                    return Err(format!("this CPU cannot run {family}"));
                }
                arguments.search.families = vec![family];
            }
            "--work" => arguments.task = Task::Work,
            "--replay" => arguments.task = Task::Replay(value()?.into()),
            "--shrink" => arguments.task = Task::Shrink(value()?.into()),
            "--print" => arguments.task = Task::Print(number(value()?)?),
            _ => return Err(HELP.to_string()),
        }
    }
    Ok(arguments)
}
