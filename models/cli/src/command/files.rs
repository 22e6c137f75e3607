//! The files of a command, shared by ranks if there are several: file `i` is rank `i % ranks`'s own.
//!
//! What each rank makes of its files, and what it says of them, goes to all ranks, which take it in the
//! order of files. So rank 0 prints what one rank alone would print, and sums have one order.

use super::Verdict;
use super::error::CliError;
use super::failures::Failures;
use super::output::{Line, Output};
use bsq_collectives::Ranks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Files of each rank between two exchanges: few enough for lines to appear while work goes on, and enough
/// for large files and small ones to come to about the same.
const TOGETHER: usize = 4;

/// Files under way, and those that failed.
pub struct Files<'a> {
    ranks: &'a Ranks,
    output: &'a Output,
    failures: Failures,
}

/// What became of a file on another rank: what was said of it, and the result or why there is none.
type Told<T> = (Vec<Line>, Result<T, String>);

impl<'a> Files<'a> {
    pub fn new(ranks: &'a Ranks, output: &'a Output) -> Files<'a> {
        Files {
            ranks,
            output,
            failures: Failures::default(),
        }
    }

    /// What `one` makes of each file and what belongs to it, but for those that fail; on several ranks of
    /// their own ones alone, and all get what all have made.
    ///
    /// # Errors
    /// If nobody reads the output any more, or a rank has other files than rank 0.
    pub fn each<'p, I, T: Serialize + DeserializeOwned>(
        &mut self,
        files: impl IntoIterator<Item = (&'p Path, I)>,
        mut one: impl FnMut(I, &Output) -> Result<T, CliError>,
    ) -> Result<Vec<(&'p Path, T)>, CliError> {
        let mut done = Vec::new();
        if !self.ranks.are_several() {
            for (path, item) in files {
                let result = one(item, self.output);
                done.extend(self.keep(path, result)?.map(|made| (path, made)));
            }
            return Ok(done);
        }
        let files: Vec<_> = files.into_iter().collect();
        self.agree(files.iter().map(|(path, _)| *path))?;
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let mut waiting = files.into_iter().enumerate().peekable();
        while waiting.peek().is_some() {
            let (mut paths, mut own) = (Vec::new(), Vec::new());
            for (number, (path, item)) in waiting.by_ref().take(TOGETHER * size) {
                paths.push(path);
                if number % size == rank {
                    own.push(told(item, &mut one, self.output)?);
                }
            }
            let mut of_ranks = self.exchange(own)?;
            for (number, path) in paths.into_iter().enumerate() {
                let told = of_ranks[number % size].next();
                let (lines, result) = told.expect("a rank tells of each of its files");
                self.output.replay(lines)?;
                let result = result.map_err(CliError::Message);
                done.extend(self.keep(path, result)?.map(|made| (path, made)));
            }
        }
        Ok(done)
    }

    /// What was made of a file; `None` if it failed, which is noted.
    ///
    /// # Errors
    /// If nobody reads the output any more.
    pub fn keep<T>(
        &mut self,
        file: &Path,
        result: Result<T, CliError>,
    ) -> Result<Option<T>, CliError> {
        self.failures.keep(file, result)
    }

    /// Says at the end of a command what failed, on rank 0; `value` is what the others came to.
    ///
    /// # Errors
    /// If anything failed, or nobody reads the output.
    pub fn finish(self, value: Value, verdict: Verdict) -> Result<Verdict, CliError> {
        match self.ranks.is_first() {
            true => self.failures.finish(self.output, value, verdict),
            false => Ok(Verdict::Good),
        }
    }

    /// What all ranks tell, in the order of ranks.
    fn exchange<T: Serialize + DeserializeOwned>(
        &self,
        own: Vec<Told<T>>,
    ) -> Result<Vec<std::vec::IntoIter<Told<T>>>, CliError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(&own, &mut bytes)?;
        let all = self.ranks.gather_bytes(bytes)?;
        let told = |bytes: &Vec<u8>| {
            let told: Vec<Told<T>> = ciborium::from_reader(&bytes[..])?;
            Ok(told.into_iter())
        };
        all.iter().map(told).collect()
    }

    /// That all ranks have the same files before them.
    fn agree<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Result<(), CliError> {
        // Without the state that differs from process to process.
        let mut hasher = DefaultHasher::new();
        paths.for_each(|path| path.hash(&mut hasher));
        let words = self.ranks.gather_words(hasher.finish())?;
        match words.iter().position(|word| *word != words[0]) {
            None => Ok(()),
            Some(rank) => Err(CliError::new(format_args!(
                "rank {rank} has other files than rank 0: all ranks need to see the same"
            ))),
        }
    }
}

