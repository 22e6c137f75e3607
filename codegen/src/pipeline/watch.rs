//! Who sees what goes into passes and what comes out: `BSQ_DUMP`.

use super::Pass;
use std::fmt::Display;

/// Sees what goes into each pass and what comes out. Nothing is printed before it is asked for.
pub trait Watch {
    fn before(&mut self, pass: Pass, input: &dyn Display);

    /// Not called of passes that only check.
    fn after(&mut self, pass: Pass, output: &dyn Display);
}

/// The environment variable.
const VARIABLE: &str = "BSQ_DUMP";

/// Prints to standard error, for some passes, what goes in and what comes out.
///
/// Every text follows a line `# before PASS` or `# after PASS`. In IR and Kernel IR these are
/// comments: a dump parses as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    passes: Vec<Pass>,
}

/// `BSQ_DUMP` names something that is no pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: there is no pass {name:?}; the passes are {}", names())]
pub struct UnknownPass {
    pub name: String,
}

fn names() -> String {
    let names: Vec<&str> = Pass::ALL.iter().map(|pass| pass.name()).collect();
    names.join(", ")
}

impl Dump {
    /// Of the passes that `BSQ_DUMP` names, separated by commas; of none if it is unset.
    ///
    /// # Errors
    /// If it names something that is no pass.
    pub fn from_environment() -> Result<Self, UnknownPass> {
        match std::env::var_os(VARIABLE) {
            Some(list) => Dump::of(&list.to_string_lossy()),
            None => Ok(Dump::default()),
        }
    }

    /// Of the passes of a list such as `schedule,lower`.
    ///
    /// # Errors
    /// If it names something that is no pass.
    pub fn of(list: &str) -> Result<Self, UnknownPass> {
        let names = list.split(',').map(str::trim);
        let passes = names.filter(|name| !name.is_empty()).map(|name| {
            let unknown = || UnknownPass {
                name: name.to_string(),
            };
            Pass::from_name(name).ok_or_else(unknown)
        });
        let passes = passes.collect::<Result<_, _>>()?;
        Ok(Dump { passes })
    }

    fn print(&self, when: &str, pass: Pass, text: &dyn Display) {
        if self.passes.contains(&pass) {
            let text = text.to_string();
            eprintln!("# {when} {}\n{}\n", pass.name(), text.trim_end());
        }
    }
}

impl Watch for Dump {
    fn before(&mut self, pass: Pass, input: &dyn Display) {
        self.print("before", pass, input);
    }

    fn after(&mut self, pass: Pass, output: &dyn Display) {
        self.print("after", pass, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_named_and_an_unknown_one_is_answered_with_the_list() {
        let dump = Dump::of("schedule, in-place,").unwrap();
        assert_eq!(dump.passes, [Pass::Schedule, Pass::InPlace]);
        assert_eq!(Dump::of("").unwrap(), Dump::default());
        let error = Dump::of("schedule,fuse").unwrap_err().to_string();
        assert_eq!(
            error,
            "BSQ_DUMP: there is no pass \"fuse\"; the passes are verify, rewrite, store, \
             recompute, prepare, empty, precision, schedule, order, lower, in-place, assemble, memory, check, code, ptx"
        );
    }
}