/// What files came to, without their names.
pub fn values(results: Vec<(&Path, Value)>) -> Value {
    results.into_iter().map(|(_, value)| value).collect()
}

/// What one file comes to, for other ranks.
fn told<I, T>(
    item: I,
    one: &mut impl FnMut(I, &Output) -> Result<T, CliError>,
    output: &Output,
) -> Result<Told<T>, CliError> {
    let output = output.recording();
    let result = reason(one(item, &output))?;
    Ok((output.recorded(), result))
}

/// Of what failed the reason, unless it is that nobody reads the output.
pub fn reason<T>(result: Result<T, CliError>) -> Result<Result<T, String>, CliError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(CliError::Message(message)) => Ok(Err(message)),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Cli, Parser};
    use bsq_collectives::threads;
    use serde_json::json;

    /// What was made of files, and what failed.
    type Made = (Vec<(String, Value)>, Option<String>);

    /// What each of so many ranks makes of 11 files, of which one fails.
    fn made(size: usize) -> Vec<Made> {
        let names: Vec<String> = (0..11).map(|i| format!("{i}.png")).collect();
        let run = |ranks: Ranks| {
            let output =
                Output::new(&Cli::parse_from(["bsq", "--json", "eval", "--data", "x"]).global);
            let mut files = Files::new(&ranks, &output);
            let all = names.iter().map(|name| (Path::new(name), name));
            let made = files.each(all, |name, output| {
                output.note(name);
                match name == "7.png" {
                    true => Err(CliError::new("broken")),
                    false => Ok(
                        json!({ "name": name, "third": name.len() as f64 / 3.0, "none": f64::NAN }),
                    ),
                }
            });
            let made = made.unwrap().into_iter();
            let made = made
                .map(|(path, value)| (path.display().to_string(), value))
                .collect();
            let failed = match files.keep(Path::new("x"), Ok(())) {
                Ok(_) => files.failures.first().map(String::from),
                Err(_) => None,
            };
            (made, failed)
        };
        std::thread::scope(|scope| {
            let run = &run;
            let start = |rank| scope.spawn(move || run(Ranks::new(rank)));
            let running: Vec<_> = threads(size).into_iter().map(start).collect();
            running
                .into_iter()
                .map(|rank| rank.join().unwrap())
                .collect()
        })
    }

    #[test]
    fn all_ranks_have_what_one_makes_in_its_order() {
        let one = made(1).remove(0);
        assert_eq!(one.0.len(), 10);
        assert_eq!(one.1.as_deref(), Some("7.png: broken"));
        for size in [2, 3, 16] {
            for found in made(size) {
                assert_eq!(found, one, "{size} ranks");
            }
        }
    }

    #[test]
    fn a_rank_with_other_files_is_named() {
        let run = |ranks: Ranks| {
            let output = Output::new(&Cli::parse_from(["bsq", "eval", "--data", "x"]).global);
            let own = ["a.png", if ranks.rank() == 2 { "c.png" } else { "b.png" }];
            let own = own.map(|name| (Path::new(name), ()));
            match Files::new(&ranks, &output).each(own, |(), _| Ok(())) {
                Err(CliError::Message(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        std::thread::scope(|scope| {
            let start = |rank| scope.spawn(move || run(Ranks::new(rank)));
            let running: Vec<_> = threads(3).into_iter().map(start).collect();
            for rank in running {
                let error = rank.join().unwrap();
                assert!(error.contains("rank 2 has other files"), "{error}");
            }
        });
    }
}
